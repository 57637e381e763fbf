"""Make the columns of a training file from genome, regions and peaks: windows with their sequences and peaks.

Peaks have positions on the chromosome until the last step. Then they are clipped to their window. In regions of the
minus strand they are reversed together with the sequence.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bindtune.data.dna.peaks import PeakIndex
from bindtune.data.dna.window_positions import WHOLE, Layout, Placed, Regions
from bindtune.data.keyed_random import derive
from bindtune.io.genome import reverse_complement
from bindtune.io.window_files import WindowColumns
from bindtune.regions import clip, reverse

Ints = NDArray[np.int64]

# Windows and letters that are read at once. More would be no faster and need more memory.
_BUNDLE_WINDOWS = 4096
_BUNDLE_LETTERS = 1 << 22
_NOT_ACGT = np.ones(256, np.int64)
_NOT_ACGT[list(b"ACGT")] = 0


@dataclass(frozen=True)
class WindowRules:
    """The rules that say which peaks count and which windows are kept.

    Args:
        min_peak_overlap: nucleotides of a peak that must lie in the window.
        same_strand: peaks of the opposite strand do not count.
        reverse_complement: windows of minus-strand regions are written in the direction of that strand.
        max_n_fraction: greatest share of letters other than A, C, G and T.
        keep_peakless: share of the windows without a peak that are kept.
        seed: seed of the draw of these windows.
    """

    min_peak_overlap: int
    same_strand: bool
    reverse_complement: bool
    max_n_fraction: float
    keep_peakless: float
    seed: int


@dataclass(frozen=True)
class Windows:
    """N windows, and P pairs of a window and a peak in it.

    Args:
        placed: positions of the windows.
        pair_window: (P,) index of the window, ascending.
        pair_peak: (P,) index of the peak, in the order of the window's sequence.
        sequence: N sequences; empty until the sequences are read.
        key: (N,) hash of a sequence; empty until the sequences are read. A sequence and its reverse complement have the
            same hash apart from the last bit.
    """

    placed: Placed
    pair_window: Ints
    pair_peak: Ints
    sequence: list[str]
    key: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.placed)

    def take(self, keep: NDArray[np.bool_]) -> "Windows":
        """The windows that a mask chooses, with their pairs."""
        if keep.all():
            return self
        number = np.cumsum(keep) - 1
        pairs = keep[self.pair_window]
        return Windows(
            self.placed.take(keep),
            number[self.pair_window[pairs]],
            self.pair_peak[pairs],
            [text for text, is_kept in zip(self.sequence, keep.tolist(), strict=False) if is_kept],
            self.key[keep] if len(self.key) else self.key,
        )


class WindowMaker:
    """Makes windows, a few thousand at a time.

    Args:
        regions: all regions.
        layout: positions of their windows.
        index: all peaks.
        fetch: (region, start, end in it) -> upper-case letters of the plus strand.
        rules: which peaks count and which windows are kept.
    """

    def __init__(
        self,
        *,
        regions: Regions,
        layout: Layout,
        index: PeakIndex,
        fetch: Callable[[int, int, int], bytes],
        rules: WindowRules,
    ) -> None:
        self._regions, self._layout, self._index, self._fetch, self._rules = regions, layout, index, fetch, rules

    def placed_windows(self, chosen: Ints) -> Iterator[tuple[Placed, NDArray[np.bool_]]]:
        """Positions of the windows of the chosen regions that have a peak or are drawn; no sequence is read.

        Args:
            chosen: indices of regions, ascending.

        Yields:
            N windows, and a mask (N,) of those with a peak.
        """
        for bundle in self._layout.stretches(chosen, windows=_BUNDLE_WINDOWS, letters=_BUNDLE_LETTERS):
            windows = self._with_peaks(self._layout.place(bundle))
            windows = windows.take(self._kept_though_peakless(windows))
            with_peaks = np.zeros(len(windows), bool)
            with_peaks[windows.pair_window] = True
            yield windows.placed, with_peaks

    def complete(
        self,
        chosen: Ints,
        *,
        selection: Callable[[Placed], NDArray[np.bool_]],
        dropped: Counter[str],
    ) -> Iterator[Windows]:
        """Windows of the chosen regions that `selection` takes and the rules keep.

        Args:
            chosen: indices of regions, ascending.
            selection: gives a mask of the windows of a bundle that belong to this pass.
            dropped: counts the windows that the rules drop, by reason.
        """
        for bundle in self._layout.stretches(chosen, windows=_BUNDLE_WINDOWS, letters=_BUNDLE_LETTERS):
            placed = self._layout.place(bundle)
            windows = self._with_peaks(placed.take(selection(placed)))
            peakless = windows.take(self._kept_though_peakless(windows))
            dropped["peakless"] += len(windows) - len(peakless)
            yield self._with_sequences(peakless, dropped=dropped)

    def held(self, index: PeakIndex, *, min_overlap: int) -> NDArray[np.bool_]:
        """(P,) mask of the peaks that lie in a window of the layout, even if the window was not written.

        Args:
            index: the peaks; the maker's own peaks are not used.
            min_overlap: nucleotides of a peak that must lie in the window.
        """
        regions, rules = self._regions, replace(self._rules, min_peak_overlap=min_overlap)
        maker = WindowMaker(regions=regions, layout=self._layout, index=index, fetch=self._fetch, rules=rules)
        chosen = np.unique(index.overlapping(regions.chrom, starts=regions.start, ends=regions.end)[0])
        held = np.zeros(len(index.peaks), bool)
        for bundle in self._layout.stretches(chosen, windows=_BUNDLE_WINDOWS, letters=_BUNDLE_LETTERS):
            held[maker._with_peaks(self._layout.place(bundle)).pair_peak] = True
        return held

    def _kept_though_peakless(self, windows: Windows) -> NDArray[np.bool_]:
        """Mask of the windows that have a peak or are drawn; the draw depends only on the seed and the position."""
        if self._rules.keep_peakless >= 1:
            return np.ones(len(windows), bool)
        keep = np.zeros(len(windows), bool)
        keep[windows.pair_window] = True
        starts, _ = self.on_chromosome(windows.placed)
        region = windows.placed.region
        strand_key = (self._regions.chrom[region].astype(np.uint64) << np.uint64(3)) | (
            self._regions.strand[region] + 1
        ).astype(np.uint64)
        draw = derive(derive(np.array([self._rules.seed], np.uint64), starts.astype(np.uint64)), strand_key)
        return keep | (draw < np.uint64(self._rules.keep_peakless * 2**64))

    def on_chromosome(self, placed: Placed) -> tuple[Ints, Ints]:
        """(starts, ends) of windows on their chromosomes."""
        origin = self._regions.start[placed.region]
        return origin + placed.start, origin + placed.end

    def columns(self, windows: Windows) -> WindowColumns:
        """The columns to write: names, and peaks that are clipped and reversed with their window."""
        placed, regions, peaks = windows.placed, self._regions, self._index.peaks
        starts, ends = self.on_chromosome(placed)
        lows, highs = starts[windows.pair_window], ends[windows.pair_window]
        whole_start, whole_end = peaks.start[windows.pair_peak], peaks.end[windows.pair_peak]
        first, last = clip(whole_start, whole_end, start=lows, end=highs)
        here = (first - lows, last - lows)
        turned = reverse(*here, length=highs - lows)
        minus = self._turned(placed)[windows.pair_window]
        return WindowColumns(
            sequence=windows.sequence,
            seq_id=self._names(placed),
            start=placed.start,
            end=placed.end,
            strand=regions.strand[placed.region],
            method=placed.method,
            peak_count=np.bincount(windows.pair_window, minlength=len(windows)),
            peak_start=np.where(minus, turned[0], here[0]),
            peak_end=np.where(minus, turned[1], here[1]),
            genomic_start=whole_start,
            genomic_end=whole_end,
            peak_clipped=(first > whole_start) | (last < whole_end),
        )

    def _turned(self, placed: Placed) -> NDArray[np.bool_]:
        return (self._regions.strand[placed.region] < 0) & self._rules.reverse_complement

    def _with_peaks(self, placed: Placed) -> Windows:
        """Find the peaks of windows; they are sorted by their positions in the window's sequence."""
        starts, ends = self.on_chromosome(placed)
        window, peak = self._index.overlapping(self._regions.chrom[placed.region], starts=starts, ends=ends)
        peaks = self._index.peaks
        first, last = clip(peaks.start[peak], peaks.end[peak], start=starts[window], end=ends[window])
        counts = last - first >= self._rules.min_peak_overlap
        if self._rules.same_strand:
            counts &= self._regions.strand[placed.region[window]] * peaks.strand[peak] >= 0
        minus = self._turned(placed)[window]
        order = np.lexsort((np.where(minus, -first, last), np.where(minus, -last, first), window))
        order = order[counts[order]]
        return Windows(placed, window[order], peak[order], [], np.empty(0, np.uint64))

    def _with_sequences(self, windows: Windows, *, dropped: Counter[str]) -> Windows:
        placed, sequences, hashes = windows.placed, list[str](), list[int]()
        clear = np.ones(len(placed), bool)
        turned = self._turned(placed)
        # Windows of one region without a gap between them are read together.
        apart = (placed.region[1:] != placed.region[:-1]) | (placed.start[1:] > placed.end[:-1])
        for a, b in pairwise([0, *(np.flatnonzero(apart) + 1).tolist(), len(placed)] if len(placed) else []):
            starts, ends = placed.start[a:b], placed.end[a:b]
            low, high = int(starts[0]), int(ends[-1])
            letters = self._fetch(int(placed.region[a]), low, high)
            if self._rules.max_n_fraction < 1:
                clear[a:b] = _n_fraction(letters, starts=starts - low, ends=ends - low) <= self._rules.max_n_fraction
            spans = (starts - low, ends - low)
            text, size = letters.decode("ascii"), high - low
            twin = reverse_complement(letters).decode("ascii")
            if turned[a]:
                text, twin, spans = twin, text, reverse(*spans, length=size)
            pairs = list(zip(spans[0].tolist(), spans[1].tolist(), strict=True))
            texts = [text[start:end] for start, end in pairs]
            sequences += texts
            twins = [twin[size - end : size - start] for start, end in pairs]
            hashes += sequence_keys(texts, twins)
        key = np.array(hashes, np.int64).view(np.uint64)
        read = Windows(placed, windows.pair_window, windows.pair_peak, sequences, key).take(clear)
        dropped["too_many_n"] += len(windows) - len(read)
        return read

    def _names(self, placed: Placed) -> pa.Array:
        """(N,) names of windows: the region, and the position in it if the region has several windows."""
        regions = self._regions
        used, number = np.unique(placed.region, return_inverse=True)
        labels = [f"{regions.label[r]}:{regions.start[r]}-{regions.end[r]}" for r in used.tolist()]
        region = pa.array(labels, pa.string()).take(pa.array(number))
        start, end = (pa.array(column).cast(pa.string()) for column in (placed.start, placed.end))
        part = pc.binary_join_element_wise(region, "_window_", start, "_", end, "")
        return pc.if_else(pa.array(placed.method == WHOLE), region, part)


def _n_fraction(letters: bytes, *, starts: Ints, ends: Ints) -> NDArray[np.float64]:
    if not letters.translate(None, b"ACGT"):  # true nearly everywhere, and eight times as fast as counting
        return np.zeros(len(starts))
    before = np.concatenate([[0], np.cumsum(_NOT_ACGT[np.frombuffer(letters, np.uint8)])])
    return np.asarray((before[ends] - before[starts]) / (ends - starts), np.float64)


def sequence_keys(sequences: list[str], twins: list[str]) -> list[int]:
    """Signed 64-bit hashes of sequences, given with their reverse complements: see `Windows.key`.

    Python hashes strings with SipHash: among 10 million sequences, 63 bits collide with a probability of 5e-6.
    """
    return [hash(a) & -2 if a <= b else hash(b) | 1 for a, b in zip(sequences, twins, strict=True)]
