"""Read BED3 to BED12, ENCODE narrowPeak and broadPeak, and the output of IDR; plain or gzipped.

Formats: https://genome.ucsc.edu/FAQ/FAQformat.html, https://github.com/nboley/idr (narrowPeak or broadPeak, then
columns of its own, which are not read). Two departures from the formats: the score may be any number, because eCLIP
peak files have a log2 fold change there. And a line without tabs may have blanks between its columns.
"""

import math
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv

from bindtune.errors import InputError
from bindtune.io.intervals import LAST_POSITION, STRANDS, IntervalColumns, Intervals, read_position
from bindtune.io.text import line_blocks
from bindtune.wrong_files import refuse_bin_column

PeakFormat = Literal["auto", "bed", "narrowPeak", "broadPeak"]

# Columns (from 0) of the numbers for filters.
_VALUES = {
    "bed": {"score": 4},
    "narrowPeak": {"score": 4, "enrichment": 6, "p_value": 7, "q_value": 8},
    "broadPeak": {"score": 4, "enrichment": 6, "p_value": 7, "q_value": 8},
}
_SUMMITS = {"narrowPeak": {"summit": 9}}
_HEADERS = ("track", "browser")
_WORDS = pa.dictionary(pa.int32(), pa.string())
_ARROW_ALONE = ("\t ", " \t", "\t0x", "\t0X", "\t-0")
"""Marks of numbers that only Arrow accepts: blanks around them, hexadecimal numbers, -0."""
_LAST_POSITION_COLUMN, _STRAND_COLUMN = 3, 6
_WIDTH = {"narrowPeak": 10, "broadPeak": 9}
_IDR_WIDTH: dict[int, PeakFormat] = {20: "narrowPeak", 17: "broadPeak"}
"""Numbers of columns of IDR for two replicates: the format's, two of IDR, and four or three of each replicate."""


def read_bed(
    path: Path,
    *,
    kind: PeakFormat = "auto",
    numbers: bool = True,
    named: Mapping[str, int] = MappingProxyType({}),
    summits: bool = False,
) -> Intervals:
    """Read intervals; blank, comment, `track` and `browser` lines are skipped.

    Args:
        path: the file, plain or gzipped under any name; of BED12 the whole span is read, without its blocks.
        kind: the format; further columns may follow. "auto" takes the format from the name, then from the columns of
            the first line.
        numbers: read the score and the other values; without them column 5 may hold anything.
        named: columns (from 1) of values that are not in the format's column: {"p_value": 4} for BED6 files of eCLIP,
            whose names are -log10 p values.
        summits: read the summit of narrowPeak (column 10) too.

    Returns:
        The intervals, with the values "score", the named values and, from narrowPeak and broadPeak, "enrichment",
        "p_value" and "q_value" (the last two as -log10, -1 if missing). On request they have "summit", which counts
        from the peak's start (-1 if missing).

    Raises:
        InputError: a line does not have the format; the first such line is named.
    """
    shape: _Shape | None = None
    columns = IntervalColumns()
    for first, lines in line_blocks(path):
        if shape is None:
            shape = next(
                (
                    _shape(path, line, fields=fields, kind=kind, numbers=numbers, named=named, summits=summits)
                    for line, fields in _rows(lines, first=first)
                ),
                None,
            )
            if shape is None:
                continue
            columns = IntervalColumns(shape.names)
        if not _add_regular(columns, lines, first=first, shape=shape):
            for number, fields in _rows(lines, first=first):
                _add_row(columns, path, number=number, fields=fields, shape=shape)
    return columns.freeze(path)


class _Shape(NamedTuple):
    """The columns of all lines, from the first line: their number, and those that hold values.

    Args:
        width: number of columns.
        names: names of the values.
        columns: column of each value, from 0.
        named: the values whose columns the user named.
    """

    width: int
    names: tuple[str, ...]
    columns: tuple[int, ...]
    named: Collection[str]


def _shape(
    path: Path,
    line: int,
    *,
    fields: list[str],
    kind: PeakFormat,
    numbers: bool,
    named: Mapping[str, int],
    summits: bool,
) -> _Shape:
    width = len(fields)
    refuse_bin_column(path, line, "\t".join(fields))
    if kind == "auto":
        kind = _detect(path, fields)
        if kind == "bed" and width > 12:
            problem = f"BED has at most 12 columns, found {width}"
            raise InputError(path, line, f"{problem}; where more follow, name the format with --peak-format")
    _check_width(path, line, width=width, kind=kind)
    columns = _VALUES[kind] | (_SUMMITS.get(kind, {}) if summits else {})
    values = {name: column for name, column in columns.items() if numbers and column < width}
    for name, column in named.items():
        if column > width:
            raise InputError(
                path, line, f"found {width} columns, expected the {name} in column {column}: see {_option(name)}"
            )
        if column <= _LAST_POSITION_COLUMN or column == _STRAND_COLUMN:
            raise InputError(
                path, line, f"column {column} is the position or the strand, not the {name}: see {_option(name)}"
            )
        values[name] = column - 1
    return _Shape(width, tuple(values), tuple(values.values()), named.keys())


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}-column"


def _rows(lines: list[str], *, first: int) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(lines, start=first):
        if not line or line[0] == "#" or line.isspace():
            continue
        fields = line.split("\t") if "\t" in line else line.split()
        # A header line has words after `track` or `browser`; a chromosome of that name has a number there.
        if fields[0].split(" ", 1)[0] in _HEADERS and not (len(fields) > 2 and fields[1].isdecimal()):
            continue
        yield number, fields


