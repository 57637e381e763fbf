"""Element-wise steps as autograd functions; torch's own versions are slow or keep much for the backward pass.

Shapes: N tokens, D width, H heads of size d.

Each docstring has the formula and says what is kept for the backward pass. Second derivatives are not supported.
Without gradients, `clip_rotate`, `gated_silu` and `add_residual` write their result over their first input. Callers
give them a tensor that nothing else reads. benchmarks/README.md has what this gains.
`torch.export` gets the plain formula, because a graph with in-place steps has no backward pass.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

Angles = tuple[Tensor, Tensor]


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """RMS norm, x / sqrt(mean(x^2) + eps) * weight over the last axis of (N, D), computed in fp32 or wider."""
    if torch.compiler.is_exporting():
        wide = _wide(x)
        return (wide * (wide.square().mean(dim=-1, keepdim=True) + eps).rsqrt() * weight).to(x.dtype)
    return _RMSNorm.apply(x, weight, eps)


def rotary_angles(positions: Tensor, *, theta: float, head_size: int, dtype: torch.dtype) -> Angles:
    """Cosine and sine of position * theta^(-2j/d): (N,) to (N, 1, d/2) each.

    They are computed in fp32 in each forward pass, so loading cannot lose them. The frequencies are computed on the
    CPU, so every device gets the same numbers.
    """
    exponents = torch.arange(0, head_size, 2, dtype=torch.float32, device="cpu") / head_size
    frequencies = (1.0 / theta**exponents).to(positions.device)
    angles = (positions.to(torch.float32)[:, None] * frequencies)[:, None]
    return angles.cos().to(dtype), angles.sin().to(dtype)


def clip_rotate(x: Tensor, angles: Angles | None, clip: float | None) -> Tensor:
    """Clamp heads to [-clip, clip], then rotate them by their positions' angles.

    Args:
        x: (N, H, d).
        angles: cosine and sine (N, 1, d/2) in the type of `x`, or None for no rotation.
        clip: None for no clamping.
    """
    if torch.compiler.is_exporting():
        x = x if clip is None else x.clamp(-clip, clip)
        return x if angles is None else _rotated(x, *angles)
    if not x.requires_grad:
        x = x if clip is None else x.clamp_(-clip, clip)
        return x if angles is None else _rotate_(x, *angles)
    return _ClipRotate.apply(x, *(angles or (None, None)), clip)


def add_residual(update: Tensor, residual: Tensor) -> Tensor:
    """Add (N, D) to (N, D); keeps nothing. The wider of two types is that of the sum."""
    has_gradient = update.requires_grad or residual.requires_grad
    if has_gradient or update.dtype != residual.dtype or torch.compiler.is_exporting():
        return residual + update
    return update.add_(residual)


def gated_silu(gate: Tensor, value: Tensor) -> Tensor:
    """silu(gate) * value; keeps only its inputs."""
    if torch.compiler.is_exporting():
        return F.silu(gate) * value
    if not (gate.requires_grad or value.requires_grad):
        return F.silu(gate, inplace=True).mul_(value)
    return _GatedSilu.apply(gate, value)


def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """Zero a share p of the elements while training and scale up the others."""
    if not training or p == 0.0:
        return x
    if x.device.type != "cpu" or p == 1.0 or torch.compiler.is_exporting():
        return F.dropout(x, p)
    return _Dropout.apply(x, p)


class Dropout(nn.Dropout):
    """`dropout` as a module; torch's own took a fifth of a step of E1 with adapters on a CPU."""

    def forward(self, x: Tensor) -> Tensor:
        """Drop features of a tensor of any shape."""
        return dropout(x, self.p, self.training)


def gated_gelu(gate_value: Tensor) -> Tensor:
    """GELU(gate) * value for [gate, value] (N, 2F), to (N, F); keeps only its input."""
    if torch.compiler.is_exporting():
        gate, value = gate_value.chunk(2, dim=-1)
        return F.gelu(gate) * value
    return _GatedGelu.apply(gate_value)


def spread_rows(packed: Tensor, index: Tensor, rows: int) -> Tensor:
    """Put rows (N, ...) at the positions `index` (N,) among zeros (rows, ...); keeps only the positions."""
    return _SpreadRows.apply(packed, index, rows)


