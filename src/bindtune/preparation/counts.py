"""The numbers of a summary: what came in, what was kept, what was dropped and why. They add up."""

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
    """What was written for one split; peaks are counted once for each window they are listed in."""

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
    """Letters that lie in at least one peak of their window, overlapping peaks counted once."""
    if not len(columns.peak_start):
        return 0
    # Every window gets a room of its own on one long line.
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
        listed: (P,) which of the peaks that were used are listed in a window that was written.
        unlisted: how many of the others there are, by reason.
        dropped: windows that were not written, by reason.
        twins: windows that were written and have another's name, or another's sequence without its peaks.
        splits: what was written.
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
