"""Positions of windows in regions, without their sequences: tiled, or for long regions sampled around peaks."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bindtune.data.dna.peaks import PeakIndex
from bindtune.io.window_files import METHODS
from bindtune.regions import clip

Ints = NDArray[np.int64]
WHOLE, TILE, AROUND_PEAK, BACKGROUND = range(len(METHODS))


@dataclass(frozen=True)
class Regions:
    """R regions on numbered chromosomes.

    Args:
        label: chromosome of each region as its file calls it.
        chrom: (R,) number of the chromosome.
        start: (R,) first nucleotide.
        end: (R,) one past the last.
        strand: (R,) 1, -1, or 0 where none is given.
    """

    label: list[str]
    chrom: NDArray[np.int32]
    start: Ints
    end: Ints
    strand: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True)
class Placed:
    """N windows in place; positions are in the region, from its genomic left.

    Args:
        region: (N,) index of the region.
        start: (N,) first position.
        end: (N,) one past the last.
        method: (N,) index into METHODS.
    """

    region: Ints
    start: Ints
    end: Ints
    method: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.start)

    def take(self, chosen: NDArray[np.bool_] | Ints) -> "Placed":
        """Some of the windows, by mask or by index."""
        return Placed(self.region[chosen], self.start[chosen], self.end[chosen], self.method[chosen])


@dataclass(frozen=True)
class Stretch:
    """Windows `first` to `last` of one region: what is read from the genome at once."""

    region: int
    first: int
    last: int


class Layout:
    """The windows of every region.

    A region no longer than the window is taken whole. A longer one has windows at 0, stride, 2*stride and so on, and
    one more that ends at its end where the last does not reach it.

    Args:
        lengths: (R,) length of each region.
        window: nucleotides in a window.
        stride: nucleotides from one window to the next.
        sampled: region -> (sorted starts, methods) where windows are not tiled.
    """

    def __init__(
        self,
        lengths: Ints,
        *,
        window: int,
        stride: int,
        sampled: dict[int, tuple[Ints, NDArray[np.int8]]] | None = None,
    ) -> None:
        self.lengths, self.window, self.stride = lengths, window, stride
        self._sampled = sampled or {}
        self.counts = 1 + np.maximum(-((window - lengths) // stride), 0)
        for region, (starts, _) in self._sampled.items():
            self.counts[region] = len(starts)

    def regions_by_method(self) -> list[int]:
        """How many regions are whole, tiled, sampled around peaks and sampled for background alone, by METHODS."""
        around = sum(bool((methods == AROUND_PEAK).any()) for _, methods in self._sampled.values())
        whole = int((self.lengths <= self.window).sum())
        background = len(self._sampled) - around
        return [whole, len(self.lengths) - whole - around - background, around, background]

    def stretches(self, regions: Ints, *, windows: int, letters: int) -> Iterator[list[Stretch]]:
        """Group the windows of some regions into bundles of at most so many windows and letters, or one window."""
        bundle: list[Stretch] = []
        room, space = windows, letters
        for region in regions.tolist():
            first, total = 0, int(self.counts[region])
            while first < total:
                fits = max(1, 1 + (space - self.window) // self.stride)
                last = min(total, first + min(room, fits))
                bundle.append(Stretch(region, first, last))
                room -= last - first
                space -= (last - first) * self.stride + self.window
                first = last
                if room <= 0 or space <= 0:
                    yield bundle
                    bundle, room, space = [], windows, letters
        if bundle:
            yield bundle

    def place(self, bundle: list[Stretch]) -> Placed:
        """The windows of a bundle, in its order."""
        region = np.array([stretch.region for stretch in bundle], np.int64)
        first = np.array([stretch.first for stretch in bundle], np.int64)
        count = np.array([stretch.last for stretch in bundle], np.int64) - first
        number = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count - first, count)
        owner = np.repeat(region, count)
        length = self.lengths[owner]
        start = np.minimum(number * self.stride, np.maximum(length - self.window, 0))
        method = np.where(length <= self.window, WHOLE, TILE).astype(np.int8)
        if self._sampled:
            for stretch, offset in zip(bundle, (np.cumsum(count) - count).tolist(), strict=True):
                if stretch.region in self._sampled:
                    starts, methods = self._sampled[stretch.region]
                    here = slice(offset, offset + stretch.last - stretch.first)
                    start[here] = starts[stretch.first : stretch.last]
                    method[here] = methods[stretch.first : stretch.last]
        return Placed(owner, start, start + np.minimum(length, self.window), method)


def sample_long_regions(
    regions: Regions,
    index: PeakIndex,
    *,
    window: int,
    longer_than: int,
    background: int,
    jitter: int,
    same_strand: bool,
    seed: int,
) -> dict[int, tuple[Ints, NDArray[np.int8]]]:
    """Windows around the peaks of long regions, and some without a peak.

    Every peak that fits into a window lies whole in at least one; a longer one fills at least one. A peak that already
    lies whole in the window before it gets none of its own.

    Args:
        regions: all regions.
        index: the peaks.
        window: nucleotides in a window.
        longer_than: regions of more nucleotides than this are sampled.
        background: windows without any peak to draw in each, at any place alike; fewer where there is no room.
        jitter: a window's centre lies at most so far from its peak's.
        same_strand: peaks of the opposite strand do not count.
        seed: with the region's place it decides the draws.

    Returns:
        region -> (sorted starts, methods).
    """
    long = np.flatnonzero(regions.end - regions.start > max(longer_than, window))
    pair_region, pair_peak = index.overlapping(regions.chrom[long], starts=regions.start[long], ends=regions.end[long])
    strands = regions.strand[long][pair_region] * index.peaks.strand[pair_peak]
    counted = (strands >= 0) if same_strand else np.ones(len(strands), bool)
    pair_region, pair_peak = pair_region[counted], pair_peak[counted]
    order = np.lexsort((index.peaks.end[pair_peak], index.peaks.start[pair_peak], pair_region))
    pair_region, pair_peak = pair_region[order], pair_peak[order]
    bounds = np.searchsorted(pair_region, np.arange(len(long) + 1))
    sampled = {}
    for number, region in enumerate(long.tolist()):
        peaks = pair_peak[bounds[number] : bounds[number + 1]]
        origin, length = int(regions.start[region]), int(regions.end[region] - regions.start[region])
        spans = clip(index.peaks.start[peaks] - origin, index.peaks.end[peaks] - origin, start=0, end=length)
        key = (seed, int(regions.chrom[region]), origin, length, int(regions.strand[region]) + 1)
        sampled[region] = _sample(
            spans,
            window=window,
            length=length,
            background=background,
            jitter=jitter,
            generator=np.random.default_rng(key),
        )
    return sampled


def _sample(
    spans: tuple[Ints, Ints],
    *,
    window: int,
    length: int,
    background: int,
    jitter: int,
    generator: np.random.Generator,
) -> tuple[Ints, NDArray[np.int8]]:
    """Starts and methods in one region; a region without peaks and background has one window all the same."""
    around = _around_peaks(spans, window=window, length=length, jitter=jitter, generator=generator)
    free = _free_of_peaks(spans, window=window, length=length, count=background, generator=generator)
    if len(around) + len(free) == 0:
        free = np.zeros(1, np.int64)
    starts = np.concatenate([around, free])
    methods = np.repeat(np.array([AROUND_PEAK, BACKGROUND], np.int8), [len(around), len(free)])
    order = np.argsort(starts, kind="stable")
    return starts[order], methods[order]


def _around_peaks(
    spans: tuple[Ints, Ints], *, window: int, length: int, jitter: int, generator: np.random.Generator
) -> Ints:
    chosen: list[int] = []
    shifts = generator.integers(-jitter, jitter + 1, size=len(spans[0])).tolist()
    for start, end, shift in zip(spans[0].tolist(), spans[1].tolist(), shifts, strict=True):
        if chosen and chosen[-1] <= start and end <= chosen[-1] + window:
            continue
        left = (start + end - window) // 2 + shift
        # The jitter takes no part of a short peak out of the window, and none of the window out of a long peak.
        left = min(max(left, min(start, end - window)), max(start, end - window))
        left = min(max(left, 0), length - window)
        if not chosen or left != chosen[-1]:
            chosen.append(left)
    return np.unique(np.array(chosen, np.int64))


def _free_of_peaks(
    spans: tuple[Ints, Ints], *, window: int, length: int, count: int, generator: np.random.Generator
) -> Ints:
    # A window that begins in (peak start - window, peak end) overlaps the peak; peaks come sorted by start.
    starts, ends = spans
    free_from = np.maximum.accumulate(np.concatenate([[0], ends]))
    free_to = np.concatenate([starts - window + 1, [length - window + 1]])
    sizes = np.maximum(np.minimum(free_to, length - window + 1) - free_from, 0)
    total = int(sizes.sum())
    ranks = np.sort(generator.choice(total, size=min(count, total), replace=False)) if total else np.empty(0, np.int64)
    gap = np.searchsorted(np.cumsum(sizes), ranks, side="right")
    before = np.cumsum(sizes) - sizes
    return np.asarray(free_from[gap] + ranks - before[gap], np.int64)
