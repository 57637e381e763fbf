"""Sort residues by score and count them from the top. All curves, areas and thresholds come from these counts."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
HIGH_RECALL = 0.7
MOST_HIGH_RECALL_AREA = 0.3


class Ranking(NamedTuple):
    """Counts of calls at each distinct score; U distinct scores, highest first.

    Args:
        scores: (U,), descending.
        true_positives: (U,), positives with at least that score.
        false_positives: (U,), negatives with at least that score.
    """

    scores: Floats
    true_positives: Ints
    false_positives: Ints

    @property
    def positives(self) -> int:
        """All residues that bind."""
        return int(self.true_positives[-1]) if len(self.true_positives) else 0

    @property
    def negatives(self) -> int:
        """All residues that do not."""
        return int(self.false_positives[-1]) if len(self.false_positives) else 0


class Sorted(NamedTuple):
    """Residues from the highest score to the lowest; a part of them, or weights for them, need no second sort.

    Args:
        order: (R,), index of the residue at each rank.
        positive: (R,), whether it binds.
        scores: (R,), descending.
    """

    order: NDArray[np.intp]
    positive: NDArray[np.bool_]
    scores: Floats

    def part(self, chosen: NDArray[np.bool_]) -> "Sorted":
        """Those of the residues (R, in their own order) that are chosen."""
        inside = chosen[self.order]
        return Sorted(self.order[inside], self.positive[inside], self.scores[inside])

    def last_of_each_score(self) -> NDArray[np.intp]:
        """Rank (U,) of the last residue with each distinct score."""
        if not len(self.scores):
            return np.empty(0, np.intp)
        return np.append(np.flatnonzero(self.scores[1:] != self.scores[:-1]), len(self.scores) - 1)

    def corners(self) -> NDArray[np.intp]:
        """Those of `last_of_each_score` that curves and areas need: with positives, just before one, or at the end.

        Between them only negatives are counted, whatever the residues weigh: ROC runs straight, recall stands still.
        """
        last = self.last_of_each_score()
        gained = np.diff(np.cumsum(self.positive)[last], prepend=0) > 0
        return last[gained | np.append(gained[1:], True)] if len(last) else last

    def steps(self) -> NDArray[np.intp]:
        """Those of `last_of_each_score` that have positives, and the end: all that average precision needs."""
        last = self.last_of_each_score()
        gained = np.diff(np.cumsum(self.positive)[last], prepend=0) > 0
        steps: NDArray[np.intp] = last[gained | (np.arange(len(last)) == len(last) - 1)]
        return steps

    def ranking(self, last: NDArray[np.intp] | None = None) -> Ranking:
        """Count from the top, down to every distinct score or to those given by the ranks in `last`."""
        if last is None:
            last = self.last_of_each_score()
        true_positives = np.cumsum(self.positive, dtype=np.int64)[last]
        return Ranking(self.scores[last], true_positives, last + 1 - true_positives)


def checked(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], Floats]:
    """Labels as (R,) truth values and scores as (R,) doubles.

    Raises:
        ValueError: the two differ in length or have more than one dimension, a label is neither 0 nor 1, or a score is
            not a number.
    """
    truth: NDArray[Any] = np.asarray(labels)
    values = np.asarray(scores, np.float64)
    if truth.ndim != 1 or truth.shape != values.shape:
        raise ValueError(f"labels and scores must be one row of equal length, not {truth.shape} and {values.shape}")
    positive = truth.astype(bool)
    if (truth != positive).any():
        raise ValueError("labels must be 0 or 1: residues that were not looked at are left out before")
    if np.isnan(values).any():
        raise ValueError(f"{int(np.isnan(values).sum())} of {len(values)} scores are not a number")
    return positive, values


def sort(labels: ArrayLike, scores: ArrayLike) -> Sorted:
    """Sort residues by falling score; those that are sorted already stay as they are.

    Args:
        labels: (R,), 1 binds, 0 does not.
        scores: (R,), higher means more likely to bind.
    """
    positive, values = checked(labels, scores)
    if (values[1:] <= values[:-1]).all():
        return Sorted(np.arange(len(values)), positive, values)
    order = np.argsort(-values)
    return Sorted(order, positive[order], values[order])


def rank_groups(labels: ArrayLike, scores: ArrayLike, groups: ArrayLike) -> Ranking:
    """Count from the top where all residues of a group have one score, as those of a letter have: nothing is sorted.

    Args:
        labels: (R,), 1 binds, 0 does not.
        scores: (R,), higher means more likely to bind.
        groups: (R,) small numbers from 0; few.

    Example:
        >>> rank_groups([1, 0, 0, 1], [0.5, 0.5, 0.2, 0.2], [0, 0, 1, 1]).true_positives.tolist()
        [1, 2]
    """
    positive, values = checked(labels, scores)
    group: NDArray[Any] = np.asarray(groups)
    residues = np.bincount(group)
    sites = np.bincount(group[positive], minlength=len(residues))
    score = np.full(len(residues), -np.inf)
    score[group] = values
    order = np.argsort(-score)
    order = order[residues[order] > 0]
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True)) if len(order) else np.empty(0, np.intp)
    hits, called = (np.cumsum(counts[order])[last] for counts in (sites, residues))
    return Ranking(score[order][last], hits, called - hits)


def area_under_roc(ranking: Ranking) -> float:
    """Probability that a positive scores above a negative, ties counted half; nan unless both classes are there."""
    if not ranking.positives or not ranking.negatives:
        return float("nan")
    hits = ranking.true_positives.astype(np.float64)
    alarms = ranking.false_positives.astype(np.float64)
    area = np.trapezoid(np.concatenate([[0.0], hits]), np.concatenate([[0.0], alarms]))
    return float(area / (ranking.positives * ranking.negatives))


def average_precision(ranking: Ranking) -> float:
    """AUPRC as the mean precision over the steps in recall; nan unless both classes are there."""
    if not ranking.positives or not ranking.negatives:
        return float("nan")
    gained = np.diff(ranking.true_positives, prepend=0)
    return float((gained * _precision(ranking)).sum() / ranking.positives)


def high_recall_area(ranking: Ranking) -> float:
    """Area under the precision-recall curve over recall 0.7 to 1, at most 0.3; nan unless both classes are there.

    Trapezoids between the curve's points, with a point put in at recall 0.7 on the line between its neighbours. The
    curve begins with the highest score: where that one score reaches beyond recall 0.7 already, its precision holds
    back to 0.7. A point of precision 1 at recall 0, which belongs to no score, would give a constant score an area that
    it has not earned.
    """
    if not ranking.positives or not ranking.negatives:
        return float("nan")
    recall = ranking.true_positives / ranking.positives
    # What is missing from precision 1 is integrated, so that a perfect ranking gives 0.3 to the last digit.
    missing = 1 - _precision(ranking)
    first = int(np.searchsorted(recall, HIGH_RECALL))
    at_start = missing[first]
    if first and ranking.true_positives[first - 1] + ranking.false_positives[first - 1]:
        share = (HIGH_RECALL - recall[first - 1]) / (recall[first] - recall[first - 1])
        at_start = missing[first - 1] + share * (missing[first] - missing[first - 1])
    steps = np.diff(recall[first:], prepend=HIGH_RECALL)
    heights = np.concatenate([[at_start], missing[first:]])
    return float(MOST_HIGH_RECALL_AREA - (steps * (heights[1:] + heights[:-1]) / 2).sum())


def _precision(ranking: Ranking) -> Floats:
    """Precision (U,) at each score; 0 at the top where, with weights, nothing is counted yet."""
    called = ranking.true_positives + ranking.false_positives
    return np.asarray(ranking.true_positives / np.maximum(called, 1))


AREAS: dict[str, Callable[[Ranking], float]] = {
    "auprc": average_precision,
    "auroc": area_under_roc,
    "hra": lambda ranking: high_recall_area(ranking) / MOST_HIGH_RECALL_AREA,
    "hra_raw": high_recall_area,
}
"""A figure of a ranking by the name of its statistic."""
