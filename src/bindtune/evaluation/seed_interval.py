"""Intervals of a difference of two arms, from the figures of several training seeds in each arm.

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
    first_values, second_values = (np.asarray(values, np.float64) for values in (first, second))
    if is_paired:
        if len(first_values) != len(second_values):
            raise ValueError(
                f"paired arms must have equally many seeds, not {len(first_values)} and {len(second_values)}"
            )
        both = ~np.isnan(first_values) & ~np.isnan(second_values)
        first_values, second_values = first_values[both], second_values[both]
    else:
        first_values, second_values = first_values[~np.isnan(first_values)], second_values[~np.isnan(second_values)]
    one_mean, other_mean = (
        float(values.mean()) if len(values) else math.nan for values in (first_values, second_values)
    )
    value = one_mean - other_mean
    method: Method = "none"
    low, high = math.nan, math.nan
    fewest = min(len(first_values), len(second_values))
    if fewest >= FEWEST_DRAWN:
        method = "bootstrap"
        low, high = _drawn(first_values, second_values, is_paired=is_paired, level=level, seed=seed)
    elif fewest >= FEWEST:
        method = "t" if is_paired else "Welch's t"
        half = _half_width(first_values, second_values, is_paired=is_paired, level=level)
        low, high = value - half, value + half
    return SeedDifference(
        one_mean, other_mean, value, low, high, (len(first_values), len(second_values)), is_paired, method
    )


def _half_width(
    first_values: NDArray[np.float64], second_values: NDArray[np.float64], *, is_paired: bool, level: float
) -> float:
    """Half of a t interval, of paired differences or by Welch's approximation (doi 10.1093/biomet/34.1-2.28)."""
    if is_paired:
        variance, degrees = (
            float((first_values - second_values).var(ddof=1)) / len(first_values),
            len(first_values) - 1.0,
        )
    else:
        parts = [float(values.var(ddof=1)) / len(values) for values in (first_values, second_values)]
        variance = sum(parts)
        spread = sum(
            part**2 / (len(values) - 1) for part, values in zip(parts, (first_values, second_values), strict=True)
        )
        degrees = variance**2 / spread if spread else len(first_values) + len(second_values) - 2.0
    return float(stdtrit(degrees, (1 + level) / 2)) * math.sqrt(variance)


def _drawn(
    first_values: NDArray[np.float64], second_values: NDArray[np.float64], *, is_paired: bool, level: float, seed: int
) -> tuple[float, float]:
    """Percentiles of the difference over draws of seeds with replacement, within each arm or pair by pair."""
    generator = np.random.default_rng(seed)
    rows = generator.integers(len(first_values), size=(_DRAWS, len(first_values)))
    other_rows = rows if is_paired else generator.integers(len(second_values), size=(_DRAWS, len(second_values)))
    differences = first_values[rows].mean(axis=1) - second_values[other_rows].mean(axis=1)
    low, high = np.quantile(differences, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
