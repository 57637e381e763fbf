"""Tables of variants, and lists of substitutions of one parent sequence."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bindtune.errors import InputError
from bindtune.io.intervals import read_position
from bindtune.io.text import name_problem, numbered_lines
from bindtune.io.vcf import VariantRecord, check_alleles
from bindtune.runs.cells import read_cell

_COLUMNS = ("chrom", "pos", "ref", "alt")
_SUBSTITUTION = re.compile(r"([A-Z])([1-9][0-9]*)([A-WYZ])")
_DNA_LETTERS = {ord("U"): "T"}
_MOST_DIGITS = 9  # of a position: no sequence has that many letters


class Substituted(NamedTuple):
    """A variant of a parent sequence.

    Args:
        line: 1-based.
        text: how the variant is written.
        sequence: with the substitutions.
    """

    line: int
    text: str
    sequence: str


def read_variant_table(path: Path) -> Iterator[VariantRecord]:
    """Read a table with the columns chrom, pos (1-based), ref and alt, one variant in each line.

    With a header the columns may stand in any order, among others; without one they are the first four. Tabs part
    columns, or blanks where a line has no tab. Lines that begin with `#` are passed over, apart from a header `#chrom`.

    Raises:
        InputError: names the first line that is not as expected.
    """
    places: dict[str, int] | None = None
    empty = True
    for line, text in numbered_lines(path):
        if not text or text.isspace():
            continue
        cells = text.split("\t") if "\t" in text else text.split()
        if places is None and cells[0].lstrip("#").lower() in (*_COLUMNS, "chromosome"):
            places = _header(path, line, cells)
            continue
        if text.startswith("#"):
            continue
        places = places or {name: column for column, name in enumerate(_COLUMNS)}
        if len(cells) <= max(places.values()):
            expected = ", ".join(_COLUMNS)
            raise InputError(
                path, line, f"expected the columns {expected}, separated by tabs or blanks, found {len(cells)} columns"
            )
        chrom, pos, ref, alt = (cells[places[name]].strip() for name in _COLUMNS)
        if problem := "chrom is empty" if not chrom else name_problem(chrom):
            raise InputError(path, line, problem)
        position = read_position(path, line, name="pos", text=pos)
        alts = tuple(alt.split(","))
        check_alleles(path, line, ref=ref, alts=alts)
        empty = False
        yield VariantRecord(line, read_cell(chrom), position, ref, alts)
    if empty:
        raise InputError(path, None, "holds no variant")


def _header(path: Path, line: int, cells: list[str]) -> dict[str, int]:
    names = [cell.lstrip("#").strip().lower() for cell in cells]
    names = ["chrom" if name == "chromosome" else name for name in names]
    missing = [name for name in _COLUMNS if name not in names]
    if missing:
        raise InputError(path, line, f"the header has no column {', '.join(missing)}, expected {', '.join(_COLUMNS)}")
    twice = [name for name in _COLUMNS if names.count(name) > 1]
    if twice:
        raise InputError(path, line, f"the header has two columns {twice[0]}")
    return {name: names.index(name) for name in _COLUMNS}


def read_substitutions(path: Path, *, parent: str, unit: str) -> Iterator[Substituted]:
    """Read variants of a parent, one in each line: ``A24G``, or several substitutions as ``A24G:K7R``.

    Lines that begin with ``#`` are comments. U of a nucleotide is T.

    Args:
        path: the file.
        parent: its sequence, upper case.
        unit: what a letter stands for, for messages: "residue" or "nucleotide".

    Raises:
        InputError: names the first line that is no variant of this parent.
    """
    empty = True
    for line, raw in numbered_lines(path):
        text = raw.strip()
        if not text or text.startswith("#"):
            continue
        empty = False
        letters, places = list(parent), set[int]()
        for part in text.split(":"):
            match = _SUBSTITUTION.fullmatch(part)
            if match is None:
                raise InputError(path, line, f"'{part[:40]}', expected a substitution such as A24G")
            old, new = (
                letter.translate(_DNA_LETTERS) if unit == "nucleotide" else letter for letter in match.group(1, 3)
            )
            position = int(match[2][:_MOST_DIGITS])
            if position > len(parent):
                raise InputError(path, line, f"'{part[:40]}': the parent has {len(parent)} {unit}s")
            if position in places:
                raise InputError(path, line, f"'{text[:40]}': {unit} {position} is substituted twice")
            places.add(position)
            if parent[position - 1] != old:
                raise InputError(path, line, f"'{part}': {unit} {position} of the parent is {parent[position - 1]}")
            letters[position - 1] = new
        yield Substituted(line, text, "".join(letters))
    if empty:
        raise InputError(path, None, "holds no variant")
