"""Peaks of all files together: which count, which are merged, and which overlap a window."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bindtune.errors import InputError
from bindtune.io.intervals import Intervals
from bindtune.regions import begin_anew

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Peaks:
    """P peaks, whole and unclipped, on numbered chromosomes.

    Args:
        chrom: (P,) number of the chromosome.
        start: (P,) first nucleotide.
        end: (P,) one past the last nucleotide.
        strand: (P,) 1, -1, or 0 where none is given.
    """

    chrom: NDArray[np.int32]
    start: Ints
    end: Ints
    strand: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.start)

    def take(self, chosen: NDArray[np.bool_] | Ints) -> "Peaks":
        """Some of the peaks, by mask or by index."""
        return Peaks(self.chrom[chosen], self.start[chosen], self.end[chosen], self.strand[chosen])


def strong_enough(table: Intervals, *, floors: Mapping[str, float], dropped: Counter[str]) -> NDArray[np.bool_]:
    """Which intervals reach the floor of every value; a missing value ('.', or -1 for p and q) is refused.

    Args:
        table: R intervals of one file.
        floors: value name -> least value that counts.
        dropped: counts, by the value that was too low; one reason an interval.

    Returns:
        (R,) mask.

    Raises:
        InputError: the file does not have the value, or not in every line.
    """
    keep = np.ones(len(table), dtype=bool)
    for name, floor in floors.items():
        if name not in table.values:
            have = ", ".join(table.values) or "none"
            ways = f"see --peak-format, or name its column with --{name.replace('_', '-')}-column"
            raise InputError(table.path, None, f"has no {name} to filter by (it has: {have}); {ways}")
        values = table.values[name]
        missing = np.isnan(values) | ((values == -1) if name in ("p_value", "q_value") else False)
        if missing.any():
            raise InputError(
                table.path, int(table.line[missing.argmax()]), f"no {name} is given, so none can be filtered by"
            )
        weak = keep & (values < floor)
        dropped[f"{name}_below_{floor:g}"] += int(weak.sum())
        keep &= ~weak
    return keep


def merge(peaks: Peaks, *, distance: int | None, by_strand: bool) -> Peaks:
    """Join overlapping peaks.

    Args:
        peaks: in any order.
        distance: also join peaks with at most this many nucleotides between them (0: book-ended ones); None joins only
            peaks that share a nucleotide.
        by_strand: join only peaks of one strand; else a joined peak has the strand that all of its peaks have, or none.

    Returns:
        The joined peaks, sorted by chromosome and start.
    """
    if not len(peaks):
        return peaks
    side = peaks.strand.astype(np.int64) if by_strand else np.zeros(len(peaks), np.int64)
    order = np.lexsort((peaks.end, peaks.start, side, peaks.chrom))
    sorted_peaks, side = peaks.take(order), side[order]
    group = sorted_peaks.chrom.astype(np.int64) * 3 + side + 1
    gap = -1 if distance is None else distance
    new = begin_anew(group, starts=sorted_peaks.start, ends=sorted_peaks.end, gap=gap)
    first = np.flatnonzero(new)
    low, high = (f.reduceat(sorted_peaks.strand, first) for f in (np.minimum, np.maximum))
    merged = Peaks(
        sorted_peaks.chrom[first],
        sorted_peaks.start[first],
        np.maximum.reduceat(sorted_peaks.end, first),
        np.where(low == high, low, 0).astype(np.int8),
    )
    return merged.take(np.lexsort((merged.end, merged.start, merged.chrom)))


class PeakIndex:
    """Finds the peaks that overlap windows, many windows at once.

    Peaks are kept in classes of similar length. Within a class the peaks that can overlap a window begin between (its
    start - the greatest length) and its end: one stretch of the sorted starts. One very long peak therefore costs
    nothing but a class of its own.
    """

    def __init__(self, peaks: Peaks) -> None:
        self.peaks = peaks
        self._room = np.int64(peaks.end.max(initial=0)) + 1
        starts = peaks.chrom * self._room + peaks.start
        lengths = peaks.end - peaks.start
        # Classes of lengths up to 2, 8, 32, 128 ... nucleotides.
        classes = np.frexp(lengths.astype(np.float64))[1] // 2
        self._classes: list[tuple[Ints, Ints, int]] = []
        for number in np.unique(classes):
            members = np.flatnonzero(classes == number)
            members = members[np.lexsort((peaks.end[members], starts[members]))]
            self._classes.append((members, starts[members], int(lengths[members].max())))

    def overlapping(self, chrom: NDArray[np.integer], *, starts: Ints, ends: Ints) -> tuple[Ints, Ints]:
        """Pairs (window, peak) that share at least one nucleotide.

        Args:
            chrom: (N,) chromosome of each window.
            starts: (N,) first nucleotide on the chromosome.
            ends: (N,) one past the last.

        Returns:
            Indices of windows and of peaks, one pair each, in no particular order.
        """
        # No peak reaches beyond its chromosome's room, so a window may not either.
        base = chrom * self._room
        lows, highs = base + np.minimum(starts, self._room - 1), base + np.minimum(ends, self._room - 1)
        windows, peaks = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for members, member_starts, longest in self._classes:
            first = np.searchsorted(member_starts, np.maximum(lows - longest + 1, base))
            count = np.maximum(np.searchsorted(member_starts, highs) - first, 0)
            window = np.repeat(np.arange(len(lows)), count)
            step = np.arange(len(window)) - np.repeat(np.cumsum(count) - count, count)
            peak = members[np.repeat(first, count) + step]
            real = self.peaks.end[peak] > starts[window]
            windows.append(window[real])
            peaks.append(peak[real])
        return np.concatenate(windows), np.concatenate(peaks)
