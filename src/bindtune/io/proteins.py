"""Proteins from plain FASTA, one at a time."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bindtune.errors import InputError, Problems
from bindtune.io.text import LONGEST_LINE, ODD_LETTER, check_header_end, name_problem, numbered_lines

_SHOWN = 20


class Protein(NamedTuple):
    """A protein of a FASTA file.

    Args:
        name: the first word of the header.
        sequence: upper-case letters.
        line: 1-based line of the header.
    """

    name: str
    sequence: str
    line: int


def read_proteins(path: Path) -> Iterator[Protein]:
    """Read a FASTA file, gzipped or not; the path `-` is standard input.

    Lower case is read as upper case, wrapped sequences are joined, and a stop (`*`) at the very end is dropped. After
    the first problem no protein is yielded any more, and the file is read to its end to name every problem.

    Raises:
        InputError: lists each problem with its line: no header, a header without a name, a name that comes twice, no
            sequence, or a residue other than A-Z.
    """
    problems = Problems("standard input" if str(path) == "-" else path)
    names: dict[str, int] = {}
    for line, header, parts in _records(path, problems):
        name = _name(header)
        if not name:
            problems.add(line, "the header holds no name")
        elif problem := name_problem(name):
            problems.add(line, problem)
        elif name in names:
            problems.add(line, f"{name!r} comes twice, first in line {names[name]}")
        names.setdefault(name, line)
        sequence = _sequence(name, line, parts=parts, problems=problems)
        if not problems:
            yield Protein(name, sequence, line)
    if not names and not problems:
        problems.add(None, "holds no sequence")
    problems.raise_any()


def _records(path: Path, problems: Problems) -> Iterator[tuple[int, str, list[tuple[int, str]]]]:
    """Yield (line of the header, header, the sequence's lines with their numbers)."""
    header, first, parts, stray, size = "", 0, list[tuple[int, str]](), False, 0
    for number, raw in numbered_lines(path):
        text = raw.strip()
        if text.startswith(">"):
            if first:
                yield first, header, parts
            check_header_end(path, number, text)
            header, first, parts, size = text[1:], number, [], 0
        elif text and first:
            parts.append((number, text))
            size += len(text)
            if size > LONGEST_LINE:
                raise InputError(path, first, f"{_name(header)!r} has more than {LONGEST_LINE:,} residues")
        elif text and not stray:
            stray = True
            problems.add(number, f"expected '>' and a header, found {text[:_SHOWN]!r}")
    if first:
        yield first, header, parts


def _sequence(name: str, line: int, *, parts: list[tuple[int, str]], problems: Problems) -> str:
    """The lines as one upper-case sequence; what is wrong with them is noted."""
    if parts and parts[-1][1].endswith("*"):
        parts[-1] = (parts[-1][0], parts[-1][1][:-1])
    before = 0
    for number, text in parts:
        match = ODD_LETTER.search(text)
        if match is not None:
            problems.add(number, f"{name!r}: {match.group()!r} at residue {before + match.start() + 1}, expected A-Z")
        before += len(text)
    if not before:
        problems.add(line, f"{name!r} has no sequence")
    return "".join(text for _, text in parts).upper()


def _name(header: str) -> str:
    words = header.split(maxsplit=1)
    return words[0] if words else ""
