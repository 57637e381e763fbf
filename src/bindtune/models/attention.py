"""Attention over packed tokens. Shapes: N queries, S keys, H heads, G key/value heads, d the size of a head.

Device, type and installed packages decide which kernel runs. If it fails, it raises; no other kernel is tried.

- CPU: torch's flash kernel for each pair of stretches, on views, no mask (`cpu_flash.py`).
- CUDA, fp16 and bf16: one variable-length call. If keys are shared and kernels can be compiled: flex attention with a
  block mask.
- all other cases: scaled dot product attention for each pair of stretches.
"""

import os
import shutil
import sysconfig
from collections.abc import Callable
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from bindtune.models import cpu_flash
from bindtune.models.packing import Plan


def attend(query: Tensor, key: Tensor, value: Tensor, *, plan: Plan) -> Tensor:
    """Softmax attention; `plan` says which keys each query sees.

    Args:
        query: (N, H, d).
        key: (S, G, d); query head h uses key/value head h // (H / G).
        value: (S, G, d).
        plan: which queries see which keys.

    Returns:
        (N, H, d).
    """
    key, value = _for_each_head(key, query), _for_each_head(value, query)
    if _takes_cpu_flash(query):
        out: Tensor = _PairAttention.apply(query, key, value, plan)
        return out
    if query.device.type == "cuda" and query.dtype in (torch.float16, torch.bfloat16):
        if not plan.shares_keys:
            return _variable_length(query, key, value, plan)
        if can_compile():
            return _flex(query, key, value, plan)
    return _pairwise(query, key, value, plan)


def attend_after_context(
    query: Tensor, key: Tensor, value: Tensor, *, plan: Plan, context: tuple[Tensor, Tensor]
) -> Tensor:
    """Attention in which every query also sees one shared context; for inference only, without gradient.

    Args:
        query: (N, H, d).
        key: (S, G, d) keys of the queries' own rows.
        value: (S, G, d).
        plan: which queries see which keys of `key`.
        context: keys and values (C, G, d) that every query sees.

    Returns:
        (N, H, d).
    """
    key, value = _for_each_head(key, query), _for_each_head(value, query)
    past_key, past_value = (_for_each_head(part, query) for part in context)
    if not _takes_cpu_flash(query):
        return _pairwise(query, key, value, plan, past=(past_key, past_value))
    own, own_lse = _pair_forward(query, key, value, plan)
    # All queries of all rows are one long query axis (1, H, N, d) against the context.
    shared, shared_lse = cpu_flash.flash(*(part.transpose(0, 1)[None] for part in (query, past_key, past_value)))
    weight = torch.sigmoid(own_lse - shared_lse[0].transpose(0, 1))[..., None].to(own.dtype)
    return torch.lerp(shared[0].transpose(0, 1), own, weight)


def _takes_cpu_flash(query: Tensor) -> bool:
    if query.device.type == "cpu" and not cpu_flash.USABLE:
        cpu_flash.tell()
    return query.device.type == "cpu" and cpu_flash.USABLE


def _for_each_head(part: Tensor, query: Tensor) -> Tensor:
    """Repeat key/value heads for their group of query heads: (S, G, d) to (S, H, d)."""
    groups = query.shape[1] // part.shape[1]
    return part if groups == 1 else part.repeat_interleave(groups, dim=1)


def _pair_forward(query: Tensor, key: Tensor, value: Tensor, plan: Plan) -> tuple[Tensor, Tensor]:
    """Output (N, H, d) and log-sum-exp of the scaled scores (N, H)."""
    out = query.new_empty(query.shape)
    lse = query.new_empty(query.shape[:2], dtype=torch.promote_types(query.dtype, torch.float32))
    for rows, queries, keys in plan.pairs:
        part, part_lse = cpu_flash.flash(queries.view(query, rows), keys.view(key, rows), keys.view(value, rows))
        queries.view(out, rows).copy_(part)
        queries.view(lse[..., None], rows).copy_(part_lse[..., None])
    return out, lse


