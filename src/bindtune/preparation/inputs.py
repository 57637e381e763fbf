"""Read the files of `bindtune windows` as regions, peaks and letters, with one numbering of the chromosomes."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bindtune.config import WindowsConfig
from bindtune.data.dna.chromosomes import ChromosomeNames, read_aliases
from bindtune.data.dna.peak_files import (
    NOT_IN_GENOME,
    RowTally,
    chromosome_numbers,
    chromosomes_of,
    read_peak_file,
)
from bindtune.data.dna.peaks import Peaks, merge
from bindtune.data.dna.window_positions import Regions
from bindtune.errors import ConfigError, InputError
from bindtune.io.bed import read_bed
from bindtune.io.genes import read_genes
from bindtune.io.genome import Genome, GenomeFile
from bindtune.io.intervals import Intervals
from bindtune.io.region_fasta import RegionFasta

_SHOWN = 5


@dataclass(frozen=True)
class Source:
    """The source of letters.

    Args:
        path: the genome or the region FASTA.
        sizes: length of each chromosome; None if only regions are known.
        names: its chromosomes.
        regions: the regions, as in their file.
        genome: None if the regions have their own letters.
        records: None if there is a genome.
    """

    path: Path
    sizes: Mapping[str, int] | None
    names: ChromosomeNames
    regions: Intervals
    genome: Genome | None = None
    records: RegionFasta | None = None


@contextmanager
def open_source(config: WindowsConfig, *, notify: Callable[[str], None]) -> Iterator[Source]:
    """Open the genome and read the regions, or read the region FASTA."""
    if config.region_fasta is not None:
        records = RegionFasta(config.region_fasta)
        names = _names(records.regions.names, config=config)
        yield Source(config.region_fasta, None, names, records.regions, records=records)
    elif config.genome is not None:
        with GenomeFile(config.genome, write_index=config.write_index, notify=notify) as genome:
            names = _names(tuple(genome.sizes), config=config)
            yield Source(config.genome, genome.sizes, names, _region_table(config), genome=genome)


def _names(chromosomes: tuple[str, ...], *, config: WindowsConfig) -> ChromosomeNames:
    aliases = read_aliases(config.chromosome_aliases, genome_names=chromosomes) if config.chromosome_aliases else None
    return ChromosomeNames(chromosomes, match=config.chromosome_names == "match", aliases=aliases)


def _region_table(config: WindowsConfig) -> Intervals:
    if config.genes is not None:
        return read_genes(config.genes, features=config.gene_feature, types=config.gene_type)
    if config.regions is None:
        raise ConfigError("--genome needs either --regions or --genes")
    table = read_bed(config.regions, kind="bed", numbers=False)
    if not len(table):
        raise InputError(config.regions, None, "holds no regions")
    return table


def place_regions(source: Source, *, drop_missing: bool, tally: RowTally) -> tuple[Regions, NDArray[np.int64]]:
    """Regions on the genome's chromosomes, and the index of each in its file.

    Raises:
        InputError: a region lies on no chromosome of the genome, or reaches beyond its end.
    """
    table = source.regions
    tally.read[str(table.path)] = len(table)
    numbers = chromosome_numbers(table, genome=source.path, names=source.names)
    placed = numbers[table.chrom]
    missing = placed < 0
    if missing.any() and not drop_missing:
        first = int(missing.argmax())
        name = table.names[table.chrom[first]]
        ways = "--chromosome-aliases reads other names, --missing-chromosomes drop leaves such regions out"
        problem = f"chromosome '{name}' is not in {chromosomes_of(source.path, source.names)}: {ways}"
        raise InputError(table.path, int(table.line[first]), problem)
    tally.dropped[NOT_IN_GENOME] += int(missing.sum())
    on_genome = np.flatnonzero(~missing)
    if not len(on_genome):
        raise InputError(
            table.path, None, f"no region lies on a chromosome of {chromosomes_of(source.path, source.names)}"
        )
    _check_ends(source, on_genome=on_genome, placed=placed)
    regions = Regions(
        label=[table.names[number] for number in table.chrom[on_genome].tolist()],
        chrom=placed[on_genome].astype(np.int32),
        start=table.start[on_genome],
        end=table.end[on_genome],
        strand=table.strand[on_genome],
    )
    return regions, on_genome


def read_peaks(config: WindowsConfig, source: Source, *, tally: RowTally) -> Peaks:
    """The peaks of all files that are strong enough and lie on known chromosomes, merged on request.

    Raises:
        InputError: a file has no peaks, or none on a chromosome of the genome.
        ConfigError: no peak is strong enough.
    """
    files = [
        read_peak_file(
            path,
            kind=config.peak_format,
            floors=config.floors,
            columns=config.columns,
            genome=source.path,
            names=source.names,
            tally=tally,
        )
        for path in config.peaks
    ]
    parts = [file.take(file.strong) for file in files]
    peaks = Peaks(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("chrom", "start", "end", "strand"))
    )
    if not len(peaks):
        floors = ", ".join(f"{name} {floor:g}" for name, floor in config.floors.items())
        raise ConfigError(f"no peak is left: of {sum(tally.read.values())} none reaches {floors} on a known chromosome")
    if not config.merge_peaks:
        return peaks
    merged = merge(peaks, distance=config.merge_distance, by_strand=not config.merge_strands)
    tally.dropped["merged_into_another"] += len(peaks) - len(merged)
    return merged


def chromosome_set(requested: tuple[str, ...], source: Source, *, regions: Regions) -> set[int]:
    """Numbers of chromosomes that the user named.

    Raises:
        ConfigError: no region lies on one of them.
    """
    there = set(regions.chrom.tolist())
    numbers = set()
    for name in requested:
        number = source.names.find(name)
        if number is None or number not in there:
            have = ", ".join(source.names.genome_names[number] for number in sorted(there)[:_SHOWN])
            raise ConfigError(f"chromosome '{name}' has no regions; regions lie on {have}")
        numbers.add(number)
    return numbers


def _check_ends(source: Source, *, on_genome: NDArray[np.int64], placed: NDArray[np.int64]) -> None:
    if source.sizes is None:
        return
    table = source.regions
    sizes = np.array([source.sizes[name] for name in source.names.genome_names], np.int64)
    beyond = table.end[on_genome] > sizes[placed[on_genome]]
    if beyond.any():
        first = int(on_genome[beyond.argmax()])
        name, size = source.names.genome_names[placed[first]], sizes[placed[first]]
        problem = (
            f"end {table.end[first]} lies beyond the end of '{name}', which has {size} nucleotides in {source.path}"
        )
        raise InputError(table.path, int(table.line[first]), problem)
