"""Negatives: where they lie, what they avoid, and how well they match."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bindtune.data.dna.negatives import (
    Sites,
    apart,
    draw_sites,
    match_nearest,
    match_vectors,
    near_peaks,
    windows_about,
)
from bindtune.data.dna.peaks import PeakIndex, Peaks
from bindtune.data.dna.region_kinds import make_segments


def sites(*rows: tuple[int, int, int, int]) -> Sites:
    return Sites(*(np.array(column, np.int64) for column in zip(*rows, strict=True)))


def peaks(*rows: tuple[int, int, int, int]) -> Peaks:
    chrom, start, end, strand = zip(*rows, strict=True)
    return Peaks(np.array(chrom, np.int32), np.array(start), np.array(end), np.array(strand, np.int8))


def test_an_odd_window_has_its_centre_in_the_middle() -> None:
    assert [column.tolist() for column in windows_about(np.array([100]), 101)] == [[50], [151]]
    assert [column.tolist() for column in windows_about(np.array([100]), 10)] == [[95], [105]]


def test_peaks_of_the_strand_are_avoided_and_no_others() -> None:
    index = PeakIndex(peaks((0, 1000, 1100, 1), (0, 5000, 5100, -1), (0, 9000, 9100, 0)))
    windows = sites(
        (0, 800, 900, 1),  # 100 before a peak
        (0, 799, 899, 1),  # 101 before it
        (0, 1199, 1299, 1),  # 99 behind it
        (0, 5000, 5100, 1),  # on the other strand
        (0, 9050, 9150, -1),  # on a peak without a strand
        (1, 1000, 1100, 1),  # on another chromosome
        (0, 1000, 1100, 0),  # no strand
    )
    assert near_peaks(windows, index, distance=100).tolist() == [False, False, True, False, True, False, True]
    assert near_peaks(windows, index, distance=101).tolist() == [True, False, True, False, True, False, True]


def test_windows_that_overlap_are_parted() -> None:
    windows = sites((0, 50, 60, 1), (0, 0, 10, 1), (0, 9, 19, -1), (0, 10, 20, 1), (1, 5, 15, 1))
    assert apart(windows).tolist() == [True, True, False, True, True]


def test_middles_lie_in_their_kind_of_region_and_follow_from_the_key() -> None:
    segments = make_segments(
        peaks((0, 0, 10_000, 0), (2, 0, 5000, 0)),
        {"exon": peaks((0, 1000, 3000, 1), (2, 4000, 5000, 1), (0, 6000, 6100, -1))},
        strand=1,
    )
    drawn = draw_sites(segments, kind=1, strand=1, count=1000, width=10, key=4)
    middle = drawn.start + 5
    assert len(drawn) in (299, 300)  # 3,000 nucleotides, a place in ten
    assert set(segments.kind_at(drawn.chrom, middle).tolist()) == {1}
    assert sorted(set(drawn.chrom.tolist())) == [0, 2]
    again = draw_sites(segments, kind=1, strand=1, count=20, width=10, key=4)
    assert again.start.tolist() == draw_sites(segments, kind=1, strand=1, count=20, width=10, key=4).start.tolist()
    assert again.start.tolist() != draw_sites(segments, kind=1, strand=1, count=20, width=10, key=5).start.tolist()
    assert len(set(zip(again.chrom.tolist(), again.start.tolist(), strict=True))) == 20


def test_no_region_of_a_kind_gives_no_window() -> None:
    segments = make_segments(peaks((0, 0, 100, 0)), {"exon": peaks((0, 0, 100, -1))}, strand=1)
    assert len(draw_sites(segments, kind=1, strand=1, count=5, width=10, key=0)) == 0


@given(
    st.lists(st.integers(0, 100), min_size=1, max_size=30),
    st.lists(st.integers(0, 100), max_size=60),
    st.integers(0, 2**32),
)
def test_each_match_is_near_and_used_once(values: list[int], candidates: list[int], key: int) -> None:
    own, pool = np.array(values) / 100, np.array(candidates, float) / 100
    nearest = match_nearest(own, pool, tolerance=0.02, key=key)
    used = nearest[nearest >= 0]
    assert len(set(used.tolist())) == len(used)
    assert (np.abs(own[nearest >= 0] - pool[used]) < 0.02 + 1e-6).all()
    free = np.setdiff1d(np.arange(len(pool)), used)
    for value in own[nearest < 0]:  # no free candidate is near enough
        assert not (np.abs(pool[free] - value) < 0.02 - 1e-6).any()


def test_equal_candidates_are_chosen_at_random() -> None:
    chosen = {int(match_nearest(np.array([0.5]), np.full(20, 0.5), tolerance=0, key=key)[0]) for key in range(200)}
    assert len(chosen) > 15


def test_the_closest_vectors_are_paired_without_replacement() -> None:
    values = np.array([[0.0, 0.0], [0.1, 0.0], [5.0, 5.0]])
    candidates = np.array([[0.11, 0.0], [4.0, 4.0], [0.3, 0.0]])
    assert match_vectors(values, candidates).tolist() == [2, 0, 1]
    assert match_vectors(values, candidates[:2]).tolist() == [-1, 0, 1]
    assert match_vectors(values, candidates[:0]).tolist() == [-1, -1, -1]


def test_many_windows_want_the_same_candidate() -> None:
    candidates = match_vectors(np.zeros((50, 3)), np.arange(300.0).reshape(100, 3))
    assert sorted(candidates.tolist()) == list(range(50))
