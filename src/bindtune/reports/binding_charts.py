"""The content of charts of binding predictions."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bindtune.evaluation.calibration import Reliability
from bindtune.evaluation.ranking import Ranking, area_under_roc, average_precision
from bindtune.reports.charts import BLUE, GREEN, GREY, ORANGE, PURPLE, Level, Line, LineChart

_POINTS = 300  # of a curve: more cannot be seen
CALIBRATION_MARKS = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"), (PURPLE, "D"))


class Call(NamedTuple):
    """A threshold's point on both curves.

    Args:
        false_positive_rate: share of the other residues that are called.
        recall: share of the sites that are called.
        precision: share of the calls that are sites; nan without calls.
        mark: its style, as arguments of `Line`.
    """

    false_positive_rate: float
    recall: float
    precision: float
    mark: Mapping[str, Any]


def curve_charts(ranking: Ranking, calls: Sequence[Call] = ()) -> tuple[LineChart, LineChart]:
    """The ROC curve and the precision-recall curve of residues of both classes.

    Args:
        ranking: the residues, counted at every score.
        calls: thresholds to mark; undefined ones are left out.
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
    for (name, each), (colour, marker) in zip(bins.items(), CALIBRATION_MARKS, strict=False):
        low, high = _wilson(each.observed, each.residues)
        error = np.maximum(0, [each.observed - low, high - each.observed])
        counts = [_short_count(residues) for residues in each.residues.tolist()]
        curves.append(Line(each.predicted, each.observed, name, colour, marker=marker, error=error, notes=counts))
    return LineChart(curves, "predicted probability", "share that binds", square=True)


def _short_count(count: int) -> str:
    """A count with two digits or three, as there is room beside a point."""
    for size, letter in ((1_000_000, "M"), (1000, "k")):
        if count >= size:
            return f"{count / size:.{0 if count >= 10 * size else 1}f}{letter}"
    return str(count)


def _thinned(ranking: Ranking) -> Ranking:
    """Enough points to draw a curve, spread over recall and over the false positive rate."""
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
