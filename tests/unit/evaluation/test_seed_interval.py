"""Intervals over seeds against scipy, and their coverage."""

import math

import numpy as np
import pytest
from scipy import stats

from bindtune.evaluation.seed_interval import seed_difference


def drawn(count: int, seed: int) -> list[float]:
    return list(np.random.default_rng(seed).normal(0.6, 0.02, count))


@pytest.mark.parametrize("counts", [(1, 1), (2, 2), (2, 12), (12, 2)])
@pytest.mark.parametrize("is_paired", [False, True])
def test_fewer_than_three_seeds_give_no_interval(counts: tuple[int, int], is_paired: bool) -> None:
    if is_paired and counts[0] != counts[1]:
        with pytest.raises(ValueError, match="equally many seeds"):
            seed_difference(drawn(counts[0], 1), drawn(counts[1], 2), is_paired=True)
        return
    difference = seed_difference(drawn(counts[0], 1), drawn(counts[1], 2), is_paired=is_paired)
    assert difference.method == "none" and math.isnan(difference.low) and math.isnan(difference.high)
    assert difference.value == pytest.approx(np.mean(drawn(counts[0], 1)) - np.mean(drawn(counts[1], 2)))


@pytest.mark.parametrize("count", [3, 9])
def test_three_to_nine_seeds_give_t_intervals(count: int) -> None:
    first, second = drawn(count, 1), drawn(count, 2)
    paired = seed_difference(first, second, is_paired=True)
    ends = stats.ttest_rel(first, second).confidence_interval(0.95)
    assert (paired.method, paired.low, paired.high) == ("t", pytest.approx(ends.low), pytest.approx(ends.high))
    unpaired = seed_difference(first, [*second, 0.7], is_paired=False)
    ends = stats.ttest_ind(first, [*second, 0.7], equal_var=False).confidence_interval(0.95)
    assert (unpaired.method, unpaired.seeds) == ("Welch's t", (count, count + 1))
    assert (unpaired.low, unpaired.high) == (pytest.approx(ends.low), pytest.approx(ends.high))


def test_ten_seeds_give_a_bootstrap_interval() -> None:
    first, second = drawn(10, 1), drawn(10, 2)
    for is_paired in (True, False):
        difference = seed_difference(first, second, is_paired=is_paired)
        assert difference.method == "bootstrap"
        gaps = np.subtract(first, second)
        error = gaps.std() / 10**0.5 if is_paired else math.hypot(np.std(first), np.std(second)) / 10**0.5
        assert difference.high - difference.low == pytest.approx(2 * 1.96 * error, rel=0.08)
        assert difference.low < difference.value < difference.high
    assert seed_difference(first, first, is_paired=True).high == 0


def test_a_seed_without_the_figure_is_left_out() -> None:
    difference = seed_difference([0.5, math.nan, 0.7, 0.6], [0.4, 0.9, 0.6, 0.5], is_paired=True)
    assert difference.seeds == (3, 3) and difference.value == pytest.approx(0.1)


@pytest.mark.parametrize(("count", "is_paired", "least"), [(3, True, 0.93), (5, False, 0.93), (10, True, 0.88)])
def test_coverage(count: int, is_paired: bool, least: float) -> None:
    held = 0
    for seed in range(400):
        difference = seed_difference(drawn(count, 2 * seed), drawn(count, 2 * seed + 1), is_paired=is_paired)
        held += difference.low <= 0 <= difference.high
    assert held / 400 >= least
