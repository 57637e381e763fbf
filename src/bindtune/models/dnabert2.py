"""DNABERT-2: encoder and masked-LM head, with the hub's key names.

A BERT with ALiBi instead of position embeddings, a gated feed-forward, and no padding in its linear layers (Zhou et al.
2023, arXiv 2306.15006). Shapes: B rows, T columns, N attended tokens of all rows packed, D width, F feed-forward width,
H heads of size h, V vocabulary.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutput, MaskedLMOutput

from bindtune.models.dnabert2_config import DNABert2Config
from bindtune.models.fused import dropout, gated_gelu, spread_rows
from bindtune.models.strict import StrictPreTrainedModel

DECODER, EMBEDDINGS = "cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"


@lru_cache
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
        index: (N,) position of each attended token in the flattened batch, or None where all are attended.
        bias: (1 or B, H, T, T) what is added to the attention scores; one row where the batch has no padding.
    """

    shape: tuple[int, int]
    index: Tensor | None
    bias: Tensor

    def pack(self, padded: Tensor) -> Tensor:
        """(B, T, ...) to (N, ...)."""
        flat = padded.reshape(self.shape[0] * self.shape[1], *padded.shape[2:])
        return flat if self.index is None else flat.index_select(0, self.index)

    def pad(self, packed: Tensor) -> Tensor:
        """(N, ...) to (B, T, ...), zeros where nothing is attended."""
        if self.index is not None:
            packed = spread_rows(packed, self.index, self.shape[0] * self.shape[1])
        return packed.view(*self.shape, *packed.shape[1:])


def lay_out(attention_mask: Tensor, *, heads: int, dtype: torch.dtype) -> Layout:
    """Find the attended tokens of attention_mask (B, T) and form the ALiBi bias of `heads` heads.

    Distances are between columns of the padded batch, so padding on either side leaves the result unchanged.
    """
    columns = torch.arange(attention_mask.shape[1], device=attention_mask.device)
    distance = (columns[:, None] - columns).abs().to(torch.float32)  # (T, T)
    slopes = torch.tensor(alibi_slopes(heads), device=attention_mask.device)
    bias = (-slopes[:, None, None] * distance)[None]  # (1, H, T, T)
    attended = attention_mask != 0
    shape = (attention_mask.shape[0], attention_mask.shape[1])
    if bool(attended.all()):
        return Layout(shape, None, bias.to(dtype))
    # Finite in every dtype: a row without a single attended token then yields numbers, not NaN.
    bias = bias.masked_fill(~attended[:, None, None, :], -3e4)
    return Layout(shape, attended.flatten().nonzero().flatten(), bias.to(dtype))


class Embeddings(nn.Module):
    """Word and token-type embeddings; there are no position embeddings."""

    def __init__(self, config: DNABert2Config) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.p = config.hidden_dropout_prob

    def forward(self, ids: Tensor, types: Tensor) -> Tensor:
        """Map token ids (N,) and token types (N,) to (N, D)."""
        x = self.word_embeddings(ids) + self.token_type_embeddings(types)
        return dropout(self.LayerNorm(x), self.p, self.training)


class SelfAttention(nn.Module):
    """Multi-head attention with a bias on the scores."""

    def __init__(self, config: DNABert2Config) -> None:
        super().__init__()
        self.heads = config.num_attention_heads
        self.p = config.attention_probs_dropout_prob
        self.Wqkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)

    def forward(self, x: Tensor, layout: Layout) -> Tensor:
        """Map (N, D) to (N, D); tokens attend within their own row."""
        qkv = layout.pad(self.Wqkv(x))  # (B, T, 3D)
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in qkv.chunk(3, dim=-1)
        )  # (B, H, T, h)
        bias = layout.bias.to(q.dtype)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, dropout_p=self.p if self.training else 0.0)
        return layout.pack(mixed.transpose(1, 2).flatten(2))


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

    def forward(self, x: Tensor, layout: Layout, keep: Tensor | None = None) -> Tensor:
        """Map (N, D) to (N, D), or to (len(keep), D) where only those tokens are needed after attention."""
        mixed = self.attention.self(x, layout)
        if keep is not None:
            mixed, x = mixed[keep], x[keep]
        return self.mlp(self.attention.output(mixed, x))


class Encoder(nn.Module):
    """The stack of layers, under the hub's name."""

    def __init__(self, config: DNABert2Config) -> None:
        super().__init__()
        self.layer = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))


class DNABert2PreTrainedModel(StrictPreTrainedModel):
    """Loading, saving and initialisation of the DNABERT-2 models."""

    config_class = DNABert2Config
    base_model_prefix = "bert"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _no_split_modules = ["Layer"]  # noqa: RUF012


