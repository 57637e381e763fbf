"""Predictions of other tools: LMetalSite's CSV, GPSite's text, and tables with protein, position, ion and probability.

Formats: LMetalSite writes one line for each protein, with `ID`, `Sequence`, and `ZN_prob`, `ZN_pred`, ... as lists
(https://github.com/biomed-AI/LMetalSite). GPSite writes one file ID.txt for each protein, with `No.`, `AA`,
`ZN_binding`, ... (https://github.com/biomed-AI/GPSite); its scores are scaled so that 0.5 is its threshold. Both join
the first two parts of a name that `|` separates by `_`.
"""

import csv
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bindtune.errors import InputError
from bindtune.io.text import LONGEST_LINE, numbered_lines
from bindtune.runs.cells import read_cell
from bindtune.runs.parquet import read_batches

LMETALSITE, GPSITE = "lmetalsite", "gpsite"
COLUMNS = ("protein", "position", "ion", "probability")
_OPTIONAL = ("residue", "call")
_GPSITE_THRESHOLD = 0.5
_GPSITE_OVERVIEW = "overview.txt"
_UNKNOWN_LETTER = "X"
_SHOWN = 40
Key = tuple[str, str]
"""A protein and an ion."""
Where = tuple[Path, int | None, str]
"""A file, a line or record, and what is counted."""


@dataclass
class ToolPredictions:
    """What a tool predicts for proteins that are also predicted by others.

    Args:
        name: of the tool.
        path: its file or folder.
        probability: (L,) by protein and ion; nan where the tool says nothing.
        call: (L,) 1 or 0, -1 where the tool says nothing; by protein and ion, for those with calls.
        line: where each protein and ion is first named, for messages; None for a row of Parquet.
        other_proteins: proteins of the file that were not asked for.
        other_ions: ions of the file that were not asked for.
    """

    name: str
    path: Path
    probability: dict[Key, NDArray[np.float32]] = field(default_factory=dict)
    call: dict[Key, NDArray[np.int8]] = field(default_factory=dict)
    line: dict[Key, int | None] = field(default_factory=dict)
    other_proteins: set[str] = field(default_factory=set)
    other_ions: set[str] = field(default_factory=set)

    def proteins(self, ion: str) -> set[str]:
        """The proteins that are predicted for an ion."""
        return {protein for protein, own in self.probability if own == ion}


class _Row(NamedTuple):
    """One residue for one ion; `residue` and `call` are None where they are not told."""

    where: Where
    protein: str
    position: int
    ion: str
    probability: float
    residue: str | None
    call: int | None


def read_tool_predictions(
    name: str, path: Path, *, proteins: Mapping[str, str], ions: Sequence[str], position_base: int = 1
) -> ToolPredictions:
    """Read what a tool predicts for some proteins.

    Args:
        name: of the tool. `lmetalsite` and `gpsite`, in any case, have their own formats; any other name stands for a
            table: CSV, TSV or Parquet with the columns protein, position, ion and probability, and where it has them
            residue and call.
        path: the file; for GPSite also the folder `pred`.
        proteins: sequences by name. X matches any letter.
        ions: that are compared.
        position_base: number of the first residue in a table.

    Raises:
        InputError: the file is malformed, a sequence or a position does not fit the protein, a residue comes twice, or
            no protein or no ion is one of those asked for.
    """
    predictions = ToolPredictions(name, path)
    sites = _Filling(predictions, proteins, ions, position_base if name.lower() not in (LMETALSITE, GPSITE) else 1)
    reader = {LMETALSITE: _lmetalsite, GPSITE: _gpsite}.get(name.lower(), _table)
    for row in reader(path, sites):
        sites.add(row)
    if not predictions.probability:
        listed = ", ".join(sorted(predictions.other_ions)[:5])
        if listed:
            raise InputError(path, None, f"has no ion of {', '.join(ions)}; it has {listed}")
        listed = ", ".join(sorted(predictions.other_proteins)[:3]) or "none"
        raise InputError(path, None, f"has none of the {len(proteins):,} proteins that are compared; it has {listed}")
    return predictions


