"""Figures of binding predictions and of their training, as PNG in run folders."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from bindtune.evaluation.calibration import expected_calibration_error, reliability
from bindtune.evaluation.metrics import call_figures
from bindtune.evaluation.ranking import checked, sort
from bindtune.reports.binding_charts import CALIBRATION_MARKS, Call, calibration_chart, curve_charts
from bindtune.reports.charts import BLUE, GREEN, GREY, ORANGE, PURPLE, Level, Line, LineChart
from bindtune.reports.png_charts import folder_figure, save_png
from bindtune.runs.names import fold_plot

_ABSENCE = "not defined"
# Methods often agree, so the square is hollow and large enough for the diamond inside.
_METHOD_MARKS: dict[str, dict[str, Any]] = {
    "youden": {"name": "Youden", "colour": GREEN, "marker": "^", "size": 9},
    "f1": {"name": "F1", "colour": ORANGE, "marker": "s", "size": 12, "hollow": True},
    "mcc": {"name": "MCC", "colour": PURPLE, "marker": "D", "size": 6},
}


def threshold_figure(
    labels: ArrayLike, probabilities: ArrayLike, *, thresholds: Mapping[str, float], title: str
) -> Figure:
    """ROC and precision-recall curve with the threshold of each method marked.

    Args:
        labels: (R,), 1 binds, 0 does not.
        probabilities: (R,).
        thresholds: threshold by method: youden, f1, mcc; nan is left out.
        title: such as "ZN, out of fold".
    """
    ordered = sort(labels, probabilities)
    ranking = ordered.ranking()
    if not ranking.positives or not ranking.negatives:
        axes = (("false positive rate", "true positive rate"), ("recall", "precision"))
        absence = f"{_ABSENCE}: one class only"
        return folder_figure([LineChart((), *labels, square=True, absence=absence) for labels in axes], title)
    calls = []
    for method, threshold in thresholds.items():
        if not np.isnan(threshold):
            figures = call_figures(ordered.positive, ordered.scores >= threshold)
            mark = _METHOD_MARKS[method]
            mark = {**mark, "name": f"{mark['name']} threshold {threshold:.3f}", "style": "none"}
            rate = figures.false_positives / ranking.negatives
            calls.append(Call(rate, figures.recall, figures.precision, mark))
    return folder_figure(curve_charts(ranking, calls), title)


def calibration_figure(
    labels: ArrayLike, probabilities: Mapping[str, ArrayLike], *, title: str, bins: int = 10
) -> Figure:
    """Share of binding residues against probability, and how many residues each bin has.

    Args:
        labels: (R,), 1 binds, 0 does not.
        probabilities: (R,) each, by name, such as "as trained" and "isotonic"; at most four.
        title: such as "ZN, out of fold".
        bins: bins of equal width.
    """
    reliabilities, counts = {}, []
    edges = np.linspace(0, 1, bins + 1)
    for (name, values), (colour, _) in zip(probabilities.items(), CALIBRATION_MARKS, strict=False):
        error = expected_calibration_error(labels, values, bins=bins)
        reliabilities[f"{name}: error {error:.4f}"] = reliability(labels, values, bins=bins)
        residues = np.histogram(checked(labels, values)[1], edges)[0].astype(np.float64)
        residues[residues == 0] = np.nan  # a logarithmic axis has no 0
        counts.append(Line(np.repeat(edges, 2)[1:-1], np.repeat(residues, 2), name, colour, width=1.8))
    histogram = LineChart(counts, "probability", "residues", shares=True, log=True, y_range=(0.7, None))
    return folder_figure([calibration_chart(reliabilities, diagonal="as promised"), histogram], title)


def loss_figure(epochs: ArrayLike, *, training: ArrayLike, validation: ArrayLike, title: str) -> Figure:
    """Training and validation loss by epoch; nan leaves a gap.

    Args:
        epochs: (E,), from 1.
        training: (E,), mean loss of the epoch's steps.
        validation: (E,), loss at the end of the epoch.
        title: such as "ZN, fold 1".
    """
    curves = _epoch_curves(epochs, training=training, validation=validation)
    losses = np.asarray(validation, np.float64)
    if not np.isnan(losses).all():
        curves.append(_ring(epochs, losses, int(np.nanargmin(losses)), f"lowest {np.nanmin(losses):.4f}"))
    return folder_figure([LineChart(curves, "epoch", "loss", absence=_ABSENCE)], title)


def auprc_figure(
    epochs: ArrayLike, *, training: ArrayLike, validation: ArrayLike, base_rate: float, title: str
) -> Figure:
    """AUPRC by epoch, with the base rate that a random order would have; nan leaves a gap.

    Args:
        epochs: (E,), from 1.
        training: (E,), all nan where training residues are not scored.
        validation: (E,).
        base_rate: share of the validation residues that bind.
        title: such as "ZN, fold 1".
    """
    curves = _epoch_curves(epochs, training=training, validation=validation)
    areas = np.asarray(validation, np.float64)
    if not np.isnan(areas).all():
        curves.append(_ring(epochs, areas, int(np.nanargmax(areas)), f"highest {np.nanmax(areas):.3f}"))
    levels = [] if np.isnan(base_rate) else [Level(base_rate, f"base rate {base_rate:.4f}")]
    chart = LineChart(curves, "epoch", "AUPRC", levels=levels, y_range=(-0.02, 1.02), absence=_ABSENCE)
    return folder_figure([chart], title)


def save_fold_plots(rows: Sequence[Mapping[str, Any]], folder: Path, *, fold: int, ions: Sequence[str]) -> list[Path]:
    """Draw `loss_fold_K_ION.png` and `auprc_fold_K_ION.png` for each ion.

    Args:
        rows: rows of `metrics.csv` as mappings (epoch, split, ion, loss, auprc, base_rate; and fold, if of several
            folds); numbers may be text. None, nan and empty text stand for figures that are not defined.
        folder: where the files go.
        fold: the fold.
        ions: the ions to draw.

    Returns:
        The files written.
    """
    paths = []
    for ion in ions:
        own = [row for row in rows if row["ion"] == ion and int(row.get("fold") or fold) == fold]
        epochs = sorted({int(row["epoch"]) for row in own if row["split"] in ("train", "validation")})
        title = f"{ion}, fold {fold}"
        loss, auprc, rate = (
            {split: _column(own, name, split, epochs) for split in ("train", "validation")}
            for name in ("loss", "auprc", "base_rate")
        )
        rates = rate["validation"][~np.isnan(rate["validation"])]
        base_rate = float(rates[-1]) if len(rates) else float("nan")
        figures = {
            "loss": loss_figure(epochs, training=loss["train"], validation=loss["validation"], title=title),
            "auprc": auprc_figure(
                epochs, training=auprc["train"], validation=auprc["validation"], base_rate=base_rate, title=title
            ),
        }
        for name, figure in figures.items():
            paths.append(folder / fold_plot(name, fold=fold, ion=ion))
            save_png(figure, paths[-1])
    return paths


def _epoch_curves(epochs: ArrayLike, *, training: ArrayLike, validation: ArrayLike) -> list[Line]:
    curves = (
        Line(epochs, training, "training", GREY, style="--", width=1.5, marker="s", size=4),
        Line(epochs, validation, "validation", BLUE, width=1.5, marker="o", size=4),
    )
    return [curve for curve in curves if not np.isnan(np.asarray(curve.y, np.float64)).all()]


def _ring(epochs: ArrayLike, values: NDArray[np.float64], best: int, name: str) -> Line:
    """Mark the best epoch."""
    epoch = np.asarray(epochs)[best]
    return Line(
        [epoch], [values[best]], f"{name} (epoch {epoch})", ORANGE, style="none", marker="o", size=11, hollow=True
    )


def _column(rows: Sequence[Mapping[str, Any]], name: str, split: str, epochs: Sequence[int]) -> NDArray[np.float64]:
    """A figure by epoch (E,), nan where no row has it."""
    by_epoch = {int(row["epoch"]): row.get(name) for row in rows if row["split"] == split}
    values = [by_epoch.get(epoch) for epoch in epochs]
    return np.array([float("nan") if value in (None, "") else float(value) for value in values])
