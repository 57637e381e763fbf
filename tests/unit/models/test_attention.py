"""Attention over stretches against a masked softmax."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bindtune.models import attention
from bindtune.models.attention import attend, attend_after_context
from bindtune.models.packing import Packing, Plan, pack

ROWS = [[0, 0, 0, 1, 1, 2], [0, 0, 0, 0, -1, -1], [0, 1, 1, 1, 1, -1], [0, 0, 0, 1, 1, 2]]


def masked_softmax(query: Tensor, key: Tensor, value: Tensor, plan: Plan) -> Tensor:
    """By the formula, one head at a time."""
    first, past = plan.key_ranges().unbind(1)
    places = torch.arange(len(key))
    mask = (places >= first[:, None]) & (places < past[:, None])
    group = query.shape[1] // key.shape[1]
    heads = []
    for head in range(query.shape[1]):
        scores = query[:, head] @ key[:, head // group].T / query.shape[-1] ** 0.5
        heads.append(scores.masked_fill(~mask, -torch.inf).softmax(-1) @ value[:, head // group])
    return torch.stack(heads, dim=1)


def drawn(packing: Packing, *, groups: int = 2, seed: int = 0) -> list[Tensor]:
    generator, size = torch.Generator().manual_seed(seed), len(packing.index)
    shapes = ((size, 2, 8), (size, groups, 8), (size, groups, 8))
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


def plans(packing: Packing) -> dict[str, Plan]:
    return {"within": packing.within, "causal": packing.causal, "causal_queries": packing.causal_queries}


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("kind", ["within", "causal", "causal_queries"])
def test_values_and_gradients(kind: str, groups: int) -> None:
    packing = pack(torch.tensor(ROWS))
    plan = plans(packing)[kind]
    query, key, value = drawn(packing, groups=groups)
    query = query[packing.query] if kind == "causal_queries" else query
    inputs = [part.requires_grad_() for part in (query, key, value)]
    torch.testing.assert_close(attend(*inputs, plan=plan), masked_softmax(*inputs, plan))
    assert torch.autograd.gradcheck(lambda *parts: attend(*parts, plan=plan), inputs)


@pytest.mark.parametrize("kind", ["within", "causal"])
def test_the_kernel_for_other_devices(kind: str) -> None:
    packing = pack(torch.tensor(ROWS))
    plan, inputs = plans(packing)[kind], [part.requires_grad_() for part in drawn(packing)]
    torch.testing.assert_close(attention._pairwise(*inputs, plan), attend(*inputs, plan=plan))
    assert torch.autograd.gradcheck(lambda *parts: attention._pairwise(*parts, plan), inputs)


def drawn_for_all(part: Tensor, heads: int) -> Tensor:
    return part.repeat_interleave(heads // part.shape[1], dim=1)


@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(st.lists(st.integers(-1, 2), min_size=5, max_size=5), min_size=1, max_size=5), seed=st.integers(0, 99)
)
def test_any_layout(rows: list[list[int]], seed: int) -> None:
    packing = pack(torch.tensor(rows))
    parts = drawn(packing, seed=seed)
    for plan in (packing.within, packing.causal):
        torch.testing.assert_close(attend(*parts, plan=plan), masked_softmax(*parts, plan))


@pytest.mark.parametrize("groups", [1, 2])
def test_a_context_is_merged_exactly(groups: int) -> None:
    packing = pack(torch.tensor(ROWS))
    query, key, value = drawn(packing, groups=groups)
    past_key, past_value = (torch.randn(11, groups, 8, dtype=torch.float64) * 3 for _ in range(2))
    output = attend_after_context(query, key, value, plan=packing.causal, context=(past_key, past_value))
    for token in range(len(query)):
        first, past = packing.causal.key_ranges()[token].tolist()
        seen = [torch.cat([old, new[first:past]]) for old, new in ((past_key, key), (past_value, value))]
        everything = Plan(pack(torch.zeros(1, len(seen[0]), dtype=torch.int64)).within.pairs)
        whole = masked_softmax(query[token : token + 1].expand(len(seen[0]), -1, -1), *seen, everything)
        torch.testing.assert_close(output[token], whole[0])
    repeated = [drawn_for_all(part, 2) for part in (key, value, past_key, past_value)]
    generic = attention._pairwise(query, *repeated[:2], packing.causal, past=(repeated[2], repeated[3]))
    torch.testing.assert_close(output, generic)


def test_the_block_mask_of_the_cuda_kernel_is_the_plan() -> None:
    packing = pack(torch.tensor(ROWS))
    plan, size = packing.causal, len(packing.index)
    mask = attention._block_mask(plan, torch.device("cpu"))
    places = torch.arange(size)
    zero = torch.zeros((), dtype=torch.int64)
    allowed = torch.stack([mask.mask_mod(zero, zero, places[[q]].squeeze(), places) for q in range(size)])
    first, past = plan.key_ranges().unbind(1)
    assert torch.equal(allowed, (places >= first[:, None]) & (places < past[:, None]))


@pytest.mark.parametrize("missing", ["", "triton", "gcc", "Python.h"])
def test_what_compiling_needs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, missing: str) -> None:
    for name in {"gcc", "Python.h"} - {missing}:
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    monkeypatch.setattr(attention, "find_spec", lambda name: None if name == missing else object())
    assert attention.can_compile.__wrapped__() is (missing == "")


def test_the_bounds_of_the_cuda_kernel_are_the_plan() -> None:
    packing = pack(torch.tensor(ROWS))
    for plan in (packing.within, packing.causal_queries):
        queries, keys = attention._bounds(plan, torch.device("cpu"))
        assert queries.dtype == keys.dtype == torch.int32
        ranges = plan.key_ranges()
        for number, (first, past) in enumerate(pairwise(queries.tolist())):
            assert (ranges[first:past] == keys[number : number + 2]).all()
        assert queries[-1] == len(ranges)
