"""Bound windows: one for each peak, or those of a FASTA file."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bindtune.config import ProbeConfig
from bindtune.data.dna.composition import odd_share
from bindtune.data.dna.negatives import Sites, windows_about
from bindtune.data.dna.peak_files import PeakFile, RowTally, read_peak_file
from bindtune.data.dna.peaks import PeakIndex, Peaks, merge
from bindtune.errors import InputError
from bindtune.io.genome import purify
from bindtune.io.proteins import read_proteins
from bindtune.io.region_fasta import header_region
from bindtune.probing.sources import Letters, readable

Ints = NDArray[np.int64]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Positives:
    """The P bound windows of one data set.

    Args:
        sites: P windows.
        sequences: P sequences.
        peaks: every peak of the data set, also weak ones; no negative lies near them.
        tally: counts of used and dropped peaks.
    """

    sites: Sites
    sequences: list[str]
    peaks: PeakIndex
    tally: RowTally


def positives_of(name: str, files: Sequence[Path], *, config: ProbeConfig, letters: Letters) -> Positives:
    """Windows around the peaks of one data set.

    Args:
        name: the data set, for messages.
        files: its peak files.
        config: the settings.
        letters: source of the sequences.

    Raises:
        InputError: a file is not what it should be, or no peak is left.
    """
    tally = RowTally()
    tables = [
        read_peak_file(
            path, kind=config.peak_format, floors=config.floors, columns=config.columns, genome=letters.path,
            names=letters.names, tally=tally, summits=config.centre == "summit",
        )
        for path in files
    ]  # fmt: skip
    strong = _joined([file.take(file.strong) for file in tables])
    everything = _joined([file.take(file.chrom >= 0) for file in tables])
    merged = merge(strong, distance=config.merge_distance, by_strand=True)
    tally.dropped["merged_into_another"] += len(strong) - len(merged)
    summit, strength = (np.concatenate(parts) for parts in zip(*map(_summits, tables), strict=True))
    start, end = windows_about(_centres(merged, strong, summit=summit, strength=strength), config.width)
    sites = Sites(merged.chrom.astype(np.int64), start, end, merged.strand.astype(np.int64))
    keep, sequences = readable(
        sites, letters, max_odd=config.max_n_fraction, odd_share=odd_share, dropped=tally.dropped
    )
    if not keep.any():
        reasons = ", ".join(f"{count} {reason}" for reason, count in tally.dropped.items() if count)
        problem = f"none of {sum(tally.read.values())} peaks of {name} gives a window ({reasons})"
        raise InputError(files[0], None, problem)
    return Positives(sites.take(keep), sequences, PeakIndex(everything), tally)


def _joined(parts: Sequence[Peaks]) -> Peaks:
    return Peaks(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("chrom", "start", "end", "strand"))
    )


def _summits(file: PeakFile) -> tuple[Ints, NDArray[np.float64]]:
    """The position of the summit of each strong peak, -1 for a peak without one; and the value that ranks peaks."""
    table, chosen = file.table, file.strong
    values = table.values
    strength = values.get("enrichment", values.get("score", np.zeros(len(table))))
    offset = np.nan_to_num(values.get("summit", np.full(len(table), -1.0)), nan=-1.0).astype(np.int64)
    wrong = chosen & (offset >= table.end - table.start)
    if wrong.any():
        first = int(wrong.argmax())
        length = int(table.end[first] - table.start[first])
        problem = f"the summit {offset[first]} lies outside of the peak, which has {length} nucleotides"
        raise InputError(table.path, int(table.line[first]), f"{problem}; --centre middle does without summits")
    summit = np.where(offset >= 0, table.start + offset, -1)
    return summit[chosen], np.nan_to_num(strength[chosen], nan=-np.inf)


def _centres(merged: Peaks, peaks: Peaks, *, summit: Ints, strength: NDArray[np.float64]) -> Ints:
    """(M,) the summit of the strongest peak in each joined peak, or the middle if no peak has a summit."""
    centre = (merged.start + merged.end) // 2
    member, owner = PeakIndex(merged).overlapping(peaks.chrom, starts=peaks.start, ends=peaks.end)
    good = (peaks.strand[member] == merged.strand[owner]) & (summit[member] >= 0)
    member, owner = member[good], owner[good]
    order = np.lexsort((-summit[member], strength[member]))  # the last of an owner wins
    centre[owner[order]] = summit[member[order]]
    return centre


@dataclass(frozen=True)
class GivenWindows:
    """Windows of the two FASTA files, bound ones first.

    Args:
        names: N, unique.
        sequences: N.
        bound: (N,) whether a window is bound.
        chroms: N names of chromosomes; empty where the headers give no coordinates.
        sites: N positions on the chromosomes, in the order of their names; None without coordinates.
        tally: counts of used and dropped records.
    """

    names: list[str]
    sequences: list[str]
    bound: NDArray[np.bool_]
    chroms: list[str]
    sites: Sites | None
    tally: RowTally = field(default_factory=RowTally)


def read_given(positives: Path, negatives: Path, *, max_n_fraction: float) -> GivenWindows:
    """Read bound and unbound windows from FASTA.

    Args:
        positives: bound windows.
        negatives: unbound ones.
        max_n_fraction: greatest share of letters other than A, C, G and T.

    Raises:
        InputError: a file is not FASTA of nucleotides, a name comes twice, or no window is left.
    """
    tally = RowTally()
    parts = [fasta_windows(path, max_n_fraction=max_n_fraction, tally=tally) for path in (positives, negatives)]
    clash = {record.name for record in parts[0]} & {record.name for record in parts[1]}
    before = ("positives/", "negatives/") if clash else ("", "")
    names = [start + record.name for start, part in zip(before, parts, strict=True) for record in part]
    rows = [record for part in parts for record in part]
    bound = np.repeat([True, False], [len(part) for part in parts])
    sequences, regions = [record.sequence for record in rows], [record.region for record in rows]
    located = [region for region in regions if region is not None]
    if len(located) < len(rows):
        if located:
            log.warning(
                "%d of %d headers give coordinates that fit their sequence: windows are grouped by similarity instead",
                len(located), len(rows),
            )  # fmt: skip
        return GivenWindows(names, sequences, bound, [], None, tally)
    chroms = [region[0] for region in located]
    number = {name: index for index, name in enumerate(sorted(set(chroms)))}
    columns = zip(*((number[chrom], *span, strand) for chrom, span, strand in located), strict=True)
    return GivenWindows(
        names, sequences, bound, chroms, Sites(*(np.array(column, np.int64) for column in columns)), tally
    )


class FastaWindow(NamedTuple):
    """A window of a FASTA file; its region is (chromosome, (start, end), strand), or None."""

    name: str
    sequence: str
    region: tuple[str, tuple[int, int], int] | None
    line: int


def fasta_windows(path: Path, *, max_n_fraction: float, tally: RowTally) -> list[FastaWindow]:
    """The records of a FASTA file that have few enough odd letters.

    Args:
        path: plain or gzipped.
        max_n_fraction: greatest share of letters other than A, C, G and T.
        tally: counts the records, and those left out by reason.

    Raises:
        InputError: it is not FASTA of nucleotides, or no record is left.
    """
    rows: list[FastaWindow] = []
    count = 0
    for count, record in enumerate(read_proteins(path), start=1):  # noqa: B007 (counted)
        try:
            sequence = purify(record.sequence.encode(), path=path, name=record.name, start=0).decode("ascii")
        except InputError as error:
            raise InputError(path, record.line, error.problem) from None
        region = header_region(path, record.line, header=record.name)
        if region is not None and region[1][1] - region[1][0] != len(sequence):
            region = None
        if odd_share(sequence) > max_n_fraction:
            tally.dropped["too_many_n"] += 1
        else:
            rows.append(FastaWindow(record.name, sequence, region, record.line))
    tally.read[str(path)] = count
    if not rows:
        raise InputError(path, None, f"no window is left of {count}: all have too many letters N")
    return rows
