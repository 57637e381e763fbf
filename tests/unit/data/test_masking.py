"""Exact counts against a slow reference, and statistics whose false-alarm rate is stated.

Every statistical test here is wrong with a probability below 1e-6 for a fixed seed chosen once: the bounds are
Hoeffding's inequality for bounded means, and five standard deviations or a chi-square quantile for counts.
"""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bindtune.data.keyed_random import derive, digest, uniform
from bindtune.data.masking import Replacement, choose_masked, draw_counts, replace_selected, total_counts
from bindtune.data.masking_strategies import MaskingRates
from bindtune.errors import ConfigError

DEFAULT = MaskingRates(target=0.15, peak_range=(0.20, 0.25), floor=0.05)
KEYS = st.integers(0, 2**64 - 1)


def keys(number: int, seed: int = 0) -> NDArray[np.uint64]:
    return np.random.SFC64(seed).random_raw(number)


def hoeffding(width: float, number: int) -> float:
    """How far a mean of `number` independent values, each within `width`, strays with probability 1e-6."""
    return width * math.sqrt(math.log(2 / 1e-6) / (2 * number))


def assert_uniform(counts: NDArray[Any], expected: float, *, shrink: float = 1.0) -> None:
    """Chi-square test at 1e-6 (Wilson-Hilferty's quantile); `shrink` is a count's variance over its expectation."""
    freedom = counts.size - 1
    statistic = ((counts - expected) ** 2).sum() / (expected * shrink)
    for z, sign in ((4.9, 1), (-4.9, -1)):
        limit = freedom * (1 - 2 / (9 * freedom) + z * math.sqrt(2 / (9 * freedom))) ** 3
        assert sign * statistic < sign * limit, (statistic, limit)


@st.composite
def any_rates(draw: st.DrawFn) -> MaskingRates:
    lo, hi = sorted((draw(st.floats(0, 1)), draw(st.floats(0, 1))))
    floor, target = sorted((draw(st.floats(0, 1)), draw(st.floats(0, 1))))
    return MaskingRates(
        target=target, peak_range=(lo, hi), floor=floor, strategy=draw(st.sampled_from(["adaptive", "uniform"]))
    )


either_rates = st.one_of(st.just(DEFAULT), any_rates())


class Slow:
    """The masking rule of one sequence in exact fractions, step by step."""

    def __init__(self, n_e: int, n_f: int, rates: MaskingRates, draw: float) -> None:
        n = n_e + n_f
        target, floor = Fraction(rates.target), Fraction(rates.floor)
        self.total = round(rates.target * n)
        self.relaxed, self.margin = False, Fraction(1)
        if not rates.uses_peaks or n_e == 0 or n_f == 0:  # one rate for all
            self.mean = Fraction(self.total if n_f == 0 else 0)
            return
        lo, hi = map(Fraction, rates.peak_range)
        p_e = lo + (hi - lo) * Fraction(draw)
        p_f = (target * n - p_e * n_e) / n_f
        if p_f < floor:
            p_f = floor
            p_e = (target * n - p_f * n_f) / n_e
            self.relaxed, self.margin = p_e < lo, abs(p_e - lo) * n_e
        expected = p_e * n_e
        most, least = min(n_e, self.total), max(self.total - n_f, 0)
        self.margin = min(self.margin, abs(expected - most) or 1, abs(expected - least) or 1)
        self.relaxed |= not least <= expected <= most
        if expected > most:  # the total cannot give way, the floor comes next, the peak range last
            expected = self.total - floor * n_f
        self.mean = max(Fraction(least), min(expected, Fraction(most)))


