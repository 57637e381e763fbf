"""A3M alignments, read one record at a time.

A3M is FASTA in which the first record is the query. Upper-case letters and ``-`` stand in the query's columns;
lower-case letters are insertions and have no column (HH-suite user guide). Files in the wild also hold ``#`` lines
(ColabFold), a byte order mark, NUL bytes between alignments, ``.`` for gaps, ``*`` for stops, and may be gzipped.

Some rows are no homologs. The HH-suite annotates columns in rows whose names begin with ``ss_``, ``sa_`` or ``aa_``
(``>ss_pred``, ``>ss_conf``, ``>sa_dssp``) and writes the consensus of an alignment as ``>NAME_consensus``, which may
come first (``Alignment::Read`` of its source).
"""

import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from bindtune.errors import InputError
from bindtune.io.text import LONGEST_LINE, check_header_end, limited_lines, open_bytes
from bindtune.wrong_files import refuse_wrong_file

_LETTERS = bytes(range(ord("A"), ord("Z") + 1)) + bytes(range(ord("a"), ord("z") + 1))
_LOWER = bytes(range(ord("a"), ord("z") + 1))
_ALLOWED = _LETTERS + b"-.*"
_DOT = ord(".")
_STOP_AS_UNKNOWN = bytes.maketrans(b"*", b"X")
_MARK = b"\xef\xbb\xbf"
# What the columns are like: secondary structure, accessibility and so on, as predicted, with confidence, or observed.
_ANNOTATION = re.compile(r"(?:ss_|sa_|aa_|[a-z]{2}_(?:pred|conf|dssp)(?![A-Za-z0-9]))")
_CONSENSUS = re.compile(r"(?:\S*_)?[Cc]onsensus(?:\s|$)")
_SUFFIXES = re.compile(r"\.[^.]+(?:\.gz)?$")

ANNOTATION, CONSENSUS, OTHER_QUERY = "annotation", "consensus", "other query"
"""Why a row is no homolog."""


class Record(NamedTuple):
    """One row of an alignment.

    Args:
        name: the header line without ">", tabs and blanks in it kept.
        sequence: the row as it stands: letters, ``-``, ``.`` and ``*``.
        line: 1-based line of the header.
    """

    name: str
    sequence: bytes
    line: int


def read_a3m(path: Path | str) -> Iterator[Record]:
    """Read the sequences of an A3M or FASTA file, gzipped or not, holding one at a time; see `read_rows`.

    Raises:
        InputError: see `read_rows`.
    """
    return (record for record, reason in read_rows(path) if not reason)


def read_rows(path: Path | str) -> Iterator[tuple[Record, str]]:
    """Yield each row of an A3M or FASTA file, gzipped or not, and why it is no homolog, "" where it is one.

    Line breaks in a sequence are joined, NUL bytes and carriage returns removed. The letters of `ANNOTATION` rows are
    not kept. A row that is named as a `CONSENSUS` is the query where the file has its name too, or where it stands
    alone. A NUL byte parts alignments; all rows of one that does not begin with the query of the first are of an
    `OTHER_QUERY`. Rows are not required to have equal lengths here: see `match_columns`.

    Raises:
        InputError: the file cannot be read, holds no sequence, or a record is empty or holds anything but letters, `-`,
            `.` and `*`; with file and line.
    """
    stem = _SUFFIXES.sub("", Path(path).name)
    query: bytes | None = None
    consensus: Record | None = None
    same = begins = False
    for record, parted in _records(path):
        begins |= parted
        if _ANNOTATION.match(record.name):
            yield record, ANNOTATION
            continue
        if _CONSENSUS.match(record.name) and record.name.split()[0] != stem:
            if query is None and consensus is None:
                consensus = record
            else:
                yield record, CONSENSUS
            continue
        if query is None:
            query, same = residues(record), True
        elif begins:
            same = residues(record) == query
        begins = False
        yield record, "" if same else OTHER_QUERY
    if consensus is not None:
        yield consensus, "" if query is None else CONSENSUS
    elif query is None:
        raise InputError(path, None, "holds no sequence")