class _Filling:
    """Puts rows into arrays, one for each protein and ion, and checks them."""

    def __init__(
        self, predictions: ToolPredictions, proteins: Mapping[str, str], ions: Sequence[str], position_base: int
    ) -> None:
        self._found, self._proteins, self._base = predictions, proteins, position_base
        self._ions = {ion.upper(): ion for ion in ions}
        short = Counter(_tool_name(name) for name in proteins)
        self._short = {_tool_name(name): name for name in proteins if short[_tool_name(name)] == 1}

    def protein(self, name: str) -> str | None:
        """The protein that a tool names; None where it is not asked for, which is noted."""
        own = name if name in self._proteins else self._short.get(name)
        if own is None:
            self._found.other_proteins.add(name)
        return own

    def ion(self, name: str) -> str | None:
        """The ion that a tool names; None where it is not asked for, which is noted."""
        own = self._ions.get(name.upper())
        if own is None:
            self._found.other_ions.add(name)
        return own

    def length(self, protein: str) -> int:
        """Residues of a protein."""
        return len(self._proteins[protein])

    def add(self, row: _Row) -> None:
        """Take a residue whose protein and ion are asked for."""
        sequence = self._proteins[row.protein]
        index, last = row.position - self._base, self._base + len(sequence) - 1
        if not 0 <= index < len(sequence):
            hint = ""
            if row.position == self._base - 1 or row.position == last + 1:
                hint = f"; --position-base {1 - self._base} reads positions from {1 - self._base}"
            raise _error(row.where, f"{row.protein!r}: position {row.position}, expected {self._base} to {last}{hint}")
        letter = sequence[index]
        if row.residue is not None and _UNKNOWN_LETTER not in (letter, row.residue) and row.residue != letter:
            raise _error(row.where, f"{row.protein!r}: residue {row.position} is {row.residue}, expected {letter}")
        key = (row.protein, row.ion)
        values = self._found.probability.get(key)
        if values is None:
            values = self._found.probability[key] = np.full(len(sequence), np.nan, np.float32)
            self._found.line[key] = row.where[1]
        if not math.isnan(values[index]):
            raise _error(row.where, f"{row.protein!r}: position {row.position} for {row.ion} comes twice")
        values[index] = row.probability
        if row.call is not None:
            if key not in self._found.call:
                self._found.call[key] = np.full(len(sequence), -1, np.int8)
            self._found.call[key][index] = row.call


def _table(path: Path, sites: _Filling) -> Iterator[_Row]:
    for where, cells in _parquet(path) if _is_parquet(path) else _text(path):
        protein, ion = sites.protein(_word(where, cells, "protein")), sites.ion(_word(where, cells, "ion"))
        position = _whole(where, "position", cells["position"])
        probability = _share(where, cells["probability"])
        if protein is None or ion is None:
            continue
        residue, call = cells.get("residue"), cells.get("call")
        yield _Row(
            where, protein, position, ion, probability,
            None if residue in (None, "") else str(residue).strip().upper(),
            None if call in (None, "") else _call(where, call),
        )  # fmt: skip


def _text(path: Path) -> Iterator[tuple[Where, dict[str, Any]]]:
    header: list[str] = []
    for where, cells in _lines(path, f"a table with the columns {', '.join(COLUMNS)}"):
        if header:
            yield where, dict(zip(header, cells, strict=True))
        else:
            header = [cell.strip().lower() for cell in cells]
            _check_columns(path, where[1], header, " ".join(cells))


def _lines(path: Path, expected: str) -> Iterator[tuple[Where, list[str]]]:
    """The header and the rows of a table between commas or tabs; every row has as many fields as the header."""
    width, delimiter = 0, ","
    for number, line in numbered_lines(path):
        if not line.strip():
            continue
        if not width:
            delimiter = "\t" if "\t" in line else ","
        cells = _cells(path, number, line, delimiter)
        width = width or len(cells)
        if len(cells) != width:
            raise InputError(path, number, f"{len(cells)} fields, expected {width} as in the header")
        yield (path, number, ""), cells
    if not width:
        raise InputError(path, None, f"is empty, expected {expected}")


def _check_columns(path: Path, number: int | None, names: Sequence[str], line: str = "") -> None:
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        content = f", found {line.strip()[:_SHOWN]!r}" if line else ""
        raise InputError(
            path, number, f"the header lacks {', '.join(missing)}: expected the columns {', '.join(COLUMNS)}{content}"
        )
    twice = [name for name in (*COLUMNS, *_OPTIONAL) if names.count(name) > 1]
    if twice:
        raise InputError(path, number, f"the header has two columns {twice[0]}")