class TestCounts:
    @given(n_e=st.integers(0, 300), n_f=st.integers(0, 300), rates=either_rates, key=KEYS)
    def test_one_sequence_equals_the_slow_reference(self, n_e: int, n_f: int, rates: MaskingRates, key: int) -> None:
        if not rates.uses_peaks:
            n_e = 0  # the caller makes one pool
        one = np.array([key], np.uint64)
        slow = Slow(n_e, n_f, rates, float(uniform(one, 0, 2)[0, 0]))
        assume(slow.margin > 1e-6)  # within rounding errors of a border either answer is right
        counts = draw_counts(np.array([n_e]), np.array([n_f]), rates, one)
        peak, flank = int(counts.peak[0]), int(counts.flank[0])
        assert peak + flank == slow.total
        assert math.floor(slow.mean - Fraction(1, 10**6)) <= peak <= math.ceil(slow.mean + Fraction(1, 10**6))
        assert bool(counts.relaxed[0]) == slow.relaxed

    @given(n_e=st.integers(0, 400), n_f=st.integers(0, 400), rates=either_rates, key=KEYS)
    def test_counts_are_possible(self, n_e: int, n_f: int, rates: MaskingRates, key: int) -> None:
        if not rates.uses_peaks:
            n_e = 0  # the caller makes one pool
        counts = draw_counts(np.array([n_e]), np.array([n_f]), rates, np.array([key], np.uint64))
        assert 0 <= counts.peak[0] <= n_e
        assert 0 <= counts.flank[0] <= n_f
        assert counts.peak[0] + counts.flank[0] == round(rates.target * (n_e + n_f))

    @pytest.mark.parametrize(
        ("maskable", "total"),
        [(0, 0), (1, 0), (3, 0), (4, 1), (6, 1), (7, 1), (10, 2), (30, 4), (50, 8), (70, 10), (100, 15), (109, 16)],
    )
    def test_totals_by_hand(self, maskable: int, total: int) -> None:
        assert total_counts(np.array([maskable]), 0.15).tolist() == [total]

    @pytest.mark.parametrize("target", [0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.5, 1.0])
    def test_totals_are_nearest_for_every_length(self, target: float) -> None:
        n = np.arange(3000)
        totals = total_counts(n, target)
        assert totals.tolist() == [round(target * k) for k in range(3000)]
        exact = [abs(int(t) - Fraction(str(target)) * k) for k, t in enumerate(totals)]
        assert max(exact) <= Fraction(1, 2)

    @pytest.mark.parametrize(
        ("n_e", "n_f", "relaxed"),
        [
            (20, 80, False),
            (50, 50, False),
            (60, 40, False),  # the floor binds from half the tokens on: p_e = 0.2167
            (66, 34, False),
            (67, 33, True),  # p_e = 0.1993, below the peak range
            (90, 10, True),
            (0, 100, False),
            (100, 0, False),
            (1, 1, True),  # nothing to give: the total is none
            (1, 99, False),
        ],
    )
    def test_when_the_peak_range_gives_way(self, n_e: int, n_f: int, relaxed: bool) -> None:
        many = keys(500)
        counts = draw_counts(np.full(500, n_e), np.full(500, n_f), DEFAULT, many)
        assert set(counts.relaxed.tolist()) == {relaxed}
        assert set((counts.peak + counts.flank).tolist()) == {round(0.15 * (n_e + n_f))}

    @pytest.mark.parametrize(("n_e", "n_f"), [(9, 91), (20, 80), (37, 63), (50, 50), (3, 117), (1, 39)])
    def test_the_mean_peak_count_is_the_mean_rate_times_the_tokens(self, n_e: int, n_f: int) -> None:
        number = 200_000
        counts = draw_counts(np.full(number, n_e), np.full(number, n_f), DEFAULT, keys(number, seed=n_e))
        # A count lies within one of p_e * N_e, and p_e within its range.
        assert abs(counts.peak.mean() - 0.225 * n_e) < hoeffding(0.05 * n_e + 2, number)
        assert not counts.relaxed.any()

    @pytest.mark.parametrize(("n_e", "n_f", "mean"), [(75, 25, 13.75), (80, 20, 14.0), (95, 14, 15.65)])
    def test_where_the_floor_binds_the_peaks_take_what_it_leaves(self, n_e: int, n_f: int, mean: float) -> None:
        number = 200_000
        counts = draw_counts(np.full(number, n_e), np.full(number, n_f), DEFAULT, keys(number, seed=n_e))
        assert mean == pytest.approx(0.15 * (n_e + n_f) - 0.05 * n_f)
        assert abs(counts.peak.mean() - mean) < hoeffding(1, number)
        assert set(counts.peak.tolist()) <= {math.floor(mean), math.ceil(mean)}

    def test_where_the_floor_binds_for_some_draws(self) -> None:
        """60 of 100 tokens in peaks: the floor leaves them 13, so a third of the draws stay below that."""
        number = 200_000
        counts = draw_counts(np.full(number, 60), np.full(number, 40), DEFAULT, keys(number))
        assert abs(counts.peak.mean() - (12.5 + 2 * 13) / 3) < hoeffding(2, number)

    def test_the_floor_goes_before_the_peaks_where_the_total_is_short(self) -> None:
        """109 tokens ask for 16.35 and get 16; 106 in peaks would take 16.2, and leave the flanks none of 0.15."""
        number = 200_000
        counts = draw_counts(np.full(number, 106), np.full(number, 3), DEFAULT, keys(number))
        assert counts.relaxed.all()
        assert abs(counts.flank.mean() - 0.15) < hoeffding(1, number)

    def test_every_sequence_draws_its_own_rate(self) -> None:
        counts = draw_counts(np.full(4000, 1000), np.full(4000, 3000), DEFAULT, keys(4000))
        rates = counts.peak / 1000
        assert abs(rates.mean() - 0.225) < hoeffding(0.052, 4000)
        assert abs(rates.std() - 0.05 / math.sqrt(12)) < 0.0008
        assert rates.min() < 0.2005
        assert rates.max() > 0.2495
        assert abs(np.corrcoef(rates[1:], rates[:-1])[0, 1]) < 5 / math.sqrt(4000)

    def test_no_draw_where_the_range_is_a_point(self) -> None:
        rates = MaskingRates(target=0.15, peak_range=(0.2, 0.2), floor=0.0)
        counts = draw_counts(np.full(1000, 50), np.full(1000, 50), rates, keys(1000))
        assert set(counts.peak.tolist()) == {10}