@contextmanager
def recomputed_product(product: Tensor, gate: Tensor, value: Tensor) -> Iterator[None]:
    """Keep gate and value for the backward pass instead of `product` = gated_silu(gate, value).

    Gate and value are kept anyway. The product is computed again in the backward pass, so it takes no memory between
    the passes. This works for every user of the product: a linear layer, or one with an adapter.
    """

    # Compare addresses: a reference to the product would keep it alive as long as `put`.
    address = (product.data_ptr(), product.shape, product.stride())

    def put(tensor: Tensor) -> Tensor | None:
        return None if (tensor.data_ptr(), tensor.shape, tensor.stride()) == address else tensor

    def get(saved: Tensor | None) -> Tensor:
        return F.silu(gate).mul_(value) if saved is None else saved

    gate, value = gate.detach(), value.detach()
    with torch.autograd.graph.saved_tensors_hooks(put, get):
        yield


def _wide(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


class _RMSNorm(torch.autograd.Function):
    """Keeps its input and one number for each token."""

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
        # Products with vectors: einsum would make a batched product that copies its operands.
        grad_weight = (both.t() @ scale.squeeze(-1)).to(weight.dtype) if ctx.needs_input_grad[1] else None
        along = (both @ wide_weight).unsqueeze(-1).mul_(scale).mul_(scale).div_(x.shape[-1])
        grad_x = torch.mul(grad, wide_weight, out=both).addcmul_(wide, along, value=-1).mul_(scale)
        return grad_x.to(x.dtype), grad_weight, None


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """[x1 cos - x2 sin, x2 cos + x1 sin] for the halves x1, x2 of the last axis."""
    x1, x2 = x.chunk(2, dim=-1)
    return torch.cat([x1 * cos - x2 * sin, x2 * cos + x1 * sin], dim=-1)


def _rotate_(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """`_rotated`, in place."""
    x1, x2 = x.chunk(2, dim=-1)
    turned = torch.mul(x1, sin)
    x1.mul_(cos).addcmul_(x2, sin, value=-1)
    x2.mul_(cos).add_(turned)
    return x


class _ClipRotate(torch.autograd.Function):
    """Keeps the angles, which all layers share, and a boolean mask of the elements that were not clamped."""

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


def _again(activation: Callable[[Tensor], Tensor], x: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    """Compute an activation of `x` again, and the gradient of `x` from the gradient of the activation."""
    with torch.enable_grad():
        source = x.detach().requires_grad_()
        active = activation(source)
    return active.detach(), torch.autograd.grad(active, source, grad)[0]


class _GatedSilu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: Tensor, value: Tensor) -> Tensor:
        ctx.save_for_backward(gate, value)
        return F.silu(gate).mul_(value)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        gate, value = ctx.saved_tensors
        active, grad_gate = _again(F.silu, gate, grads[0] * value)
        return grad_gate, active.mul_(grads[0])


class _Dropout(torch.autograd.Function):
    """Dropout on the CPU from raw 16-bit random numbers, several times faster than drawing a float for each element.

    The seed is one draw from torch's generator. So `torch.manual_seed`, restored random states and gradient
    checkpointing work as with torch's own dropout. The rate is a multiple of 2^-16, and the scale is exact for this
    rate.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float) -> Tensor:
        threshold = min(round(p * 65536), 65535)
        seed = int(torch.randint(2**62, ()))
        words = np.random.SFC64(seed).random_raw(-(-x.numel() // 4))
        bits = torch.from_numpy(words.view(np.int16)[: x.numel()]).view(x.shape)
        mask = bits >= threshold - 32768
        ctx.scale = 65536 / (65536 - threshold)
        ctx.save_for_backward(mask)
        return torch.mul(x, mask).mul_(ctx.scale)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (mask,) = ctx.saved_tensors
        return torch.mul(grads[0], mask).mul_(ctx.scale), None


class _GatedGelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate_value: Tensor) -> Tensor:
        ctx.save_for_backward(gate_value)
        gate, value = gate_value.chunk(2, dim=-1)
        return F.gelu(gate).mul_(value)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (gate_value,) = ctx.saved_tensors
        gate, value = gate_value.chunk(2, dim=-1)
        grad = torch.empty_like(gate_value)
        grad_gate, grad_value = grad.chunk(2, dim=-1)
        active, to_gate = _again(F.gelu, gate, grads[0] * value)
        torch.mul(grads[0], active, out=grad_value)
        grad_gate.copy_(to_gate)
        return grad


class _SpreadRows(torch.autograd.Function):
    """Keeps only the positions; torch's own copy by index also keeps the copied rows."""

    @staticmethod
    def forward(ctx: Any, packed: Tensor, index: Tensor, rows: int) -> Tensor:
        ctx.save_for_backward(index)
        return packed.new_zeros(rows, *packed.shape[1:]).index_copy_(0, index, packed)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (index,) = ctx.saved_tensors
        return grads[0].index_select(0, index), None, None