class DNABert2Model(DNABert2PreTrainedModel):
    """The encoder. It has no pooler: the hub's checkpoint does not hold one."""

    leaves_behind = ("cls.",)

    def __init__(self, config: DNABert2Config) -> None:
        super().__init__(config)
        self.embeddings = Embeddings(config)
        self.encoder = Encoder(config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """The word embeddings."""
        return self.embeddings.word_embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the word embeddings."""
        self.embeddings.word_embeddings = value  # type: ignore[assignment]

    def encode(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        *,
        wanted: Tensor | None = None,
        every_layer: bool = False,
    ) -> tuple[list[Tensor], Layout]:
        """Encode the attended tokens, packed.

        Args:
            input_ids: (B, T).
            attention_mask: (B, T), 0 at padding; all ones where it is left out.
            token_type_ids: (B, T); zeros where they are left out.
            wanted: (B, T) bool; the last layer then computes these tokens only.
            every_layer: return the embeddings and every layer's output instead of the last one alone.

        Returns:
            A list of (N, D) hidden states (the last one (wanted.sum(), D) where `wanted` is given), and the layout.
        """
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        layout = lay_out(mask, heads=self.config.num_attention_heads, dtype=self.dtype)
        types = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        x = self.embeddings(layout.pack(input_ids), layout.pack(types))
        keep = None if wanted is None else layout.pack(wanted).nonzero().flatten()
        states = [x]
        for number, layer in enumerate(self.encoder.layer, start=1):
            last = number == self.config.num_hidden_layers
            x = layer(x, layout, keep if last else None)
            states = [*states, x] if every_layer else [x]
        return states, layout

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> BaseModelOutput | tuple[Any, ...]:
        """Map token ids (B, T) to `last_hidden_state` (B, T, D), zeros at padding.

        `hidden_states`, when asked for, are the embeddings and the output of each layer.
        """
        wants_states = bool(self.config.output_hidden_states if output_hidden_states is None else output_hidden_states)
        states, layout = self.encode(input_ids, attention_mask, token_type_ids, every_layer=wants_states)
        padded = tuple(layout.pad(x) for x in states)
        output = BaseModelOutput(last_hidden_state=padded[-1], hidden_states=padded if wants_states else None)
        return output if self._as_dict(return_dict) else output.to_tuple()

    def _as_dict(self, return_dict: bool | None) -> bool:
        return bool(self.config.return_dict if return_dict is None else return_dict)


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


class DNABert2ForMaskedLM(DNABert2PreTrainedModel):
    """The encoder with its masked-LM head; decoder and word embeddings are one Parameter."""

    _tied_weights_keys = {DECODER: EMBEDDINGS}  # noqa: RUF012

    def __init__(self, config: DNABert2Config) -> None:
        super().__init__(config)
        self.bert = DNABert2Model(config)
        self.cls = Heads(config)
        self.post_init()

    def get_output_embeddings(self) -> nn.Module:
        """The decoder."""
        return self.cls.predictions.decoder

    def set_output_embeddings(self, value: nn.Module) -> None:
        """Replace the decoder."""
        self.cls.predictions.decoder = value  # type: ignore[assignment]

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        labelled_only: bool | None = None,
    ) -> MaskedLMOutput | tuple[Any, ...]:
        """Predict the token at each position.

        Args:
            input_ids: (B, T).
            attention_mask: (B, T), 0 at padding.
            token_type_ids: (B, T).
            labels: (B, T) true ids, -100 where nothing is asked; padding is never asked. The loss is their mean cross
                entropy, 0 where there is none.
            output_hidden_states: also return the hidden states of every layer, (B, T, D) each.
            return_dict: False for a tuple.
            labelled_only: run the last feed-forward and the head on labelled tokens alone; `logits` is then
                (labelled tokens, V), row by row. Default: while training with labels and without hidden states.

        Returns:
            loss, logits (B, T, V), zeros at padding, and hidden states.
        """
        wants_states = bool(self.config.output_hidden_states if output_hidden_states is None else output_hidden_states)
        if labelled_only is None:
            labelled_only = self.training and labels is not None and not wants_states
        if labelled_only and (labels is None or wants_states):
            raise ValueError("labelled_only needs labels, and leaves nothing for output_hidden_states")
        wanted = None if labels is None else labels != -100
        if wanted is not None and attention_mask is not None:
            wanted = wanted & (attention_mask != 0)
        states, layout = self.bert.encode(
            input_ids,
            attention_mask,
            token_type_ids,
            wanted=wanted if labelled_only else None,
            every_layer=wants_states,
        )
        logits = self.cls.predictions(states[-1])  # (N or labelled tokens, V)
        logits = logits if labelled_only else layout.pad(logits)
        loss = None
        if labels is not None and wanted is not None:
            predicted = logits if labelled_only else logits[wanted]
            loss = F.cross_entropy(predicted.float(), labels[wanted], reduction="sum") / wanted.sum().clamp(min=1)
        hidden = tuple(layout.pad(x) for x in states) if wants_states else None
        output = MaskedLMOutput(loss=loss, logits=logits, hidden_states=hidden)
        return output if self.bert._as_dict(return_dict) else output.to_tuple()


AutoConfig.register(DNABert2Config.model_type, DNABert2Config)
AutoModel.register(DNABert2Config, DNABert2Model)
AutoModelForMaskedLM.register(DNABert2Config, DNABert2ForMaskedLM)
