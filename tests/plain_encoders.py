"""Both encoders once more, in plain NumPy and double precision: one row at a time, dense attention, no packing.

The formulas are those of the architectures' descriptions: DNABERT-2 (Zhou et al. 2023, arXiv 2306.15006) and
Profluent-E1. The weights come as a dict with the hub's names. A reader without the reference data can hold the fast
encoders against these; with that data, these are held against outputs of the upstream code.

Shapes: T tokens of a row, D width, H heads, d size of a head.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Weights = Mapping[str, Array]


def gelu(x: Array) -> Array:
    """The exact form."""
    return x * 0.5 * (1 + erf(x / math.sqrt(2)))


def softmax(scores: Array) -> Array:
    """Over the last axis."""
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def layer_norm(x: Array, weights: Weights, name: str, eps: float) -> Array:
    """Mean 0 and variance 1 over the width, then weight and bias."""
    centred = x - x.mean(axis=-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + eps)
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def rms_norm(x: Array, weight: Array, eps: float) -> Array:
    """Root mean square 1 over the width, then the weight."""
    return x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + eps) * weight


def linear(x: Array, weights: Weights, name: str) -> Array:
    """Weight, and bias where there is one."""
    return x @ weights[f"{name}.weight"].T + weights.get(f"{name}.bias", np.zeros(1))


def heads(x: Array, number: int) -> Array:
    """(T, D) to (H, T, d)."""
    return x.reshape(len(x), number, -1).transpose(1, 0, 2)


def slopes(number: int) -> list[float]:
    """ALiBi's slope of each head (Press et al. 2021, arXiv 2108.12409)."""
    power = 2 ** math.floor(math.log2(number))
    first = [2 ** (-8 * (k + 1) / power) for k in range(power)]
    return first if power == number else first + slopes(2 * power)[0::2][: number - power]


def dnabert2(weights: Weights, config: Any, ids: Ints, types: Ints) -> Array:
    """Logits (T, V) of one row without padding."""
    eps, count = config.layer_norm_eps, config.num_attention_heads
    embeddings = "bert.embeddings"
    words = weights[f"{embeddings}.word_embeddings.weight"]
    x = layer_norm(
        words[ids] + weights[f"{embeddings}.token_type_embeddings.weight"][types],
        weights, f"{embeddings}.LayerNorm", eps,
    )  # fmt: skip
    distance = np.abs(np.subtract.outer(np.arange(len(ids)), np.arange(len(ids))))
    bias = -np.array(slopes(count))[:, None, None] * distance
    for number in range(config.num_hidden_layers):
        layer = f"bert.encoder.layer.{number}"
        q, k, v = (heads(part, count) for part in np.split(linear(x, weights, f"{layer}.attention.self.Wqkv"), 3, 1))
        mixed = softmax(q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1]) + bias) @ v
        out = linear(mixed.transpose(1, 0, 2).reshape(x.shape), weights, f"{layer}.attention.output.dense")
        x = layer_norm(x + out, weights, f"{layer}.attention.output.LayerNorm", eps)
        gate, value = np.split(linear(x, weights, f"{layer}.mlp.gated_layers"), 2, axis=1)
        out = linear(gelu(gate) * value, weights, f"{layer}.mlp.wo")
        x = layer_norm(x + out, weights, f"{layer}.mlp.layernorm", eps)
    head = "cls.predictions"
    x = gelu(linear(x, weights, f"{head}.transform.dense"))
    return layer_norm(x, weights, f"{head}.transform.LayerNorm", 1e-12) @ words.T + weights[f"{head}.decoder.bias"]


def rotated(x: Array, positions: Ints, theta: float) -> Array:
    """Rotary positions, half-split: (H, T, d)."""
    half = x.shape[-1] // 2
    angles = positions[:, None] * theta ** (-np.arange(half) / half)
    first, second = x[..., :half], x[..., half:]
    cos, sin = np.cos(angles), np.sin(angles)
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)


def e1(weights: Weights, config: Any, ids: Ints, within: Ints, over: Ints, sequence: Ints) -> Array:
    """Logits (T, V) of one row without padding.

    Args:
        weights: with the hub's names.
        config: its configuration, with a gated MLP.
        ids: (T,) tokens.
        within: (T,) positions in the sequence.
        over: (T,) positions in the row.
        sequence: (T,) number of the sequence.
    """
    eps, count, groups = config.rms_norm_eps, config.num_attention_heads, config.num_key_value_heads
    x = weights["model.embed_tokens.weight"][ids] + weights["model.embed_seq_id.weight"][sequence]
    same, before = np.equal.outer(sequence, sequence), np.greater_equal.outer(sequence, sequence)
    every = config.global_attention_every_n_layers
    for number in range(config.num_hidden_layers):
        layer = f"model.layers.{number}"
        attention = f"{layer}.norm_attn_norm.self_attn"
        is_global = every > 0 and (number + 1) % every == 0
        seen, positions = (before, over) if is_global else (same, within)
        theta = config.rope_theta_global if is_global else config.rope_theta_within_seq
        y = rms_norm(x, weights[f"{layer}.norm_attn_norm.input_layernorm.weight"], eps)
        q, k, v = (
            np.clip(heads(linear(y, weights, f"{attention}.{name}_proj"), h), -config.clip_qkv, config.clip_qkv)
            for name, h in (("q", count), ("k", groups), ("v", groups))
        )
        q, k = rotated(q, positions, theta), rotated(k, positions, theta)
        k, v = k.repeat(count // groups, axis=0), v.repeat(count // groups, axis=0)
        scores = np.where(seen, q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1]), -np.inf)
        mixed = (softmax(scores) @ v).transpose(1, 0, 2).reshape(len(ids), -1)
        x = x + linear(mixed, weights, f"{attention}.o_proj")
        y = rms_norm(x, weights[f"{layer}.norm_attn_norm.post_attention_layernorm.weight"], eps)
        gate, value = linear(y, weights, f"{layer}.ffn.mlp.w1"), linear(y, weights, f"{layer}.ffn.mlp.w3")
        x = x + linear(gate / (1 + np.exp(-gate)) * value, weights, f"{layer}.ffn.mlp.w2")
    x = rms_norm(x, weights["model.norm.weight"], eps)
    x = gelu(linear(x, weights, "mlm_head.0"))
    return linear(layer_norm(x, weights, "mlm_head.2", eps), weights, "mlm_head.3")