class TestPeakOnly:
    RATES = MaskingRates(
        target=0.15, peak_range=(0.9, 0.9), floor=0.9, strategy="peak-only"
    )  # range and floor are unused

    @given(n_e=st.integers(0, 300), n_f=st.integers(0, 300), target=st.floats(0, 1), key=KEYS)
    def test_the_total_is_exact_and_comes_from_the_peaks_first(
        self, n_e: int, n_f: int, target: float, key: int
    ) -> None:
        rates = MaskingRates(target=target, peak_range=(0.2, 0.25), floor=0.05, strategy="peak-only")
        counts = draw_counts(np.array([n_e]), np.array([n_f]), rates, np.array([key], np.uint64))
        total = round(target * (n_e + n_f))
        assert counts.peak.tolist() == [min(n_e, total)]
        assert counts.flank.tolist() == [total - min(n_e, total)]
        assert counts.relaxed.tolist() == [n_e < total]

    @pytest.mark.parametrize(
        ("n_e", "n_f", "peak", "flank"),
        [(20, 80, 15, 0), (15, 85, 15, 0), (9, 91, 9, 6), (0, 100, 0, 15), (3, 0, 0, 0)],
    )
    def test_counts_by_hand(self, n_e: int, n_f: int, peak: int, flank: int) -> None:
        counts = draw_counts(np.array([n_e]), np.array([n_f]), self.RATES, keys(1))
        assert (counts.peak.tolist(), counts.flank.tolist()) == ([peak], [flank])

    @pytest.mark.parametrize(("size", "expected"), [(20, (9, 0)), (6, (6, 3))])
    def test_positions_are_uniform_within_peaks_and_within_flanks(self, size: int, expected: tuple[int, int]) -> None:
        """60 tokens ask for 9: 20 in peaks give all of them, 6 are all taken and the flanks give 3."""
        number = 40_000
        in_peak = np.zeros((number, 60), bool)
        in_peak[:, 5 : 5 + size] = True
        selected, relaxed = choose_masked(in_peak, np.ones_like(in_peak), rates=self.RATES, keys=keys(number))
        assert relaxed.tolist() == [size < 9] * number
        for pool, count in zip((in_peak[0], ~in_peak[0]), expected, strict=True):
            per_place, tokens = selected[:, pool].sum(0), int(pool.sum())
            assert per_place.sum() == number * count
            if 0 < count < tokens:
                assert_uniform(per_place, number * count / tokens, shrink=(1 - count / tokens) * tokens / (tokens - 1))

    def test_every_mode_selects_the_same_number_in_each_sequence(self) -> None:
        rng = np.random.default_rng(4)
        in_peak, maskable = rng.random((500, 90)) < 0.2, rng.random((500, 90)) < 0.9
        uniform_rates = MaskingRates(target=0.15, peak_range=(0.2, 0.25), floor=0.05, strategy="uniform")
        totals = [
            choose_masked(in_peak, maskable, rates=rates, keys=keys(500))[0].sum(1).tolist()
            for rates in (DEFAULT, uniform_rates, self.RATES)
        ]
        assert totals[0] == totals[1] == totals[2]


