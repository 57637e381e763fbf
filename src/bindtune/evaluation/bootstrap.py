"""Bootstrap intervals of figures and of paired differences, by protein or window.

Residues of one protein are not independent observations, so whole proteins are drawn with replacement. Masked tokens of
one window are not independent either, so whole windows are drawn. An AUPRC needs no draws: `auprc_interval.py` gives
its intervals, which have a better coverage.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from bindtune.evaluation import confusion
from bindtune.evaluation.auprc_interval import Influence, auprc_difference_ends, auprc_ends, auprc_influence
from bindtune.evaluation.ranking import (
    AREAS,
    Ranking,
    Sorted,
    checked,
    sort,
)

_TOGETHER = 32  # draws whose counts fit into a processor's cache
Statistic = Literal["auprc", "auroc", "hra", "hra_raw", "f1", "mcc", "precision", "recall"]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Weighted = Callable[[Ints], Floats]
"""A figure of each of B draws, from how often each of P proteins counts in it (B, P)."""


class Interval(NamedTuple):
    """A figure with its interval by protein.

    Args:
        value: of the residues as they are; nan where not defined.
        low: lower end; nan where the value or every draw is not defined, or there are fewer than two proteins. An
            AUPRC needs two proteins with sites.
        high: upper end, as `low`.
        draws: the draws that the ends come from; those in which the figure is not defined are left out. 0 for an AUPRC,
            whose ends come from a standard error.
    """

    value: float
    low: float
    high: float
    draws: int


class Compared(NamedTuple):
    """Two scores of the same residues in the same draws.

    Args:
        first: the figure of the first score.
        second: that of the second.
        difference: first less second.
    """

    first: Interval
    second: Interval
    difference: Interval


def interval(
    statistic: Statistic,
    labels: ArrayLike,
    scores: ArrayLike,
    proteins: ArrayLike,
    *,
    draws: int,
    seed: int,
    level: float = 0.95,
    threshold: float | None = None,
) -> Interval:
    """Interval by protein: studentised for an AUPRC, percentiles of bootstrap draws for every other figure.

    Args:
        statistic: the figure.
        labels: (R,), 1 binds, 0 does not.
        scores: (R,).
        proteins: (R,), name or number of each residue's protein; how rows are ordered does not matter.
        draws: how often proteins are drawn.
        seed: of the draws; the same proteins and seed give the same draws for every figure.
        level: how often the interval is to hold the figure of all proteins like these.
        threshold: from which score on a residue is called; for f1, mcc, precision and recall, and only for these.

    Raises:
        ValueError: lengths differ, scores are not numbers, a threshold is missing or not needed, or level or draws make
            no sense.
    """
    codes, count = protein_codes(proteins)
    if statistic == "auprc":
        _check_settings(draws=draws, level=level)
        influence = _auprc_influence(labels, scores, codes=codes, count=count, threshold=threshold)
        return Interval(influence.value, *auprc_ends(influence, level), draws=0)
    weighted = _weighted(statistic, labels, scores, codes=codes, count=count, threshold=threshold)
    value, drawn = _drawn(weighted, count, draws=draws, seed=seed)
    return _interval(value, drawn, level)


def paired_interval(
    statistic: Statistic,
    labels: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    proteins: ArrayLike,
    *,
    draws: int,
    seed: int,
    level: float = 0.95,
    thresholds: tuple[float, float] | None = None,
) -> Compared:
    """Intervals by protein of two scores and of their difference, on the same residues and the same draws.

    Args:
        statistic: the figure.
        labels: (R,), 1 binds, 0 does not.
        first: (R,), scores.
        second: (R,), scores of the same residues.
        proteins: (R,), as in `interval`.
        draws: how often proteins are drawn.
        seed: of the draws.
        level: share of the draws between the two ends.
        thresholds: of each score, for the figures of calls.
    """
    codes, count = protein_codes(proteins)
    by_score = list(zip((first, second), thresholds or (None, None), strict=True))
    if statistic == "auprc":
        _check_settings(draws=draws, level=level)
        return _compared_auprc(
            *(
                _auprc_influence(labels, scores, codes=codes, count=count, threshold=threshold)
                for scores, threshold in by_score
            ),
            level=level,
        )
    one, other = (
        _weighted(statistic, labels, scores, codes=codes, count=count, threshold=threshold)
        for scores, threshold in by_score
    )
    (one_value, ones), (other_value, others) = (
        _drawn(weighted, count, draws=draws, seed=seed) for weighted in (one, other)
    )
    return Compared(
        _interval(one_value, ones, level),
        _interval(other_value, others, level),
        _interval(one_value - other_value, ones - others, level),
    )


def paired_mean_interval(
    first: ArrayLike, second: ArrayLike, counts: ArrayLike, *, draws: int, seed: int, level: float = 0.95
) -> Compared:
    """Bootstrap by record of two means over the same parts, such as tokens of windows, and of their difference.

    Args:
        first: (R,), the first score summed over each record's parts.
        second: (R,), the second, of the same parts.
        counts: (R,), parts of each record; a mean is a sum over all records divided by all their parts.
        draws: how often records are drawn.
        seed: of the draws.
        level: share of the draws between the two ends.
    """
    sums, parts = np.stack([first, second]).astype(np.float64), np.asarray(counts, np.float64)

    def mean_of(row: Floats) -> Weighted:
        def weighted(weights: Ints) -> Floats:
            totals = weights @ parts
            means: Floats = np.divide(weights @ row, totals, out=np.full(len(weights), np.nan), where=totals > 0)
            return means

        return weighted

    (one_value, ones), (other_value, others) = (
        _drawn(mean_of(row), len(parts), draws=draws, seed=seed) for row in sums
    )
    return Compared(
        _interval(one_value, ones, level),
        _interval(other_value, others, level),
        _interval(one_value - other_value, ones - others, level),
    )


def drawn_areas(
    statistic: Literal["auroc", "hra", "hra_raw"],
    labels: ArrayLike,
    scores: ArrayLike,
    groups: ArrayLike,
    *,
    draws: int,
    seed: int,
) -> tuple[float, Floats]:
    """An area, and the same in each bootstrap draw of groups, from which differences of several scores are made.

    Args:
        statistic: the area.
        labels: (R,), 1 binds, 0 does not.
        scores: (R,).
        groups: (R,), name or number of each row's group.
        draws: how often groups are drawn.
        seed: of the draws; the same groups and seed give the same draws.

    Returns:
        The area, and (draws,) areas; nan where it is not defined.
    """
    codes, count = protein_codes(groups)
    weighted = _weighted(statistic, labels, scores, codes=codes, count=count, threshold=None)
    return _drawn(weighted, count, draws=draws, seed=seed)


def protein_codes(proteins: ArrayLike) -> tuple[Ints, int]:
    """Number each row's protein 0, 1, ... by name; returns the numbers (R,) and how many proteins there are."""
    names: NDArray[Any] = np.asarray(proteins)
    if not len(names):
        return np.empty(0, np.int64), 0
    if np.issubdtype(names.dtype, np.integer) and names.min() >= 0 and names.max() < 8 * len(names):
        present = np.bincount(names) > 0  # small numbers are counted, which is faster than a sort
        return (np.cumsum(present) - 1)[names], int(present.sum())
    # Rows of a protein mostly stand together: names are sorted once a stretch instead of once a residue.
    starts = np.append(0, np.flatnonzero(names[1:] != names[:-1]) + 1)
    distinct, code = np.unique(names[starts], return_inverse=True)
    return np.repeat(code.astype(np.int64), np.diff(starts, append=len(names))), len(distinct)


