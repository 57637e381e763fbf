"""Element-wise steps whose stock form is slow or keeps much for the backward pass, as autograd functions.

Shapes: N tokens, D width, H heads of size d.

Each is the formula in its docstring; what it keeps is said there. None supports second derivatives.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

Angles = tuple[Tensor, Tensor]


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """RMS norm, x / sqrt(mean(x^2) + eps) * weight over the last axis of (N, D); at least fp32 inside, type of `x`."""
    return _RMSNorm.apply(x, weight, eps)


def rotary_angles(positions: Tensor, *, theta: float, head_size: int, dtype: torch.dtype) -> Angles:
    """Cosine and sine of position * theta^(-2j/d): (N,) to (N, 1, d/2) each.

    Computed in fp32 where they are used, from frequencies computed on the CPU: nothing that loading could lose, and the
    same numbers on every device.
    """
    exponents = torch.arange(0, head_size, 2, dtype=torch.float32, device="cpu") / head_size
    frequencies = (1.0 / theta**exponents).to(positions.device)
    angles = (positions.to(torch.float32)[:, None] * frequencies)[:, None]
    return angles.cos().to(dtype), angles.sin().to(dtype)


def clip_rotate(x: Tensor, angles: Angles | None, clip: float | None) -> Tensor:
    """Clamp heads to [-clip, clip], then turn them by their positions' angles.

    Args:
        x: (N, H, d).
        angles: cosine and sine (N, 1, d/2) in the type of `x`, or None for no rotation.
        clip: None for no clamping.
    """
    return _ClipRotate.apply(x, *(angles or (None, None)), clip)


def gated_silu(gate: Tensor, value: Tensor) -> Tensor:
    """silu(gate) * value; keeps its inputs only."""
    return _GatedSilu.apply(gate, value)


@contextmanager
def recomputed_product(product: Tensor, gate: Tensor, value: Tensor) -> Iterator[None]:
    """Inside, whoever wants to keep `product` = gated_silu(gate, value) for the backward pass keeps its inputs instead.

    They are kept anyway, so the product, computed again when it is needed, takes no memory between the passes. It works
    whatever uses the product: a linear layer, or one with an adapter around it.
    """

    def put(tensor: Tensor) -> Tensor | None:
        same = tensor.data_ptr() == product.data_ptr() and tensor.shape == product.shape
        return None if same and tensor.stride() == product.stride() else tensor

    def get(kept: Tensor | None) -> Tensor:
        return F.silu(gate).mul_(value) if kept is None else kept

    gate, value = gate.detach(), value.detach()
    with torch.autograd.graph.saved_tensors_hooks(put, get):
        yield


def _wide(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


class _RMSNorm(torch.autograd.Function):
    """Keeps its input and one number a token."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        wide = _wide(x)
        square = torch.linalg.vector_norm(wide, dim=-1, keepdim=True).square_()
        scale = square.div_(x.shape[-1]).add_(eps).rsqrt_()
        ctx.save_for_backward(x, weight, scale)
        return torch.mul(wide, scale).mul_(weight).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight, scale = ctx.saved_tensors
        grad, wide, wide_weight = _wide(grads[0]), _wide(x), _wide(weight)
        both = torch.mul(grad, wide)
        # Products with vectors, not einsum: that one becomes a batched product that copies its operands.
        grad_weight = (both.t() @ scale.squeeze(-1)).to(weight.dtype) if ctx.needs_input_grad[1] else None
        along = (both @ wide_weight).unsqueeze(-1).mul_(scale).mul_(scale).div_(x.shape[-1])
        grad_x = torch.mul(grad, wide_weight, out=both).addcmul_(wide, along, value=-1).mul_(scale)
        return grad_x.to(x.dtype), grad_weight, None


def _rotate_(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """[x1 cos - x2 sin, x2 cos + x1 sin] for the halves x1, x2 of the last axis, in place."""
    x1, x2 = x.chunk(2, dim=-1)
    turned = torch.mul(x1, sin)
    x1.mul_(cos).addcmul_(x2, sin, value=-1)
    x2.mul_(cos).add_(turned)
    return x


class _ClipRotate(torch.autograd.Function):
    """Keeps the angles, which all layers share, and where it did not clamp as booleans."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor | None, sin: Tensor | None, clip: float | None) -> Tensor:
        out = x.clone() if clip is None else x.clamp(-clip, clip)
        inside = None if clip is None or not ctx.needs_input_grad[0] else torch.eq(x, out)
        ctx.save_for_backward(cos, sin, inside)
        return out if cos is None or sin is None else _rotate_(out, cos, sin)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        cos, sin, inside = ctx.saved_tensors
        if cos is None:
            return grads[0] if inside is None else grads[0] * inside, None, None, None
        grad = torch.empty_like(grads[0])
        (from1, from2), (to1, to2) = grads[0].chunk(2, dim=-1), grad.chunk(2, dim=-1)
        torch.mul(from1, cos, out=to1).addcmul_(from2, sin)
        torch.mul(from2, cos, out=to2).addcmul_(from1, sin, value=-1)
        return grad if inside is None else grad.mul_(inside), None, None, None


class _GatedSilu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: Tensor, value: Tensor) -> Tensor:
        ctx.save_for_backward(gate, value)
        return F.silu(gate).mul_(value)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        gate, value = ctx.saved_tensors
        grad_gate = torch.mul(grads[0], value)
        torch.ops.aten.silu_backward.grad_input(grad_gate, gate, grad_input=grad_gate)
        return grad_gate, F.silu(gate).mul_(grads[0])