class _PairAttention(torch.autograd.Function):
    """Flash attention for each pair, written into one output; keeps query, key, value, output and log-sum-exp."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, plan: Plan) -> Tensor:
        out, lse = _pair_forward(query, key, value, plan)
        ctx.save_for_backward(query, key, value, out, lse)
        ctx.plan = plan
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        query, key, value, out, lse = ctx.saved_tensors
        plan: Plan = ctx.plan
        start = torch.zeros_like if plan.shares_keys else torch.empty_like
        grad_query, grad_key, grad_value = torch.empty_like(query), start(key), start(value)
        for rows, queries, keys in plan.pairs:
            grad_out, q, o = (queries.view(part, rows) for part in (grads[0], query, out))
            k, v = keys.view(key, rows), keys.view(value, rows)
            sums = queries.view(lse[..., None], rows).squeeze(-1)
            parts = cpu_flash.flash_backward(grad_out, q, k, v, o, sums)
            queries.view(grad_query, rows).copy_(parts[0])
            for whole, part in zip((grad_key, grad_value), parts[1:], strict=True):
                target = keys.view(whole, rows)
                target.add_(part) if plan.shares_keys else target.copy_(part)
        return grad_query, grad_key, grad_value, None


def _pairwise(
    query: Tensor, key: Tensor, value: Tensor, plan: Plan, *, past: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """One call for each pair, on any device; `past` (C, H, d) stands before the keys of every row."""
    out = torch.zeros_like(query)
    for rows, queries, keys in plan.pairs:
        seen_key, seen_value = keys.view(key, rows), keys.view(value, rows)
        if past is not None:
            before = [part.transpose(0, 1).expand(rows, -1, -1, -1) for part in past]
            seen_key, seen_value = torch.cat([before[0], seen_key], 2), torch.cat([before[1], seen_value], 2)
        part = F.scaled_dot_product_attention(queries.view(query, rows), seen_key, seen_value)
        queries.view(out, rows).copy_(part)
    return out


def _variable_length(query: Tensor, key: Tensor, value: Tensor, plan: Plan) -> Tensor:
    """One call over stretches that share no keys. Needs CUDA and `torch.nn.attention.varlen` (torch 2.10)."""
    from torch.nn.attention.varlen import varlen_attn  # here: older versions of torch lack it

    queries, keys = plan.lengths()
    out = varlen_attn(query, key, value, *_bounds(plan, query.device), max(queries), max(keys))
    return out if isinstance(out, Tensor) else out[0]


@lru_cache(maxsize=8)  # the layers of one forward pass share two plans, and copies to the GPU are slow
def _bounds(plan: Plan, device: torch.device) -> tuple[Tensor, Tensor]:
    """(S + 1,) borders of the stretches of queries and of keys on the packed axis."""
    queries, keys = (F.pad(torch.tensor(each).cumsum(0), (1, 0)).to(device, torch.int32) for each in plan.lengths())
    return queries, keys


@lru_cache(maxsize=4)  # the layers of one forward pass share a plan
def _block_mask(plan: Plan, device: torch.device) -> Any:
    from torch.nn.attention.flex_attention import create_block_mask

    first, past = plan.key_ranges().to(device).unbind(dim=1)

    def sees(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (key >= first[query]) & (key < past[query])

    keys = max(pair.keys.start + pair.rows * pair.keys.step for pair in plan.pairs)
    return create_block_mask(sees, None, None, len(first), keys, device=str(device))


@cache
def can_compile() -> bool:
    """Whether GPU kernels can be compiled, which needs Triton, a C compiler and Python's headers."""
    compiler = shutil.which(os.environ.get("CC") or "gcc") or shutil.which("clang")
    return bool(find_spec("triton") and compiler and Path(sysconfig.get_path("include"), "Python.h").is_file())


@cache
def _compiled_flex() -> Callable[..., Tensor]:
    from torch.nn.attention.flex_attention import flex_attention

    # dynamic from the start; otherwise a batch's kernel depends on earlier batches.
    return torch.compile(flex_attention, dynamic=True)


def _flex(query: Tensor, key: Tensor, value: Tensor, plan: Plan) -> Tensor:
    """Flex attention with a mask over blocks of keys. Needs CUDA."""
    heads_first = (part.transpose(0, 1)[None] for part in (query, key, value))
    return _compiled_flex()(*heads_first, block_mask=_block_mask(plan, query.device))[0].transpose(0, 1)
