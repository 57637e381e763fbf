"""BED3 to BED12, ENCODE narrowPeak and broadPeak; plain or gzipped.

Format: https://genome.ucsc.edu/FAQ/FAQformat.html. Two departures that files in the wild need: the score may be any
number (eCLIP peak files keep a log2 fold change there), and columns may be separated by blanks where a line has no tab.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from bindtune.errors import InputError
from bindtune.io.intervals import STRANDS, IntervalColumns, Intervals
from bindtune.io.text import numbered_lines

PeakFormat = Literal["auto", "bed", "narrowPeak", "broadPeak"]

# The columns, from 0, that hold numbers one may filter by.
_VALUES = {
    "bed": {"score": 4},
    "narrowPeak": {"score": 4, "enrichment": 6, "p_value": 7, "q_value": 8},
    "broadPeak": {"score": 4, "enrichment": 6, "p_value": 7, "q_value": 8},
}
_WIDTH = {"narrowPeak": 10, "broadPeak": 9}


def read_bed(path: Path, *, kind: PeakFormat = "auto") -> Intervals:
    """Read intervals; blank, comment, `track` and `browser` lines are passed over.

    Args:
        path: the file, plain or gzipped whatever its name; blocks of BED12 are not read, the whole span is.
        kind: the format; "auto" goes by the name, then by the columns of the first line.

    Returns:
        The intervals, with the values "score" and, from narrowPeak and broadPeak, "enrichment", "p_value" and
        "q_value" (the latter two as -log10, -1 where the file does not give them).

    Raises:
        InputError: names the first line that is not what the format says.
    """
    columns: IntervalColumns | None = None
    width = 0
    places: list[int] = []
    for number, fields in _rows(path):
        if columns is None:
            kind = _detect(path, fields, kind=kind)
            width = len(fields)
            _check_width(path, number, width=width, kind=kind)
            places = [place for place in _VALUES[kind].values() if place < width]
            columns = IntervalColumns(tuple(_VALUES[kind])[: len(places)])
        if len(fields) != width:
            raise InputError(path, number, f"{len(fields)} columns, where the first line has {width}")
        start, end = _span(path, number, fields=fields)
        columns.add(fields[0], (start, end), strand=_strand(path, number, fields=fields), line=number)
        if places:
            columns.add_values([_value(path, number, fields=fields, place=place) for place in places])
    return (columns or IntervalColumns()).freeze(path)


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    for number, line in numbered_lines(path):
        if not line or line[0] == "#" or line.isspace():
            continue
        fields = line.split("\t") if "\t" in line else line.split()
        # A header line has words after these two; a chromosome of that name would have a number there.
        if fields[0].split(" ", 1)[0] in ("track", "browser") and not (len(fields) > 2 and fields[1].isdigit()):
            continue
        yield number, fields


def _detect(path: Path, fields: list[str], *, kind: PeakFormat) -> PeakFormat:
    if kind != "auto":
        return kind
    name = path.name.lower()
    suffixed: tuple[PeakFormat, ...] = ("narrowPeak", "broadPeak")
    for known in suffixed:
        if name.removesuffix(".gz").endswith(known.lower()):
            return known
    if len(fields) == 10:
        return "narrowPeak"
    # Nine columns are BED9 (two positions, a colour) or broadPeak (three numbers, p and q among them).
    thick = len(fields) == 9 and not (fields[6].isdigit() and fields[7].isdigit())
    return "broadPeak" if thick else "bed"


def _check_width(path: Path, line: int, *, width: int, kind: PeakFormat) -> None:
    if width < 3:
        raise InputError(path, line, f"expected at least 3 columns (chromosome, start, end), found {width}")
    if width < _WIDTH.get(kind, 3):
        raise InputError(path, line, f"{kind} has {_WIDTH[kind]} columns, found {width}")
    if width > 12:
        raise InputError(path, line, f"BED has at most 12 columns, found {width}")


def _span(path: Path, line: int, *, fields: list[str]) -> tuple[int, int]:
    if not (fields[1].isdecimal() and fields[2].isdecimal()):
        raise InputError(path, line, _not_positions(fields))
    start, end = int(fields[1]), int(fields[2])
    if end <= start:
        raise InputError(path, line, f"end {end} is not greater than start {start}")
    if not fields[0] or fields[0].isspace():
        raise InputError(path, line, "the chromosome name is empty")
    return start, end


def _not_positions(fields: list[str]) -> str:
    name, text = next(
        (name, text) for name, text in zip(("start", "end"), fields[1:], strict=False) if not text.isdecimal()
    )
    if text.removeprefix("-").isdecimal():
        return f"{name} {text} is negative"
    hint = "; a header line must begin with '#'" if text.isalpha() else ""
    return f"{name} is not a whole number: {text!r}{hint}"


def _strand(path: Path, line: int, *, fields: list[str]) -> int:
    if len(fields) < 6:
        return 0
    strand = STRANDS.get(fields[5])
    if strand is None:
        raise InputError(path, line, f"strand is {fields[5]!r}, expected '+', '-' or '.'")
    return strand


def _value(path: Path, line: int, *, fields: list[str], place: int) -> float:
    text = fields[place]
    if text == ".":
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(path, line, f"column {place + 1} is not a number: {text!r}")
    return value
