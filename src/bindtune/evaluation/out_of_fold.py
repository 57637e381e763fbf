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
from bindtune.io.parquet import read_parquet
from bindtune.io.text import LONGEST_LINE

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
    """

    proteins: tuple[str, ...]
    ions: tuple[str, ...]
    residues: tuple[str, ...]
    protein: NDArray[np.int32]
    position: NDArray[np.int64]
    residue: NDArray[np.int32]
    ion: NDArray[np.int32]
    label: NDArray[np.int8]
    probability: NDArray[np.float64]
    fold: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.label)

    def of(self, ion: str) -> "OutOfFold":
        """The rows of one ion; none where it has none."""
        number = self.ions.index(ion) if ion in self.ions else -1
        return self.take(self.ion == number)

    def take(self, chosen: NDArray[Any]) -> "OutOfFold":
        """Some of the rows, by mask or by index."""
        columns = (*_NAMES, "position", "label", "probability", "fold")
        return OutOfFold(
            self.proteins, self.ions, self.residues, **{name: getattr(self, name)[chosen] for name in columns}
        )

    def by_protein(self) -> Iterator["OutOfFold"]:
        """The rows of each protein, sorted by position."""
        rows = self.take(np.lexsort((self.position, self.protein)))
        if not len(rows):
            return
        ends = np.flatnonzero(np.diff(rows.protein)) + 1
        for chosen in np.split(np.arange(len(rows)), ends):
            yield rows.take(chosen)

    def letters(self) -> NDArray[np.str_]:
        """(R,) one-letter codes."""
        return np.array(self.residues)[self.residue] if len(self) else np.empty(0, "U1")


def read_out_of_fold(run: Path) -> OutOfFold | None:
    """The predictions of a run: oof.parquet, or those of the folds that are done; None where there are none.

    Raises:
        InputError: a file cannot be read, lacks a column or holds impossible values.
    """
    whole = run / "oof.parquet"
    paths = [whole] if whole.is_file() else sorted(run.glob("fold_*/oof.parquet"))
    tables = [read_table(path) for path in paths]
    if not tables:
        return None
    table = pa.concat_tables(tables).combine_chunks()
    coded = {name: pc.dictionary_encode(table[name]).combine_chunks() for name in _NAMES}
    names: dict[str, tuple[str, ...]] = {name: tuple(coded[name].dictionary.to_pylist()) for name in _NAMES}
    codes = {name: coded[name].indices.to_numpy(zero_copy_only=False) for name in _NAMES}
    numbers = {name: table[name].to_numpy() for name in ("position", "label", "probability", "fold")}
    return OutOfFold(names["protein"], names["ion"], names["residue"], **codes, **numbers)


def read_table(path: Path) -> pa.Table:
    """One file of out-of-fold predictions, with the columns COLUMNS.

    Raises:
        InputError: it cannot be read, lacks a column or holds impossible values.
    """
    table = read_parquet(path, COLUMNS)
    missing = [name for name in COLUMNS if name not in table.column_names]
    if missing:
        raise InputError(path, None, f"lacks the columns {', '.join(missing)}")
    kinds = {name: pa.string() for name in _NAMES} | {"position": pa.int64(), "label": pa.int8()}
    kinds |= {"probability": pa.float64(), "fold": pa.int64()}
    try:
        table = pa.table({name: table[name].cast(kinds[name]) for name in COLUMNS})
    except pa.ArrowException as error:
        raise InputError(path, None, f"a column has the wrong type: {library_text(error)}") from error
    holes = [name for name in COLUMNS if table[name].null_count]
    if holes:
        raise InputError(path, None, f"has empty fields in {', '.join(holes)}")
    odd = [letter for letter in pc.unique(table["residue"]).to_pylist() if len(letter) != 1 or not letter.isascii()]
    if odd:
        raise InputError(path, None, f"has {odd[0]!r} in the place of a residue's letter")
    for name, (low, high) in {"position": (1, LONGEST_LINE), "fold": (0, _MOST_FOLDS)}.items():
        numbers = table[name].to_numpy()
        odd_numbers = numbers[(numbers < low) | (numbers > high)]
        if len(odd_numbers):
            raise InputError(path, None, f"{name}: expected numbers from {low} to {high:,}, found {odd_numbers[0]}")
    label, probability = table["label"].to_numpy(), table["probability"].to_numpy()
    if not np.isin(label, (0, 1)).all():
        raise InputError(path, None, "has labels that are neither 0 nor 1")
    if not ((probability >= 0) & (probability <= 1)).all():
        raise InputError(path, None, "has probabilities outside 0 to 1")
    return table