def _add_row(columns: IntervalColumns, path: Path, *, number: int, fields: list[str], shape: _Shape) -> None:
    if len(fields) != shape.width:
        raise InputError(path, number, f"{len(fields)} columns, where the first line has {shape.width}")
    span, strand = _span(path, number, fields=fields), _strand(path, number, fields=fields)
    values = [
        _value(path, number, fields=fields, column=column, named=name if name in shape.named else None)
        for name, column in zip(shape.names, shape.columns, strict=True)
    ]
    columns.add(fields[0], span, strand=strand, line=number, values=values)


def _add_regular(columns: IntervalColumns, lines: list[str], *, first: int, shape: _Shape) -> bool:
    """Add a block of lines column by column, which is ten times as fast as row by row.

    Returns:
        False if a line is unusual; then nothing is added, and the caller reads the lines one by one.
    """
    text = "\n".join(lines)
    if lines[0].count("\t") != shape.width - 1 or any(mark in text for mark in _ARROW_ALONE):
        return False
    kinds = {f"f{number}": pa.float64() for number in shape.columns}
    kinds |= {"f0": _WORDS, "f1": pa.int64(), "f2": pa.int64()} | ({"f5": _WORDS} if shape.width > 5 else {})
    try:
        table = csv.read_csv(
            pa.BufferReader(text.encode()),
            csv.ReadOptions(use_threads=False, autogenerate_column_names=True),
            csv.ParseOptions(delimiter="\t", quote_char=False, ignore_empty_lines=False),
            csv.ConvertOptions(column_types=kinds, include_columns=list(kinds), null_values=[], check_utf8=False),
        ).combine_chunks()
    except (pa.ArrowInvalid, pa.ArrowKeyError):
        return False
    start, end, *values = (table[name].to_numpy() for name in ("f1", "f2", *(f"f{number}" for number in shape.columns)))
    names, chrom = _words(table["f0"])
    letters, side = _words(table["f5"]) if shape.width > 5 else (["."], np.zeros(len(lines), np.int64))
    odd_name = any(not name or name.isspace() or name[0] == "#" or name in _HEADERS for name in names)
    odd_numbers = any(not np.isfinite(column).all() for column in values)
    odd_span = len(start) != len(lines) or (start < 0).any() or (end <= start).any() or (end > LAST_POSITION).any()
    if odd_name or odd_numbers or odd_span or not set(letters) <= STRANDS.keys():
        return False
    strand = np.array([STRANDS[letter] for letter in letters], np.int8)[side]
    line = np.arange(first, first + len(lines))
    columns.extend(names, chrom, spans=(start, end), strand=strand, line=line, values=values)
    return True


def _words(column: pa.ChunkedArray) -> tuple[list[str], NDArray[np.int64]]:
    """The distinct words of a column, and the index of each row's word."""
    encoded = column.combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.chunk(0)
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy().astype(np.int64)


def _detect(path: Path, fields: list[str]) -> PeakFormat:
    name = path.name.lower()
    suffixed: tuple[PeakFormat, ...] = ("narrowPeak", "broadPeak")
    for format_name in suffixed:
        if name.removesuffix(".gz").endswith(format_name.lower()):
            return format_name
    if len(fields) == 10:
        return "narrowPeak"
    if len(fields) in _IDR_WIDTH:
        return _IDR_WIDTH[len(fields)]
    # Nine columns are BED9 (two positions, a colour) or broadPeak (three numbers, p and q among them).
    thick = len(fields) == 9 and not (fields[6].isdigit() and fields[7].isdigit())
    return "broadPeak" if thick else "bed"


def _check_width(path: Path, line: int, *, width: int, kind: PeakFormat) -> None:
    if width < 3:
        raise InputError(path, line, f"expected at least 3 columns (chromosome, start, end), found {width}")
    if width < _WIDTH.get(kind, 3):
        raise InputError(path, line, f"{kind} has {_WIDTH[kind]} columns, found {width}")


def _span(path: Path, line: int, *, fields: list[str]) -> tuple[int, int]:
    start, end = (
        _position(path, line, name=name, text=text) for name, text in zip(("start", "end"), fields[1:3], strict=True)
    )
    if end <= start:
        raise InputError(path, line, f"end {end} is not greater than start {start}")
    if not fields[0] or fields[0].isspace():
        raise InputError(path, line, "the chromosome name is empty")
    return start, end


def _position(path: Path, line: int, *, name: str, text: str) -> int:
    if text.removeprefix("-").isdecimal() and text.startswith("-"):
        raise InputError(path, line, f"{name} {text[:30]} is negative")
    if text.isalpha():
        raise InputError(path, line, f"{name} is not a whole number: {text!r}; a header line must begin with '#'")
    return read_position(path, line, name=name, text=text)


def _strand(path: Path, line: int, *, fields: list[str]) -> int:
    if len(fields) < 6:
        return 0
    strand = STRANDS.get(fields[5])
    if strand is None:
        raise InputError(path, line, f"strand is {fields[5]!r}, expected '+', '-' or '.'")
    return strand


def _value(path: Path, line: int, *, fields: list[str], column: int, named: str | None) -> float:
    text = fields[column]
    if text == ".":
        return math.nan
    try:
        value = math.nan if "_" in text else float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        reason = f"; {_option(named)} says that the {named} stands there" if named else ""
        raise InputError(path, line, f"column {column + 1} is not a number: {text[:50]!r}{reason}")
    return value
