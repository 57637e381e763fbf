"""FASTA of regions: headers `chrom:start-end` (0-based, half-open), each sequence being that stretch.

What `bedtools getfasta` writes, with `-name` (`name::chrom:start-end`) and `-s` (`chrom:start-end(-)`, the sequence
then being the reverse complement) included. Read from the start to the end, as often as needed, a record at a time.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from bindtune.errors import InputError
from bindtune.io.genome import purify, reverse_complement
from bindtune.io.intervals import STRANDS, IntervalColumns, Intervals, read_position
from bindtune.io.text import check_header_end, numbered_lines

_LONGEST = 1 << 28
"""Letters that a region may have, on one line or more: more than the longest human chromosome."""
_HEADER = re.compile(r"(?:.*::)?(?P<chrom>[^\s:][^\s]*?):(?P<start>\d+)-(?P<end>\d+)(?:\((?P<strand>[+.-])\))?$")


class RegionFasta:
    """The records of a region FASTA.

    Args:
        path: plain or gzipped.

    Raises:
        InputError: names the first header or sequence that is not as expected.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        columns = IntervalColumns()
        for line, header, letters in _records(path):
            name, span, strand = _parse_header(path, line, header=header)
            _check_length(path, line, length=len(letters), span=span)
            columns.add(name, span, strand=strand, line=line)
        self.regions: Intervals = columns.freeze(path)
        if not len(self.regions):
            raise InputError(path, 1, "holds no FASTA records")
        self._records: Iterator[tuple[int, str, bytes]] = iter(())
        self._current, self._letters = -1, b""

    def fetch(self, region: int, start: int, end: int) -> bytes:
        """Upper-case plus-strand letters of [start, end), positions in the record; fast where `region` never falls."""
        if region < self._current or self._current < 0:
            self._records, self._current = _records(self.path), -1
        while self._current < region:
            _, header, letters = next(self._records)
            self._current += 1
            if self._current == region:
                origin = int(self.regions.start[region])
                pure = purify(letters, path=self.path, name=header, start=origin)
                self._letters = reverse_complement(pure) if self.regions.strand[region] < 0 else pure
        return self._letters[start:end]


def _records(path: Path) -> Iterator[tuple[int, str, bytes]]:
    """Yield (line of the header, header without '>', letters)."""
    header, at, parts = "", 0, list[str]()
    size = 0
    for number, line in numbered_lines(path, longest=_LONGEST):
        if line.startswith(">"):
            if at:
                yield at, header, "".join(parts).encode("latin-1", "replace")
            check_header_end(path, number, line)
            header, at, parts, size = line[1:].strip(), number, [], 0
        elif at:
            parts.append(line.strip())
            size += len(parts[-1])
            if size > _LONGEST:
                raise InputError(path, at, f"a region of more than {_LONGEST:,} letters")
        elif line.strip():
            raise InputError(path, number, f"not FASTA: expected '>', found {line[:20]!r}")
    if at:
        yield at, header, "".join(parts).encode("latin-1", "replace")


def header_region(path: Path, line: int, *, header: str) -> tuple[str, tuple[int, int], int] | None:
    """Chromosome, (start, end) and strand that a header names, or None where it names none.

    Raises:
        InputError: it names a region that cannot be one.
    """
    return _parse_header(path, line, header=header) if names_region(header) else None


def names_region(header: str) -> bool:
    """Whether the first word of a header names a region.

    Example:
        >>> names_region("chr7:100-612(-)"), names_region("HLA-A*01:01")
        (True, False)
    """
    words = header.split(maxsplit=1)
    return bool(words) and _HEADER.match(words[0]) is not None


def _parse_header(path: Path, line: int, *, header: str) -> tuple[str, tuple[int, int], int]:
    word = header.split(maxsplit=1)[0] if header else ""
    match = _HEADER.match(word)
    if match is None:
        raise InputError(path, line, f"expected a header like 'chr7:100-612', found {header[:40]!r}")
    start, end = (read_position(path, line, name=name, text=match[name]) for name in ("start", "end"))
    if end <= start:
        raise InputError(path, line, f"end {end} is not greater than start {start}")
    return match["chrom"], (start, end), STRANDS[match["strand"] or "."]


def _check_length(path: Path, line: int, *, length: int, span: tuple[int, int]) -> None:
    expected = span[1] - span[0]
    if length == expected:
        return
    hint = "; headers count from 0, `samtools faidx` writes them counting from 1" if length == expected + 1 else ""
    raise InputError(path, line, f"the header says {expected} letters, the sequence has {length}{hint}")
