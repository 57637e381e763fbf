"""Figures for the run folder and the report: drawn without a display and without matplotlib's global state."""

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from bindtune.evaluation.calibration import expected_calibration_error, reliability
from bindtune.evaluation.metrics import call_figures
from bindtune.evaluation.ranking import Ranking, area_under_roc, average_precision, checked, sort
from bindtune.runs.writing import atomic_path

# Okabe and Ito's colours, told apart by people with any kind of colour vision; shapes and dashes say it once more.
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#595959"
# Name, colour, shape and size; methods often agree, so the square is hollow and large enough for the diamond inside.
_METHOD_MARKS: dict[str, tuple[str, dict[str, Any]]] = {
    "youden": ("Youden", {"color": GREEN, "marker": "^", "markersize": 9}),
    "f1": ("F1", {"color": ORANGE, "marker": "s", "markersize": 12, "fillstyle": "none", "markeredgewidth": 2}),
    "mcc": ("MCC", {"color": PURPLE, "marker": "D", "markersize": 6}),
}
_CURVE_POINTS = 1000
_DPI = 150


def loss_figure(epochs: ArrayLike, *, training: ArrayLike, validation: ArrayLike, title: str) -> Figure:
    """Training and validation loss by epoch; nan leaves a gap.

    Args:
        epochs: (E,), from 1.
        training: (E,), mean loss of the epoch's steps.
        validation: (E,), loss at the end of the epoch.
        title: what it is of, such as "ZN, fold 1".
    """
    figure, (axes,) = _figure(1, title)
    _epoch_lines(axes, epochs, training=training, validation=validation)
    validated = np.asarray(validation, np.float64)
    if not np.isnan(validated).all():
        best = int(np.nanargmin(validated))
        _ring(axes, np.asarray(epochs)[best], validated[best], f"lowest {validated[best]:.4f}")
    axes.set(ylabel="Loss")
    _legend(axes)
    return figure


def auprc_figure(
    epochs: ArrayLike, *, training: ArrayLike, validation: ArrayLike, base_rate: float, title: str
) -> Figure:
    """AUPRC by epoch, with the base rate that a random order would have; nan leaves a gap.

    Args:
        epochs: (E,), from 1.
        training: (E,), all nan where training residues are not scored.
        validation: (E,).
        base_rate: share of the validation residues that bind.
        title: what it is of.
    """
    figure, (axes,) = _figure(1, title)
    _epoch_lines(axes, epochs, training=training, validation=validation)
    validated = np.asarray(validation, np.float64)
    if not np.isnan(validated).all():
        best = int(np.nanargmax(validated))
        _ring(axes, np.asarray(epochs)[best], validated[best], f"highest {validated[best]:.3f}")
    _base_rate(axes, base_rate)
    axes.set(ylabel="AUPRC", ylim=(-0.02, 1.02))
    _legend(axes)
    return figure


def threshold_figure(
    labels: ArrayLike, probabilities: ArrayLike, *, thresholds: Mapping[str, float], title: str
) -> Figure:
    """ROC and precision-recall curve with the threshold of each method marked.

    Args:
        labels: (R,), 1 binds, 0 does not.
        probabilities: (R,).
        thresholds: threshold by method: youden, f1, mcc; nan is left out.
        title: what it is of.
    """
    figure, (left, right) = _figure(2, title)
    ordered = sort(labels, probabilities)
    ranking = ordered.ranking(ordered.corners())
    sites, others = ranking.positives, ranking.negatives
    if sites and others:
        _draw_curves(left, right, ranking)
        for method, threshold in thresholds.items():
            if not np.isnan(threshold):
                found = call_figures(ordered.positive, ordered.scores >= threshold)
                name, style = _METHOD_MARKS[method]
                style = {**style, "linestyle": "none", "zorder": 4, "label": f"{name} threshold {threshold:.3f}"}
                left.plot([found.false_positives / others], [found.recall], **style)
                right.plot([found.recall], [found.precision], **style)
    else:
        for axes in (left, right):
            axes.text(0.5, 0.5, "not defined: one class only", ha="center", color=GREY)
    left.set(xlabel="False positive rate", ylabel="Recall (true positive rate)")
    right.set(xlabel="Recall", ylabel="Precision")
    for axes in (left, right):
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axes.set_aspect("equal")
        _legend_below(axes)
    return figure