class TestRates:
    @pytest.mark.parametrize(
        "rates",
        [
            {"target": -0.1},
            {"target": 1.1},
            {"target": math.nan},
            {"peak_range": (0.3, 0.2)},
            {"peak_range": (-0.1, 0.2)},
            {"peak_range": (0.2, 1.2)},
            {"peak_range": (0.2, math.nan)},
            {"floor": -0.01},
            {"floor": 1.01},
            {"floor": 0.16},
            {"floor": math.inf},
        ],
    )
    def test_impossible_rates_are_refused(self, rates: dict[str, Any]) -> None:
        with pytest.raises(ConfigError):
            MaskingRates(**{"target": 0.15, "peak_range": (0.2, 0.25), "floor": 0.05, **rates})

    def test_borders_are_allowed(self) -> None:
        MaskingRates(target=0.15, peak_range=(0.2, 0.2), floor=0.15)
        MaskingRates(target=0.0, peak_range=(0.0, 1.0), floor=0.0)
        MaskingRates(target=1.0, peak_range=(1.0, 1.0), floor=1.0)
        MaskingRates(target=0.01, peak_range=(0.2, 0.25), floor=0.05, strategy="uniform")

    @pytest.mark.parametrize(("mask", "random"), [(-0.1, 0.1), (0.8, -0.1), (0.8, 0.3), (1.1, 0.0), (math.nan, 0.1)])
    def test_impossible_replacements_are_refused(self, mask: float, random: float) -> None:
        with pytest.raises(ConfigError):
            Replacement(mask=mask, random=random)

    def test_possible_replacements(self) -> None:
        for mask, random in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (0.9, 0.1), (0.7, 0.3)):
            Replacement(mask=mask, random=random)


