"""Figures of scores for the binding residues of one ion: over all thresholds, and at one threshold."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from bindtune.evaluation import confusion
from bindtune.evaluation.ranking import (
    MOST_HIGH_RECALL_AREA,
    area_under_roc,
    average_precision,
    checked,
    high_recall_area,
    sort,
)


class ResidueMetrics(NamedTuple):
    """Figures of one ion; nan where a figure is not defined.

    Args:
        auroc: area under the ROC curve; needs both classes, as do auprc, hra, hra_raw and mcc.
        auprc: average precision.
        base_rate: share of the residues that bind: what auprc is for a random order.
        hra: `hra_raw` divided by 0.3; 1 for a perfect ranking.
        hra_raw: area under the precision-recall curve over recall 0.7 to 1, at most 0.3.
        f1: at the threshold; needs positives, as does recall.
        mcc: Matthews correlation at the threshold, 0 where all or nothing is called.
        precision: at the threshold; needs positives and a call.
        recall: at the threshold.
        threshold: a residue is called where its probability is at least this.
        true_positives: called, and binds.
        false_positives: called, and does not bind.
        true_negatives: not called, and does not bind.
        false_negatives: not called, and binds.
    """

    auroc: float
    auprc: float
    base_rate: float
    hra: float
    hra_raw: float
    f1: float
    mcc: float
    precision: float
    recall: float
    threshold: float
    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int


class CallFigures(NamedTuple):
    """Figures of calls and their confusion matrix; nan where a figure is not defined."""

    f1: float
    mcc: float
    precision: float
    recall: float
    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int


def residue_metrics(labels: ArrayLike, probabilities: ArrayLike, *, threshold: float) -> ResidueMetrics:
    """Every figure of one ion.

    Args:
        labels: (R,), 1 binds, 0 does not; residues that were not looked at are left out before.
        probabilities: (R,).
        threshold: called is what has at least this probability. With nan, which says that no threshold could be chosen,
            nothing is called and the figures at the threshold are nan.

    Raises:
        ValueError: lengths differ, a label is neither 0 nor 1, or a probability is not a number.
    """
    ordered = sort(labels, probabilities)
    ranking = ordered.ranking(ordered.corners())  # which no area needs more than
    raw = high_recall_area(ranking)
    figures = call_figures(ordered.positive, ordered.scores >= threshold)
    if np.isnan(threshold):
        nan = float("nan")
        figures = figures._replace(f1=nan, mcc=nan, precision=nan, recall=nan)
    residues = len(ordered.positive)
    return ResidueMetrics(
        auroc=area_under_roc(ranking),
        auprc=average_precision(ranking),
        base_rate=ranking.positives / residues if residues else float("nan"),
        hra=raw / MOST_HIGH_RECALL_AREA,
        hra_raw=raw,
        threshold=float(threshold),
        **figures._asdict(),
    )


def call_figures(labels: ArrayLike, calls: ArrayLike) -> CallFigures:
    """Figures of given calls (R,), for example with a different threshold for each fold."""
    positive, values = checked(labels, calls)
    called = values > 0
    hits, alarms = int((called & positive).sum()), int((called & ~positive).sum())
    sites = int(positive.sum())
    others = len(positive) - sites
    figures = {
        name: float(figure(hits, alarms, positives=sites, negatives=others))
        for name, figure in confusion.FIGURES.items()
    }
    return CallFigures(
        **figures,
        true_positives=hits,
        false_positives=alarms,
        true_negatives=others - alarms,
        false_negatives=sites - hits,
    )


def hra_raw(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Area under the precision-recall curve over recall 0.7 to 1, at most 0.3; nan unless both classes are there.

    Args:
        labels: (R,), 1 binds, 0 does not.
        probabilities: (R,).
    """
    return high_recall_area(sort(labels, probabilities).ranking())
