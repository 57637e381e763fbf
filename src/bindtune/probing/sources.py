"""The source of the probe's letters: a genome, or regions with their sequence."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bindtune.config import ProbeConfig
from bindtune.data.dna.chromosomes import ChromosomeNames, read_aliases
from bindtune.data.dna.negatives import Sites
from bindtune.data.dna.peaks import PeakIndex, Peaks
from bindtune.io.genome import GenomeFile, reverse_complement
from bindtune.io.region_fasta import RegionFasta

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Letters:
    """Stretches of chromosomes with known letters.

    Args:
        path: their file.
        names: chromosomes.
        stretches: whole chromosomes, or regions.
        fetch: (stretch, start, end on the chromosome) -> upper-case letters of the plus strand.
        missing: reason for windows that lie in no stretch.
    """

    path: Path
    names: ChromosomeNames
    stretches: Peaks
    fetch: Callable[[int, int, int], bytes]
    missing: str

    def locate(self, sites: Sites) -> Ints:
        """(N,) the stretch that holds each whole window, -1 if there is none."""
        window, stretch = PeakIndex(self.stretches).overlapping(
            sites.chrom, starts=np.maximum(sites.start, 0), ends=sites.end
        )
        whole = (self.stretches.start[stretch] <= sites.start[window]) & (
            self.stretches.end[stretch] >= sites.end[window]
        )
        holder = np.full(len(sites), -1, np.int64)
        holder[window[whole]] = stretch[whole]
        return holder

    def read(self, sites: Sites, holder: Ints) -> list[str]:
        """N sequences, each along its strand.

        Args:
            sites: N windows.
            holder: (N,) the stretch of each, from `locate`.
        """
        sequences = [""] * len(sites)
        order = np.lexsort((sites.start, holder))
        columns = (holder[order], sites.start[order], sites.end[order], sites.strand[order])
        for row, stretch, start, end, strand in zip(
            order.tolist(), *(column.tolist() for column in columns), strict=True
        ):
            letters = self.fetch(stretch, start, end)
            sequences[row] = (reverse_complement(letters) if strand < 0 else letters).decode("ascii")
        return sequences


@contextmanager
def open_letters(config: ProbeConfig, *, notify: Callable[[str], None]) -> Iterator[Letters]:
    """Open the genome, or read the regions with their sequence."""
    if config.region_fasta is not None:
        yield _regions(config.region_fasta, config)
    elif config.genome is not None:
        with GenomeFile(config.genome, write_index=config.write_index, notify=notify) as genome:
            names, sizes = tuple(genome.sizes), np.array(list(genome.sizes.values()), np.int64)
            chrom = np.flatnonzero(sizes > 0)
            whole = Peaks(chrom.astype(np.int32), np.zeros(len(chrom), np.int64), sizes[chrom], _no_strand(len(chrom)))

            def fetch(stretch: int, start: int, end: int) -> bytes:
                return genome.fetch(names[chrom[stretch]], start=start, end=end)

            yield Letters(config.genome, _names(names, config), whole, fetch, "past_chromosome_end")


def _regions(path: Path, config: ProbeConfig) -> Letters:
    """Stretches of a region FASTA, sorted by position."""
    records = RegionFasta(path)
    table = records.regions
    stretches = Peaks(table.chrom, table.start, table.end, _no_strand(len(table)))

    def fetch(stretch: int, start: int, end: int) -> bytes:
        origin = int(table.start[stretch])
        return records.fetch(stretch, start - origin, end - origin)

    return Letters(path, _names(table.names, config), stretches, fetch, "outside_the_sequences")


def _names(names: tuple[str, ...], config: ProbeConfig) -> ChromosomeNames:
    aliases = read_aliases(config.chromosome_aliases, genome_names=names) if config.chromosome_aliases else None
    return ChromosomeNames(names, match=config.chromosome_names == "match", aliases=aliases)


def _no_strand(count: int) -> NDArray[np.int8]:
    return np.zeros(count, np.int8)


def readable(
    sites: Sites, letters: Letters, *, max_odd: float, odd_share: Callable[[str], float], dropped: Counter[str]
) -> tuple[NDArray[np.bool_], list[str]]:
    """Which windows can be read and have few enough odd letters, and their sequences.

    Args:
        sites: N windows.
        letters: source of the sequences.
        max_odd: greatest share of odd letters.
        odd_share: share of a sequence's letters that are odd.
        dropped: counts the others by reason.

    Returns:
        (N,) mask, and the sequences of the windows that it chooses.
    """
    holder = letters.locate(sites)
    keep = holder >= 0
    dropped[letters.missing] += int((~keep).sum())
    sequences = letters.read(sites.take(keep), holder[keep])
    clean = np.array([odd_share(sequence) <= max_odd for sequence in sequences], bool)
    dropped["too_many_n"] += int((~clean).sum())
    keep[np.flatnonzero(keep)[~clean]] = False
    return keep, [sequence for sequence, good in zip(sequences, clean.tolist(), strict=True) if good]
