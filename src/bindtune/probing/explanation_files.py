"""The files of an explanation: parts while it is computed, then tables, motifs and tracks."""

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bindtune.data.dna.composition import LETTERS, letter_codes
from bindtune.data.dna.motifs import Motif, background
from bindtune.errors import InputError
from bindtune.io.intervals import STRAND_LETTERS
from bindtune.io.meme import MemeMotif, meme_text
from bindtune.io.tracks import Track, mean_track, write_bedgraph, write_bigwigs
from bindtune.probing.binding_model import NEW
from bindtune.probing.explained import Explained
from bindtune.probing.run_folder import write_table
from bindtune.runs.cells import tsv_name
from bindtune.runs.names import (
    BIGWIGS,
    CONFIG,
    EXPLAINED_LETTERS,
    EXPLAINED_SEQUENCES,
    MOTIF_SITES,
    MOTIFS,
    PARTS,
    PROVENANCE,
    REPORT,
    SUMMARY,
    TRACKS,
)
from bindtune.runs.parquet import read_parquet
from bindtune.runs.writing import atomic_stream, write_text

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_PART_SCHEMA = pa.schema(
    [
        ("importance", pa.list_(pa.float64())),
        ("changes", pa.list_(pa.float64())),
        ("logit", pa.float64()),
        ("empty_logit", pa.float64()),
        ("gap", pa.float64()),
    ]
)
_STRAND_NAMES = {1: "plus", -1: "minus", 0: "no-strand"}


class Values(NamedTuple):
    """The values of one sequence by one model.

    Args:
        importance: (L,) of each letter; nan where there is none.
        changes: (L, 4) change of the logit by each substitution; None for gradients.
        logit: of the sequence.
        empty_logit: of the empty sequence, for gradients.
        gap: for gradients, the difference between the sum of the values and `logit` less `empty_logit`.
    """

    importance: Floats
    changes: Floats | None
    logit: float
    empty_logit: float | None
    gap: float | None


def clear(folder: Path) -> None:
    """Remove the files of an earlier explanation."""
    for name in (PARTS, TRACKS, BIGWIGS):
        if (folder / name).is_dir() and not (folder / name).is_symlink():
            shutil.rmtree(folder / name)
    files = (CONFIG, PROVENANCE, SUMMARY, REPORT, EXPLAINED_LETTERS, EXPLAINED_SEQUENCES, MOTIFS, MOTIF_SITES)
    for name in files:
        (folder / name).unlink(missing_ok=True)


def part_path(folder: Path, model: int, part: range) -> Path:
    """The file of some sequences and one model."""
    return folder / PARTS / f"{model}-{part.start}-{part.stop}.parquet"


def write_part(path: Path, values: Sequence[Values]) -> None:
    """Write values whole or not at all."""
    rows = [
        {
            "importance": own.importance.tolist(),
            "changes": None if own.changes is None else own.changes.ravel().tolist(),
            "logit": own.logit,
            "empty_logit": own.empty_logit,
            "gap": own.gap,
        }
        for own in values
    ]
    write_table(path, pa.Table.from_pylist(rows, _PART_SCHEMA))


def read_model(folder: Path, model: int, parts: Sequence[range]) -> Iterator[Values]:
    """The values of all sequences by one model, in their order.

    Raises:
        InputError: a file is damaged.
    """
    for part in parts:
        path = part_path(folder, model, part)
        table = read_parquet(path)
        if table.schema != _PART_SCHEMA or len(table) != len(part):
            raise InputError(path, None, f"does not hold {len(part)} sequences: delete it, and run the same command")
        for row in table.to_pylist():
            changes = None if row["changes"] is None else np.array(row["changes"], np.float64).reshape(-1, len(LETTERS))
            importance = np.array(row["importance"], np.float64)
            yield Values(importance, changes, row["logit"], row["empty_logit"], row["gap"])


def write_tables(
    folder: Path,
    sequences: Sequence[Explained],
    folds: Ints,
    *,
    values: Mapping[str, Iterable[Values]],
    mutated: bool,
) -> None:
    """Write a table with a row for each letter, and one with a row for each sequence, for all models.

    Args:
        folder: where.
        sequences: N.
        folds: (N,) fold of each sequence, NEW for sequences that are new to the probe.
        values: of N sequences, by model.
        mutated: whether there are changes by substitution; else there are sums of gradients.
    """
    location = ["sequence", "chrom", "start", "end", "strand"]
    changes = [f"change_{letter}" for letter in LETTERS] if mutated else []
    sums = [] if mutated else ["empty_logit", "sum", "gap"]
    with (
        atomic_stream(folder / EXPLAINED_LETTERS) as letters,
        atomic_stream(folder / EXPLAINED_SEQUENCES) as whole,
    ):
        letters.write(_line(["model", location[0], "position", "letter", *location[1:], "importance", *changes]))
        whole.write(_line(["model", *location, "length", "fold", "logit", *sums]))
        for model, rows in values.items():
            for each, fold, own in zip(sequences, folds.tolist(), rows, strict=True):
                names = [tsv_name(model), tsv_name(each.name)]
                totals = [] if mutated else [own.empty_logit, float(np.nansum(own.importance)), own.gap]
                shown_fold = "mean" if fold == NEW else str(fold)
                cells = [*names, *_location_cells(each, 0, len(each.sequence)), str(len(each.sequence)), shown_fold]
                whole.write(_line([*cells, _number(own.logit), *map(_number, totals)]))
                letters.writelines(_letter_lines(names, each, own))


