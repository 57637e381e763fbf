"""Read BioLiP's annotation file: each line has one interaction of a protein chain with a ligand, in columns.

Tabs separate the columns. https://zhanggroup.org/BioLiP/download/readme.txt describes them: 21, or 20 in older releases
without the ligand's residue number.
"""

import re
from collections.abc import Container, Iterator
from pathlib import Path
from typing import NamedTuple

from bindtune.errors import Problems
from bindtune.io.text import ODD_LETTER, name_problem, numbered_lines

_WIDTHS = (20, 21)
_RESIDUE = re.compile(r"([A-Za-z])(-?[0-9]+[A-Za-z]?)")
_MOST_DIGITS = 7


class SiteResidue(NamedTuple):
    """A residue of a site.

    Args:
        letter: its amino acid.
        number: the author's residue number.
        position: position in the receptor's sequence, from 1.
    """

    letter: str
    number: str
    position: int


class AnnotatedSite(NamedTuple):
    """A ligand and the residues of one chain that bind it.

    Args:
        line: 1-based line.
        structure: PDB entry.
        chain: chain of the receptor.
        resolution: in angstroms, or None.
        component: code of the ligand.
        ligand_chain: chain of the ligand.
        ligand_number: the author's residue number of the ligand; its serial number in older releases.
        residues: residues that bind the ligand.
        sequence: sequence of the receptor's residues with coordinates.
    """

    line: int
    structure: str
    chain: str
    resolution: float | None
    component: str
    ligand_chain: str
    ligand_number: str
    residues: tuple[SiteResidue, ...]
    sequence: str


def read_biolip(path: Path, components: Container[str]) -> Iterator[AnnotatedSite]:
    """Yield the sites of some ligands; in lines of other ligands only the number of columns is checked.

    Args:
        path: the file, plain or gzipped.
        components: codes of the ligands.

    Raises:
        InputError: lists the lines with a wrong number of columns, a residue that differs from the sequence, or an
            impossible value.
    """
    problems = Problems(path)
    lines = 0
    for number, line in numbered_lines(path):
        if not line.strip():
            continue
        lines += 1
        cells = line.split("\t")
        if len(cells) not in _WIDTHS:
            problems.add(number, f"expected 20 or 21 columns parted by tabs, found {len(cells)}")
        elif cells[4].strip() in components:
            try:
                site = _site(number, [cell.strip() for cell in cells])
            except ValueError as error:
                problems.add(number, str(error))
            else:
                yield site
    if not lines:
        problems.add(None, "holds no site")
    problems.raise_any()


def _site(line: int, cells: list[str]) -> AnnotatedSite:
    """The site of a line.

    Raises:
        ValueError: a value of the line is wrong.
    """
    structure, chain, resolution = cells[:3]
    sequence = cells[-1].upper()
    for name in (structure, chain, cells[5]):
        if problem := name_problem(name):
            raise ValueError(problem)
    if not re.fullmatch(r"[0-9A-Za-z_]{4,12}", structure):
        raise ValueError(f"column 1: expected an entry of the PDB, found {structure[:40]!r}")
    if not sequence or ODD_LETTER.search(sequence):
        raise ValueError(f"column {len(cells)}: expected a sequence of letters, found {sequence[:40]!r}")
    authors, positions = _residues(cells[7], column=8), _residues(cells[8], column=9)
    if [letter for letter, _ in authors] != [letter for letter, _ in positions]:
        raise ValueError("columns 8 and 9 do not name the same residues")
    residues = []
    for (letter, number), (_, text) in zip(authors, positions, strict=True):
        position = int(text) if text.isdecimal() and len(text) <= _MOST_DIGITS else 0
        if not 0 < position <= len(sequence) or sequence[position - 1] != letter.upper():
            raise ValueError(f"column 9: {letter}{text} is not in the sequence of {len(sequence)} residues")
        residues.append(SiteResidue(letter.upper(), number, position))
    number = cells[19] if len(cells) == max(_WIDTHS) else cells[6]
    where = (line, structure.lower(), chain, _resolution(resolution))
    return AnnotatedSite(*where, cells[4], cells[5], number, tuple(residues), sequence)


def _residues(cell: str, *, column: int) -> list[tuple[str, str]]:
    residues = []
    for word in cell.split():
        parts = _RESIDUE.fullmatch(word)
        if parts is None:
            raise ValueError(f"column {column}: expected residues such as H94, found {word[:40]!r}")
        residues.append((parts[1], parts[2]))
    if not residues:
        raise ValueError(f"column {column} names no residue")
    return residues


def _resolution(cell: str) -> float | None:
    """The column's number; -1.00 means none."""
    try:
        value = float(cell)
    except ValueError as error:
        raise ValueError(f"column 3: expected a resolution, found {cell[:40]!r}") from error
    if not -1 <= value < 1000:
        raise ValueError(f"column 3: expected a resolution, found {cell[:40]!r}")
    return value if value > 0 else None
