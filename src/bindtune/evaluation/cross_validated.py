"""Intervals of figures of out-of-fold scores, when the models were trained on the same groups.

An interval that only draws the tested groups is too narrow here. A label also trains the models that score other folds,
so it counts twice: with random labels the variance is about twice what the draws show, however many windows there are.
Nadeau and Bengio (doi 10.1023/A:1024068626366) correct the variance of K folds by 1 + K times the ratio of tested to
trained windows, which is 1 + K / (K - 1). Few groups need Student's t. `benchmarks/probe_coverage.py` states how often
intervals hold the true area with and without both.
"""

import math
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit, stdtrit

from bindtune.evaluation.bootstrap import Compared, Interval, drawn_areas, paired_interval

Floats = NDArray[np.float64]
_LEVEL = 0.95
_EDGE = 1e-12
"""Least distance of an area from 0 and 1 for its logit."""


def widening(folds: int) -> float:
    """How much wider an interval is than one that only draws the tested groups.

    Args:
        folds: K of the cross-validation.

    Example:
        >>> round(widening(5), 4), round(widening(2), 4)
        (1.5, 1.7321)
    """
    return math.sqrt(1 + folds / (folds - 1)) if folds > 1 else math.nan


def studentised(value: float, drawn: Floats, *, groups: int, folds: int, area: bool) -> Interval:
    """95 % interval from draws of groups: Student's t with their standard deviation, widened for the training.

    Args:
        value: the figure of all groups.
        drawn: (draws,) the figure of each draw; nan is left out.
        groups: how many there are; the degrees of freedom are one less.
        folds: K of the cross-validation.
        area: whether it lies between 0 and 1, and so is treated as its logit. Otherwise it is a difference of two.

    Returns:
        The value with its ends, which are nan for fewer than two groups or draws.
    """
    defined = drawn[~np.isnan(drawn)]
    if groups < 2 or len(defined) < 2 or math.isnan(value):
        return Interval(value, math.nan, math.nan, len(defined))
    error = float(defined.std(ddof=1)) * math.sqrt(groups / (groups - 1))
    half = float(stdtrit(groups - 1, (1 + _LEVEL) / 2)) * error * widening(folds)
    if error < _EDGE:
        return Interval(value, value, value, len(defined))
    if not area:
        return Interval(value, max(-1.0, value - half), min(1.0, value + half), len(defined))
    centre = min(max(value, _EDGE), 1 - _EDGE)
    half /= centre * (1 - centre)
    return Interval(value, float(expit(logit(centre) - half)), float(expit(logit(centre) + half)), len(defined))


def widened(narrow: Interval, *, folds: int, area: bool) -> Interval:
    """An interval that only knows the tested groups, widened for the training.

    Args:
        narrow: such as that of an AUPRC.
        folds: K of the cross-validation.
        area: as in `studentised`.

    Example:
        >>> [round(end, 3) for end in widened(Interval(0.02, 0.01, 0.03, 0), folds=5, area=False)[:3]]
        [0.02, 0.005, 0.035]
    """
    factor = widening(folds)
    centre, low, high = narrow[:3] if not area else logit(np.clip(narrow[:3], _EDGE, 1 - _EDGE))
    if narrow.low == narrow.high:
        return narrow
    ends = centre + factor * (np.array([low, high]) - centre)
    low, high = (expit(ends) if area else np.clip(ends, -1, 1)).tolist()
    return narrow._replace(low=low, high=high)


def cross_validated_comparison(
    statistic: Literal["auroc", "auprc"],
    labels: ArrayLike,
    first: Floats,
    second: Floats,
    groups: ArrayLike,
    *,
    folds: int,
    draws: int,
    seed: int,
) -> Compared:
    """Two out-of-fold scores of the same windows and their difference, with intervals by group.

    Args:
        statistic: the area.
        labels: (N,), 1 bound, 0 not.
        first: (N,) scores.
        second: (N,) scores.
        groups: (N,) name or number of each window's group.
        folds: K of the cross-validation.
        draws: of groups, for an AUROC.
        seed: of the draws.
    """
    if statistic == "auprc":
        narrow = paired_interval("auprc", labels, first, second, groups, draws=draws, seed=seed)
        one_area, other_area = (widened(each, folds=folds, area=True) for each in narrow[:2])
        return Compared(one_area, other_area, widened(narrow.difference, folds=folds, area=False))
    (one, ones), (other, others) = (
        drawn_areas("auroc", labels, scores, groups, draws=draws, seed=seed) for scores in (first, second)
    )
    ends = partial(studentised, groups=len(np.unique(groups)), folds=folds)
    return Compared(
        ends(one, ones, area=True), ends(other, others, area=True), ends(one - other, ones - others, area=False)
    )