def _auprc_influence(
    labels: ArrayLike, scores: ArrayLike, *, codes: Ints, count: int, threshold: float | None
) -> Influence:
    _check_rows(labels, codes)
    if threshold is not None:
        raise ValueError("auprc takes no threshold")
    return auprc_influence(sort(labels, scores), codes, count)


def _compared_auprc(first: Influence, second: Influence, *, level: float) -> Compared:
    difference = Interval(first.value - second.value, *auprc_difference_ends(first, second, level), draws=0)
    one, another = (Interval(each.value, *auprc_ends(each, level), draws=0) for each in (first, second))
    return Compared(one, another, difference)


def _check_settings(*, draws: int, level: float) -> None:
    _check_draws(draws)
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, not {level}")


def _check_draws(draws: int) -> None:
    if draws < 1:
        raise ValueError(f"draws must be at least 1, not {draws}")


def _check_rows(labels: ArrayLike, codes: Ints) -> None:
    residues = len(np.asarray(labels))
    if len(codes) != residues:
        raise ValueError(f"a protein must be given for each of {residues} residues, not {len(codes)}")


def _drawn(weighted: Weighted, count: int, *, draws: int, seed: int) -> tuple[float, Floats]:
    """The figure of all proteins and that of each draw; no draws where there is nothing to draw from."""
    _check_draws(draws)
    (value,) = weighted(np.ones((1, count), np.int64)).tolist()
    if count < 2 or math.isnan(value):
        return value, np.full(draws, np.nan)
    return value, np.concatenate([weighted(weights) for weights in _draws(count, draws=draws, seed=seed)])