def calibration_figure(
    labels: ArrayLike, probabilities: Mapping[str, ArrayLike], *, title: str, bins: int = 10
) -> Figure:
    """Share of binding residues against probability, and how many residues each bin has.

    Args:
        labels: (R,), 1 binds, 0 does not.
        probabilities: (R,) each, by name, such as "as trained" and "isotonic"; at most four.
        title: what it is of.
        bins: bins of equal width.
    """
    figure, (curve, histogram) = _figure(2, title)
    curve.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="as promised")
    edges = np.linspace(0, 1, bins + 1)
    styles = zip((BLUE, ORANGE, GREEN, PURPLE), "os^D", strict=True)
    for (name, values), (colour, mark) in zip(probabilities.items(), styles, strict=False):
        found = reliability(labels, values, bins=bins)
        error = expected_calibration_error(labels, values, bins=bins)
        below, above = _wilson(found.observed, found.residues)
        curve.errorbar(
            found.predicted,
            found.observed,
            yerr=np.maximum(0, [found.observed - below, above - found.observed]),
            color=colour,
            marker=mark,
            markersize=5,
            capsize=2,
            label=f"{name}: error {error:.4f}",
        )
        counts = np.histogram(checked(labels, values)[1], edges)[0]
        histogram.stairs(
            np.where(counts, counts, np.nan), edges, baseline=None, color=colour, linewidth=1.8, label=name
        )
    curve.set(xlabel="Mean probability of a bin", ylabel="Share that binds", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    curve.set_aspect("equal")
    histogram.set(xlabel="Probability", ylabel="Residues", xlim=(-0.02, 1.02))
    histogram.set_yscale("log")
    histogram.set_ylim(bottom=0.7)
    _legend_below(curve)
    _legend_below(histogram)
    return figure


def save_fold_plots(rows: Sequence[Mapping[str, Any]], folder: Path, *, fold: int, ions: Sequence[str]) -> list[Path]:
    """Draw `loss_fold_K_ION.png` and `auprc_fold_K_ION.png` for each ion.

    Args:
        rows: rows of `metrics.csv` as mappings (epoch, split, ion, loss, auprc, base_rate; and fold, if of several
            folds); numbers may be text, and what is not defined None, nan or empty.
        folder: where the files go.
        fold: the fold.
        ions: the ions to draw.

    Returns:
        The files written.
    """
    written = []
    for ion in ions:
        own = [row for row in rows if row["ion"] == ion and int(row.get("fold") or fold) == fold]
        epochs = sorted({int(row["epoch"]) for row in own if row["split"] in ("train", "validation")})
        title = f"{ion}, fold {fold}"
        loss, auprc, rate = (
            {split: _column(own, name, split, epochs) for split in ("train", "validation")}
            for name in ("loss", "auprc", "base_rate")
        )
        known_rates = rate["validation"][~np.isnan(rate["validation"])]
        base_rate = float(known_rates[-1]) if len(known_rates) else float("nan")
        figures = {
            "loss": loss_figure(epochs, training=loss["train"], validation=loss["validation"], title=title),
            "auprc": auprc_figure(
                epochs, training=auprc["train"], validation=auprc["validation"], base_rate=base_rate, title=title
            ),
        }
        for name, figure in figures.items():
            written.append(folder / f"{name}_fold_{fold}_{ion}.png")
            save_png(figure, written[-1])
    return written


def save_png(figure: Figure, path: Path) -> None:
    """Write a figure at 150 dots an inch, whole or not at all."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=_DPI)


def figure_svg(figure: Figure) -> str:
    """The figure as an `<svg>` element to stand in a page: text stays text, and the same figure gives the same text."""
    stream = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "bindtune"}):
        figure.savefig(stream, format="svg", metadata={"Date": None})
    drawing = stream.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    # Several drawings in one page must not share names; only those that something refers to are needed, and these are
    # hashes of what they name.
    needed = set(re.findall(r"#([\w.-]+)", drawing))
    return re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in needed else "", drawing)


def _figure(columns: int, title: str) -> tuple[Figure, list[Axes]]:
    wide, high, below = 5.0 * columns + 0.4, 5.0 if columns > 1 else 3.8, 1.2 if columns > 1 else 0.55
    figure = Figure(figsize=(wide, high))
    figure.subplots_adjust(0.8 / wide, below / high, 1 - 0.15 / wide, 1 - 0.5 / high, wspace=0.25)  # margins in inches
    figure.suptitle(title, fontsize=12, fontweight="bold")
    panels = [figure.add_subplot(1, columns, place + 1) for place in range(columns)]
    for axes in panels:
        axes.grid(color="#E5E5E5", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels


def _legend(axes: Axes) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=9, framealpha=0.9, edgecolor="#CCCCCC")


def _legend_below(axes: Axes) -> None:
    """Where curves may run anywhere, so that the legend hides none."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, fontsize=9, frameon=False)


def _epoch_lines(axes: Axes, epochs: ArrayLike, *, training: ArrayLike, validation: ArrayLike) -> None:
    lines = (("training", training, GREY, "--", "s"), ("validation", validation, BLUE, "-", "o"))
    for name, values, colour, dash, mark in lines:
        heights = np.asarray(values, np.float64)
        if not np.isnan(heights).all():
            axes.plot(epochs, heights, color=colour, linestyle=dash, marker=mark, markersize=4, label=name)
    if not axes.lines:
        axes.text(0.5, 0.5, "not defined", transform=axes.transAxes, ha="center", color=GREY)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set(xlabel="Epoch")


def _ring(axes: Axes, epoch: float, height: float, label: str) -> None:
    """Mark the best epoch."""
    style: dict[str, Any] = {"markerfacecolor": "none", "markeredgecolor": ORANGE, "markeredgewidth": 1.8}
    axes.plot([epoch], [height], "o", markersize=11, label=f"{label} (epoch {epoch})", **style)


def _base_rate(axes: Axes, rate: float) -> None:
    if not np.isnan(rate):
        axes.axhline(rate, color=ORANGE, linestyle=":", linewidth=1.6, label=f"base rate {rate:.4f}")


def _draw_curves(left: Axes, right: Axes, ranking: Ranking) -> None:
    recall = ranking.true_positives / ranking.positives
    false_rate = ranking.false_positives / ranking.negatives
    precision = ranking.true_positives / (ranking.true_positives + ranking.false_positives)
    from_zero = _few_points(np.append(0, false_rate), np.append(0, recall))
    left.plot(*from_zero, color=BLUE, linewidth=1.8, label=f"AUROC {area_under_roc(ranking):.3f}")
    left.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="random order")
    curve = _few_points(recall, precision)
    right.plot(*curve, color=BLUE, linewidth=1.8, label=f"AUPRC {average_precision(ranking):.3f}")
    _base_rate(right, ranking.positives / (ranking.positives + ranking.negatives))


