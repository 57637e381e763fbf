"""The kernels that run on GPUs against a masked softmax in double precision, values and gradients."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from bindtune.models.attention import attend, attend_after_context
from bindtune.models.packing import Packing, Plan, pack

HEADS = 4
# Rounding to 8 bits of bfloat16 or 11 of float16, of inputs that both sides share, in scores, sums and output.
TOLERANCE = {torch.float32: 2e-6, torch.float16: 2e-3, torch.bfloat16: 1e-2}
TYPES = list(TOLERANCE)
NARROW = [torch.float16, torch.bfloat16]
KINDS = ["within", "causal", "causal_queries"]


@pytest.fixture(autouse=True)
def own_compiled() -> Iterator[None]:
    """What one test compiles is not another's."""
    torch.compiler.reset()
    yield


def packing_of(rows: list[list[int]]) -> Packing:
    """Rows of sequences of so many tokens, padded on the right."""
    width = max(map(sum, rows))
    ids = torch.full((len(rows), width), -1)
    for row, lengths in enumerate(rows):
        numbers = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
        ids[row, : len(numbers)] = numbers
    return pack(ids.cuda())


ROWS = [[70, 33, 129], [5], [200, 61], [70, 33, 129], [1, 1, 300]]


def masked_softmax(query: Tensor, key: Tensor, value: Tensor, plan: Plan) -> Tensor:
    """By the formula: (M, H, d) of (M, H, d) and (N, G, d) twice."""
    first, past = plan.key_ranges().to(query.device).unbind(1)
    places = torch.arange(len(key), device=query.device)
    mask = (places >= first[:, None]) & (places < past[:, None])
    key, value = (part.repeat_interleave(query.shape[1] // part.shape[1], dim=1) for part in (key, value))
    scores = torch.einsum("qhd,khd->hqk", query, key) / query.shape[-1] ** 0.5
    return torch.einsum("hqk,khd->qhd", scores.masked_fill(~mask, -torch.inf).softmax(-1), value)


def drawn(packing: Packing, dtype: torch.dtype, *, size: int, groups: int = HEADS) -> list[Tensor]:
    generator, tokens = torch.Generator("cuda").manual_seed(0), len(packing.index)
    shapes = ((tokens, HEADS, size), (tokens, groups, size), (tokens, groups, size))
    return [torch.randn(shape, generator=generator, device="cuda").to(dtype) for shape in shapes]


def off(values: Tensor, expected: Tensor) -> float:
    return float((values.detach().double() - expected.detach().double()).norm() / expected.detach().double().norm())


def plan_of(packing: Packing, kind: str) -> Plan:
    return {"within": packing.within, "causal": packing.causal, "causal_queries": packing.causal_queries}[kind]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("size", "groups"), [(64, HEADS), (64, 2), (16, 1)])
@pytest.mark.parametrize("kind", KINDS)
def test_values_and_gradients(kind: str, size: int, groups: int, dtype: torch.dtype) -> None:
    packing = packing_of(ROWS)
    plan = plan_of(packing, kind)
    parts = drawn(packing, dtype, size=size, groups=groups)
    if kind == "causal_queries":
        parts[0] = parts[0][packing.query]
    inputs = [part.requires_grad_() for part in parts]
    wide = [part.detach().double().requires_grad_() for part in inputs]
    output, expected = attend(*inputs, plan=plan), masked_softmax(*wide, plan)
    assert off(output, expected) < TOLERANCE[dtype]
    toward = torch.randn(output.shape, device="cuda").to(dtype)
    output.backward(toward)
    expected.backward(toward.double())
    for first, second in zip(inputs, wide, strict=True):
        assert first.grad is not None and second.grad is not None
        assert off(first.grad, second.grad) < TOLERANCE[dtype]


def test_where_nothing_can_be_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bindtune.models.attention.can_compile", lambda: False)
    monkeypatch.setattr("bindtune.models.attention._compiled_flex", None)
    packing = packing_of(ROWS)
    parts = drawn(packing, torch.bfloat16, size=64)
    output = attend(*parts, plan=packing.causal)
    assert off(output, masked_softmax(*(part.double() for part in parts), packing.causal)) < TOLERANCE[torch.bfloat16]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_comparison_notices_one_key_more(kind: str, dtype: torch.dtype) -> None:
    """Where every sequence but the first is longer by one, tokens see one key more or less."""
    packing, other = packing_of(ROWS), packing_of([[lengths[0] - 1, *lengths[1:-1], lengths[-1] + 1]
                                                    if len(lengths) > 1 else lengths for lengths in ROWS])  # fmt: skip
    parts = drawn(packing, dtype, size=64)
    if kind == "causal_queries":
        parts[0] = parts[0][other.query]
    output = attend(*parts, plan=plan_of(other, kind))
    if kind == "causal_queries":
        output, parts[0] = output[: len(packing.query)], parts[0][: len(packing.query)]
    assert (
        off(output, masked_softmax(*(part.double() for part in parts), plan_of(packing, kind))) > 2 * TOLERANCE[dtype]
    )


@pytest.mark.parametrize("dtype", TYPES)
def test_a_cached_context(dtype: torch.dtype) -> None:
    packing = packing_of([[40], [40], [17], [130]])
    query, key, value = drawn(packing, dtype, size=64, groups=2)
    past_key, past_value = (torch.randn(211, 2, 64, device="cuda").to(dtype) for _ in range(2))
    output = attend_after_context(query, key, value, plan=packing.causal, context=(past_key, past_value))
    for first, past in {tuple(each) for each in packing.causal.key_ranges().tolist()}:
        seen = [torch.cat([old, new[first:past]]).double() for old, new in ((past_key, key), (past_value, value))]
        whole = Plan(pack(torch.zeros(1, len(seen[0]), dtype=torch.int64, device="cuda")).within.pairs)
        asked = torch.zeros(len(seen[0]), HEADS, 64, device="cuda", dtype=torch.float64)
        asked[: past - first] = query[first:past]
        assert off(output[first:past], masked_softmax(asked, *seen, whole)[: past - first]) < TOLERANCE[dtype]


def test_batches_of_any_shape_share_what_is_compiled() -> None:
    """Each batch of a training has its own shape: none may be compiled for, nor fall back to a mask in memory."""
    generator = torch.Generator().manual_seed(3)
    torch._dynamo.utils.counters.clear()
    for number in range(24):
        lengths = torch.randint(20, 400, (3, 3), generator=generator).tolist()
        packing = packing_of(lengths)
        inputs = [part.requires_grad_() for part in drawn(packing, torch.bfloat16, size=64)]
        wide = [part.detach().double() for part in inputs]
        output = attend(*inputs, plan=packing.causal)
        output.sum().backward()
        assert off(output, masked_softmax(*wide, packing.causal)) < TOLERANCE[torch.bfloat16], number
        with torch.no_grad():
            attend(*inputs, plan=packing.causal)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 6


@pytest.mark.parametrize("dtype", NARROW)
def test_memory_grows_with_the_tokens_alone(dtype: torch.dtype) -> None:
    """A mask or scores over 16,000 keys would take hundreds of MB in every head."""
    packing = packing_of([[1000] * 8, [2000] * 4])
    inputs = [part.requires_grad_() for part in drawn(packing, dtype, size=64)]
    for plan in (packing.within, packing.causal):
        attend(*inputs, plan=plan).sum().backward()
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        attend(*inputs, plan=plan).sum().backward()
        tensor = inputs[0].numel() * inputs[0].element_size()
        assert torch.cuda.max_memory_allocated() - before < 20 * tensor
