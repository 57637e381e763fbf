"""Long sequences, cut into overlapping stretches that a model reads one by one."""

from itertools import pairwise
from typing import NamedTuple


class Chunk(NamedTuple):
    """A stretch [start, end) of a sequence; its outputs are used in [first, last)."""

    start: int
    end: int
    first: int
    last: int


def chunks(length: int, *, size: int, overlap: int) -> list[Chunk]:
    """Cut a sequence into overlapping stretches of at most `size`; each position is read from exactly one.

    The starts have equal distances. Two neighbouring stretches share the positions of their overlap half and half.

    Example:
        >>> chunks(10, size=6, overlap=2)
        [Chunk(start=0, end=6, first=0, last=5), Chunk(start=4, end=10, first=5, last=10)]
    """
    if length <= size:
        return [Chunk(0, length, 0, length)]
    overlap = min(overlap, size // 2)
    number = -(-(length - overlap) // (size - overlap))
    starts = [round(index * (length - size) / (number - 1)) for index in range(number)]
    borders = [0, *((left + size + right) // 2 for left, right in pairwise(starts)), length]
    return [Chunk(start, start + size, borders[i], borders[i + 1]) for i, start in enumerate(starts)]
