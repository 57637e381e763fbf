"""The sequences that `bindtune explain` explains: records of a FASTA file, or regions of a genome."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from bindtune.config import ExplainConfig
from bindtune.data.dna.chromosomes import ChromosomeNames
from bindtune.data.dna.peak_files import RowTally, chromosome_numbers, chromosomes_of
from bindtune.data.dna.peaks import PeakIndex, Peaks
from bindtune.errors import InputError, Problems
from bindtune.io.bed import read_bed
from bindtune.io.genome import Genome, GenomeFile, reverse_complement
from bindtune.io.intervals import STRAND_LETTERS, Intervals
from bindtune.probing.binding_model import NEW, TrainedProbe
from bindtune.probing.positives import fasta_windows
from bindtune.probing.window_rows import rows_of

Ints = NDArray[np.int64]

LONGEST = 10_000
"""Most letters of a sequence. Time and memory of all substitutions grow with the square of its length."""


class Location(NamedTuple):
    """Where a sequence lies: 0-based, half-open; strand 1, -1, or 0 where none is given."""

    chrom: str
    start: int
    end: int
    strand: int


class Explained(NamedTuple):
    """A sequence to explain, along its strand; `location` is None if it is unknown."""

    name: str
    sequence: str
    location: Location | None


def read_sequences(
    config: ExplainConfig, *, notify: Callable[[str], None]
) -> tuple[list[Explained], dict[str, int] | None]:
    """Read the sequences to explain.

    Args:
        config: the settings.
        notify: gets a sentence about each slow step.

    Returns:
        The sequences, and the lengths of the genome's chromosomes if there is a genome.

    Raises:
        InputError: a file is not what it should be, a region lies outside of its chromosome, or a sequence is too long.
    """
    if config.fasta is not None:
        return _of_fasta(config.fasta), None
    if config.regions is None or config.genome is None:
        raise AssertionError("settings name one source")
    with GenomeFile(config.genome, write_index=False, notify=notify) as genome:
        return _of_regions(config.regions, config.genome, genome), dict(genome.sizes)


def _of_fasta(path: Path) -> list[Explained]:
    rows = []
    for window in fasta_windows(path, max_n_fraction=1.0, tally=RowTally()):
        if len(window.sequence) > LONGEST:
            raise InputError(path, window.line, _too_long(window.name, len(window.sequence)))
        location = None if window.region is None else Location(window.region[0], *window.region[1], window.region[2])
        rows.append(Explained(window.name, window.sequence, location))
    return rows


def _of_regions(path: Path, genome_path: Path, genome: Genome) -> list[Explained]:
    table = read_bed(path, kind="bed", numbers=False)
    if not len(table):
        raise InputError(path, None, "holds no regions")
    names = tuple(genome.sizes)
    chromosomes = ChromosomeNames(names, match=False, aliases=None)
    numbers = chromosome_numbers(table, genome=genome_path, names=chromosomes)[table.chrom]
    chroms = [names[number] if number >= 0 else None for number in numbers.tolist()]
    _check_places(table, chroms, genome.sizes, genome=genome_path, names=chromosomes)
    rows = []
    columns = (numbers.tolist(), table.start.tolist(), table.end.tolist(), table.strand.tolist())
    for number, start, end, strand in zip(*columns, strict=True):
        letters = genome.fetch(names[number], start=start, end=end)
        sequence = (reverse_complement(letters) if strand < 0 else letters).decode("ascii")
        location = Location(names[number], start, end, strand)
        rows.append(Explained(f"{location.chrom}:{start}-{end}({STRAND_LETTERS[strand]})", sequence, location))
    return rows


def _check_places(
    table: Intervals, chroms: list[str | None], sizes: Mapping[str, int], *, genome: Path, names: ChromosomeNames
) -> None:
    """Name every region that cannot be explained.

    Raises:
        InputError: there is one.
    """
    problems = Problems(table.path)
    columns = (chroms, table.start.tolist(), table.end.tolist(), table.line.tolist())
    for chrom, start, end, line in zip(*columns, strict=True):
        if chrom is None:
            problems.add(line, f"the chromosome is not in {chromosomes_of(genome, names)}")
        elif end > sizes[chrom]:
            problems.add(line, f"{chrom}:{start}-{end} ends past {chrom}, which has {sizes[chrom]:,} nucleotides")
        elif end - start > LONGEST:
            problems.add(line, _too_long(f"{chrom}:{start}-{end}", end - start))
    problems.raise_any()


def _too_long(name: str, length: int) -> str:
    return f"{name} has {length:,} letters, and {LONGEST:,} can be explained at once: give shorter windows"


def held_out_folds(
    probe: TrainedProbe, trained_on: tuple[str, str], sequences: Sequence[Explained]
) -> tuple[Ints, int]:
    """The fold in which each sequence was held out.

    A sequence belongs to the fold of an equal window, or of the windows that its place overlaps on either strand. The
    models of the other folds have not seen it.

    Args:
        probe: whose models explain them.
        trained_on: data set and arm of the models.
        sequences: N.

    Returns:
        (N,) folds, NEW for sequences that were in none; and the number of sequences that overlap windows of several
        folds, which are NEW too, although every model has seen a part of them.
    """
    windows = probe.windows.take(rows_of(probe.windows, *trained_on))
    fold_of = dict(zip(windows["sequence"].to_pylist(), windows["fold"].to_pylist(), strict=True))
    folds = np.array([fold_of.get(each.sequence, NEW) for each in sequences], np.int64)
    located = windows.filter(pc.is_valid(windows["chrom"]))
    rows = [row for row, each in enumerate(sequences) if each.location is not None and folds[row] == NEW]
    if not len(located) or not rows:
        return folds, 0
    number = {name: index for index, name in enumerate(sorted(set(located["chrom"].to_pylist())))}
    chrom = np.array([number[name] for name in located["chrom"].to_pylist()], np.int32)
    start, end = (located[name].to_numpy().astype(np.int64) for name in ("start", "end"))
    index = PeakIndex(Peaks(chrom, start, end, np.zeros(len(chrom), np.int8)))
    locations = [location for row in rows if (location := sequences[row].location) is not None]
    own_chrom = np.array([number.get(location.chrom, len(number)) for location in locations], np.int64)
    starts, ends = (
        np.array([getattr(location, name) for location in locations], np.int64) for name in ("start", "end")
    )
    window, peak = index.overlapping(own_chrom, starts=starts, ends=ends)
    window_fold = located["fold"].to_numpy().astype(np.int64)[peak]
    least, greatest = np.full(len(rows), np.iinfo(np.int64).max), np.full(len(rows), NEW)
    np.minimum.at(least, window, window_fold)
    np.maximum.at(greatest, window, window_fold)
    folds[rows] = np.where(least == greatest, greatest, NEW)
    return folds, int((greatest > least).sum())
