"""Check that a .fai index belongs to its FASTA: compare its names, lengths and lines with the letters.

Format: https://www.htslib.org/doc/faidx.html. An index that is out of date and trusted gives wrong letters without an
error.
"""

from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from bindtune.errors import InputError
from bindtune.io.intervals import read_position
from bindtune.io.text import limited_lines

_BLOCK = 1 << 22
_ENDINGS = {1: b"\n", 2: b"\r\n"}


class Lines(NamedTuple):
    """How the letters of one sequence lie in a FASTA.

    Args:
        offset: byte of the first letter.
        letters: of the sequence.
        in_line: letters in each line but the last.
        width: bytes in each line but the last, its ending included.
    """

    offset: int
    letters: int
    in_line: int
    width: int

    def byte(self, position: int) -> int:
        """Where the letter at a 0-based position lies."""
        return self.offset + position // self.in_line * self.width + position % self.in_line


def lines_fit(fasta: BinaryIO, lines: Lines) -> bool:
    """Whether every line of a sequence ends where it should, and nowhere else."""
    if not lines.letters:
        return True
    whole = (lines.letters - 1) // lines.in_line
    ending = _ENDINGS.get(lines.width - lines.in_line, b"")
    if whole and not ending:
        return False
    expected = np.frombuffer(ending, np.uint8)
    fasta.seek(lines.offset)
    step = max(1, _BLOCK // lines.width)
    for first in range(0, whole, step):
        rows = min(step, whole - first)
        block = fasta.read(rows * lines.width)
        if len(block) < rows * lines.width or _ends(block) != rows * len(ending):
            return False
        if (np.frombuffer(block, np.uint8).reshape(rows, lines.width)[:, lines.in_line :] != expected).any():
            return False
    rest = lines.letters - whole * lines.in_line
    while rest:
        block = fasta.read(min(rest, _BLOCK))
        if not block or _ends(block):
            return False
        rest -= len(block)
    return True


def header_line(fasta: BinaryIO, offset: int) -> bytes:
    """The line before the first letter of a sequence, with its ending; of a long one the last 4,096 bytes."""
    fasta.seek(max(0, offset - 4096))
    before = fasta.read(min(offset, 4096))
    return before[before.rstrip(b"\r\n").rfind(b"\n") + 1 :]


def check_index(index: Path, fasta: Path) -> None:
    """Refuse an index that is none, or belongs to another file.

    Before every offset a header of that name must stand, behind the last letter the line must end, and then comes
    the next header or the end of the file; every header must be in the index. What lies between is `lines_fit`'s.

    Raises:
        InputError: names the line of the index.
    """
    size, names, headers = fasta.stat().st_size, set[bytes](), set[bytes]()
    with fasta.open("rb") as handle, index.open("rb") as content, limited_lines(content, index) as rows:
        headers.add(_next_header(handle) or b"")
        for number, raw in enumerate(rows, start=1):
            name, lines = _entry(index, number, line=raw.decode("latin-1"))
            if name in names:
                raise InputError(index, number, f"{name.decode('latin-1')!r} comes twice, expected each sequence once")
            names.add(name)
            end = lines.byte(lines.letters - 1) + 1 if lines.letters else lines.offset
            if end > size or not _header_before(handle, lines.offset, name=name):
                raise _misfit(index, number, fasta=fasta)
            handle.seek(end)
            following = _next_header(handle)
            if following is None or (lines.letters and end < size and not _ends(_byte(handle, end))):
                raise _misfit(index, number, fasta=fasta)
            headers.add(following)
    missing = {header for header in headers if header} - names
    if missing:
        problem = f"lacks {min(missing).decode('latin-1')!r} of {fasta.name}: delete it, or index the file again"
        raise InputError(index, None, problem)


def _misfit(index: Path, number: int, *, fasta: Path) -> InputError:
    return InputError(index, number, f"does not fit {fasta.name}: delete it, or index the file again")


def _entry(index: Path, number: int, *, line: str) -> tuple[bytes, Lines]:
    fields = line.rstrip("\r\n").split("\t")
    if len(fields) != 5 or not all(field.isdecimal() and field.isascii() for field in fields[1:]):
        raise InputError(index, number, "not a FASTA index: expected a name and four whole numbers")
    length, offset, letters, width = (
        read_position(index, number, name=name, text=text)
        for name, text in zip(("length", "offset", "letters", "width"), fields[1:], strict=True)
    )
    if letters > width or (length and not letters):
        raise InputError(index, number, f"not a FASTA index: {letters} letters in a line of {width} bytes")
    return fields[0].encode("latin-1"), Lines(offset, length, letters, width)


def _header_before(handle: BinaryIO, offset: int, *, name: bytes) -> bool:
    header = header_line(handle, offset)
    return header.endswith(b"\n") and header[1:].split()[:1] == [name]


def _next_header(handle: BinaryIO) -> bytes | None:
    """The name in the next line that is not blank; empty at the end of the file, None where that line is no header."""
    while line := handle.readline(4096):
        if line.startswith(b">"):
            return (line[1:].split() or [b""])[0]
        if line.strip():
            return None
    return b""


def _byte(handle: BinaryIO, offset: int) -> bytes:
    handle.seek(offset)
    return handle.read(1)


def _ends(block: bytes) -> int:
    letters = np.frombuffer(block, np.uint8)  # numpy counts three times as fast as bytes do
    return int(np.count_nonzero(letters == ord("\n")) + np.count_nonzero(letters == ord("\r")))
