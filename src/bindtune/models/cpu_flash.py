"""torch's flash attention for CPUs by its private operators; only this file uses them.

Shapes: B rows, H heads, N queries, S keys, d the size of a head.

The public `scaled_dot_product_attention` runs the same kernel, but does not return its log-sum-exp. Without it a
backward pass computes attention again, and each row reads a cached context again. Steps of E1 then take at least 1.05
times as long (rows of 100 to 600 tokens, and a row of 3,200), and attention to a cached context 1.33 times as long.
`USABLE` says whether the operators exist and compute attention. If not, `attention.py` takes the public function.
"""

import logging
from functools import cache

import torch
from torch import Tensor

log = logging.getLogger(__name__)


def flash(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Softmax attention (B, H, N, d), and the log-sum-exp of its scaled scores (B, H, N)."""
    out, sums = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(query, key, value)
    return out, sums


def flash_backward(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, out: Tensor, sums: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of query, key and value, from the gradient of the output and the values that `flash` returned."""
    operator = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
    grad_query, grad_key, grad_value = operator(grad, query, key, value, out, sums, 0.0, False)
    return grad_query, grad_key, grad_value


def is_as_expected() -> bool:
    """Whether the operators agree with the formula of attention on a few numbers."""
    numbers = torch.arange(60, dtype=torch.float32, device="cpu").mul(0.7).sin().view(5, 3, 4)
    query, key, value, grad = numbers[0], numbers[1:3].flatten(0, 1), numbers[3:].flatten(0, 1), numbers[0].cos()
    scores = query @ key.T / 2
    weights = scores.softmax(-1)
    out, to_weights = weights @ value, grad @ value.T
    to_scores = weights * (to_weights - (to_weights * weights).sum(-1, keepdim=True)) / 2
    expected = (out, scores.logsumexp(-1), to_scores @ key, to_scores.T @ query, weights.T @ grad)
    try:
        row = [part[None, None] for part in (query, key, value)]
        first, sums = flash(row[0], row[1], row[2])
        computed = (first, sums, *flash_backward(grad[None, None], row[0], row[1], row[2], first, sums))
    except (AttributeError, RuntimeError, TypeError, ValueError):  # no such operator, or one with other arguments
        return False
    return all(
        part.shape == (1, 1, *of.shape) and torch.allclose(part[0, 0], of, atol=1e-5)
        for part, of in zip(computed, expected, strict=True)
    )


USABLE = is_as_expected()


@cache
def tell() -> None:
    """Say once that the public function is used."""
    log.warning(
        "torch %s: its operators of flash attention for CPUs are missing or have changed; attention takes the public "
        "function instead, with the same results, more time and more memory",
        torch.__version__,
    )
