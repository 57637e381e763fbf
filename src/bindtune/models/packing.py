"""Pack the rows of a batch without padding, and plan which sequences attend to which.

A batch (B, T) becomes one axis of N real tokens. Rows of equal shape (equal numbers of tokens in each of their
sequences) stand side by side. So attention over all of them is one call on a view, without copy or mask.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor

from bindtune.models.fused import spread_rows
from bindtune.models.padded_rows import DensePlan


class Block(NamedTuple):
    """Adjacent rows of equal shape: the first packed token, the number of rows, the lengths of a row's sequences."""

    start: int
    rows: int
    lengths: tuple[int, ...]


class Stretch(NamedTuple):
    """The same stretch of tokens in each of G adjacent rows.

    Args:
        start: first packed token of the first row.
        step: number of tokens of a row.
        offset: first token of the stretch in its row.
        length: n, number of tokens of the stretch.
    """

    start: int
    step: int
    offset: int
    length: int

    def view(self, packed: Tensor, rows: int) -> Tensor:
        """The stretch in all rows: (N, H, d) to a view (G, H, n, d)."""
        block = packed[self.start : self.start + rows * self.step].unflatten(0, (rows, self.step))
        return block[:, self.offset : self.offset + self.length].transpose(1, 2)


class Pair(NamedTuple):
    """A stretch of queries and the stretch of keys that each query sees, in G rows of equal shape."""

    rows: int
    queries: Stretch
    keys: Stretch


@dataclass(frozen=True)
class Plan:
    """An attention pattern as pairs of stretches.

    Args:
        pairs: pairs ordered by block; every query token is in exactly one pair.
    """

    pairs: tuple[Pair, ...]

    @cached_property
    def shares_keys(self) -> bool:
        """Whether more than one pair sees the same key."""
        seen = sum(pair.rows * pair.keys.length for pair in self.pairs)
        return seen > max((p.keys.start + p.rows * p.keys.step for p in self.pairs), default=0)

    def lengths(self) -> tuple[list[int], list[int]]:
        """Numbers of queries and of keys of each stretch, in packed order; for plans without shared keys."""
        queries, keys = [], []
        for _, group in groupby(self.pairs, key=lambda pair: pair.queries.start):
            pairs = list(group)
            queries += [pair.queries.length for pair in pairs] * pairs[0].rows
            keys += [pair.keys.length for pair in pairs] * pairs[0].rows
        return queries, keys

    def key_ranges(self) -> Tensor:
        """First and one past the last packed key that each packed query sees (N, 2)."""
        size = sum(pair.rows * pair.queries.length for pair in self.pairs)
        ranges = torch.empty(size, 2, dtype=torch.int64)
        for rows, queries, keys in self.pairs:
            first = keys.start + keys.offset + torch.arange(rows) * keys.step
            seen = torch.stack([first, first + keys.length], dim=1)
            # As (N, 1, 2), so that a view of the queries' stretch has the shape (G, 1, n, 2).
            queries.view(ranges.unsqueeze(1), rows).copy_(seen[:, None, None])
        return ranges


class View(NamedTuple):
    """The attention pattern, positions and cached context of a layer.

    Args:
        plan: which queries see which keys; a mask while `torch.export` traces.
        angles: cosine and sine of each token's position (N, 1, d/2).
        only: (M,) tokens that go on to the next layer; the other tokens give only keys and values. None: all go on.
        context: keys and values of a cached context (C, G, d).
        captured: list that gets the layer's keys and values while a context is cached.
    """

    plan: Plan | DensePlan
    angles: tuple[Tensor, Tensor]
    only: Tensor | None = None
    context: tuple[Tensor, Tensor] | None = None
    captured: list[tuple[Tensor, Tensor]] | None = None


