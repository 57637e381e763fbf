"""The parts of DNABERT-2, under the hub's key names. Shapes as in `dnabert2.py`."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AttentionInterface
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer

from bindtune.models.dnabert2_config import DNABert2Config
from bindtune.models.fused import dropout, gated_gelu, spread_rows

_FUNCTIONS = AttentionInterface()  # those of transformers, and what a user has registered there


def alibi_slopes(heads: int) -> tuple[float, ...]:
    """The slope of each head: powers of two; other numbers of heads add every other slope of the next finer list."""
    whole = 2 ** math.floor(math.log2(heads))
    slopes = [2.0 ** (-8 * (k + 1) / whole) for k in range(whole)]
    finer = [2.0 ** (-8 * (k + 1) / (2 * whole)) for k in range(0, 2 * whole, 2)]
    return tuple(slopes + finer[: heads - whole])


@dataclass(frozen=True)
class Layout:
    """Where the packed tokens stand in the padded batch, and the attention bias that follows from it.

    Args:
        shape: (B, T).
        index: (N,) position of each attended token in the flattened batch, or None where all tokens are packed.
        bias: (1 or B, H, T, T) what is added to the attention scores; one row where it is the same for all.
        attended: (B, T) the attended tokens, where padding is packed too.
    """

    shape: tuple[int, int]
    index: Tensor | None
    bias: Tensor
    attended: Tensor | None = None

    def pack(self, padded: Tensor) -> Tensor:
        """(B, T, ...) to (N, ...)."""
        flat = padded.reshape(self.shape[0] * self.shape[1], *padded.shape[2:])
        return flat if self.index is None else flat.index_select(0, self.index)

    def pad(self, packed: Tensor) -> Tensor:
        """(N, D) to (B, T, D), zeros where nothing is attended."""
        if self.index is not None:
            packed = spread_rows(packed, self.index, self.shape[0] * self.shape[1])
        padded = packed.view(*self.shape, *packed.shape[1:])
        return padded if self.attended is None else padded.masked_fill(~self.attended[..., None], 0.0)


def lay_out(attention_mask: Tensor, *, heads: int, dtype: torch.dtype, position_ids: Tensor | None = None) -> Layout:
    """Find the attended tokens of attention_mask (B, T) and form the ALiBi bias of `heads` heads.

    Distances are between columns of the padded batch, so padding on either side leaves the result unchanged; or between
    `position_ids` (T,), (1, T) or (B, T).

    While `torch.export` traces, nothing may depend on how many tokens are attended, so padding is packed too.
    """
    shape = (attention_mask.shape[0], attention_mask.shape[1])
    if position_ids is None:
        position_ids = torch.arange(shape[1], device=attention_mask.device)
    positions = position_ids.view(-1, shape[1])  # (1 or B, T)
    distance = (positions[:, :, None] - positions[:, None, :]).abs().to(torch.float32)  # (1 or B, T, T)
    slopes = torch.tensor(alibi_slopes(heads), device=attention_mask.device)
    bias = -slopes[:, None, None] * distance[:, None]  # (1 or B, H, T, T)
    attended = attention_mask != 0
    exporting = torch.compiler.is_exporting()
    if not exporting and bool(attended.all()):
        return Layout(shape, None, bias.to(dtype))
    # Finite in every dtype: a row without a single attended token then yields numbers, not NaN.
    bias = bias.masked_fill(~attended[:, None, None, :], -3e4).to(dtype)
    if exporting:
        return Layout(shape, None, bias, attended)
    return Layout(shape, attended.flatten().nonzero().flatten(), bias)


def eager_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    *,
    scaling: float,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """Attention that writes down its map, in the form of transformers' attention functions.

    Args:
        module: not used.
        query: (B, H, T, h), as `key` and `value`.
        key: see `query`.
        value: see `query`.
        attention_mask: (1 or B, H, T, T) what is added to the scaled scores.
        scaling: of the scores.
        dropout: share of the map that is zeroed.
        **_: settings of other attention functions.

    Returns:
        (B, T, H, h), and the map (B, H, T, T). Each row sums to 1 over the attended tokens, if nothing is dropped.
    """
    scores = query @ key.transpose(-1, -2) * scaling + attention_mask
    weights = F.dropout(scores.softmax(dim=-1, dtype=torch.float32).to(query.dtype), dropout)
    return (weights @ value).transpose(1, 2), weights


class Embeddings(nn.Module):
    """Word and token-type embeddings; there are no position embeddings."""

    def __init__(self, config: DNABert2Config) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.p = config.hidden_dropout_prob

    def forward(self, words: Tensor, types: Tensor) -> Tensor:
        """Map word embeddings (N, D) and token types (N,) to (N, D)."""
        x = words + self.token_type_embeddings(types)
        return dropout(self.LayerNorm(x), self.p, self.training)


class SelfAttention(nn.Module):
    """Multi-head attention with a bias on the scores, by the function that the configuration names."""

    is_causal = False

    def __init__(self, config: DNABert2Config) -> None:
        super().__init__()
        self.config = config
        self.heads = config.num_attention_heads
        self.p = config.attention_probs_dropout_prob
        self.Wqkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)

    def forward(self, x: Tensor, layout: Layout, with_map: bool = False) -> tuple[Tensor, Tensor | None]:
        """Map (N, D) to (N, D) and, by the function "eager", a map (B, H, T, T); tokens attend within their own row."""
        qkv = layout.pad(self.Wqkv(x))  # (B, T, 3D)
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in qkv.chunk(3, dim=-1)
        )  # (B, H, T, h)
        # The name that every model of transformers reads; there is none without the underscore.
        attend = _FUNCTIONS.get_interface(self.config._attn_implementation, eager_attention)
        mixed, weights = attend(
            self,
            q,
            k,
            v,
            layout.bias.to(q.dtype),
            dropout=self.p if self.training else 0.0,
            scaling=q.shape[-1] ** -0.5,
            output_attentions=with_map,
        )  # (B, T, H, h)
        return layout.pack(mixed.flatten(2)), weights


class AddAndNorm(nn.Module):
    """The projection that closes a block: dense, dropout, residual, LayerNorm."""

    def __init__(self, config: DNABert2Config) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.p = config.hidden_dropout_prob

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """Map (N, D) and (N, D) to (N, D)."""
        return self.LayerNorm(dropout(self.dense(x), self.p, self.training) + residual)


class Attention(nn.Module):
    """Self-attention and its output projection, under the hub's names."""

    def __init__(self, config: DNABert2Config) -> None:
        super().__init__()
        self.self = SelfAttention(config)
        self.output = AddAndNorm(config)


