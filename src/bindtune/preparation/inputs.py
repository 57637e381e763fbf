"""The files of `bindtune windows` as regions, peaks and letters on one numbering of the chromosomes."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bindtune.config import WindowsConfig
from bindtune.data.dna.chromosomes import ChromosomeNames, read_aliases
from bindtune.data.dna.peaks import Peaks, merge, strong_enough
from bindtune.data.dna.window_positions import Regions
from bindtune.errors import ConfigError, InputError
from bindtune.io.bed import read_bed
from bindtune.io.genes import read_genes
from bindtune.io.genome import Genome, GenomeFile
from bindtune.io.intervals import Intervals
from bindtune.io.region_fasta import RegionFasta

NOT_IN_GENOME = "chromosome_not_in_genome"
_SHOWN = 5


@dataclass(frozen=True)
class Source:
    """Where letters come from.

    Args:
        path: the genome or the region FASTA.
        sizes: length of each chromosome; None where only regions are known.
        names: its chromosomes.
        regions: the regions as their file has them.
        genome: None where the regions bring their own letters.
        records: None where there is a genome.
    """

    path: Path
    sizes: Mapping[str, int] | None
    names: ChromosomeNames
    regions: Intervals
    genome: Genome | None = None
    records: RegionFasta | None = None


@dataclass
class Tally:
    """What became of the rows of one kind of input.

    Args:
        read: rows in each file.
        dropped: rows that were left out, by reason.
    """

    read: dict[str, int] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)


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


def _names(known: tuple[str, ...], *, config: WindowsConfig) -> ChromosomeNames:
    aliases = read_aliases(config.chromosome_aliases, known=known) if config.chromosome_aliases else None
    return ChromosomeNames(known, match=config.chromosome_names == "match", aliases=aliases)


def _region_table(config: WindowsConfig) -> Intervals:
    if config.genes is not None:
        return read_genes(config.genes, features=config.gene_feature, types=config.gene_type)
    if config.regions is None:
        raise ConfigError("--genome needs either --regions or --genes")
    table = read_bed(config.regions, kind="bed", numbers=False)
    if not len(table):
        raise InputError(config.regions, None, "holds no regions")
    return table


def place_regions(source: Source, *, drop_missing: bool, tally: Tally) -> tuple[Regions, NDArray[np.int64]]:
    """Regions on the genome's chromosomes, and the index of each in its file.

    Raises:
        InputError: a region lies on no chromosome of the genome, or reaches beyond its end.
    """
    table = source.regions
    tally.read[str(table.path)] = len(table)
    numbers = _chromosome_numbers(table, source)
    placed = numbers[table.chrom]
    missing = placed < 0
    if missing.any() and not drop_missing:
        first = int(missing.argmax())
        name = table.names[table.chrom[first]]
        ways = "--chromosome-aliases reads other names, --missing-chromosomes drop leaves such regions out"
        problem = f"chromosome '{name}' is not in {_known(source)}: {ways}"
        raise InputError(table.path, int(table.line[first]), problem)
    tally.dropped[NOT_IN_GENOME] += int(missing.sum())
    kept = np.flatnonzero(~missing)
    if not len(kept):
        raise InputError(table.path, None, f"no region lies on a chromosome of {_known(source)}")
    _check_ends(source, kept=kept, placed=placed)
    regions = Regions(
        label=[table.names[number] for number in table.chrom[kept].tolist()],
        chrom=placed[kept].astype(np.int32),
        start=table.start[kept],
        end=table.end[kept],
        strand=table.strand[kept],
    )
    return regions, kept


def read_peaks(config: WindowsConfig, source: Source, *, tally: Tally) -> Peaks:
    """The peaks of all files that are strong enough and lie on known chromosomes, merged where that is asked for.

    Raises:
        InputError: a file has no peaks, or none on a chromosome of the genome.
        ConfigError: no peak is strong enough.
    """
    parts = [_peaks_of(path, config=config, source=source, tally=tally) for path in config.peaks]
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


def _peaks_of(path: Path, *, config: WindowsConfig, source: Source, tally: Tally) -> Peaks:
    table = read_bed(path, kind=config.peak_format, named=config.columns)
    if not len(table):
        raise InputError(path, None, "holds no peaks")
    tally.read[str(path)] = tally.read.get(str(path), 0) + len(table)
    placed = _chromosome_numbers(table, source)[table.chrom]
    if (placed < 0).all():
        names = ", ".join(table.names[:_SHOWN])
        problem = (
            f"no peak lies on a chromosome of {_known(source)}: its chromosomes are {names}; see --chromosome-aliases"
        )
        raise InputError(path, int(table.line[0]), problem)
    keep = strong_enough(table, floors=config.floors, dropped=tally.dropped)
    tally.dropped[NOT_IN_GENOME] += int((keep & (placed < 0)).sum())
    keep &= placed >= 0
    return Peaks(placed[keep].astype(np.int32), table.start[keep], table.end[keep], table.strand[keep])


def chromosome_set(wanted: tuple[str, ...], source: Source, *, regions: Regions) -> set[int]:
    """Numbers of chromosomes that the user named.

    Raises:
        ConfigError: no region lies on one of them.
    """
    there = set(regions.chrom.tolist())
    numbers = set()
    for name in wanted:
        number = source.names.find(name)
        if number is None or number not in there:
            have = ", ".join(source.names.known[number] for number in sorted(there)[:_SHOWN])
            raise ConfigError(f"chromosome '{name}' has no regions; regions lie on {have}")
        numbers.add(number)
    return numbers


def _chromosome_numbers(table: Intervals, source: Source) -> NDArray[np.int64]:
    """Number of each of a file's chromosomes, -1 where unknown; refuses names that are one option away from known."""
    numbers = np.full(len(table.names), -1, np.int64)
    for place, name in enumerate(table.names):
        number = source.names.find(name)
        other = source.names.suggest(name)
        if number is not None:
            numbers[place] = number
        elif other is not None:
            line = int(table.line[(table.chrom == place).argmax()])
            problem = f"chromosome '{name}' is not in {source.path}, which has '{other}'"
            raise InputError(table.path, line, f"{problem}: --chromosome-names match takes the two for the same")
    return numbers


def _known(source: Source) -> str:
    names = source.names.known
    return f"{source.path} (which has {', '.join(names[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''})"


def _check_ends(source: Source, *, kept: NDArray[np.int64], placed: NDArray[np.int64]) -> None:
    if source.sizes is None:
        return
    table = source.regions
    sizes = np.array([source.sizes[name] for name in source.names.known], np.int64)
    beyond = table.end[kept] > sizes[placed[kept]]
    if beyond.any():
        first = int(kept[beyond.argmax()])
        name, size = source.names.known[placed[first]], sizes[placed[first]]
        problem = (
            f"end {table.end[first]} lies beyond the end of '{name}', which has {size} nucleotides in {source.path}"
        )
        raise InputError(table.path, int(table.line[first]), problem)
