"""Figures of a confusion matrix, for one matrix or for arrays of them; nan where a figure is not defined.

`positives` and `negatives` are the residues of each class; `true_positives` and `false_positives` those of them that
are called. Everything broadcasts.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Figure = Callable[..., Floats]


def recall(
    true_positives: ArrayLike, false_positives: ArrayLike, *, positives: ArrayLike, negatives: ArrayLike
) -> Floats:
    """Share of the positives that are called; not defined without positives."""
    hits, _, sites, _ = _counts(true_positives, false_positives, positives, negatives)
    return _ratio(hits, sites)


def precision(
    true_positives: ArrayLike, false_positives: ArrayLike, *, positives: ArrayLike, negatives: ArrayLike
) -> Floats:
    """Share of the calls that are right; not defined without positives or without calls."""
    hits, alarms, sites, _ = _counts(true_positives, false_positives, positives, negatives)
    return np.where(sites > 0, _ratio(hits, hits + alarms), np.nan)


def f1(true_positives: ArrayLike, false_positives: ArrayLike, *, positives: ArrayLike, negatives: ArrayLike) -> Floats:
    """Harmonic mean of precision and recall, 0 where nothing is called; not defined without positives."""
    hits, alarms, sites, _ = _counts(true_positives, false_positives, positives, negatives)
    return np.where(sites > 0, _ratio(2 * hits, hits + alarms + sites), np.nan)


def mcc(true_positives: ArrayLike, false_positives: ArrayLike, *, positives: ArrayLike, negatives: ArrayLike) -> Floats:
    """Matthews correlation, 0 where all or nothing is called; not defined unless both classes are there."""
    hits, alarms, sites, others = _counts(true_positives, false_positives, positives, negatives)
    called = hits + alarms
    spread = np.sqrt(sites * others) * np.sqrt(called * (sites + others - called))
    value = np.where(spread > 0, _ratio(hits * others - alarms * sites, spread), 0.0)
    return np.where((sites > 0) & (others > 0), value, np.nan)


def youden(
    true_positives: ArrayLike, false_positives: ArrayLike, *, positives: ArrayLike, negatives: ArrayLike
) -> Floats:
    """Recall less the share of the negatives that is called; not defined unless both classes are there."""
    hits, alarms, sites, others = _counts(true_positives, false_positives, positives, negatives)
    return _ratio(hits, sites) - _ratio(alarms, others)


FIGURES: dict[str, Figure] = {"f1": f1, "mcc": mcc, "precision": precision, "recall": recall}


def _counts(*counts: ArrayLike) -> tuple[Floats, ...]:
    return tuple(np.asarray(count, np.float64) for count in counts)


def _ratio(above: Floats, below: Floats) -> Floats:
    """Quotient, nan where the divisor is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(below > 0, above / below, np.nan))