class TestChoice:
    @given(
        tokens=st.lists(
            st.lists(st.tuples(st.booleans(), st.booleans()), min_size=12, max_size=12), min_size=1, max_size=5
        ),
        rates=either_rates,
        key=KEYS,
    )
    def test_exactly_the_counts_are_selected_and_only_what_may_be(
        self, tokens: list[list[tuple[bool, bool]]], rates: MaskingRates, key: int
    ) -> None:
        table = np.array(tokens)
        in_peak, maskable = table[..., 0], table[..., 1]
        own = derive(np.uint64(key) * np.ones(len(table), np.uint64), np.arange(len(table), dtype=np.uint64))
        selected, _ = choose_masked(in_peak, maskable, rates=rates, keys=own)
        assert not (selected & ~maskable).any()
        assert selected.sum(1).tolist() == [round(rates.target * int(n)) for n in maskable.sum(1)]
        if rates.uses_peaks:
            counts = draw_counts((in_peak & maskable).sum(1), (~in_peak & maskable).sum(1), rates, own)
            assert (selected & in_peak).sum(1).tolist() == counts.peak.tolist()
            assert (selected & ~in_peak).sum(1).tolist() == counts.flank.tolist()

    def test_a_mask_depends_on_its_key_alone(self) -> None:
        rng = np.random.default_rng(0)
        in_peak, maskable = rng.random((30, 40)) < 0.3, rng.random((30, 40)) < 0.9
        many = keys(30)
        whole, relaxed = choose_masked(in_peak, maskable, rates=DEFAULT, keys=many)
        order = rng.permutation(30)
        shuffled, _ = choose_masked(in_peak[order], maskable[order], rates=DEFAULT, keys=many[order])
        assert np.array_equal(shuffled, whole[order])
        wide = [np.pad(table, ((0, 0), (0, 17))) for table in (in_peak, maskable)]
        padded, _ = choose_masked(*wide, rates=DEFAULT, keys=many)
        assert np.array_equal(padded[:, :40], whole)
        for row in range(30):
            alone, _ = choose_masked(
                in_peak[row : row + 1], maskable[row : row + 1], rates=DEFAULT, keys=many[row : row + 1]
            )
            assert np.array_equal(alone[0], whole[row])
        other, _ = choose_masked(in_peak, maskable, rates=DEFAULT, keys=keys(30, seed=1))
        assert not np.array_equal(other, whole)
        assert relaxed.shape == (30,)

    def test_positions_are_uniform_within_peaks_and_within_flanks(self) -> None:
        number = 40_000
        in_peak = np.zeros((number, 60), bool)
        in_peak[:, 5:15] = in_peak[:, 50:60] = True
        rates = MaskingRates(target=0.15, peak_range=(0.2, 0.2), floor=0.0)
        selected, _ = choose_masked(in_peak, np.ones_like(in_peak), rates=rates, keys=keys(number))
        for pool, size, count in ((in_peak[0], 20, 4), (~in_peak[0], 40, 5)):
            per_place = selected[:, pool].sum(0)
            assert per_place.sum() == number * count
            # Without replacement: a count varies by 1 - share, and one degree of freedom is lost.
            shrink = (1 - count / size) * size / (size - 1)
            assert_uniform(per_place, number * count / size, shrink=shrink)

    def test_pairs_of_positions_are_uniform(self) -> None:
        number = 60_000
        table = np.ones((number, 10), bool)
        rates = MaskingRates(target=0.2, peak_range=(0.2, 0.2), floor=0.0, strategy="uniform")
        selected, _ = choose_masked(np.zeros_like(table), table, rates=rates, keys=keys(number))
        pairs = selected.astype(np.int64).T @ selected
        assert_uniform(pairs[np.triu_indices(10, 1)], number / 45)

    def test_mean_rates_in_peaks_and_flanks(self) -> None:
        """Windows as they are: other lengths and peaks in each; the means of both rates are known in advance."""
        number, width = 20_000, 120
        rng = np.random.default_rng(3)
        lengths = rng.integers(80, width + 1, number)
        maskable = np.arange(width) < lengths[:, None]
        starts, sizes = rng.integers(0, 60, number), rng.integers(2, 21, number)
        columns = np.arange(width)
        in_peak = (columns >= starts[:, None]) & (columns < (starts + sizes)[:, None])
        selected, relaxed = choose_masked(in_peak, maskable, rates=DEFAULT, keys=keys(number, seed=9))
        n_e, n = (in_peak & maskable).sum(1), maskable.sum(1)
        assert not relaxed.any()
        peaks, flanks = (selected & in_peak).sum(1), (selected & ~in_peak).sum(1)
        # Sums of independent counts, each within 0.05 * N_e + 2 around 0.225 * N_e: Hoeffding at 1e-6.
        limit = math.sqrt(((0.05 * n_e + 2) ** 2).sum() * math.log(2e6) / 2)
        assert abs(peaks.sum() - 0.225 * n_e.sum()) < limit
        totals = np.array([round(0.15 * int(k)) for k in n])
        assert abs(flanks.sum() - (totals - 0.225 * n_e).sum()) < limit
        assert limit < 0.02 * 0.225 * n_e.sum()  # sharp enough to notice a rate that is off by a fiftieth

    def test_uniform_masking_ignores_peaks(self) -> None:
        number = 30_000
        in_peak = np.zeros((number, 40), bool)
        in_peak[:, :20] = True
        rates = MaskingRates(target=0.15, peak_range=(0.9, 0.9), floor=0.0, strategy="uniform")
        selected, relaxed = choose_masked(in_peak, np.ones_like(in_peak), rates=rates, keys=keys(number))
        assert set(selected.sum(1).tolist()) == {6}
        assert not relaxed.any()
        assert_uniform(selected.sum(0), number * 6 / 40, shrink=(1 - 6 / 40) * 40 / 39)

    @pytest.mark.slow
    def test_a_million_sequences_have_exact_totals_and_touch_nothing_special(self) -> None:
        rng = np.random.default_rng(2024)
        ordinary, sequences, wrong = np.arange(5, 40), 0, 0
        while sequences < 1_000_000:
            width, number = int(rng.integers(1, 91)), 10_000
            ids = rng.integers(0, 40, (number, width))
            attended = np.arange(width) < rng.integers(0, width + 1, number)[:, None]
            maskable = attended & (ids >= 5)
            # Runs of every length and place, some of all tokens and some of none.
            edges = np.sort(rng.integers(-5, width + 6, (2, number)), axis=0)
            columns = np.arange(width)
            in_peak = (columns >= edges[0][:, None]) & (columns < edges[1][:, None])
            lo, hi = sorted(rng.random(2))
            floor, target = sorted(rng.random(2))
            strategy = "adaptive" if rng.random() < 0.8 else "uniform"
            rates = MaskingRates(target=target, peak_range=(lo, hi), floor=floor, strategy=strategy)
            if sequences % 20_000 == 0:
                rates = DEFAULT
            own = rng.integers(0, 2**64, number, dtype=np.uint64)
            selected, _ = choose_masked(in_peak, maskable, rates=rates, keys=own)
            expected = np.array([round(rates.target * n) for n in range(width + 1)])[maskable.sum(1)]
            wrong += int((selected.sum(1) != expected).sum()) + int((selected & ~maskable).sum())
            masked = replace_selected(
                ids,
                selected,
                mask_id=4,
                ordinary=ordinary,
                replacement=Replacement(mask=0.8, random=0.1),
                keys=own,
            )
            wrong += int((masked != ids)[~selected].sum()) + int((masked[selected] < 4).sum())
            sequences += number
        assert wrong == 0


