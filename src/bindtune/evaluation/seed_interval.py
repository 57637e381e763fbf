"""How sure a difference of two arms is, from the figures of several training seeds in each arm.

Seeds are nested in arms. Fewer than three seeds of an arm give no interval, 3 to 9 Student's t, from 10 on a bootstrap
of seeds.
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

FEWEST, FEWEST_DRAWN = 3, 10
_DRAWS = 5000
Method = Literal["none", "t", "Welch's t", "bootstrap"]


class SeedDifference(NamedTuple):
    """The mean figure of one arm less that of another.

    Args:
        first: mean of the first arm; nan where no seed has the figure.
        second: mean of the second arm.
        value: first less second.
        low: lower end of the interval; nan without one.
        high: upper end.
        seeds: seeds of each arm that have the figure.
        is_paired: whether seeds of the arms are compared one by one.
        method: how the interval was made.
    """

    first: float
    second: float
    value: float
    low: float
    high: float
    seeds: tuple[int, int]
    is_paired: bool
    method: Method


def seed_difference(
    first: Sequence[float], second: Sequence[float], *, is_paired: bool, level: float = 0.95, seed: int = 1
) -> SeedDifference:
    """Difference of the means of two arms, with an interval over seeds.

    Args:
        first: one figure for each seed; nan where it is not defined.
        second: those of the other arm, in the order of the same seeds if `is_paired`.
        is_paired: compare seed by seed.
        level: how often the interval is to hold the difference of all seeds.
        seed: of the bootstrap draws.

    Raises:
        ValueError: the arms are paired and have different numbers of seeds.

    Example:
        >>> difference = seed_difference([0.5, 0.6, 0.7], [0.4, 0.5, 0.6], is_paired=True)
        >>> round(difference.value, 3), difference.method, difference.seeds
        (0.1, 't', (3, 3))
    """
    one, other = (np.asarray(values, np.float64) for values in (first, second))
    if is_paired:
        if len(one) != len(other):
            raise ValueError(f"paired arms must have equally many seeds, not {len(one)} and {len(other)}")
        both = ~np.isnan(one) & ~np.isnan(other)
        one, other = one[both], other[both]
    else:
        one, other = one[~np.isnan(one)], other[~np.isnan(other)]
    one_mean, other_mean = (float(values.mean()) if len(values) else math.nan for values in (one, other))
    value = one_mean - other_mean
    method: Method = "none"
    low, high = math.nan, math.nan
    fewest = min(len(one), len(other))
    if fewest >= FEWEST_DRAWN:
        method = "bootstrap"
        low, high = _drawn(one, other, is_paired=is_paired, level=level, seed=seed)
    elif fewest >= FEWEST:
        method = "t" if is_paired else "Welch's t"
        half = _half_width(one, other, is_paired=is_paired, level=level)
        low, high = value - half, value + half
    return SeedDifference(one_mean, other_mean, value, low, high, (len(one), len(other)), is_paired, method)


def _half_width(one: NDArray[np.float64], other: NDArray[np.float64], *, is_paired: bool, level: float) -> float:
    """Half of a t interval, of paired differences or by Welch's approximation (doi 10.1093/biomet/34.1-2.28)."""
    if is_paired:
        variance, degrees = float((one - other).var(ddof=1)) / len(one), len(one) - 1.0
    else:
        parts = [float(values.var(ddof=1)) / len(values) for values in (one, other)]
        variance = sum(parts)
        spread = sum(part**2 / (len(values) - 1) for part, values in zip(parts, (one, other), strict=True))
        degrees = variance**2 / spread if spread else len(one) + len(other) - 2.0
    return float(stdtrit(degrees, (1 + level) / 2)) * math.sqrt(variance)


def _drawn(
    one: NDArray[np.float64], other: NDArray[np.float64], *, is_paired: bool, level: float, seed: int
) -> tuple[float, float]:
    """Percentiles of the difference over draws of seeds with replacement, within each arm or pair by pair."""
    generator = np.random.default_rng(seed)
    rows = generator.integers(len(one), size=(_DRAWS, len(one)))
    other_rows = rows if is_paired else generator.integers(len(other), size=(_DRAWS, len(other)))
    differences = one[rows].mean(axis=1) - other[other_rows].mean(axis=1)
    low, high = np.quantile(differences, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
