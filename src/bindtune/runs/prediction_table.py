"""The table of predictions of `bindtune predict`: a row for each residue and ion, protein by protein."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bindtune.errors import InputError
from bindtune.runs.parquet import read_row_groups

SCHEMA = pa.schema(
    [
        ("protein", pa.string()),
        ("position", pa.int32()),
        ("residue", pa.string()),
        ("ion", pa.string()),
        ("probability", pa.float32()),
        ("spread", pa.float32()),
        ("call", pa.int8()),
    ]
)
COLUMNS = tuple(SCHEMA.names)


class Predicted(NamedTuple):
    """Predictions of a protein for one ion; L residues.

    Args:
        protein: its name.
        sequence: its residues.
        ion: the ion.
        probability: (L,).
        spread: (L,).
        call: (L,) 1 or 0; None without a threshold.
    """

    protein: str
    sequence: str
    ion: str
    probability: NDArray[np.float32]
    spread: NDArray[np.float32]
    call: NDArray[np.int8] | None


def read_predictions(path: Path) -> Iterator[Predicted]:
    """The predictions of a joined table, protein by protein and ion by ion; a shard is held at a time.

    Raises:
        InputError: the file is missing, damaged or of another kind.
    """
    for rows in read_shards(path):
        yield from by_protein(rows)


def read_shards(path: Path) -> Iterator[pa.Table]:
    """The rows of each shard of a joined table.

    Raises:
        InputError: the file is missing, damaged or of another kind.
    """
    return (checked_rows(rows, path) for rows in read_row_groups(path, "no table of predictions"))


def checked_rows(rows: pa.Table, path: Path) -> pa.Table:
    """The rows, if they are what `write_part` writes: positions from 1 up for each protein and ion.

    Raises:
        InputError: they are not.
    """
    if rows.schema.names != list(COLUMNS) or rows.schema.types != SCHEMA.types:
        raise InputError(path, None, f"no table of predictions: expected the columns {', '.join(COLUMNS)}")
    empty = [name for name in COLUMNS if name != "call" and rows[name].null_count]
    if empty:
        raise InputError(path, None, f"no table of predictions: empty fields in {', '.join(empty)}")
    position, length = rows["position"].to_numpy(), pc.binary_length(rows["residue"]).to_numpy()
    follows = np.diff(position, prepend=0) == 1
    if not (follows | (position == 1)).all() or (length != 1).any():
        raise InputError(path, None, "no table of predictions: positions and residues are not those of whole proteins")
    return rows


def by_protein(rows: pa.Table) -> Iterator[Predicted]:
    """Take a table apart; a protein's rows for an ion begin where the position is 1."""
    starts = np.flatnonzero(rows["position"].to_numpy() == 1)
    first = rows.take(pa.array(starts))
    names, ions = first["protein"].to_pylist(), first["ion"].to_pylist()
    letters = "".join(rows["residue"].to_pylist())
    probability, spread = rows["probability"].to_numpy(), rows["spread"].to_numpy()
    is_called = pc.is_valid(rows["call"]).to_numpy()
    call = pc.fill_null(rows["call"], 0).to_numpy()
    for name, ion, start, end in zip(names, ions, starts, [*starts, len(rows)][1:], strict=True):
        own = slice(int(start), int(end))
        calls = call[own] if is_called[start] else None
        yield Predicted(name, letters[own], ion, probability[own], spread[own], calls)
