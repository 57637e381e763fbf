"""Charts of binding predictions and of their training, for pages and for run folders."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from bindtune.evaluation.calibration import Reliability, expected_calibration_error, reliability
from bindtune.evaluation.metrics import call_figures
from bindtune.evaluation.ranking import Ranking, area_under_roc, average_precision, checked, sort
from bindtune.reports.charts import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    Level,
    Line,
    LineChart,
    folder_figure,
    save_png,
)
from bindtune.runs.names import fold_plot

_POINTS = 300  # of a curve: more cannot be seen
_ABSENCE = "not defined"
# Methods often agree, so the square is hollow and large enough for the diamond inside.
_METHOD_MARKS: dict[str, dict[str, Any]] = {
    "youden": {"name": "Youden", "colour": GREEN, "marker": "^", "size": 9},
    "f1": {"name": "F1", "colour": ORANGE, "marker": "s", "size": 12, "hollow": True},
    "mcc": {"name": "MCC", "colour": PURPLE, "marker": "D", "size": 6},
}
_CALIBRATION_MARKS = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"), (PURPLE, "D"))


class Call(NamedTuple):
    """A threshold's point on both curves.

    Args:
        false_positive_rate: share of the other residues that are called.
        recall: share of the sites that are called.
        precision: share of the calls that are sites; nan without calls.
        mark: how it is drawn, as arguments of `Line`.
    """

    false_positive_rate: float
    recall: float
    precision: float
    mark: Mapping[str, Any]


def curve_charts(ranking: Ranking, calls: Sequence[Call] = ()) -> tuple[LineChart, LineChart]:
    """The ROC curve and the precision-recall curve of residues of both classes.

    Args:
        ranking: the residues, counted at every score.
        calls: thresholds to mark; what is not defined is left out.
    """
    sites, others = ranking.positives, ranking.negatives
    few = _thinned(ranking)
    recall = few.true_positives / sites
    precision = few.true_positives / (few.true_positives + few.false_positives)
    false_rate = few.false_positives / others
    roc = LineChart(
        [
            Line([0, 1], [0, 1], "random order", GREY, style="--", width=1.1),
            Line([0, *false_rate], [0, *recall], f"AUROC {area_under_roc(ranking):.3f}", BLUE),
            *(Line([call.false_positive_rate], [call.recall], **call.mark) for call in calls),
        ],
        "false positive rate",
        "true positive rate",
        square=True,
    )
    base_rate = sites / (sites + others)
    precision_recall = LineChart(
        [
            Line(recall, precision, f"AUPRC {average_precision(ranking):.3f}", BLUE),
            *(Line([call.recall], [call.precision], **call.mark) for call in calls if not np.isnan(call.precision)),
        ],
        "recall",
        "precision",
        levels=[Level(base_rate, f"base rate {base_rate:.4f}")],
        square=True,
    )
    return roc, precision_recall


def calibration_chart(bins: Mapping[str, Reliability], *, diagonal: str = "") -> LineChart:
    """Share of binding residues against probability.

    Args:
        bins: bins of residues by name, such as "as trained"; at most four names.
        diagonal: name of the diagonal in the legend.
    """
    curves = [Line([0, 1], [0, 1], diagonal, GREY, style="--", width=1.1)]
    for (name, each), (colour, marker) in zip(bins.items(), _CALIBRATION_MARKS, strict=False):
        low, high = _wilson(each.observed, each.residues)
        error = np.maximum(0, [each.observed - low, high - each.observed])
        curves.append(Line(each.predicted, each.observed, name, colour, marker=marker, error=error))
    return LineChart(curves, "predicted probability", "share that binds", square=True)


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
    for (name, values), (colour, _) in zip(probabilities.items(), _CALIBRATION_MARKS, strict=False):
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


def _thinned(ranking: Ranking) -> Ranking:
    """Points that are enough to draw a curve: spread over recall and over false alarms alike."""
    last = len(ranking.scores) - 1
    indices = [
        np.searchsorted(counts, np.linspace(0, counts[-1], _POINTS))
        for counts in (ranking.true_positives, ranking.false_positives)
    ]
    few = np.unique(np.clip(np.concatenate([*indices, [0, last]]), 0, last))
    return Ranking(*(column[few] for column in ranking))


def _wilson(share: NDArray[np.float64], count: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wilson's 95 % interval of a share (doi 10.1080/01621459.1927.10502953)."""
    width = 1.96
    middle = (share + width**2 / (2 * count)) / (1 + width**2 / count)
    half = width / (1 + width**2 / count) * np.sqrt(share * (1 - share) / count + width**2 / (4 * count**2))
    return middle - half, middle + half


def _column(rows: Sequence[Mapping[str, Any]], name: str, split: str, epochs: Sequence[int]) -> NDArray[np.float64]:
    """A figure by epoch (E,), nan where no row has it."""
    by_epoch = {int(row["epoch"]): row.get(name) for row in rows if row["split"] == split}
    values = [by_epoch.get(epoch) for epoch in epochs]
    return np.array([float("nan") if value in (None, "") else float(value) for value in values])
