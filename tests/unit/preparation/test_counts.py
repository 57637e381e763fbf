"""Counting what was written."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from bindtune.io.window_files import WindowColumns
from bindtune.preparation.counts import SplitCount, covered_letters

peaks_of_a_window = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 12)), max_size=5)


def columns(windows: list[list[tuple[int, int]]]) -> WindowColumns:
    # Within a window, peaks come sorted.
    spans = [(start, start + size) for peaks in windows for start, size in sorted(peaks)]
    starts, ends = np.array(spans, np.int64).reshape(-1, 2).T
    count = len(windows)
    return WindowColumns(
        sequence=["A" * 42] * count,
        seq_id=pa.array(["chr1:0-42"] * count),
        start=np.zeros(count, np.int64),
        end=np.full(count, 42),
        strand=np.zeros(count, np.int8),
        method=np.zeros(count, np.int8),
        peak_count=np.array([len(peaks) for peaks in windows], np.int64),
        peak_start=starts,
        peak_end=ends,
        genomic_start=starts,
        genomic_end=ends,
        peak_clipped=starts == 0,
    )


@given(windows=st.lists(peaks_of_a_window, min_size=1, max_size=8))
def test_letters_under_overlapping_peaks_count_once_in_every_window(windows: list[list[tuple[int, int]]]) -> None:
    expected = sum(len({letter for start, size in peaks for letter in range(start, start + size)}) for peaks in windows)
    assert covered_letters(columns(windows)) == expected


def test_counts_grow_batch_by_batch() -> None:
    count = SplitCount()
    count.add(columns([[(0, 5), (3, 4)], []]))
    count.add(columns([[(10, 2)]]))
    assert count == SplitCount(
        windows=3, windows_with_peaks=2, peaks_listed=3, peaks_clipped=1, letters=126, letters_in_peaks=9
    )
