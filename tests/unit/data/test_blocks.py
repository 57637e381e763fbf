"""Blocks hold every item once, in order, and are as full as their bounds allow."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bindtune.data.blocks import blocks


@given(
    sizes=st.lists(st.integers(0, 9), max_size=30),
    most=st.integers(1, 20),
    count=st.none() | st.integers(1, 5),
)
def test_blocks_hold_everything_in_order_and_are_full(sizes: list[int], most: int, count: int | None) -> None:
    cut = list(blocks(enumerate(sizes), lambda item: item[1], most=most, count=count))
    assert [item for block in cut for item in block] == list(enumerate(sizes))
    for block in cut:
        assert len(block) == 1 or sum(size for _, size in block) <= most
        assert count is None or len(block) <= count
    for block, following in pairwise(cut):
        is_full = sum(size for _, size in [*block, following[0]]) > most
        assert is_full or len(block) == count


def test_items_are_read_one_by_one() -> None:
    stream = iter(["AC", "G", "TTTT", "A"])
    assert next(blocks(stream, len, most=3)) == ["AC", "G"]
    assert list(stream) == ["A"]
