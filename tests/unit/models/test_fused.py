"""Element-wise steps against stock autograd."""

import weakref

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from bindtune.models.fused import (
    add_residual,
    clip_rotate,
    gated_silu,
    recomputed_product,
    rms_norm,
    rotary_angles,
    spread_rows,
)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).requires_grad_()


def test_rms_norm() -> None:
    x, weight = normal(5, 8), normal(8, seed=1)
    torch.testing.assert_close(rms_norm(x, weight, 0.1), F.rms_norm(x, (8,), weight, 0.1))
    assert torch.autograd.gradcheck(lambda *inputs: rms_norm(*inputs, 0.1), (x, weight))
    half = rms_norm(x.bfloat16(), weight.float(), 0.1)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.double(), rms_norm(x, weight, 0.1), atol=0.03, rtol=0.02)


@pytest.mark.parametrize("clip", [None, 0.8])
@pytest.mark.parametrize("rotating", [False, True])
def test_clip_rotate(clip: float | None, rotating: bool) -> None:
    x, positions = normal(5, 2, 8), torch.tensor([0, 1, 5, 300, 8191])
    angles = rotary_angles(positions, theta=100.0, head_size=8, dtype=torch.float64)
    before = x.detach().clone()
    rotated = clip_rotate(x, angles if rotating else None, clip)
    clamped = before if clip is None else before.clamp(-clip, clip)
    expected = clamped.clone()
    if rotating:
        turns = positions[:, None] * 100.0 ** (-torch.arange(4) / 4)
        turned = torch.view_as_complex(torch.stack(clamped.chunk(2, -1), -1)) * torch.polar(
            torch.ones_like(turns), turns
        )[:, None].to(torch.complex128)
        expected = torch.cat([turned.real, turned.imag], dim=-1)
    torch.testing.assert_close(rotated, expected, atol=1e-3, rtol=1e-3)  # the angles are fp32: 8191 radians to 5e-4
    assert torch.equal(x, before)
    assert torch.autograd.gradcheck(lambda inputs: clip_rotate(inputs, angles if rotating else None, clip), (x,))


def test_no_gradient_where_clamped() -> None:
    x = torch.tensor([[[-3.0, -1.0, 0.5, 1.5]]], requires_grad=True)
    clip_rotate(x, None, 1.0).sum().backward()
    assert x.grad.tolist() == [[[0.0, 1.0, 1.0, 0.0]]]


def test_gated_silu() -> None:
    gate, value = normal(5, 8), normal(5, 8, seed=1)
    torch.testing.assert_close(gated_silu(gate, value), F.silu(gate) * value)
    assert torch.autograd.gradcheck(gated_silu, (gate, value))


@pytest.mark.parametrize("rotating", [False, True])
@pytest.mark.parametrize("clip", [None, 0.8])
def test_without_gradients_the_first_input_becomes_the_result(clip: float | None, rotating: bool) -> None:
    angles = rotary_angles(torch.arange(5), theta=100.0, head_size=8, dtype=torch.float64) if rotating else None
    for function, shape in (
        (lambda x: clip_rotate(x, angles, clip), (5, 2, 8)),
        (lambda x: gated_silu(x, normal(5, 8, seed=1).detach()), (5, 8)),
        (lambda x: add_residual(x, normal(5, 8, seed=1).detach()), (5, 8)),
    ):
        x = normal(*shape)
        kept, plain = function(x), x.detach().clone()
        assert kept.requires_grad
        assert torch.equal(x, plain)
        result = function(plain)
        assert torch.equal(result, kept)
        assert result.data_ptr() == plain.data_ptr()


def test_a_residual_of_a_wider_type_decides_the_type_of_the_sum() -> None:
    update, residual = torch.full((2, 3), 1 / 256, dtype=torch.bfloat16), torch.ones(2, 3)
    total = add_residual(update, residual)
    assert total.dtype == torch.float32
    assert torch.equal(total, torch.full((2, 3), 1 + 1 / 256))
    assert torch.equal(residual, torch.ones(2, 3))


def test_the_product_is_not_kept_and_gradients_are_equal() -> None:
    gate, value, weight = normal(5, 8), normal(5, 8, seed=1), normal(3, 8, seed=2)
    plain = torch.autograd.grad((gated_silu(gate, value) @ weight.T).square().sum(), (gate, value, weight))
    product = gated_silu(gate, value)
    pointers = []

    def put(tensor: Tensor) -> Tensor:
        pointers.append(tensor.data_ptr())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(put, lambda tensor: tensor), recomputed_product(product, gate, value):
        out = product @ weight.T
    assert product.data_ptr() not in pointers
    held = weakref.ref(product)
    del product
    assert held() is None
    saving = torch.autograd.grad(out.square().sum(), (gate, value, weight))
    for one, two in zip(plain, saving, strict=True):
        assert torch.equal(one, two)


def test_rows_are_spread_among_zeros_and_only_places_are_kept() -> None:
    packed, places = normal(3, 2), torch.tensor([0, 2, 3])
    tensors = []

    def put(tensor: Tensor) -> Tensor:
        tensors.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(put, lambda tensor: tensor):
        protein_rows = spread_rows(packed, places, 5)
    expected = torch.zeros(5, 2, dtype=torch.float64)
    expected[places] = packed.detach()
    assert torch.equal(protein_rows, expected)
    assert [tensor is places for tensor in tensors] == [True]
    assert torch.autograd.gradcheck(lambda inputs: spread_rows(inputs, places, 5), (packed,))


def test_angles_are_computed_in_fp32_whatever_the_default() -> None:
    positions = torch.tensor([0, 1, 65535])
    expected = rotary_angles(positions, theta=500000.0, head_size=16, dtype=torch.float32)
    with torch.device("meta"):
        angles = rotary_angles(positions, theta=500000.0, head_size=16, dtype=torch.float32)
    assert all(torch.equal(one, two) for one, two in zip(angles, expected, strict=True))
    exact = torch.outer(positions.double(), 500000.0 ** (-torch.arange(8).double() / 8))
    torch.testing.assert_close(expected[0][:, 0].double(), exact.cos(), atol=0.01, rtol=0)
