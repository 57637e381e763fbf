"""Read labelled proteins in 3-line FASTA: `>id`, the sequence, and a label 0, 1 or ? for each residue.

`?` means that the label is unknown, for example because the residue has no coordinates.

Files may be gzipped, have CRLF endings, a byte order mark, lower-case residues and blank lines. The id is the header's
first word. Everything else is an error; one message lists all errors of a file.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bindtune.errors import Problems
from bindtune.io.text import ODD_LETTER, check_header_end, name_problem, numbered_lines

UNKNOWN = -1
"""The label of an unknown residue."""
_LABELS = re.compile(r"[01?]+")
_ODD_LABEL = re.compile(r"[^01?]")
_VALUES = np.full(128, UNKNOWN, np.int8)
_VALUES[[ord("0"), ord("1")]] = 0, 1
_SHOWN = 20


class LabelledProtein(NamedTuple):
    """A protein whose residues are labelled for one ion.

    Args:
        name: the first word of the header.
        sequence: L upper-case letters.
        labels: (L,) 1 if the residue binds, 0 if it does not, UNKNOWN (-1) if it is unknown.
        line: 1-based line of the header.
    """

    name: str
    sequence: str
    labels: NDArray[np.int8]
    line: int


class _Line(NamedTuple):
    number: int
    text: str


def read_labels(path: Path) -> list[LabelledProtein]:
    """Read a labelled FASTA file.

    An id may occur only once. A full repeat of a record is an error too, because it would count twice.

    Raises:
        InputError: lists malformed records with their lines: a missing or additional line, a header without an id, a
            residue other than A-Z, a label other than 0, 1 and ?, different numbers of labels and residues, or a
            repeated id.
    """
    problems = Problems(path)
    proteins: dict[str, LabelledProtein] = {}
    for lines in _records(path, problems):
        protein = _parse(lines, problems)
        if protein is None:
            continue
        first = proteins.setdefault(protein.name, protein)
        if first is not protein:
            problems.add(protein.line, _repeat(protein, first))
    if not proteins and not problems:
        problems.add(None, "holds no protein")
    problems.raise_any()
    return list(proteins.values())


def _records(path: Path, problems: Problems) -> Iterator[list[_Line]]:
    """Yield the three lines of each record; other records become problems, and reading goes on at the next header."""
    record: list[_Line] = []
    stray = False
    for number, line in numbered_lines(path):
        text = line.strip()
        if not text:
            continue
        if text.startswith(">"):
            check_header_end(path, number, text)
            _note_missing(record, problems, successor=f"the next header in line {number}")
            record, stray = [_Line(number, text)], False
        elif record:
            record.append(_Line(number, text))
            if len(record) == 3:
                yield record
                record = []
        elif not stray:
            stray = True
            problems.add(number, f"expected '>' and an id, found {text[:_SHOWN]!r}")
    _note_missing(record, problems, successor="the end of the file")


def _note_missing(record: list[_Line], problems: Problems, *, successor: str) -> None:
    if not record:
        return
    head = record[0]
    if len(record) == 1:
        missing = "the sequence and the label line are"
    elif _LABELS.fullmatch(record[1].text):
        missing = "the sequence is"
    else:
        missing = "the label line is"
    problems.add(head.number, f"{_id(head.text)!r}: {missing} missing, found {successor}")


def _parse(lines: list[_Line], problems: Problems) -> LabelledProtein | None:
    """The record, or None if it is malformed; its problems are added."""
    head, residues, labels = lines
    name, sound = _id(head.text), True
    if not name:
        problems.add(head.number, "the header holds no id")
        sound = False
    if problem := name_problem(name):
        problems.add(head.number, problem)
        sound = False
    for line, odd, expected in ((residues, ODD_LETTER, "A-Z"), (labels, _ODD_LABEL, "0, 1 or ?")):
        match = odd.search(line.text)
        if match is not None:
            kind = "residue" if line is residues else "label"
            where = f"{kind} {match.start() + 1} is {match.group()!r}, expected {expected}"
            problems.add(line.number, f"{name!r}: {where}")
            sound = False
    if len(residues.text) != len(labels.text):
        problems.add(labels.number, f"{name!r}: {len(labels.text)} labels for {len(residues.text)} residues")
        sound = False
    if not sound:
        return None
    values = _VALUES[np.frombuffer(labels.text.encode("ascii"), np.uint8)]
    return LabelledProtein(name, residues.text.upper(), values, head.number)


def _id(header: str) -> str:
    words = header[1:].split(maxsplit=1)
    return words[0] if words else ""


def _repeat(protein: LabelledProtein, first: LabelledProtein) -> str:
    if protein.sequence != first.sequence:
        how = "with another sequence"
    elif not np.array_equal(protein.labels, first.labels):
        how = "with other labels"
    else:
        how = "the same in full"
    return f"{protein.name!r} comes again, {how}; first in line {first.line}"
