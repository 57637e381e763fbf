"""The numbers of a summary: read, used and dropped records, with reasons. They add up."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindtune.data.dna.peak_files import RowTally
from bindtune.data.dna.window_positions import Layout
from bindtune.io.window_files import METHODS, WindowColumns


@dataclass
class SplitCount:
    """Counts of one split; a peak counts once for each window that lists it."""

    windows: int = 0
    windows_with_peaks: int = 0
    peaks_listed: int = 0
    peaks_clipped: int = 0
    letters: int = 0
    letters_in_peaks: int = 0

    def add(self, columns: WindowColumns) -> None:
        """Count windows that were written."""
        self.windows += len(columns)
        self.windows_with_peaks += int((columns.peak_count > 0).sum())
        self.peaks_listed += len(columns.peak_start)
        self.peaks_clipped += int(columns.peak_clipped.sum())
        self.letters += int((columns.end - columns.start).sum())
        self.letters_in_peaks += covered_letters(columns)


def covered_letters(columns: WindowColumns) -> int:
    """Letters in at least one peak of their window; a letter in several peaks counts once."""
    if not len(columns.peak_start):
        return 0
    # Windows are placed one after the other on one long line.
    room = np.repeat(np.arange(len(columns)), columns.peak_count) * (int(columns.peak_end.max()) + 1)
    start, end = room + columns.peak_start, room + columns.peak_end
    covered_before = np.concatenate([[0], np.maximum.accumulate(end)[:-1]])
    return int(np.maximum(end - np.maximum(start, covered_before), 0).sum())


def summarise(
    *,
    peaks: RowTally,
    regions: RowTally,
    layout: Layout,
    listed: NDArray[np.bool_],
    unlisted: Mapping[str, int],
    dropped: Counter[str],
    twins: Mapping[str, int],
    splits: Mapping[str, SplitCount],
) -> dict[str, Any]:
    """The summary's counts.

    Args:
        peaks: rows of the peak files.
        regions: rows of the region file.
        layout: the windows that were laid.
        listed: (P,) whether a written window lists the used peak.
        unlisted: numbers of the other used peaks, by reason.
        dropped: windows that were not written, by reason.
        twins: written windows with the name of another window, or with its sequence but without its peaks.
        splits: counts of the written windows of each split.
    """
    written = sum(count.windows for count in splits.values())
    return {
        "peaks": {
            **_input_counts(peaks),
            "used": len(listed),
            "in_windows": int(listed.sum()),
            "in_no_window": int((~listed).sum()),
            "in_no_window_by_reason": dict(unlisted),
        },
        "regions": {
            **_input_counts(regions),
            "used": len(layout.lengths),
            "nucleotides": int(layout.lengths.sum()),
            "by_method": {
                method: int(count) for method, count in zip(METHODS, layout.regions_by_method(), strict=True)
            },
        },
        "windows": {"laid": int(layout.counts.sum()), "dropped": _nonzero(dropped), "written": written, **twins},
        "splits": {name: vars(count) | {"fraction": _share(count.windows, written)} for name, count in splits.items()},
    }


def _input_counts(tally: RowTally) -> dict[str, Any]:
    return {"files": tally.read, "read": sum(tally.read.values()), "dropped": _nonzero(tally.dropped)}


def _nonzero(counts: Counter[str]) -> dict[str, int]:
    return {reason: count for reason, count in sorted(counts.items()) if count}


def _share(part: int, whole: int) -> float:
    return round(part / whole, 6) if whole else 0.0
