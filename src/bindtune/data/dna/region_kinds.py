"""The kind of region at a position: an exon, an intron, a UTR, or none of these, on either strand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bindtune.data.dna.peaks import Peaks

Ints = NDArray[np.int64]
OUTSIDE = "outside"
PRIORITY = ("intron", "exon", "UTR")
"""A nucleotide that several transcripts use in several ways is of the last of these kinds."""


@dataclass(frozen=True)
class Segments:
    """S stretches of one kind each, on one strand of all chromosomes; together they cover all that can be read.

    Args:
        chrom: (S,) number of the chromosome, ascending.
        start: (S,) first nucleotide, ascending on a chromosome.
        end: (S,) one past the last.
        kind: (S,) index into `kinds`.
        kinds: names.
    """

    chrom: Ints
    start: Ints
    end: Ints
    kind: Ints
    kinds: tuple[str, ...]

    def kind_at(self, chrom: NDArray[np.integer], position: Ints) -> Ints:
        """(N,) index of the kind at each position, -1 where the genome has no sequence.

        Args:
            chrom: (N,) chromosomes.
            position: (N,) nucleotides on the chromosome.
        """
        if not len(self.start):
            return np.full(len(position), -1, np.int64)
        room = max(int(self.end.max()), int(position.max(initial=0))) + 1
        at = np.searchsorted(self.chrom * room + self.start, chrom * room + position, side="right") - 1
        at = np.maximum(at, 0)
        inside = (self.chrom[at] == chrom) & (self.start[at] <= position) & (position < self.end[at])
        return np.where(inside, self.kind[at], -1)


def make_segments(readable: Peaks, annotated: Mapping[str, Peaks], *, strand: int) -> Segments:
    """Cut all that can be read into stretches of one kind.

    Args:
        readable: the stretches whose letters are there, whole chromosomes for a genome; they do not overlap.
        annotated: the stretches of each kind; a later kind wins over an earlier one.
        strand: 1 or -1 takes the stretches of that strand and those without one; 0 takes all.
    """
    kinds = (OUTSIDE, *annotated)
    columns: list[list[Ints]] = [[], [], [], []]
    chosen = [each.take((each.strand * strand >= 0) if strand else slice_all(each)) for each in annotated.values()]
    for chrom in np.unique(readable.chrom).tolist():
        own = readable.take(readable.chrom == chrom)
        parts = [own, *(each.take(each.chrom == chrom) for each in chosen)]
        borders = np.unique(np.concatenate([part.start for part in parts] + [part.end for part in parts]))
        covered = np.stack([_covered(part, borders) for part in parts])
        kind = np.where(covered, np.arange(len(parts))[:, None], 0).max(axis=0)
        keep = covered[0]
        start, end, kind = borders[:-1][keep], borders[1:][keep], kind[keep]
        for column, values in zip(columns, (np.full(len(start), chrom, np.int64), start, end, kind), strict=True):
            column.append(values)
    chrom_column, start, end, kind = (np.concatenate(column or [np.empty(0, np.int64)]) for column in columns)
    return Segments(chrom_column, start, end, kind.astype(np.int64), kinds)


def slice_all(peaks: Peaks) -> NDArray[np.bool_]:
    """(P,) a mask of all."""
    return np.ones(len(peaks), bool)


def _covered(part: Peaks, borders: Ints) -> NDArray[np.bool_]:
    """Which of the stretches between neighbouring borders lie in a part."""
    depth = np.zeros(len(borders), np.int64)
    np.add.at(depth, np.searchsorted(borders, part.start), 1)
    np.add.at(depth, np.searchsorted(borders, part.end), -1)
    return np.cumsum(depth)[:-1] > 0


def kind_names(codes: Ints, kinds: Sequence[str]) -> list[str]:
    """The name of each kind."""
    return [kinds[code] if code >= 0 else OUTSIDE for code in codes.tolist()]
