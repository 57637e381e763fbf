"""Read peak files with the numbering of a genome's chromosomes, choose the peaks that count, and count the others."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bindtune.data.dna.chromosomes import ChromosomeNames
from bindtune.data.dna.peaks import Peaks, strong_enough
from bindtune.errors import InputError
from bindtune.io.bed import PeakFormat, read_bed
from bindtune.io.intervals import Intervals
from bindtune.io.region_fasta import names_region

NOT_IN_GENOME = "chromosome_not_in_genome"
_SHOWN = 5


@dataclass
class RowTally:
    """What became of the rows of one kind of input.

    Args:
        read: rows in each file.
        dropped: rows that were left out, by reason.
    """

    read: dict[str, int] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class PeakFile:
    """The R peaks of one file.

    Args:
        table: the peaks as the file has them.
        chrom: (R,) number of each peak's chromosome, -1 where the genome lacks it.
        strong: (R,) which of them are strong enough and lie on a chromosome of the genome.
    """

    table: Intervals
    chrom: NDArray[np.int64]
    strong: NDArray[np.bool_]

    def take(self, chosen: NDArray[np.bool_]) -> Peaks:
        """Some of the peaks, by mask; all of them lie on chromosomes of the genome."""
        table = self.table
        return Peaks(self.chrom[chosen].astype(np.int32), table.start[chosen], table.end[chosen], table.strand[chosen])


def read_peak_file(
    path: Path,
    *,
    kind: PeakFormat,
    floors: Mapping[str, float],
    columns: Mapping[str, int],
    genome: Path,
    names: ChromosomeNames,
    tally: RowTally,
    summits: bool = False,
) -> PeakFile:
    """Read the peaks of one file.

    Args:
        path: the file.
        kind: its format.
        floors: value name -> least value that counts.
        columns: value name -> its column from 1, where it is not the format's.
        genome: where the chromosomes come from, for messages.
        names: the genome's chromosomes.
        tally: counts the peaks, and by reason those that do not count.
        summits: read the summits of narrowPeak too.

    Raises:
        InputError: the file has no peaks, or none on a chromosome of the genome.
    """
    table = read_bed(path, kind=kind, named=columns, summits=summits)
    if not len(table):
        raise InputError(path, None, "holds no peaks")
    tally.read[str(path)] = tally.read.get(str(path), 0) + len(table)
    chrom = chromosome_numbers(table, genome=genome, names=names)[table.chrom]
    if (chrom < 0).all():
        own = ", ".join(table.names[:_SHOWN])
        problem = (
            f"no peak lies on a chromosome of {chromosomes_of(genome, names)}: its chromosomes are {own}; "
            "see --chromosome-aliases"
        )
        raise InputError(path, int(table.line[0]), problem)
    strong = strong_enough(table, floors=floors, dropped=tally.dropped)
    tally.dropped[NOT_IN_GENOME] += int((strong & (chrom < 0)).sum())
    return PeakFile(table, chrom, strong & (chrom >= 0))


def chromosome_numbers(table: Intervals, *, genome: Path, names: ChromosomeNames) -> NDArray[np.int64]:
    """Number of each of a file's chromosomes, -1 where the genome lacks it.

    Raises:
        InputError: a name differs by `chr` alone from a name of the genome, and nobody asked for such matches.
    """
    numbers = np.full(len(table.names), -1, np.int64)
    for index, name in enumerate(table.names):
        number = names.find(name)
        nearest = names.suggest(name)
        if number is not None:
            numbers[index] = number
        elif nearest is not None:
            line = int(table.line[(table.chrom == index).argmax()])
            problem = f"chromosome '{name}' is not in {genome}, which has '{nearest}'"
            raise InputError(table.path, line, f"{problem}: --chromosome-names match takes the two for the same")
    return numbers


def chromosomes_of(genome: Path, names: ChromosomeNames) -> str:
    """A genome and its first chromosomes, in words."""
    shown = ", ".join(names.genome_names[:_SHOWN]) + (", ..." if len(names.genome_names) > _SHOWN else "")
    advice = "; --region-fasta takes a FASTA of regions" if names_region(names.genome_names[0]) else ""
    return f"{genome} (which has {shown}{advice})"
