"""Windows that are easily confused: equal names, and equal sequences with and without peaks."""

import numpy as np
from numpy.typing import NDArray

from bindtune.data.dna.window_positions import Regions
from bindtune.data.dna.windows import Windows

REPEATED_NAME = "repeated_seq_id"
PEAKLESS_TWIN = "peakless_twin_of_a_window_with_peaks"


class Twins:
    """Count such windows while windows are written, with 8 bytes for each window.

    Two isoforms with equal coordinates give windows with one name. A gene of a pseudoautosomal region is on chrX and on
    chrY. Aligners map its reads to chrX only, so the copy on chrY seems to have no peak.

    Args:
        regions: all regions.
    """

    def __init__(self, regions: Regions) -> None:
        spans = zip(regions.label, regions.start.tolist(), regions.end.tolist(), strict=True)
        numbers: dict[tuple[str, int, int], int] = {}
        alike = np.array([numbers.setdefault(span, len(numbers)) for span in spans], np.int64)
        self._alike, self._repeated = alike, np.bincount(alike) > 1
        self._names: set[tuple[int, int]] = set()
        self._count = 0
        self._with_peaks, self._peakless = [np.empty(0, np.uint64)], [np.empty(0, np.uint64)]

    def add(self, windows: Windows, *, peak_count: NDArray[np.int64]) -> None:
        """Count written windows; `peaks` (N,) is the number of peaks of each."""
        self._with_peaks.append(windows.key[peak_count > 0])
        self._peakless.append(windows.key[peak_count == 0])
        region = self._alike[windows.placed.region]
        again = self._repeated[region]
        for name in zip(region[again].tolist(), windows.placed.start[again].tolist(), strict=True):
            self._count += name in self._names
            self._names.add(name)

    def counts(self) -> dict[str, int]:
        """Numbers of windows with the name of an earlier one (REPEATED_NAME), and of peakless twins on one strand."""
        peakless = np.concatenate(self._peakless)
        twins = np.isin(peakless, np.concatenate(self._with_peaks))
        return {REPEATED_NAME: self._count, PEAKLESS_TWIN: int(twins.sum())}