def _interval(value: float, drawn: Floats, level: float) -> Interval:
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, not {level}")
    defined = drawn[~np.isnan(drawn)]
    if not len(defined):
        return Interval(value, math.nan, math.nan, 0)
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high), len(defined))


def _draws(count: int, *, draws: int, seed: int) -> Iterator[Ints]:
    """How often each protein is in each draw: some draws at a time (B, P)."""
    generator = np.random.default_rng(seed)
    for start in range(0, draws, _TOGETHER):
        size = min(_TOGETHER, draws - start)
        yield np.stack([np.bincount(generator.integers(count, size=count), minlength=count) for _ in range(size)])


def _weighted(
    statistic: Statistic, labels: ArrayLike, scores: ArrayLike, *, codes: Ints, count: int, threshold: float | None
) -> Weighted:
    """The figure as a function of how often each protein counts."""
    _check_rows(labels, codes)
    if statistic in AREAS:
        if threshold is not None:
            raise ValueError(f"{statistic} takes no threshold")
        ordered = sort(labels, scores)
        last = ordered.steps() if statistic == "auprc" else ordered.corners()
        return _weighted_area(AREAS[statistic], ordered, last, codes)
    if statistic not in confusion.FIGURES:
        raise ValueError(f"statistic must be one of {', '.join([*AREAS, *confusion.FIGURES])}, not {statistic!r}")
    if threshold is None or math.isnan(threshold):
        raise ValueError(f"{statistic} needs a threshold")
    return _weighted_figure(confusion.FIGURES[statistic], labels, scores, codes=codes, count=count, threshold=threshold)


def _weighted_area(area: Callable[[Ranking], float], ordered: Sorted, last: NDArray[np.intp], codes: Ints) -> Weighted:
    """Sorted once; a draw sums weights of residues from corner to corner of the curve; `last` has their ranks."""
    distinct, starts = ordered.scores[last], np.append(0, last + 1)
    sorted_codes = codes[ordered.order].astype(np.int32)
    sites = np.flatnonzero(ordered.positive)
    site_codes = sorted_codes[sites]
    sites_up_to = np.searchsorted(sites, last, side="right")
    # A row for each corner, with a one for each residue between it and the corner before, in its protein's column. The
    # product with many draws at once reads the residues once.
    width = int(sorted_codes.max(initial=-1)) + 1
    ones = np.ones(len(sorted_codes), np.int32)
    between = csr_array((ones, sorted_codes, starts.astype(np.int32)), shape=(len(last), width))

    def weighted(weights: Ints) -> Floats:
        if not len(last):
            return np.full(len(weights), np.nan)
        counts = between @ np.ascontiguousarray(weights[:, :width].T, np.int32)
        figures = []
        for own, column in zip(weights, np.ascontiguousarray(counts.T), strict=True):
            called = np.cumsum(column, dtype=np.int64)
            hits = np.append(0, np.cumsum(own[site_codes]))[sites_up_to]
            figures.append(area(Ranking(distinct, hits, called - hits)))
        return np.array(figures)

    return weighted


def _weighted_figure(
    figure: confusion.Figure, labels: ArrayLike, scores: ArrayLike, *, codes: Ints, count: int, threshold: float
) -> Weighted:
    """Counted once for each protein; a draw is a weighted sum of those counts."""
    positive, values = checked(labels, scores)
    called = values >= threshold
    hits, alarms, sites, others = (
        np.bincount(codes[rows], minlength=count)
        for rows in (called & positive, called & ~positive, positive, ~positive)
    )

    def weighted(weights: Ints) -> Floats:
        counts = {"positives": weights @ sites, "negatives": weights @ others}
        return figure(weights @ hits, weights @ alarms, **counts)

    return weighted
