"""Packing against the definition of who sees whom."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bindtune.models.packing import Plan, pack

ROWS = st.lists(st.lists(st.integers(-1, 3), min_size=6, max_size=6), min_size=1, max_size=7)


def seen(plan: Plan, keys: int) -> Tensor:
    """The plan as a mask (N, S)."""
    first, past = plan.key_ranges().unbind(1)
    return (torch.arange(keys) >= first[:, None]) & (torch.arange(keys) < past[:, None])


@given(rows=ROWS)
def test_plans_are_the_masks_of_the_definition(rows: list[list[int]]) -> None:
    ids = torch.tensor(rows)
    packing = pack(ids)
    row, sequence = packing.index // ids.shape[1], packing.sequence_ids
    assert sorted(packing.index.tolist()) == (ids.flatten() >= 0).nonzero().squeeze(1).tolist()
    assert torch.equal(sequence, ids.flatten()[packing.index])
    same_row, size = row[:, None] == row, len(row)
    assert torch.equal(seen(packing.within, size), same_row & (sequence[:, None] == sequence))
    causal = same_row & (sequence[:, None] >= sequence)
    assert torch.equal(seen(packing.causal, size), causal)
    assert torch.equal(seen(packing.causal_queries, size), causal[packing.query])
    last = ids.amax(dim=1)
    assert torch.equal(packing.query, (sequence == last[row]).nonzero().squeeze(1))
    assert torch.equal(packing.queries.index, packing.index[packing.query])
    assert packing.has_context == any(len(set(row) - {-1}) > 1 for row in rows)
    assert packing.causal.shares_keys == packing.has_context
    assert not packing.within.shares_keys
    assert not packing.causal_queries.shares_keys


@given(rows=ROWS)
def test_unpacking_undoes_packing(rows: list[list[int]]) -> None:
    ids = torch.tensor(rows)
    values = torch.arange(ids.numel() * 2).view(*ids.shape, 2) + 1
    packing = pack(ids)
    assert torch.equal(packing.unpack(packing.pack(values)), values * (ids >= 0)[..., None])


def test_rows_of_equal_shape_share_one_call() -> None:
    ids = torch.tensor([[0, 0, 1], [0, 1, 1], [0, 0, 1], [0, 0, -1]])
    packing = pack(ids)
    assert [(block.rows, block.lengths) for block in packing.blocks] == [(1, (1, 2)), (1, (2,)), (2, (2, 1))]
    assert packing.within.lengths() == ([1, 2, 2, 2, 1, 2, 1],) * 2
    assert packing.causal_queries.lengths() == ([2, 2, 1, 1], [3, 2, 3, 3])


@pytest.mark.parametrize("shape", [(1, 4), (2, 0)])
def test_a_batch_of_padding_is_empty(shape: tuple[int, int]) -> None:
    packing = pack(torch.full(shape, -1))
    assert len(packing.index) == 0
    assert packing.unpack(torch.ones(0, 3)).shape == (*shape, 3)
    assert packing.within.pairs == ()
