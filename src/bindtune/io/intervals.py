"""Stretches of chromosomes as columns; BED, narrowPeak, GTF and FASTA headers are read into them."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bindtune.errors import InputError

LAST_POSITION = 10**12
"""The greatest position that is read: of a million chromosomes laid end to end each still has a 64-bit number."""
STRANDS = {"+": 1, "-": -1, ".": 0}
STRAND_LETTERS = {1: "+", -1: "-", 0: "."}


@dataclass(frozen=True)
class Intervals:
    """R stretches from one file, in its order; 0-based and half-open.

    Args:
        path: the file they come from.
        names: chromosome names in the order in which the file brings them.
        chrom: (R,) index into `names`.
        start: (R,) first nucleotide.
        end: (R,) one past the last nucleotide.
        strand: (R,) 1, -1, or 0 where none is given.
        line: (R,) 1-based line, for messages.
        values: (R,) numbers by name, such as "score"; NaN where the file has none.
    """

    path: Path
    names: tuple[str, ...]
    chrom: NDArray[np.int32]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    strand: NDArray[np.int8]
    line: NDArray[np.int64]
    values: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.start)


def read_position(path: Path, line: int, *, name: str, text: str) -> int:
    """A position from a file, as a number.

    Args:
        path: the file.
        line: 1-based line.
        name: what the position is, for messages.
        text: as it stands in the file.

    Raises:
        InputError: it is no number of ASCII digits, or beyond every chromosome.
    """
    if not (text.isascii() and text.isdecimal()):
        raise InputError(path, line, f"{name} is not a whole number: {text!r}")
    if len(text.lstrip("0")) > len(str(LAST_POSITION)) or int(text) > LAST_POSITION:
        raise InputError(path, line, f"{name} {text[:30]} is greater than {LAST_POSITION:,}, the last that is read")
    return int(text)


class IntervalColumns:
    """Grows an `Intervals` line by line at 30 bytes a line.

    Args:
        value_names: the numbers that come with each line.
    """

    def __init__(self, value_names: tuple[str, ...] = ()) -> None:
        self._ids: dict[str, int] = {}
        self._chrom, self._strand = array("i"), array("b")
        self._start, self._end, self._line = array("q"), array("q"), array("q")
        self._values = {name: array("d") for name in value_names}

    def add(self, name: str, span: tuple[int, int], *, strand: int, line: int, values: Sequence[float] = ()) -> None:
        """Append one stretch of chromosome `name`."""
        self._chrom.append(self._ids.setdefault(name, len(self._ids)))
        self._start.append(span[0])
        self._end.append(span[1])
        self._strand.append(strand)
        self._line.append(line)
        for column, value in zip(self._values.values(), values, strict=True):
            column.append(value)

    def extend(
        self,
        names: Sequence[str],
        chrom: NDArray[np.int64],
        *,
        spans: tuple[NDArray[np.int64], NDArray[np.int64]],
        strand: NDArray[np.int8],
        line: NDArray[np.int64],
        values: Sequence[NDArray[np.float64]],
    ) -> None:
        """Append (N,) stretches.

        Args:
            names: chromosomes.
            chrom: (N,) index into `names`.
            spans: (N,) starts and (N,) ends.
            strand: (N,) 1, -1 or 0.
            line: (N,) 1-based line.
            values: (N,) numbers of every kind.
        """
        own = np.array([self._ids.setdefault(name, len(self._ids)) for name in names], np.int32)
        self._chrom.frombytes(own[chrom].tobytes())
        self._start.frombytes(spans[0].tobytes())
        self._end.frombytes(spans[1].tobytes())
        self._strand.frombytes(strand.tobytes())
        self._line.frombytes(line.tobytes())
        for column, numbers in zip(self._values.values(), values, strict=True):
            column.frombytes(numbers.tobytes())

    def freeze(self, path: Path) -> Intervals:
        """The columns as arrays."""
        return Intervals(
            path=path,
            names=tuple(self._ids),
            chrom=np.frombuffer(self._chrom, np.int32) if self._chrom else np.empty(0, np.int32),
            start=_longs(self._start),
            end=_longs(self._end),
            strand=np.frombuffer(self._strand, np.int8) if self._strand else np.empty(0, np.int8),
            line=_longs(self._line),
            values={
                name: np.frombuffer(column, np.float64) if column else np.empty(0, np.float64)
                for name, column in self._values.items()
            },
        )


def _longs(column: "array[int]") -> NDArray[np.int64]:
    return np.frombuffer(column, np.int64) if column else np.empty(0, np.int64)
