"""Tables of predictions: a Parquet part for each shard, joined into one table, TSV and calls at the end."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bindtune.data.protein.alignments import AlignmentCounts
from bindtune.inference.ensemble_scores import NamedSequence, Scores
from bindtune.runs.cells import tsv_name
from bindtune.runs.names import PREDICTIONS, PREDICTIONS_TSV, calls_file
from bindtune.runs.parquet import read_parquet
from bindtune.runs.prediction_table import COLUMNS, SCHEMA, by_protein, checked_rows, read_shards
from bindtune.runs.writing import atomic_path, atomic_stream


@dataclass
class PredictionCounts:
    """Counts of a prediction; `alignments` is None if no alignments were read."""

    proteins: int = 0
    residues: int = 0
    called_residues: dict[str, int] = field(default_factory=dict)
    called_proteins: dict[str, int] = field(default_factory=dict)
    alignments: AlignmentCounts | None = None

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> "PredictionCounts":
        """The counts from the document of `dataclasses.asdict`.

        Raises:
            TypeError: the document holds anything else.
        """
        aligned = document.get("alignments")
        return cls(**{**document, "alignments": None if aligned is None else AlignmentCounts(**aligned)})


def write_part(
    path: Path,
    proteins: Sequence[NamedSequence],
    scores: Scores,
    *,
    ions: Sequence[str],
    thresholds: Mapping[str, float],
    about: Mapping[str, str],
) -> None:
    """Write the table of a shard: by protein in the order given, by ion, by position.

    Args:
        path: Parquet file.
        proteins: of the shard.
        scores: (R, K) of the table.
        ions: K.
        thresholds: by ion, if it has one; residues with at least this probability are called.
        about: metadata of the file.
    """
    schema = SCHEMA.with_metadata({"position": "1-based", **about})
    lengths = np.array([len(protein.sequence) for protein in proteins])
    count = len(ions)
    # Rows run by protein, ion, position: row r of the table is residue `residue[r]` of all and ion `ion[r]`.
    protein = np.repeat(np.arange(len(proteins)), lengths * count)
    first = np.repeat(np.cumsum(lengths) - lengths, lengths * count)
    within = np.arange(len(protein)) - np.repeat((np.cumsum(lengths) - lengths) * count, lengths * count)
    length = np.repeat(lengths, lengths * count)
    ion, position = within // length, within % length
    residue = first + position
    probability = scores.mean[residue, ion].astype(np.float32)
    letters = np.frombuffer("".join(each.sequence for each in proteins).encode("ascii"), np.uint8)[residue]
    cuts = np.array([thresholds.get(name, np.nan) for name in ions])[ion]
    columns = {
        "protein": _named(protein, [each.name for each in proteins]),
        "position": pa.array((position + 1).astype(np.int32)),
        "residue": _named(letters, [chr(code) for code in range(128)]),
        "ion": _named(ion, list(ions)),
        "probability": pa.array(probability),
        "spread": pa.array(scores.spread[residue, ion].astype(np.float32)),
        "call": pa.array((probability >= cuts).astype(np.int8), mask=np.isnan(cuts)),
    }
    with atomic_stream(path) as stream:
        pq.write_table(pa.table(columns, schema=schema), stream)


def join_parts(parts: Iterable[Path], folder: Path) -> None:
    """Write `predictions.parquet` from the tables of all shards, in order; one part is in memory at a time."""
    writer: Any = None
    with ExitStack() as files:
        table = files.enter_context(atomic_stream(folder / PREDICTIONS))
        for part in parts:
            rows = checked_rows(read_parquet(part), part)
            if writer is None:
                writer = files.enter_context(pq.ParquetWriter(table, rows.schema))
            writer.write_table(rows, row_group_size=max(len(rows), 1))  # a protein lies in one


def write_texts(folder: Path, *, ions: Sequence[str], tsv: bool, called: Sequence[str]) -> PredictionCounts:
    """Write the files that are made from `predictions.parquet`; one shard is in memory at a time.

    These are `predictions.tsv` on request, and `calls_ION.fa` for each ion with a threshold: name, sequence, and 1 for
    each called residue, 0 for the others.

    Args:
        folder: holds the table.
        ions: K, as in the table.
        tsv: whether to write the TSV table.
        called: the ions with a threshold.

    Raises:
        InputError: the table is missing, damaged or of another kind.
    """
    counts = PredictionCounts(called_residues=dict.fromkeys(called, 0), called_proteins=dict.fromkeys(called, 0))
    with ExitStack() as files:
        text = _opened(files, folder / PREDICTIONS_TSV) if tsv else None
        calls = {ion: _opened(files, folder / calls_file(ion)) for ion in called}
        if text is not None:
            text.write("\t".join(COLUMNS) + "\n")
        for rows in read_shards(folder / PREDICTIONS):
            if text is not None:
                _write_text(rows, text)
            for predicted in by_protein(rows):
                if predicted.ion == ions[0]:
                    counts.proteins += 1
                    counts.residues += len(predicted.sequence)
                if predicted.call is not None:
                    sites = int(predicted.call.sum())
                    counts.called_residues[predicted.ion] += sites
                    counts.called_proteins[predicted.ion] += sites > 0
                    marks = (predicted.call + ord("0")).astype(np.uint8).tobytes().decode()
                    calls[predicted.ion].write(f">{predicted.protein}\n{predicted.sequence}\n{marks}\n")
    return counts


def _write_text(rows: pa.Table, text: IO[str]) -> None:
    """Rows as text: numbers with as many digits as they need to be read back, nothing for no call.

    A protein's name is written as `tsv_name` does; those of ions begin with a letter or a digit.
    """
    names = rows["protein"].combine_chunks().dictionary_encode()
    cells = pa.array([tsv_name(name) for name in names.dictionary.to_pylist()], pa.string())
    proteins = pa.DictionaryArray.from_arrays(names.indices, cells).cast(pa.string())
    columns = [proteins, *(rows[name].combine_chunks().cast(pa.string()) for name in COLUMNS[1:])]
    lines = pc.binary_join_element_wise(*columns, "\t", null_handling="replace", null_replacement="")
    text.write("\n".join([*lines.to_pylist(), ""]))


def _opened(files: ExitStack, path: Path) -> IO[str]:
    """A file that gets its name when the block ends."""
    temporary = files.enter_context(atomic_path(path))
    return files.enter_context(temporary.open("w", encoding="utf-8"))


def _named(codes: NDArray[Any], names: Sequence[str]) -> pa.Array:
    """A column of strings from their codes."""
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(names)).cast(pa.string())
