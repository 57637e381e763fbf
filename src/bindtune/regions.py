"""Regions on a sequence, and what they become on tokens. Knows no files, tokenizers or ions.

Every position is 0-based and half-open. A *span* is the stretch of the sequence that a token stands for; special tokens
and context have the empty span (0, 0) and are therefore never inside a region.
"""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Overlap = Literal["any", "contained"]
Ints = NDArray[np.int64]
LONGEST_SEQUENCE = 1 << 24
"""Letters that a sequence may have where it is held whole, which bounds every position."""


class Region(NamedTuple):
    """A stretch of a sequence and what it is: "peak", or an ion such as "ZN"."""

    start: int
    end: int
    kind: str = "peak"


def clip(starts: ArrayLike, ends: ArrayLike, *, start: ArrayLike, end: ArrayLike) -> tuple[Ints, Ints]:
    """Cut regions to [start, end), elementwise; a region outside becomes empty at the border it lies beyond."""
    lo, hi = np.asarray(start, dtype=np.int64), np.asarray(end, dtype=np.int64)
    return np.clip(np.asarray(starts, np.int64), lo, hi), np.clip(np.asarray(ends, np.int64), lo, hi)


def reverse(starts: ArrayLike, ends: ArrayLike, *, length: ArrayLike) -> tuple[Ints, Ints]:
    """Positions of the same regions on the reversed sequence of the given length."""
    whole = np.asarray(length, dtype=np.int64)
    return whole - np.asarray(ends, np.int64), whole - np.asarray(starts, np.int64)


def begin_anew(groups: ArrayLike, *, starts: ArrayLike, ends: ArrayLike, gap: int) -> NDArray[np.bool_]:
    """Which regions lie too far behind all regions before them to be joined with those.

    Args:
        groups: (R,) non-negative group of each region, ascending; groups are never joined.
        starts: (R,) ascending within each group.
        ends: (R,) end of each region.
        gap: positions between two regions that are still joined: -1 where they must overlap, 0 where they may touch.

    Returns:
        (R,) mask, True for the first region of every joined stretch.
    """
    group, start, end = (np.asarray(values, np.int64) for values in (groups, starts, ends))
    new = np.ones(len(start), dtype=bool)
    if len(start):
        # The furthest end so far, within the group: each group's numbers lie above those of the group before.
        room = end.max() + 1
        furthest = np.maximum.accumulate(end + group * room) - group * room
        new[1:] = (group[1:] != group[:-1]) | (start[1:] > furthest[:-1] + gap)
    return new


def regions_to_token_spans(
    offsets: ArrayLike, regions: ArrayLike, overlap: Overlap = "any"
) -> tuple[list[int], list[int]]:
    """Project regions onto tokens.

    Args:
        offsets: (T, 2) character span of each token, as a fast tokenizer gives them: in order of position apart from
            tokens with an empty span (special tokens, padding), which belong to no region.
        regions: (R, 2) start and end of each region, in any order; they may overlap, touch, be empty or lie outside.
        overlap: "any" takes every token that shares at least one letter with the region, "contained" only tokens that
            lie wholly inside it.

    Returns:
        (starts, ends): half-open token indices, one pair for each region that touches a token, in the order given.

    Raises:
        ValueError: a region ends before it starts, or `overlap` is not one of the two rules.
    """
    if overlap not in ("any", "contained"):
        raise ValueError(f"overlap must be 'any' or 'contained', found {overlap!r}")
    spans = np.asarray(offsets, dtype=np.int64).reshape(-1, 2)
    region_spans = np.asarray(regions, dtype=np.int64).reshape(-1, 2)
    if (region_spans[:, 1] < region_spans[:, 0]).any():
        bad = region_spans[region_spans[:, 1] < region_spans[:, 0]][0]
        raise ValueError(f"region end {bad[1]} is less than its start {bad[0]}")
    real = np.flatnonzero(spans[:, 1] > spans[:, 0])
    token_starts, token_ends = spans[real, 0], spans[real, 1]
    starts, ends = region_spans[:, 0], region_spans[:, 1]
    if overlap == "any":
        first = np.searchsorted(token_ends, starts, side="right")
        last = np.searchsorted(token_starts, ends, side="left")
    else:
        first = np.searchsorted(token_starts, starts, side="left")
        last = np.searchsorted(token_ends, ends, side="right")
    touching = (last > first) & (ends > starts)
    # A stretch of real tokens is a stretch of all tokens: special tokens stand before and after, never inside.
    return real[first[touching]].tolist(), (real[last[touching] - 1] + 1).tolist()


def span_mask(rows: ArrayLike, starts: ArrayLike, ends: ArrayLike, *, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Draw spans into a (B, T) mask; what lies beyond T is cut off.

    Args:
        rows: (S,) the row of each span.
        starts: (S,) first token of each span.
        ends: (S,) one past the last token of each span.
        shape: (B, T).
    """
    depth = np.zeros((shape[0], shape[1] + 1), dtype=np.int32)
    first, last = clip(starts, ends, start=0, end=shape[1])
    np.add.at(depth, (np.asarray(rows, np.int64), first), 1)
    np.add.at(depth, (np.asarray(rows, np.int64), last), -1)
    return depth.cumsum(axis=1)[:, :-1] > 0