def _is_parquet(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(4) == b"PAR1"
    except OSError:
        return False  # the reader of text says why


def _parquet(path: Path) -> Iterator[tuple[Where, dict[str, Any]]]:
    number = 0
    for table in read_batches(path, (*COLUMNS, *_OPTIONAL)):
        _check_columns(path, None, table.column_names)
        for row in table.to_pylist():
            number += 1
            where = (path, number, "record")
            if any(row[name] is None for name in COLUMNS):
                raise _error(where, "an empty field")
            yield where, row


def _lmetalsite(path: Path, sites: _Filling) -> Iterator[_Row]:
    header: list[str] = []
    columns: dict[str, tuple[int, int | None]] = {}
    lines: dict[str, int | None] = {}
    for where, cells in _lines(path, "LMetalSite's CSV, which begins with ID,Sequence"):
        if not header:
            header = [cell.strip() for cell in cells]
            columns = _lmetalsite_columns(path, where[1], header)
            continue
        name, sequence = (cells[header.index(column)].strip() for column in ("ID", "Sequence"))
        name = read_cell(name)
        if name in lines:
            raise _error(where, f"{name!r} comes twice, first in line {lines[name]}")
        lines[name] = where[1]
        protein = sites.protein(name)
        if protein is None:
            continue
        if len(sequence) != sites.length(protein):
            raise _error(where, f"{name!r} has {len(sequence)} residues, expected {sites.length(protein)}")
        for ion_name, places in columns.items():
            ion = sites.ion(ion_name)
            if ion is not None:
                yield from _lmetalsite_rows(where, cells, places, sequence.upper(), protein=protein, ion=ion)


def _lmetalsite_rows(
    where: Where, cells: Sequence[str], places: tuple[int, int | None], sequence: str, *, protein: str, ion: str
) -> Iterator[_Row]:
    probability_place, call_place = places
    values = _listed(where, cells[probability_place], len(sequence), f"{ion}_prob of {protein!r}")
    calls: list[int | None] = [None] * len(sequence)
    if call_place is not None:
        texts = _listed(where, cells[call_place], len(sequence), f"{ion}_pred of {protein!r}")
        calls = [_call(where, text) for text in texts]
    for index, (value, call) in enumerate(zip(values, calls, strict=True)):
        yield _Row(where, protein, index + 1, ion, _share(where, value), sequence[index], call)


def _lmetalsite_columns(path: Path, number: int | None, header: Sequence[str]) -> dict[str, tuple[int, int | None]]:
    """The columns of probabilities and calls, by ion."""
    columns = {
        name.removesuffix("_prob"): (
            column,
            header.index(f"{name.removesuffix('_prob')}_pred")
            if f"{name.removesuffix('_prob')}_pred" in header
            else None,
        )
        for column, name in enumerate(header)
        if name.endswith("_prob")
    }
    if "ID" not in header or "Sequence" not in header or not columns:
        shown = ",".join(header)[:_SHOWN]
        raise InputError(path, number, f"expected LMetalSite's header ID,Sequence,ZN_prob,..., found {shown!r}")
    return columns


def _listed(where: Where, cell: str, length: int, what: str) -> list[str]:
    values = cell.split(",")
    if len(values) != length:
        raise _error(where, f"{what}: {len(values)} numbers, expected {length}, one for each residue")
    return values


def _gpsite(path: Path, sites: _Filling) -> Iterator[_Row]:
    files = [path]
    if path.is_dir():
        files = sorted(each for each in path.glob("*.txt") if each.name != _GPSITE_OVERVIEW)
        if not files:
            raise InputError(path, None, "holds no ID.txt, expected GPSite's folder pred")
    elif not path.exists():
        raise InputError(path, None, "cannot be read: No such file or directory")
    for file in files:
        protein = sites.protein(file.stem)
        if protein is not None:
            yield from _gpsite_file(file, protein, sites)


def _gpsite_file(path: Path, protein: str, sites: _Filling) -> Iterator[_Row]:
    columns: dict[int, str] | None = None
    count = 0
    for where, cells in _lines(path, "GPSite's table of a protein"):
        if columns is None:
            if cells[:2] != ["No.", "AA"]:
                raise _error(where, f"expected GPSite's header No., AA, ..., found {' '.join(cells)[:_SHOWN]!r}")
            ions = {column: sites.ion(name.removesuffix("_binding")) for column, name in enumerate(cells) if column > 1}
            columns = {column: ion for column, ion in ions.items() if ion is not None}
            continue
        position, count = _whole(where, "No.", cells[0]), count + 1
        for column, ion in columns.items():
            value = _share(where, cells[column])
            yield _Row(where, protein, position, ion, value, cells[1].upper(), int(value > _GPSITE_THRESHOLD))
    if count != sites.length(protein):
        problem = f"{count} residues of {protein!r}, expected {sites.length(protein)}"
        raise InputError(path, None, f"{problem}: GPSite leaves out odd letters, and residues beyond 2,000")


def _cells(path: Path, number: int, line: str, delimiter: str) -> list[str]:
    before = csv.field_size_limit(LONGEST_LINE)  # lists of long proteins are one field
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise InputError(path, number, f"is not CSV: {error}") from error
    finally:
        csv.field_size_limit(before)


def _word(where: Where, cells: Mapping[str, Any], name: str) -> str:
    word = read_cell(str(cells[name]).strip())
    if not word:
        raise _error(where, f"{name} is empty")
    return word


def _whole(where: Where, name: str, value: Any) -> int:
    text = str(value).strip()
    if not text.isascii() or not text.removeprefix("-").isdigit() or len(text) > 10:
        raise _error(where, f"{name}: expected a whole number, found {text[:_SHOWN]!r}")
    return int(text)


def _share(where: Where, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number <= 1:
        raise _error(where, f"probability: expected a number from 0 to 1, found {str(value)[:_SHOWN]!r}")
    return number


def _call(where: Where, value: Any) -> int:
    text = str(value).strip().lower()
    if text not in ("0", "1", "0.0", "1.0", "true", "false"):
        raise _error(where, f"call: expected 0 or 1, found {text[:_SHOWN]!r}")
    return int(text in ("1", "1.0", "true"))


def _tool_name(name: str) -> str:
    """A name as LMetalSite and GPSite write it."""
    return "_".join(name.split("|")[:2])


def _error(where: Where, problem: str) -> InputError:
    path, number, unit = where
    return InputError(path, number, problem, unit=unit)
