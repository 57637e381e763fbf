"""A layer of Profluent-E1: norms, attention with clipped and rotated heads, a gated MLP. Shapes as in `e1.py`."""

import torch
from torch import Tensor, nn
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer

from bindtune.models.attention import attend, attend_after_context
from bindtune.models.e1_config import E1Config
from bindtune.models.fused import Angles, clip_rotate, gated_silu, recomputed_product, rms_norm
from bindtune.models.packing import View
from bindtune.models.padded_rows import DensePlan


class E1RMSNorm(nn.Module):
    """RMS norm: x / sqrt(mean(x^2) + eps) * weight."""

    def __init__(self, hidden_size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden_size))
        self.eps = eps

    def forward(self, hidden: Tensor) -> Tensor:
        """Normalise (N, D)."""
        return rms_norm(hidden, self.weight, self.eps)


class E1Attention(nn.Module):
    """Attention with clipped and rotated heads."""

    def __init__(self, config: E1Config) -> None:
        super().__init__()
        width, size, groups = config.hidden_size, config.head_size, config.num_key_value_heads or 0
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj = nn.Linear(width, groups * size, bias=False)
        self.v_proj = nn.Linear(width, groups * size, bias=False)
        self.o_proj = nn.Linear(width, width, bias=False)
        self.head_size = size
        self.clip = config.clip_qkv

    def forward(self, normed: Tensor, view: View) -> Tensor:
        """Map (N, D) to (N, D), or to (M, D) where only some tokens go on."""
        key, value = self.keys_and_values(normed, view.angles)  # (N, G, d) each
        asking, angles = normed, view.angles
        if view.only is not None:
            asking = normed[view.only]  # (M, D)
            angles = (angles[0][view.only], angles[1][view.only])
        if view.captured is not None:
            view.captured.append((key, value))
        query = clip_rotate(self._heads(self.q_proj(asking)), angles, self.clip)  # (M, H, d)
        if isinstance(view.plan, DensePlan):
            out = view.plan.attend(query, key, value)  # (N, H, d)
        elif view.context is None:
            out = attend(query, key, value, plan=view.plan)  # (M, H, d)
        else:
            out = attend_after_context(query, key, value, plan=view.plan, context=view.context)
        return self.o_proj(out.flatten(1))  # (M, D)

    def keys_and_values(self, normed: Tensor, angles: Angles) -> tuple[Tensor, Tensor]:
        """Clipped and rotated keys, clipped values: (N, D) to (N, G, d) each."""
        key = self._heads(self.k_proj(normed))
        value = self._heads(self.v_proj(normed))
        return clip_rotate(key, angles, self.clip), clip_rotate(value, None, self.clip)

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (-1, self.head_size))


class E1NormAttentionNorm(nn.Module):
    """The attention, its norm, and the norm of the MLP that follows."""

    def __init__(self, config: E1Config) -> None:
        super().__init__()
        self.self_attn = E1Attention(config)
        self.input_layernorm = E1RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = E1RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, hidden: Tensor, view: View) -> tuple[Tensor, Tensor]:
        """Map (N, D) to the residual and its norm, (N, D) each, or (M, D) where only some tokens go on."""
        attended = self.self_attn(self.input_layernorm(hidden), view)
        hidden = (hidden if view.only is None else hidden[view.only]) + attended
        return hidden, self.post_attention_layernorm(hidden)


class E1MLP(nn.Module):
    """w2(act(w1 x) * w3 x) where gated, else w2(act(w1 x))."""

    def __init__(self, config: E1Config) -> None:
        super().__init__()
        width, inner = config.hidden_size, config.intermediate_size or 0
        self.w1 = nn.Linear(width, inner, bias=False)
        self.w2 = nn.Linear(inner, width, bias=False)
        if config.gated_mlp:
            self.w3 = nn.Linear(width, inner, bias=False)
        self.gated, self.fused = config.gated_mlp, config.gated_mlp and config.hidden_act == "silu"
        self.act = ACT2FN[config.hidden_act]

    def forward(self, x: Tensor, *, saving: bool) -> Tensor:
        """Map (N, D) to (N, D); `saving` keeps less for the backward pass and computes a product twice."""
        gate = self.w1(x)  # (N, I)
        if not self.gated:
            return self._down(self.act(gate))
        value = self.w3(x)  # (N, I)
        if not self.fused:
            return self._down(self.act(gate) * value)
        product = gated_silu(gate, value)  # (N, I)
        if not (saving and product.requires_grad):
            return self._down(product)
        with recomputed_product(product, gate, value):
            return self._down(product)

    def _down(self, x: Tensor) -> Tensor:
        return self.w2(x)


class E1FFN(nn.Module):
    """Holds the MLP, where the hub's key names have it."""

    def __init__(self, config: E1Config) -> None:
        super().__init__()
        self.mlp = E1MLP(config)

    def forward(self, x: Tensor, *, saving: bool) -> Tensor:
        """Map (N, D) to (N, D)."""
        return self.mlp(x, saving=saving)


class E1Layer(GradientCheckpointingLayer):
    """Attention and MLP, each added to the residual."""

    def __init__(self, config: E1Config) -> None:
        super().__init__()
        self.norm_attn_norm = E1NormAttentionNorm(config)
        self.ffn = E1FFN(config)

    def forward(self, hidden: Tensor, view: View) -> Tensor:
        """Map (N, D) to (N, D), or to (M, D) where only some tokens go on."""
        hidden, normed = self.norm_attn_norm(hidden, view)
        # Under checkpointing the layer is computed again anyway, and must not hold on to tensors of its first pass.
        checkpointed = self.gradient_checkpointing and self.training
        # What is traced has no memory addresses, which saving goes by.
        return hidden + self.ffn(normed, saving=not (checkpointed or torch.compiler.is_compiling()))
