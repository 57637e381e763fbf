"""Splits hit their fraction and share no neighbourhood; the audit sees every kind of leak."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bindtune.data.dna.splits import (  # fmt: skip
    SPLITS,
    TEST,
    TRAIN,
    VALIDATION,
    Amount,
    Amounts,
    SplitPlan,
    neighbourhoods,
    plan_splits,
)
from bindtune.data.dna.window_positions import Layout, Placed, Regions
from bindtune.errors import ConfigError

Row = tuple[int, int, int]
Chooser = Callable[[Placed], Any]


def regions_of(rows: list[Row]) -> Regions:
    chrom, start, end = np.array(rows, np.int64).reshape(-1, 3).T
    return Regions(["c"] * len(rows), chrom.astype(np.int32), start, end, np.zeros(len(rows), np.int8))


def everything(placed: Placed) -> Any:
    return np.ones(len(placed), bool)


def nothing(placed: Placed) -> Any:
    return np.zeros(len(placed), bool)


def plan_of(
    rows: list[Row],
    *,
    selection: Chooser = everything,
    peaked: Chooser = nothing,
    **options: Any,
) -> tuple[SplitPlan, Layout]:
    regions = regions_of(rows)
    layout = Layout(regions.end - regions.start, window=50, stride=25)

    def windows_of(chosen: Any) -> Iterator[tuple[Placed, Any]]:
        for bundle in layout.stretches(chosen, windows=7, letters=10**9):
            placed = layout.place(bundle)
            placed = placed.take(selection(placed))
            yield placed, peaked(placed)

    windows, with_peaks = np.zeros((2, len(regions)), np.int64)
    for placed, mask in windows_of(np.arange(len(regions))):
        windows += np.bincount(placed.region, minlength=len(regions))
        with_peaks += np.bincount(placed.region[mask], minlength=len(regions))
    settings: dict[str, Any] = {"chromosomes": {}, "whole_chromosomes": False, "distance": 100, "seed": 1}
    amounts = Amounts(windows, with_peaks)
    return plan_splits(regions, amounts=amounts, windows_of=windows_of, **(settings | options)), layout


def held_out(plan: SplitPlan, layout: Layout, peaked: Chooser, *, split: int = VALIDATION) -> Amount:
    """Windows of a split, and those with peaks among them."""
    windows = with_peaks = 0
    for bundle in layout.stretches(np.arange(len(plan.regions)), windows=10**6, letters=10**9):
        placed = layout.place(bundle)
        mine = plan.split_of(placed) == split
        windows += int(mine.sum())
        with_peaks += int((mine & peaked(placed)).sum())
    return Amount(windows, with_peaks)


def spans(plan: SplitPlan, layout: Layout) -> dict[int, list[Row]]:
    """Windows of every split on their chromosomes; -1 for those left out."""
    spans_of: dict[int, list[Row]] = {-1: [], TRAIN: [], VALIDATION: [], TEST: []}
    regions = plan.regions
    for bundle in layout.stretches(np.arange(len(regions)), windows=7, letters=10**9):
        placed = layout.place(bundle)
        for split, region, start, end in zip(
            plan.split_of(placed).tolist(), placed.region, placed.start, placed.end, strict=True
        ):
            origin = regions.start[region]
            spans_of[split].append((int(regions.chrom[region]), int(origin + start), int(origin + end)))
    return spans_of


def nearest(first: list[Row], second: list[Row]) -> float:
    gaps = [max(a[1] - b[2], b[1] - a[2]) for a in first for b in second if a[0] == b[0]]
    return min(gaps, default=np.inf)


@example(rows=[(0, 0, 201), (0, 0, 201)], fractions={TEST: 0.2, VALIDATION: 0.1}, distance=1, seed=3)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 3000), st.integers(1, 900)).map(
            lambda row: (row[0], row[1], row[1] + row[2])
        ),
        min_size=1,
        max_size=25,
    ),
    fractions=st.sampled_from([{VALIDATION: 0.1}, {TEST: 0.2, VALIDATION: 0.1}, {VALIDATION: 0.5}]),
    distance=st.sampled_from([0, 1, 100]),
    seed=st.integers(0, 3),
)
def test_splits_keep_their_distance_and_every_window_has_one_place(
    rows: list[Row], fractions: dict[int, float], distance: int, seed: int
) -> None:
    plan, layout = plan_of(rows, fractions=fractions, distance=distance, seed=seed)
    spans_of = spans(plan, layout)
    assert sum(map(len, spans_of.values())) == layout.counts.sum()
    assert spans_of[TRAIN]
    for one in range(3):
        for other in range(one):
            assert nearest(spans_of[one], spans_of[other]) >= distance
    assert {split for split in (VALIDATION, TEST) if spans_of[split]} <= set(fractions)


def test_many_small_neighbourhoods_hit_the_fraction_without_a_cut() -> None:
    generator = np.random.default_rng(3)
    rows = [(0, 2000 * number, 2000 * number + int(generator.integers(10, 1500))) for number in range(400)]
    plan, layout = plan_of(rows, fractions={VALIDATION: 0.02, TEST: 0.1})
    spans_of = spans(plan, layout)
    total = int(layout.counts.sum())
    assert abs(len(spans_of[VALIDATION]) / total - 0.02) < 0.001
    assert abs(len(spans_of[TEST]) / total - 0.1) < 0.002
    assert not plan.cuts
    assert not spans_of[-1]
    other, _ = plan_of(rows, fractions={VALIDATION: 0.02, TEST: 0.1}, seed=2)
    assert plan.region_split.tolist() != other.region_split.tolist()
    again, _ = plan_of(rows, fractions={VALIDATION: 0.02, TEST: 0.1})
    assert plan.region_split.tolist() == again.region_split.tolist()


@pytest.mark.parametrize("fractions", [{VALIDATION: 0.02}, {TEST: 0.05, VALIDATION: 0.02}])
def test_one_long_region_is_cut_at_the_price_of_its_border(fractions: dict[int, float]) -> None:
    plan, layout = plan_of([(0, 1000, 101_000)], fractions=fractions)
    spans_of = spans(plan, layout)
    total = int(layout.counts.sum())
    for split, fraction in fractions.items():
        assert abs(len(spans_of[split]) - fraction * total) <= 2
        assert nearest(spans_of[split], spans_of[TRAIN]) >= 100
    # On either side of a cut: windows that begin less than a window and the distance away.
    assert 0 < len(spans_of[-1]) <= len(fractions) * 2 * (50 + 100) / 25


@pytest.mark.parametrize("seed", range(5))
def test_a_cut_counts_the_windows_that_are_kept_wherever_they_lie(seed: int) -> None:
    def selection(placed: Placed) -> Any:
        return (placed.start < 10_000) | (placed.start % 250 == 0)

    plan, layout = plan_of([(0, 0, 100_000)], selection=selection, fractions={VALIDATION: 0.1}, seed=seed)
    placed = layout.place(next(layout.stretches(np.arange(1), windows=10**4, letters=10**9)))
    split = plan.split_of(placed.take(selection(placed)))
    assert len(plan.cuts) == 1
    assert len(split) == 760
    assert (split == VALIDATION).sum() == 76


def test_nothing_is_held_out_where_no_window_is_kept() -> None:
    plan, _ = plan_of([(0, 0, 10_000)], selection=lambda placed: ~everything(placed), fractions={VALIDATION: 0.1})
    assert plan.region_split.tolist() == [TRAIN]
    assert not plan.cuts


def test_a_named_chromosome_is_never_cut() -> None:
    plan, _ = plan_of([(0, 1000, 101_000)], chromosomes={TEST: {0}}, fractions={VALIDATION: 0.1})
    assert plan.region_split.tolist() == [TEST]
    assert not plan.cuts


def test_few_regions_move_a_whole_one_rather_than_lose_most_of_it() -> None:
    plan, layout = plan_of([(0, 0, 100), (0, 1000, 1100), (0, 2000, 2100)], fractions={VALIDATION: 0.02})
    spans_of = spans(plan, layout)
    assert [len(spans_of[split]) for split in (TRAIN, VALIDATION, -1)] == [6, 3, 0]


def test_what_cannot_be_split_stays_in_training() -> None:
    plan, layout = plan_of([(0, 0, 100)], fractions={VALIDATION: 0.5})
    assert [len(windows) for windows in spans(plan, layout).values()] == [0, 3, 0, 0]


def test_whole_chromosomes() -> None:
    rows = [(chrom, 0, 25 * size + 25) for chrom, size in enumerate([70, 20, 8, 2])]
    plan, layout = plan_of(rows, fractions={VALIDATION: 0.1}, whole_chromosomes=True)
    assert plan.region_split.tolist() == [TRAIN, TRAIN, VALIDATION, VALIDATION]
    with pytest.raises(ConfigError, match="whole chromosomes cannot make up 5 of 100 windows for validation"):
        plan_of(rows[:2] + rows[2:3] * 1 + [(3, 0, 75)], fractions={VALIDATION: 0.05}, whole_chromosomes=True)
    named, _ = plan_of(rows, fractions={VALIDATION: 0.1}, chromosomes={TEST: {1}})
    assert named.region_split[1] == TEST
    assert layout.counts.tolist() == [70, 20, 8, 2]


def test_neighbourhoods_reach_over_the_longest_region_before() -> None:
    regions = regions_of([(0, 500, 600), (0, 0, 1000), (0, 1099, 1200), (0, 1300, 1400), (1, 1000, 1100)])
    assert neighbourhoods(regions, distance=100).tolist() == [0, 0, 0, 1, 2]
    assert SPLITS == ("train", "validation", "test")


def in_regions(numbers: Any) -> Chooser:
    """Windows with a peak: those of some regions."""
    return lambda placed: np.isin(placed.region, numbers)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("whole_chromosomes", [False, True])
def test_a_split_holds_its_share_of_the_windows_with_peaks(seed: int, whole_chromosomes: bool) -> None:
    # One region in twenty has peaks; without an eye on them, a split of two in a hundred would have 0 to 5 of the 10.
    generator = np.random.default_rng(0)
    rows = [
        (number if whole_chromosomes else 0, 2000 * number, 2000 * number + int(generator.integers(1, 21)) * 25 + 25)
        for number in range(400)
    ]
    peaked = in_regions(np.arange(0, 400, 20))
    options: dict[str, Any] = {"whole_chromosomes": whole_chromosomes, "seed": seed, "peaked": peaked}
    plan, layout = plan_of(rows, fractions={TEST: 0.2, VALIDATION: 0.1}, **options)
    whole = Amount(int(layout.counts.sum()), int(layout.counts[::20].sum()))
    for split, fraction in ((TEST, 0.2), (VALIDATION, 0.1)):
        amount = held_out(plan, layout, peaked, split=split)
        assert amount.windows == pytest.approx(fraction * whole.windows, rel=0.02)
        assert amount.with_peaks == pytest.approx(fraction * whole.with_peaks, rel=0.1)
    assert not plan.cuts


@pytest.mark.parametrize("seed", range(10))
def test_peaks_of_one_neighbourhood_are_held_out_whole_rather_than_not_at_all(seed: int) -> None:
    # Fifty regions of three windows; three of them have peaks, in all their windows. Two windows are asked for.
    rows = [(0, 2000 * number, 2000 * number + 100) for number in range(50)]
    peaked = in_regions([7, 20, 41])
    plan, layout = plan_of(rows, fractions={VALIDATION: 0.02}, peaked=peaked, seed=seed)
    assert held_out(plan, layout, peaked) == Amount(3, 3)
    assert not plan.cuts


@pytest.mark.parametrize("seed", range(10))
def test_a_cut_lies_where_peaks_are(seed: int) -> None:
    # Small regions alone would make up the fraction, but all peaks lie in the long one, 40 of its 4,000 windows.
    rows = [(0, 0, 100_000), *((0, 200_000 + 2000 * number, 200_100 + 2000 * number) for number in range(100))]

    def peaked(placed: Placed) -> Any:
        return (placed.region == 0) & (placed.start % 2500 == 0)

    plan, layout = plan_of(rows, fractions={VALIDATION: 0.05}, peaked=peaked, seed=seed)
    amount, whole = held_out(plan, layout, peaked), int(layout.counts.sum())
    assert amount.windows == pytest.approx(0.05 * whole, rel=0.05)
    assert 1 <= amount.with_peaks <= 3  # a twentieth of 40
    assert nearest(spans(plan, layout)[VALIDATION], spans(plan, layout)[TRAIN]) >= 100


def test_the_only_peak_stays_in_training() -> None:
    rows = [(0, 2000 * number, 2000 * number + 50) for number in range(50)]
    for seed in range(10):
        plan, layout = plan_of(rows, fractions={VALIDATION: 0.5}, peaked=in_regions([3]), seed=seed)
        assert held_out(plan, layout, in_regions([3])) == Amount(25, 0)
