"""Filtering, merging and finding peaks, against loops that cannot be misread."""

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bindtune.data.dna.peaks import PeakIndex, Peaks, merge, strong_enough
from bindtune.errors import InputError
from bindtune.io.intervals import IntervalColumns

Row = tuple[int, int, int, int]


def peaks_of(rows: list[Row]) -> Peaks:
    chrom, start, end, strand = np.array(rows, np.int64).reshape(-1, 4).T
    return Peaks(chrom.astype(np.int32), start, end, strand.astype(np.int8))


def rows_of(peaks: Peaks) -> list[Row]:
    columns = (peaks.chrom, peaks.start, peaks.end, peaks.strand)
    return list(zip(*(column.tolist() for column in columns), strict=True))


spans = st.tuples(
    st.integers(0, 2), st.integers(0, 300), st.sampled_from([1, 2, 5, 40, 200]), st.sampled_from([-1, 0, 1])
)
many = st.lists(spans.map(lambda row: (row[0], row[1], row[1] + row[2], row[3])), min_size=1, max_size=40)


def merge_slowly(rows: list[Row], *, gap: int, by_strand: bool) -> list[Row]:
    groups: list[list[Row]] = []
    for row in rows:
        touching = [
            group
            for group in groups
            if any(
                row[0] == other[0]
                and (not by_strand or row[3] == other[3])
                and row[1] <= other[2] + gap
                and other[1] <= row[2] + gap
                for other in group
            )
        ]
        groups = [group for group in groups if group not in touching] + [[row, *itertools.chain(*touching)]]
    merged = []
    for group in groups:
        strands = {row[3] for row in group}
        strand = strands.pop() if len(strands) == 1 else 0
        merged.append((group[0][0], min(row[1] for row in group), max(row[2] for row in group), strand))
    return sorted(merged)


@given(rows=many, distance=st.sampled_from([None, 0, 1, 30]), by_strand=st.booleans())
def test_merging_equals_a_slow_merge(rows: list[Row], distance: int | None, by_strand: bool) -> None:
    merged = rows_of(merge(peaks_of(rows), distance=distance, by_strand=by_strand))
    assert sorted(merged) == merge_slowly(rows, gap=-1 if distance is None else distance, by_strand=by_strand)


def test_book_ended_peaks_stay_two_without_a_distance() -> None:
    peaks = peaks_of([(0, 10, 20, 1), (0, 20, 30, 1), (0, 29, 40, 1)])
    assert rows_of(merge(peaks, distance=None, by_strand=True)) == [(0, 10, 20, 1), (0, 20, 40, 1)]
    assert rows_of(merge(peaks, distance=0, by_strand=True)) == [(0, 10, 40, 1)]


@given(rows=many, windows=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 800), st.integers(1, 400)), max_size=20))
def test_overlaps_equal_every_pair_compared(rows: list[Row], windows: list[tuple[int, int, int]]) -> None:
    chrom, start, length = np.array(windows, np.int64).reshape(-1, 3).T
    window, peak = PeakIndex(peaks_of(rows)).overlapping(chrom, starts=start, ends=start + length)
    expected = [
        (w, p)
        for w, (name, low, size) in enumerate(windows)
        for p, row in enumerate(rows)
        if row[0] == name and row[1] < low + size and row[2] > low
    ]
    assert sorted(zip(window.tolist(), peak.tolist(), strict=True)) == expected


def test_floors_count_each_peak_under_one_reason() -> None:
    columns = IntervalColumns(("score", "q_value"))
    for line, values in enumerate([(5.0, 3.0), (2.0, 1.0), (5.0, 1.0)], start=1):
        columns.add("chr1", (0, 9), strand=0, line=line, values=values)
    dropped: Counter[str] = Counter()
    keep = strong_enough(columns.freeze(Path("p.bed")), floors={"score": 3, "q_value": 2}, dropped=dropped)
    assert keep.tolist() == [True, False, False]
    assert dropped == {"score_below_3": 1, "q_value_below_2": 1}


def test_a_value_that_is_not_there_cannot_be_filtered_by() -> None:
    columns = IntervalColumns(("score", "q_value"))
    columns.add("chr1", (0, 9), strand=0, line=4, values=(5.0, -1.0))
    table = columns.freeze(Path("p.narrowPeak"))
    with pytest.raises(InputError, match=r"p\.narrowPeak:4: no q_value is given"):
        strong_enough(table, floors={"q_value": 2}, dropped=Counter())
    with pytest.raises(InputError, match="has no enrichment to filter by"):
        strong_enough(table, floors={"enrichment": 2}, dropped=Counter())