def _letter_lines(names: Sequence[str], each: Explained, own: Values) -> Iterator[bytes]:
    importance = own.importance.tolist()
    changes = None if own.changes is None else own.changes.tolist()
    for position, (letter, value) in enumerate(zip(each.sequence, importance, strict=True)):
        tried = [] if changes is None else map(_number, changes[position])
        location = _location_cells(each, position, position + 1)
        yield _line([*names, str(position + 1), letter, *location, _number(value), *tried])


def _location_cells(each: Explained, first: int, last: int) -> list[str]:
    """Chromosome, start, end and strand of some letters of a sequence."""
    if each.location is None:
        return ["", "", "", ""]
    start, end = first, last
    if each.location.strand < 0:
        start, end = len(each.sequence) - last, len(each.sequence) - first
    own = each.location
    return [tsv_name(own.chrom), str(own.start + start), str(own.start + end), STRAND_LETTERS[own.strand]]


def _number(value: float | None) -> str:
    return "" if value is None or np.isnan(value) else f"{value:.6g}"


def _line(cells: Iterable[str]) -> bytes:
    return ("\t".join(cells) + "\n").encode()


def write_motifs(folder: Path, sequences: Sequence[Explained], motifs: Mapping[str, Sequence[Motif]]) -> None:
    """Write motifs as MEME text, and a table of their places.

    Args:
        folder: where.
        sequences: N.
        motifs: by model.
    """
    named = [(model, number, motif) for model, own in motifs.items() for number, motif in enumerate(own, start=1)]
    shares = background([letter_codes(each.sequence) for each in sequences])
    listed = [MemeMotif(f"{model}.{number} {motif.consensus}", motif.counts) for model, number, motif in named]
    write_text(folder / MOTIFS, meme_text(listed, shares))
    with atomic_stream(folder / MOTIF_SITES) as stream:
        heads = ["model", "motif", "consensus", "sequence", "position", "letters", "value"]
        stream.write(_line([*heads, "chrom", "start", "end", "strand"]))
        for model, number, motif in named:
            length = len(motif.counts)
            for site in motif.sites:
                each, last = sequences[site.row], site.start + length
                cells = [tsv_name(model), str(number), motif.consensus, tsv_name(each.name), str(site.start + 1)]
                cells += [each.sequence[site.start : last], _number(site.value)]
                stream.write(_line([*cells, *_location_cells(each, site.start, last)]))


class Tracks:
    """Values along chromosomes, a file for each model and strand.

    Args:
        sequences: N; those without a place have no part in the tracks.
        sizes: lengths of chromosomes, where there is a genome.
    """

    def __init__(self, sequences: Sequence[Explained], sizes: Mapping[str, int] | None) -> None:
        self._sequences, self._sizes = sequences, sizes
        self._names = sorted({each.location.chrom for each in sequences if each.location is not None})
        self._tracks: dict[str, tuple[str, Track]] = {}

    def add(self, number: int, model: str, values: Sequence[Floats]) -> None:
        """Add a model.

        Args:
            number: of the model; it makes names of files unique.
            model: its name.
            values: (L,) for each of the N sequences.
        """
        code = {name: index for index, name in enumerate(self._names)}
        for strand, strand_name in _STRAND_NAMES.items():
            chrom, position, value = list[Ints](), list[Ints](), list[Floats]()
            for each, own in zip(self._sequences, values, strict=True):
                if each.location is not None and each.location.strand == strand:
                    chrom.append(np.full(len(own), code[each.location.chrom], np.int64))
                    position.append(np.arange(each.location.start, each.location.end))
                    value.append(own[::-1] if strand < 0 else own)
            if chrom:
                places = np.concatenate(chrom), np.concatenate(position)
                track = mean_track(self._names, *places, np.concatenate(value))
                safe = re.sub(r"[^A-Za-z0-9-]+", "_", model)[:60]
                self._tracks[f"{number + 1}-{safe}.{strand_name}"] = f"{model} {strand_name}", track

    def write(self, folder: Path, *, bigwig: bool) -> None:
        """Write the tracks as bedGraph and, on request, as bigWig."""
        for name, (title, track) in self._tracks.items():
            write_bedgraph(folder / TRACKS / f"{name}.bedGraph", track, name=title)
        if bigwig and self._sizes is not None:
            tracks = {name: track for name, (_, track) in self._tracks.items() if len(track.value)}
            write_bigwigs(folder / BIGWIGS, tracks, sizes=self._sizes)