def homolog_name(name: str) -> str:
    """A name that `read_rows` takes for a homolog's, for a row that is one; most names stay as they are.

    Examples:
        >>> homolog_name("P00918 carbonic anhydrase"), homolog_name("ss_pred"), homolog_name("P1_consensus")
        ('P00918 carbonic anhydrase', '_ss_pred', 'P1_consensus_')
    """
    if _ANNOTATION.match(name):
        name = f"_{name}"
    first, blank, rest = name.partition(" ")
    return f"{first}_{blank}{rest}" if _CONSENSUS.match(name) else name


def _records(path: Path | str) -> Iterator[tuple[Record, bool]]:
    """Yield each record, and whether it is the first one after a NUL byte between lines."""
    name, first, parts, size = "", 0, list[bytes](), 0
    parted = begins = annotated = False
    with _opened(path) as lines:
        for number, raw in enumerate(lines, 1):
            if number == 1:
                raw = raw.removeprefix(_MARK)
            line, whole = raw.translate(None, b"\0").rstrip(), raw.rstrip()
            parted |= whole.startswith(b"\0")
            if line.startswith(b">"):
                if first:
                    yield _record(path, name, first, parts, annotated=annotated), begins
                begins, parted = parted, False
                first, parts, size = number, [], 0
                name = line[1:].decode("utf-8", errors="replace")
                annotated = _ANNOTATION.match(name) is not None
                check_header_end(path, number, name)
            elif annotated or line.startswith(b"#"):
                check_header_end(path, number, line.decode("latin-1"))
            elif line:
                if not first:
                    raise InputError(path, number, f"expected '>' and a header, found {_shown(line)}")
                parts.append(_checked(path, number, line))
                size += len(line)
                if size > LONGEST_LINE:
                    raise InputError(path, first, f"record '{name[:40]}' has more than {LONGEST_LINE:,} letters")
            parted |= whole.endswith(b"\0")
    if first:
        yield _record(path, name, first, parts, annotated=annotated), begins


def match_columns(record: Record, *, query: bytes, path: Path | str) -> bytes:
    """The row without its insertions, as long as the query without its dots, gaps written as `-`.

    In A3M, a `.` is a gap in a column. In A2M, it pads an insertion that another row has there, so that all rows are
    equally long; a `.` in the query is always that, for the query has no gaps. The number of columns tells which.
    A stop within a row is an unknown residue, `X`; one behind the last column is dropped.

    Args:
        record: the row.
        query: the first row as it stands.
        path: the file, for messages.

    Raises:
        InputError: the row has another number of columns.
    """
    row, first = record.sequence.translate(None, _LOWER), query.translate(None, _LOWER)
    columns = len(first) - first.count(b".")
    if row.endswith(b"*") and len(row) - 1 in (len(first), columns):
        row = row[:-1]
    row = row.translate(_STOP_AS_UNKNOWN)
    if len(row) == len(first):
        if columns < len(first):
            row = bytes(letter for letter, own in zip(row, first, strict=True) if own != _DOT)
        return row.replace(b".", b"-")
    unpadded = row.replace(b".", b"")
    if len(unpadded) == columns:
        return unpadded
    raise InputError(path, record.line, f"{len(unpadded)} columns without insertions, the query has {columns}")


def residues(record: Record) -> bytes:
    """The row as a protein: insertions kept and written in upper case, gaps and a stop at the end removed."""
    return record.sequence.translate(None, b"-.").removesuffix(b"*").translate(_STOP_AS_UNKNOWN).upper()


def _record(path: Path | str, name: str, line: int, parts: list[bytes], *, annotated: bool) -> Record:
    if not parts and not annotated:
        raise InputError(path, line, f"record '{name}' has no sequence")
    return Record(name, b"".join(parts), line)


def _checked(path: Path | str, number: int, line: bytes) -> bytes:
    odd = line.translate(None, _ALLOWED)
    if odd:
        column = line.index(odd[:1]) + 1
        raise InputError(path, number, f"{_shown(odd[:1])} at column {column}, expected a letter, '-', '.' or '*'")
    return line


def _shown(text: bytes) -> str:
    return repr(text[:40].decode("utf-8", errors="replace"))


@contextmanager
def _opened(path: Path | str) -> Iterator[BinaryIO]:
    """The lines of a plain or gzipped file; damage becomes an InputError."""
    refuse_wrong_file(Path(path))
    try:
        with open_bytes(Path(path)) as content, limited_lines(content, path) as lines:
            yield lines
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(path, None, f"gzip data is damaged or cut short: {error}") from error
    except OSError as error:
        raise InputError(path, None, f"cannot be read: {error}") from error
