"""Cut a stream of records into blocks of bounded size, so that memory does not grow with the stream."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def blocks(items: Iterable[T], size: Callable[[T], int], *, most: int, count: int | None = None) -> Iterator[list[T]]:
    """Neighbouring items whose sizes sum to at most `most`; an item that is larger is a block of its own.

    Args:
        items: read one by one, in order.
        size: size of an item, such as its number of residues.
        most: largest sum of sizes in a block.
        count: most items of a block, or None for any number.

    Example:
        >>> list(blocks(["AC", "G", "TTTT", "A"], len, most=3))
        [['AC', 'G'], ['TTTT'], ['A']]
    """
    block: list[T] = []
    total = 0
    for item in items:
        if block and (len(block) == count or total + size(item) > most):
            yield block
            block, total = [], 0
        block.append(item)
        total += size(item)
    if block:
        yield block