class TestReplacement:
    IDS = np.tile(np.arange(10, 40), (20_000, 4))  # 2.4 million tokens
    ORDINARY = np.arange(5, 60)

    def replaced(self, mask: float, random: float, selected: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
        chosen = np.ones(self.IDS.shape, bool) if selected is None else selected
        return replace_selected(
            self.IDS,
            chosen,
            mask_id=4,
            ordinary=self.ORDINARY,
            replacement=Replacement(mask=mask, random=random),
            keys=keys(len(self.IDS)),
        )

    def test_eighty_ten_ten(self) -> None:
        out, n = self.replaced(0.8, 0.1), self.IDS.size
        masked, changed = int((out == 4).sum()), int(((out != 4) & (out != self.IDS)).sum())
        exchanged = 0.1 * (1 - 1 / len(self.ORDINARY))  # one in 55 random tokens is the old one
        for count, share in ((masked, 0.8), (changed, exchanged), (n - masked - changed, 0.2 - exchanged)):
            assert abs(count - share * n) < 5 * math.sqrt(n * share * (1 - share))

    def test_random_tokens_are_uniform_and_never_special(self) -> None:
        out = self.replaced(0.0, 1.0)
        counts = np.bincount(out.ravel(), minlength=60)
        assert not counts[:5].any()
        assert_uniform(counts[5:], out.size / 55)

    def test_random_tokens_do_not_depend_on_the_old_one_or_the_place(self) -> None:
        out = self.replaced(0.0, 1.0)
        table = np.zeros((30, 55))
        np.add.at(table, (self.IDS.ravel() - 10, out.ravel() - 5), 1)
        assert_uniform(table.ravel(), out.size / table.size)

    @pytest.mark.parametrize(("mask", "random"), [(1.0, 0.0), (0.0, 0.0)])
    def test_all_or_nothing(self, mask: float, random: float) -> None:
        assert np.array_equal(self.replaced(mask, random), np.full_like(self.IDS, 4) if mask else self.IDS)

    def test_only_selected_tokens_change_and_the_input_stays(self) -> None:
        before = self.IDS.copy()
        selected = np.random.default_rng(0).random(self.IDS.shape) < 0.15
        out = self.replaced(0.8, 0.1, selected)
        assert np.array_equal(out[~selected], self.IDS[~selected])
        assert np.array_equal(self.IDS, before)
        assert (out != self.IDS)[selected].mean() > 0.85


class TestRandomness:
    def test_it_is_the_published_generator(self) -> None:
        """The first words of SplitMix64 from seed 0, as published with its C source."""
        words = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
        numbers = uniform(np.zeros(1, np.uint64), 0, 3)[0]
        assert numbers.tolist() == [(word >> 11) * 2.0**-53 for word in words]

    @pytest.mark.parametrize(
        "other",
        [
            lambda k: uniform(k, 1, 1),
            lambda k: uniform(k, 0, 2)[:, 1:],
            lambda k: uniform(k, 0, 50)[:, 49:],
            lambda k: uniform(k + np.uint64(1), 0, 1),
            lambda k: uniform(k ^ np.uint64(1 << 63), 0, 1),
            lambda k: uniform(derive(k, np.ones_like(k)), 0, 1),
        ],
    )
    def test_streams_counters_and_neighbouring_keys_are_independent(self, other: Any) -> None:
        for many in (keys(200_000), np.arange(200_000, dtype=np.uint64)):
            pairs = np.concatenate([uniform(many, 0, 1), other(many)], axis=1)
            table = np.zeros((16, 16))
            np.add.at(table, tuple((pairs * 16).astype(int).T), 1)
            assert_uniform(table.ravel(), len(many) / 256)

    def test_keys_of_records_and_epochs_differ(self) -> None:
        records = np.arange(50_000, dtype=np.uint64)
        keys_of_epochs = [
            derive(np.full(50_000, digest("training", 42, epoch), np.uint64), records) for epoch in range(4)
        ]
        assert len(np.unique(np.concatenate(keys_of_epochs))) == 200_000
        assert np.array_equal(keys_of_epochs[1], derive(np.full(50_000, digest("training", 42, 1), np.uint64), records))

    def test_digest_is_stable_and_tells_parts_apart(self) -> None:
        assert digest("order", 1, 23) == digest("order", 1, 23)
        assert len({digest("a", "b"), digest("ab"), digest("a", "b", ""), digest("b", "a"), digest(("a", "b"))}) == 5
        assert 0 <= digest() < 2**64
        assert digest("window", 7) == 12435391324151000010