class GatedMLP(nn.Module):
    """Feed-forward with a GELU gate and its residual; dropout stands before the second projection."""

    def __init__(self, config: DNABert2Config) -> None:
        super().__init__()
        self.gated_layers = nn.Linear(config.hidden_size, 2 * config.intermediate_size, bias=False)
        self.wo = nn.Linear(config.intermediate_size, config.hidden_size)
        self.layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.p = config.hidden_dropout_prob

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, D) to (N, D)."""
        hidden = gated_gelu(self.gated_layers(x))  # (N, F)
        return self.layernorm(self.wo(dropout(hidden, self.p, self.training)) + x)


class Layer(GradientCheckpointingLayer):
    """One encoder layer, normalised after each block."""

    def __init__(self, config: DNABert2Config) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.mlp = GatedMLP(config)

    def forward(
        self, x: Tensor, layout: Layout, keep: Tensor | None = None, with_map: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Map (N, D) to (N, D), or to (len(keep), D) where only those tokens are needed after attention.

        The second value is the attention map (B, H, T, T) if it is asked for and there is one.
        """
        mixed, weights = self.attention.self(x, layout, with_map)
        if keep is not None:
            mixed, x = mixed[keep], x[keep]
        return self.mlp(self.attention.output(mixed, x)), weights if with_map else None


class Encoder(nn.Module):
    """The stack of layers, under the hub's name."""

    def __init__(self, config: DNABert2Config) -> None:
        super().__init__()
        self.layer = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))


class IdentityLinear(nn.Linear):
    """A layer that begins as the identity if no checkpoint has it, not with random numbers.

    So a model that adapters were trained on can be made again from its checkpoint alone.
    """


class Pooler(nn.Module):
    """What sequence classification reads: one more layer on the first attended token of a row, [CLS]."""

    def __init__(self, config: DNABert2Config) -> None:
        super().__init__()
        self.dense = IdentityLinear(config.hidden_size, config.hidden_size)

    def forward(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """Map hidden states (B, T, D) and the mask (B, T) to (B, D)."""
        first = (attention_mask != 0).int().argmax(dim=1)  # (B,), 0 where nothing is attended
        rows = torch.arange(hidden.shape[0], device=hidden.device)
        return self.dense(hidden[rows, first]).tanh()


class Transform(nn.Module):
    """The masked-LM head's hidden layer. Its LayerNorm's epsilon is fixed, whatever the encoder's is."""

    def __init__(self, config: DNABert2Config) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=1e-12)
        self.act = ACT2FN[config.hidden_act]

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, D) to (N, D)."""
        return self.LayerNorm(self.act(self.dense(x)))


class Predictions(nn.Module):
    """Hidden states to vocabulary; the decoder's weight is the word embeddings'."""

    def __init__(self, config: DNABert2Config) -> None:
        super().__init__()
        self.transform = Transform(config)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, D) to (N, V)."""
        return self.decoder(self.transform(x))


class Heads(nn.Module):
    """The container that the hub's key names ask for."""

    def __init__(self, config: DNABert2Config) -> None:
        super().__init__()
        self.predictions = Predictions(config)
