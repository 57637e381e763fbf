"""The proteins that a tool was trained on: FASTA, 3-line FASTA with labels, or a list of names."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bindtune.errors import InputError
from bindtune.io.text import ODD_LETTER, check_header_end, name_problem, numbered_lines

_LABELS = re.compile(r"[01?]+")
_SHOWN = 40


class TrainingProteins(NamedTuple):
    """Training proteins of a tool.

    Args:
        names: of all of them.
        sequences: by name; empty where the file is a list of names.
    """

    names: frozenset[str]
    sequences: dict[str, str]


def read_training_proteins(path: Path) -> TrainingProteins:
    """Read training proteins; a line of 0, 1 and ? below a sequence holds labels and is passed over.

    A name may come several times, as in the files of several ions that were joined, with one sequence.

    Raises:
        InputError: a line is neither a header, a sequence nor labels, a name has two sequences, or nothing is there.
    """
    sequences: dict[str, str] = {}
    names = set[str]()
    for number, name, sequence in _records(path):
        names.add(name)
        if sequence is None:
            continue
        if not sequence:
            raise InputError(path, number, f"{name!r} has no sequence")
        if sequences.setdefault(name, sequence) != sequence:
            raise InputError(path, number, f"{name!r} comes again with another sequence")
    if not names:
        raise InputError(path, None, "holds no protein, expected FASTA or a name in each line")
    return TrainingProteins(frozenset(names), sequences)


def _records(path: Path) -> Iterator[tuple[int, str, str | None]]:
    """Line, name and sequence of each protein; None for the sequences of a list of names."""
    header, parts = ("", 0), list[str]()
    is_list: bool | None = None
    for number, raw in numbered_lines(path):
        text = raw.strip()
        if not text or text.startswith("#"):
            continue
        is_list = not text.startswith(">") if is_list is None else is_list
        if is_list:
            yield number, _name(path, number, text, is_list=True), None
        elif text.startswith(">"):
            if header[1]:
                yield header[1], header[0], "".join(parts)
            header, parts = (_name(path, number, text[1:], is_list=False), number), []
        elif not _LABELS.fullmatch(text):
            letters = text.removesuffix("*").upper()
            if match := ODD_LETTER.search(letters):
                raise InputError(path, number, f"{match.group()!r} in the sequence of {header[0]!r}, expected A-Z")
            parts.append(letters)
    if header[1]:
        yield header[1], header[0], "".join(parts)


def _name(path: Path, number: int, text: str, *, is_list: bool) -> str:
    check_header_end(path, number, text)
    words = text.split(maxsplit=1)
    if not words:
        raise InputError(path, number, "the header holds no name")
    if is_list and (len(words) > 1 or text.startswith(">")):
        raise InputError(path, number, f"expected one name, found {text[:_SHOWN]!r}")
    if problem := name_problem(words[0]):
        raise InputError(path, number, problem)
    return words[0]
