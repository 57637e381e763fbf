"""Draw unbound windows far from peaks, and match them with bound windows.

All draws follow from a key, so the same input gives the same windows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from bindtune.data.dna.peaks import PeakIndex
from bindtune.data.dna.region_kinds import Segments

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_NEIGHBOURS = 8
"""Candidates that are looked at for each window in a round."""


@dataclass(frozen=True)
class Sites:
    """N windows on numbered chromosomes.

    Args:
        chrom: (N,) number of the chromosome.
        start: (N,) first nucleotide.
        end: (N,) one past the last.
        strand: (N,) 1, -1, or 0 where none is given.
    """

    chrom: Ints
    start: Ints
    end: Ints
    strand: Ints

    def __len__(self) -> int:
        return len(self.start)

    def take(self, chosen: NDArray[np.bool_] | Ints) -> "Sites":
        """Some of the windows, by mask or by index."""
        return Sites(self.chrom[chosen], self.start[chosen], self.end[chosen], self.strand[chosen])


def joined_sites(parts: Sequence[Sites]) -> Sites:
    """The windows of several parts, one after the other."""
    columns = [[getattr(part, name) for part in parts] for name in ("chrom", "start", "end", "strand")]
    return Sites(*(np.concatenate(column or [np.empty(0, np.int64)]) for column in columns))


def windows_about(centre: Ints, width: int) -> tuple[Ints, Ints]:
    """(starts, ends) of windows about their centres; of an even number of letters the centre is the right middle one.

    Example:
        >>> windows_about(np.array([50]), 101)
        (array([0]), array([101]))
    """
    start = centre - width // 2
    return start, start + width


def near_peaks(sites: Sites, index: PeakIndex, *, distance: int) -> NDArray[np.bool_]:
    """(N,) which windows have a peak of their strand within `distance` nucleotides.

    Args:
        sites: N windows.
        index: the peaks; a peak or a window without a strand counts for both.
        distance: nucleotides that have to lie between.
    """
    window, peak = index.overlapping(
        sites.chrom, starts=np.maximum(sites.start - distance, 0), ends=sites.end + distance
    )
    same = sites.strand[window] * index.peaks.strand[peak] >= 0
    near = np.zeros(len(sites), bool)
    near[window[same]] = True
    return near


def draw_sites(segments: Segments, *, kind: int, strand: int, count: int, width: int, key: int) -> Sites:
    """Draw windows whose middle lies in stretches of one kind.

    Middles are drawn without replacement from a grid of one place for each window's width, so that few windows overlap.

    Args:
        segments: all stretches of the strand.
        kind: index of the kind.
        strand: the windows' strand.
        count: how many to draw at most.
        width: nucleotides of a window.
        key: what the draw follows from.
    """
    own = np.flatnonzero(segments.kind == kind)
    lengths = segments.end[own] - segments.start[own]
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(own) else 0
    generator = np.random.default_rng(key)
    phase = int(generator.integers(0, width))
    places = max(0, -((phase - total) // width))  # grid places phase, phase + width, ... below the total
    drawn = generator.choice(np.int64(places), size=min(count, places), replace=False, shuffle=False)
    offset = np.sort(drawn) * width + phase
    at = np.searchsorted(ends, offset, side="right")
    centre = segments.start[own[at]] + offset - (ends[at] - lengths[at])
    start, end = windows_about(centre, width)
    return Sites(segments.chrom[own[at]], start, end, np.full(len(at), strand, np.int64))


def apart(sites: Sites) -> NDArray[np.bool_]:
    """(N,) a choice of windows that do not overlap on either strand: from the left, each that is still free."""
    keep = np.zeros(len(sites), bool)
    order = np.lexsort((sites.end, sites.start, sites.chrom))
    last_chrom, last_end = -1, -1
    columns = (sites.chrom[order].tolist(), sites.start[order].tolist(), sites.end[order].tolist())
    for row, chrom, start, end in zip(order.tolist(), *columns, strict=True):
        if chrom != last_chrom or start >= last_end:
            keep[row] = True
            last_chrom, last_end = chrom, end
    return keep


def match_nearest(values: Floats, candidates: Floats, *, tolerance: float, key: int) -> Ints:
    """Give each value the nearest candidate that is still free.

    Args:
        values: (N,) numbers to match, such as GC.
        candidates: (C,) numbers to choose from.
        tolerance: greatest difference.
        key: order of the values, and the choice among equal candidates, follow from it.

    Returns:
        (N,) index of the candidate, -1 where none is near enough.
    """
    generator = np.random.default_rng(key)
    order = np.lexsort((generator.random(len(candidates)), candidates))
    ascending = candidates[order]
    numbers = ascending.tolist()
    lows, highs = (np.searchsorted(ascending, values, side=side) for side in ("left", "right"))
    candidate_of = np.full(len(values), -1, np.int64)
    # after[p]: the first free candidate from p on; before[p]: one more than the last free candidate below p.
    after, before = list(range(len(numbers) + 1)), list(range(len(numbers) + 1))
    tolerance += 1e-9  # 0.32 - 0.30 is a little more than 0.02 in binary numbers
    for row in generator.permutation(len(values)).tolist():
        rank = int(generator.integers(lows[row], highs[row] + 1))
        sides = (_root(before, rank) - 1, _root(after, rank))
        best = _nearer(float(values[row]), before=sides[0], after=sides[1], numbers=numbers)
        if best >= 0 and abs(numbers[best] - values[row]) <= tolerance:
            candidate_of[row] = order[best]
            after[best], before[best + 1] = best + 1, best
    return candidate_of


def _root(parents: list[int], node: int) -> int:
    """Where a chain of used places ends; it is halved on the way."""
    while parents[node] != node:
        parents[node] = parents[parents[node]]
        node = parents[node]
    return node


def _nearer(value: float, *, before: int, after: int, numbers: list[float]) -> int:
    if before < 0:
        return after if after < len(numbers) else -1
    if after >= len(numbers):
        return before
    return before if value - numbers[before] <= numbers[after] - value else after


def match_vectors(values: Floats, candidates: Floats) -> Ints:
    """Give each vector one of the candidates that are most like it, the closest pairs first, without replacement.

    Args:
        values: (N, D) vectors to match, such as frequencies of pairs of letters.
        candidates: (C, D) vectors to choose from.

    Returns:
        (N,) index of the candidate, -1 where all candidates are used.
    """
    candidate_of = np.full(len(values), -1, np.int64)
    free = np.ones(len(candidates), bool)
    while (open_rows := np.flatnonzero(candidate_of < 0)).size and free.any():
        members = np.flatnonzero(free)
        count = min(_NEIGHBOURS, len(members))
        gaps, nearest = cKDTree(candidates[members]).query(values[open_rows], k=count)
        gaps, nearest = gaps.reshape(len(open_rows), count), members[nearest.reshape(len(open_rows), count)]
        order = np.argsort(gaps, axis=None, kind="stable")
        for pair in order.tolist():
            row, candidate = open_rows[pair // count], nearest.flat[pair]
            if candidate_of[row] < 0 and free[candidate]:
                candidate_of[row], free[candidate] = candidate, False
    return candidate_of
