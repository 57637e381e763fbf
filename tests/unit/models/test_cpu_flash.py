import logging
from typing import Any

import pytest
import torch
from torch import Tensor

from bindtune.models import attention, cpu_flash
from bindtune.models.packing import pack


def plain(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Softmax attention by its formula, in double precision."""
    scores = query.double() @ key.double().transpose(-1, -2) / query.shape[-1] ** 0.5
    return scores.softmax(-1) @ value.double(), scores.logsumexp(-1)


@pytest.mark.parametrize(("queries", "keys"), [(3, 3), (5, 40), (130, 700)])
def test_operators_give_attention_its_sums_and_its_gradients(queries: int, keys: int) -> None:
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, 3, size, 16) for size in (queries, keys, keys))
    grad = torch.randn(2, 3, queries, 16)
    out, sums = cpu_flash.flash(query, key, value)
    parts = [part.double().requires_grad_() for part in (query, key, value)]
    expected, expected_sums = plain(*parts)
    # Every number is a sum of at most so many products of fp32 numbers, which are below 4.
    bound = 4 * torch.finfo(torch.float32).eps * (queries + keys + 16)
    torch.testing.assert_close(out.double(), expected.detach(), atol=bound, rtol=0)
    torch.testing.assert_close(sums.double(), expected_sums.detach(), atol=bound, rtol=0)
    computed = cpu_flash.flash_backward(grad, query, key, value, out, sums)
    for part, gradient in zip(computed, torch.autograd.grad(expected, parts, grad.double()), strict=True):
        torch.testing.assert_close(part.double(), gradient, atol=bound, rtol=0)


def test_this_torch_has_what_is_expected() -> None:
    assert cpu_flash.USABLE
    assert cpu_flash.is_as_expected()


def without_scale(*parts: Tensor) -> tuple[Tensor, Tensor]:
    out, sums = plain(*parts)
    return out.float(), sums.float() * 1.4427  # as with logarithms to base 2


def without_sums(*parts: Tensor) -> Tensor:
    return plain(*parts)[0].float()


def missing(*_: Any) -> Any:
    raise AttributeError("no such operator")


@pytest.mark.parametrize("operator", [without_scale, without_sums, missing])
def test_other_operators_are_not_used(monkeypatch: pytest.MonkeyPatch, operator: Any) -> None:
    monkeypatch.setattr(cpu_flash, "flash", operator)
    assert not cpu_flash.is_as_expected()


def test_other_gradients_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    stock = cpu_flash.flash_backward
    monkeypatch.setattr(cpu_flash, "flash_backward", lambda *parts: stock(*parts)[::-1])
    assert not cpu_flash.is_as_expected()


def test_the_public_way_gives_the_same_and_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    torch.manual_seed(0)
    packing = pack(torch.tensor([[0] * 5 + [1] * 4, [0] * 3 + [-1] * 6]))
    rows, context = [torch.randn(12, 2, 8) for _ in range(3)], (torch.randn(7, 2, 8), torch.randn(7, 2, 8))
    results: list[list[Tensor]] = []
    for usable in (True, False):
        monkeypatch.setattr(cpu_flash, "USABLE", usable)
        cpu_flash.tell.cache_clear()
        parts = [part.clone().requires_grad_() for part in rows]
        with caplog.at_level(logging.WARNING):
            out = attention.attend(parts[0], parts[1], parts[2], plan=packing.causal)
            out.square().sum().backward()
            with torch.no_grad():
                after = attention.attend_after_context(*rows, plan=packing.within, context=context)
        results.append([out.detach(), after, *(part.grad for part in parts if part.grad is not None)])
        assert [record.levelname for record in caplog.records] == ([] if usable else ["WARNING"])
    cpu_flash.tell.cache_clear()
    assert len(results[0]) == len(results[1]) == 5
    for one, another in zip(*results, strict=True):  # sums of at most 16 products, whose gradients reach some tens
        torch.testing.assert_close(one, another, atol=16 * 64 * torch.finfo(torch.float32).eps, rtol=0)