@dataclass(frozen=True)
class Packing:
    """Positions of the packed tokens in the padded batch.

    Args:
        shape: (B, T).
        index: (N,) position of each packed token in the flattened batch.
        sequence_ids: (N,) sequence of each packed token.
        blocks: the rows, in packed order.
        query: (M,) packed tokens that belong to the last sequence of their row.
    """

    shape: tuple[int, int]
    index: Tensor
    sequence_ids: Tensor
    blocks: tuple[Block, ...]
    query: Tensor

    def pack(self, batch: Tensor) -> Tensor:
        """Take the real tokens: (B, T, ...) to (N, ...)."""
        return batch.flatten(0, 1).index_select(0, self.index)

    def unpack(self, packed: Tensor) -> Tensor:
        """Put tokens back, with 0 at padding: (N, ...) to (B, T, ...)."""
        rows, width = self.shape
        return spread_rows(packed, self.index, rows * width).unflatten(0, self.shape)

    @property
    def has_context(self) -> bool:
        """Whether a row holds homologs before its query."""
        return any(len(block.lengths) > 1 for block in self.blocks)

    @cached_property
    def queries(self) -> "Packing":
        """The same batch with only the last sequence of each row."""
        blocks, start = [], 0
        for block in self.blocks:
            blocks.append(Block(start, block.rows, block.lengths[-1:]))
            start += block.rows * block.lengths[-1]
        everything = torch.arange(start, device=self.index.device)
        return Packing(self.shape, self.index[self.query], self.sequence_ids[self.query], tuple(blocks), everything)

    @cached_property
    def within(self) -> Plan:
        """Each sequence sees itself."""
        return Plan(tuple(pair for block in self.blocks for pair in _pairs(block, causal=False)))

    @cached_property
    def causal(self) -> Plan:
        """Each sequence sees itself and the earlier sequences of its row."""
        return Plan(tuple(pair for block in self.blocks for pair in _pairs(block, causal=True)))

    @cached_property
    def causal_queries(self) -> Plan:
        """The last sequence of each row sees the whole row; queries are packed as in `queries`, keys as here."""
        pairs = []
        for block, alone in zip(self.blocks, self.queries.blocks, strict=True):
            size, last = sum(block.lengths), block.lengths[-1]
            row = Stretch(block.start, size, 0, size)
            pairs.append(Pair(block.rows, Stretch(alone.start, last, 0, last), row))
        return Plan(tuple(pairs))


def pack(sequence_ids: Tensor) -> Packing:
    """Compute the packing of a batch.

    Args:
        sequence_ids: (B, T) sequence number of each token, -1 at padding. Padding and sequences may stand in any order;
            only the numbers decide which tokens a token sees.
    """
    rows, width = sequence_ids.shape
    flat = sequence_ids.flatten()
    real = (flat >= 0).nonzero().squeeze(1)
    row, sequence = real // max(width, 1), flat[real]
    stride = int(sequence.max()) + 1 if len(real) else 1
    keys, counts = torch.unique(row * stride + sequence, return_counts=True)
    lengths: dict[int, list[int]] = {}
    for key, count in zip(keys.tolist(), counts.tolist(), strict=True):
        lengths.setdefault(key // stride, []).append(count)
    order = sorted(lengths, key=lambda number: lengths[number])
    rank = torch.zeros(rows, dtype=torch.int64)
    rank[order] = torch.arange(len(order))
    rank = rank.to(flat.device)
    arranged = torch.argsort(rank[row] * stride + sequence, stable=True)
    index, sequence, row = real[arranged], sequence[arranged], row[arranged]
    last = torch.full((rows,), -1, dtype=torch.int64, device=flat.device)
    last = last.scatter_reduce(0, row, sequence, reduce="amax")
    query = (sequence == last[row]).nonzero().squeeze(1)
    return Packing((rows, width), index, sequence, _blocks([tuple(lengths[number]) for number in order]), query)


def _blocks(shapes: Sequence[tuple[int, ...]]) -> tuple[Block, ...]:
    blocks, start = [], 0
    for lengths, group in groupby(shapes):
        rows = len(list(group))
        blocks.append(Block(start, rows, lengths))
        start += rows * sum(lengths)
    return tuple(blocks)


def _pairs(block: Block, *, causal: bool) -> list[Pair]:
    size, offset, pairs = sum(block.lengths), 0, []
    for length in block.lengths:
        queries = Stretch(block.start, size, offset, length)
        keys = Stretch(block.start, size, 0, offset + length) if causal else queries
        pairs.append(Pair(block.rows, queries, keys))
        offset += length
    return pairs