def _few_points(across: NDArray[np.float64], up: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[Any]]:
    """At most a thousand of the points of a curve, evenly along its length, both ends among them."""
    if len(across) <= _CURVE_POINTS:
        return across, up
    length = np.append(0, np.cumsum(np.hypot(np.diff(across), np.diff(up))))
    kept = np.unique(np.searchsorted(length, np.linspace(0, length[-1], _CURVE_POINTS)))
    kept = np.unique(np.append(kept, [0, len(across) - 1]))
    return across[kept], up[kept]


def _wilson(share: NDArray[np.float64], count: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wilson's 95 % interval of a share."""
    width = 1.96
    middle = (share + width**2 / (2 * count)) / (1 + width**2 / count)
    half = width / (1 + width**2 / count) * np.sqrt(share * (1 - share) / count + width**2 / (4 * count**2))
    return middle - half, middle + half


def _column(rows: Sequence[Mapping[str, Any]], name: str, split: str, epochs: Sequence[int]) -> NDArray[np.float64]:
    """A figure by epoch (E,), nan where no row has it."""
    found = {int(row["epoch"]): row.get(name) for row in rows if row["split"] == split}
    values = [found.get(epoch) for epoch in epochs]
    return np.array([float("nan") if value in (None, "") else float(value) for value in values])
