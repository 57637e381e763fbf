"""Out-of-fold predictions of a binding run as columns, read from the Parquet files of its folder."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bindtune.errors import InputError, library_text
from bindtune.regions import LONGEST_SEQUENCE
from bindtune.runs.names import OUT_OF_FOLD, in_folds
from bindtune.runs.parquet import count_rows, read_batches

COLUMNS = ("protein", "position", "residue", "ion", "label", "probability", "fold")
_MOST_FOLDS = 1000
_NAMES = ("protein", "residue", "ion")


@dataclass(frozen=True)
class OutOfFold:
    """R predictions of residues that the model did not train on.

    Args:
        proteins: names; `protein` counts in them.
        ions: names; `ion` counts in them.
        residues: letters; `residue` counts in them.
        protein: (R,).
        position: (R,), the first residue of a protein is 1.
        residue: (R,).
        ion: (R,).
        label: (R,), 1 binds, 0 does not.
        probability: (R,).
        fold: (R,), the fold that held the protein out.

    Numbers have the fewest bytes that hold them: there may be ten million rows.
    """

    proteins: tuple[str, ...]
    ions: tuple[str, ...]
    residues: tuple[str, ...]
    protein: NDArray[np.integer]
    position: NDArray[np.integer]
    residue: NDArray[np.integer]
    ion: NDArray[np.integer]
    label: NDArray[np.int8]
    probability: NDArray[np.floating]
    fold: NDArray[np.integer]

    def __len__(self) -> int:
        return len(self.label)

    def of(self, ion: str) -> "OutOfFold":
        """The rows of one ion; none where it has none. Rows that stand together are not copied."""
        number = self.ions.index(ion) if ion in self.ions else -1
        own = np.flatnonzero(self.ion == number)
        together = len(own) > 0 and own[-1] - own[0] + 1 == len(own)
        return self.take(slice(own[0], own[-1] + 1) if together else own)

    def take(self, chosen: NDArray[Any] | slice) -> "OutOfFold":
        """Some of the rows, by mask, by index or by slice."""
        if not isinstance(chosen, slice) and chosen.dtype == np.bool_:
            chosen = np.flatnonzero(chosen)  # looked up once for all columns
        columns = (*_NAMES, "position", "label", "probability", "fold")
        return OutOfFold(
            self.proteins, self.ions, self.residues, **{name: getattr(self, name)[chosen] for name in columns}
        )

    def of_protein(self, number: int) -> "OutOfFold":
        """The rows of one protein, sorted by position."""
        own = np.flatnonzero(self.protein == number)
        return self.take(own[np.argsort(self.position[own], kind="stable")])

    def count_proteins(self) -> int:
        """How many proteins have rows."""
        return int(np.count_nonzero(np.bincount(self.protein)))

    def fold_numbers(self) -> list[int]:
        """The folds that have rows, in order."""
        return np.flatnonzero(np.bincount(self.fold)).tolist()

    def letters(self) -> NDArray[np.bytes_]:
        """(R,) one-letter codes in ASCII, a byte each."""
        return np.array(self.residues, "S1")[self.residue] if len(self) else np.empty(0, "S1")


def read_out_of_fold(run: Path) -> OutOfFold | None:
    """The predictions of a run: oof.parquet, or those of the folds that are done; None where there are none.

    Rows come by ion, from the highest probability to the lowest: what is counted from the top needs no further sort.

    Raises:
        InputError: a file cannot be read, lacks a column or holds impossible values.
    """
    whole = run / OUT_OF_FOLD
    paths = [whole] if whole.is_file() else in_folds(run, OUT_OF_FOLD)
    if not paths:
        return None
    numbers: dict[str, dict[str, int]] = {name: {} for name in _NAMES}
    columns: dict[str, NDArray[Any]] = {}
    rows, start = sum(count_rows(path, COLUMNS) for path in paths), 0
    for table in (table for path in paths for table in _read_batches(path)):
        for name in COLUMNS:
            column = table[name].combine_chunks()
            values = _codes(column, numbers[name]) if name in _NAMES else column.to_numpy(zero_copy_only=False)
            values = values if name == "probability" else _narrow(values)
            columns[name] = _wide_enough(columns.get(name), rows, values.dtype)
            columns[name][start : start + len(table)] = values
        start += len(table)
    pa.default_memory_pool().release_unused()  # Arrow would keep what the batches took
    order = _by_ion_and_probability(columns["ion"], columns["probability"])
    for name in COLUMNS:
        columns[name] = columns[name][order]
    names = {name: tuple(numbers[name]) for name in _NAMES}
    return OutOfFold(names["protein"], names["ion"], names["residue"], **columns)


def _wide_enough(column: NDArray[Any] | None, rows: int, kind: Any) -> NDArray[Any]:
    """A column that holds values of a kind: a new one at first, the same, or a wider copy."""
    if column is None:
        return np.empty(rows, kind)
    return column.astype(np.result_type(column.dtype, kind), copy=False)


def _codes(column: pa.DictionaryArray, numbers: dict[str, int]) -> NDArray[Any]:
    """Numbers of names; new names get the next ones."""
    own = np.array([numbers.setdefault(name, len(numbers)) for name in column.dictionary.to_pylist()], np.int32)
    return own[column.indices.to_numpy(zero_copy_only=False)] if len(column) else np.empty(0, np.int32)


def _narrow(values: NDArray[Any]) -> NDArray[Any]:
    """Whole numbers in the fewest bytes that hold them."""
    ends = values.min(initial=0), values.max(initial=0)
    kinds = (np.int8, np.int16, np.int32)
    narrow = (kind for kind in kinds if np.iinfo(kind).min <= ends[0] and ends[1] <= np.iinfo(kind).max)
    return values.astype(next(narrow, np.int64))


def _by_ion_and_probability(ion: NDArray[Any], probability: NDArray[Any]) -> NDArray[Any]:
    """(R,) the order of the rows."""
    order = np.empty(len(ion), np.int32 if len(ion) <= np.iinfo(np.int32).max else np.int64)
    start = 0
    for number in range(int(ion.max(initial=-1)) + 1):
        rows = np.flatnonzero(ion == number)
        order[start : start + len(rows)] = rows[np.argsort(-probability[rows])]
        start += len(rows)
    return order


def read_table(path: Path) -> pa.Table:
    """One file of out-of-fold predictions, with the columns COLUMNS; names are dictionaries, numbers as in the file.

    Raises:
        InputError: it cannot be read, lacks a column or holds impossible values.
    """
    return pa.concat_tables(_read_batches(path)).unify_dictionaries()


def _read_batches(path: Path) -> Iterator[pa.Table]:
    return (_checked(table, path) for table in read_batches(path, COLUMNS))


def _checked(table: pa.Table, path: Path) -> pa.Table:
    """Some rows with the types that they should have.

    Raises:
        InputError: a column is missing or holds impossible values.
    """
    missing = [name for name in COLUMNS if name not in table.column_names]
    if missing:
        raise InputError(path, None, f"lacks the columns {', '.join(missing)}")
    try:
        table = pa.table({name: _typed(table[name], name) for name in COLUMNS})
    except pa.ArrowException as error:
        raise InputError(path, None, f"a column has the wrong type: {library_text(error)}") from error
    holes = [name for name in COLUMNS if table[name].null_count]
    if holes:
        raise InputError(path, None, f"has empty fields in {', '.join(holes)}")
    odd = [letter for letter in pc.unique(table["residue"]).to_pylist() if len(letter) != 1 or not letter.isascii()]
    if odd:
        raise InputError(path, None, f"has {odd[0]!r} in the place of a residue's letter")
    for name, (low, high) in {"position": (1, LONGEST_SEQUENCE), "fold": (0, _MOST_FOLDS)}.items():
        numbers = table[name].to_numpy()
        odd_numbers = numbers[(numbers < low) | (numbers > high)]
        if len(odd_numbers):
            raise InputError(path, None, f"{name}: expected numbers from {low} to {high:,}, found {odd_numbers[0]}")
    label, probability = table["label"].to_numpy(), table["probability"].to_numpy()
    if not ((label == 0) | (label == 1)).all():
        raise InputError(path, None, "has labels that are neither 0 nor 1")
    if not ((probability >= 0) & (probability <= 1)).all():
        raise InputError(path, None, "has probabilities outside 0 to 1")
    return table


_TEXT = pa.dictionary(pa.int32(), pa.string())
_WHOLE = (pa.int8(), pa.int16(), pa.int32(), pa.int64())


def _typed(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """A column with the type that its values have; narrow numbers stay narrow.

    Raises:
        pa.ArrowException: its values are of another kind.
    """
    if name in _NAMES:
        texts = column if column.type == _TEXT else column.cast(pa.string()).dictionary_encode()
        return texts.cast(_TEXT)
    if name == "label":
        return column.cast(pa.int8())
    if name == "probability":
        return column if column.type == pa.float32() else column.cast(pa.float64())
    return column if column.type in _WHOLE else column.cast(pa.int64())
