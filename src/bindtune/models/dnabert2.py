"""DNABERT-2 from settings to heads: configuration, layers, encoder, masked-LM head, with the hub's key names.

A BERT with ALiBi instead of position embeddings, a gated feed-forward, and no padding in its linear layers (Zhou et al.
2023, arXiv 2306.15006). Shapes: B rows, T columns, N attended tokens of all rows packed, D width, F feed-forward width,
H heads of size h, V vocabulary, C classes.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, PreTrainedConfig, initialization
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPooling, MaskedLMOutput
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from bindtune.models.config_numbers import refuse_odd_numbers
from bindtune.models.fused import add_residual, dropout, gated_gelu, spread_rows
from bindtune.models.strict import StrictPreTrainedModel, check_carried
from bindtune.models.token_loss import IGNORED, labels_at, token_loss

# ---------------- settings

_LARGEST = 1 << 20
_SIZES = {
    "vocab_size": (1, 1 << 24), "hidden_size": (1, _LARGEST), "num_hidden_layers": (1, 1000),
    "num_attention_heads": (1, _LARGEST), "intermediate_size": (1, _LARGEST), "type_vocab_size": (1, _LARGEST),
}  # fmt: skip
_SHARES = {
    "hidden_dropout_prob": (0, 1), "attention_probs_dropout_prob": (0, 1), "classifier_dropout": (0, 1),
    "layer_norm_eps": (0, 1), "initializer_range": (0, 1000),
}  # fmt: skip


class DNABert2Config(PreTrainedConfig):
    """Settings of a DNABERT-2 model; the defaults are those of zhihan1996/DNABERT-2-117M.

    `classifier_dropout` None is `hidden_dropout_prob`. Keys of the hub's file that change no result
    (`alibi_starting_size`, `max_position_embeddings`, ...) are kept and written back. ALiBi sets no limit to length.
    """

    model_type = "dnabert2"

    def __init__(
        self,
        vocab_size: int = 4096,
        hidden_size: int = 768,
        num_hidden_layers: int = 12,
        num_attention_heads: int = 12,
        intermediate_size: int = 3072,
        hidden_act: str = "gelu",
        hidden_dropout_prob: float = 0.1,
        attention_probs_dropout_prob: float = 0.0,
        layer_norm_eps: float = 1e-12,
        initializer_range: float = 0.02,
        type_vocab_size: int = 2,
        pad_token_id: int = 3,
        tie_word_embeddings: bool = True,
        classifier_dropout: float | None = None,
        **kwargs: Any,
    ) -> None:
        numbers = {name: value for name, value in locals().items() if name in _SIZES | _SHARES and value is not None}
        refuse_odd_numbers("DNABERT-2", numbers, whole=_SIZES, ranges=_SHARES)
        if hidden_size % num_attention_heads:
            raise ValueError(
                f"hidden_size {hidden_size} is not a multiple of num_attention_heads {num_attention_heads}"
            )
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.hidden_act = hidden_act
        self.hidden_dropout_prob = hidden_dropout_prob
        self.attention_probs_dropout_prob = attention_probs_dropout_prob
        self.layer_norm_eps = layer_norm_eps
        self.initializer_range = initializer_range
        self.type_vocab_size = type_vocab_size
        self.classifier_dropout = classifier_dropout
        super().__init__(**kwargs, pad_token_id=pad_token_id, tie_word_embeddings=tie_word_embeddings)  # type: ignore[call-arg]

    @property
    def head_dropout(self) -> float:
        """Dropout before a classifier: `classifier_dropout`, or that of hidden states where it is None."""
        return self.hidden_dropout_prob if self.classifier_dropout is None else self.classifier_dropout


# ---------------- attention bias

DECODER, EMBEDDINGS = "cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"
MLM_HEAD, CLASSIFIER, POOLER = r"^cls\.", r"^classifier\.", r"^(bert\.)?pooler\."
"""Patterns of keys: parts that only some of the classes have."""


def alibi_slopes(heads: int) -> tuple[float, ...]:
    """The slope of each head: powers of two; other numbers of heads add every other slope of the next finer list."""
    whole = 2 ** math.floor(math.log2(heads))
    slopes = [2.0 ** (-8 * (k + 1) / whole) for k in range(whole)]
    finer = [2.0 ** (-8 * (k + 1) / (2 * whole)) for k in range(0, 2 * whole, 2)]
    return tuple(slopes + finer[: heads - whole])


@dataclass(frozen=True)
class Layout:
    """Positions of the packed tokens in the padded batch, and the attention bias.

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
    """Attention that returns its map, in the form of transformers' attention functions.

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
        # transformers looks for this call in the source before it changes the function. `_attn_implementation` is the
        # name that every model of transformers reads; there is none without the underscore.
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, eager_attention)
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
        return self.LayerNorm(add_residual(dropout(self.dense(x), self.p, self.training), residual))


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
        return self.layernorm(add_residual(self.wo(dropout(hidden, self.p, self.training)), x))


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
    """One more layer on the first attended token of a row, [CLS], for sequence classification."""

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
    """The container for the hub's key names."""

    def __init__(self, config: DNABert2Config) -> None:
        super().__init__()
        self.predictions = Predictions(config)


class Encoding(NamedTuple):
    """Output of the encoder for a batch.

    Args:
        last: (N, D) output of the last layer, or of the tokens alone that were asked for.
        layout: where the tokens stand in the batch.
        states: the embeddings and each layer's output, (B, T, D) each; None where they were not asked for.
        maps: each layer's attention map, (B, H, T, T) each; None where they were not asked for.
    """

    last: Tensor
    layout: Layout
    states: tuple[Tensor, ...] | None
    maps: tuple[Tensor, ...] | None

    @property
    def padded(self) -> Tensor:
        """The output of the last layer (B, T, D), zeros at padding."""
        return self.layout.pad(self.last) if self.states is None else self.states[-1]


class DNABert2PreTrainedModel(StrictPreTrainedModel):
    """Loading, saving and initialisation of the DNABERT-2 models."""

    config_class = DNABert2Config
    base_model_prefix = "bert"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _no_split_modules = ["Layer"]  # noqa: RUF012

    @torch.no_grad()
    def _init_weights(self, module: Any) -> None:
        """As in transformers, but for a layer that begins as the identity."""
        if isinstance(module, IdentityLinear):
            initialization.eye_(module.weight)
            initialization.zeros_(module.bias)
        else:
            super()._init_weights(module)


class DNABert2Model(DNABert2PreTrainedModel):
    """The encoder.

    Args:
        config: the settings.
        add_pooling_layer: add the layer that sequence classification reads. The hub's checkpoint does not hold one.
    """

    _keys_to_ignore_on_load_unexpected = [MLM_HEAD, CLASSIFIER, POOLER]  # noqa: RUF012

    def __init__(self, config: DNABert2Config, add_pooling_layer: bool = False) -> None:
        super().__init__(config)
        self.embeddings = Embeddings(config)
        self.encoder = Encoder(config)
        self.pooler = Pooler(config) if add_pooling_layer else None
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """The word embeddings."""
        return self.embeddings.word_embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the word embeddings."""
        self.embeddings.word_embeddings = value  # type: ignore[assignment]

    def encode(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        *,
        asked: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> Encoding:
        """Encode the attended tokens, packed.

        Args:
            input_ids: (B, T).
            attention_mask: (B, T), 0 at padding; all ones where it is left out.
            token_type_ids: (B, T); zeros where they are left out.
            position_ids: (T,), (1, T) or (B, T), see `DNABert2Model.forward`.
            inputs_embeds: (B, T, D), instead of `input_ids`.
            asked: (B, T) bool; the last layer then computes these tokens only.
            output_attentions: keep the attention maps; as the configuration says by default.
            output_hidden_states: keep what goes into and comes out of each layer; as the configuration says by default.

        Raises:
            ValueError: there are both ids and embeddings or neither, or shapes that do not fit each other.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give either input_ids or inputs_embeds")
        inputs: Any = input_ids if inputs_embeds is None else inputs_embeds
        shape, device = inputs.shape[:2], inputs.device
        mask = torch.ones(shape, device=device) if attention_mask is None else attention_mask
        if mask.shape != shape:
            raise ValueError(f"attention_mask must be (B, T) = {tuple(shape)}, found shape {tuple(mask.shape)}")
        heads = self.config.num_attention_heads
        layout = lay_out(mask, heads=heads, dtype=self.dtype, position_ids=position_ids)
        packed = layout.pack(inputs)
        types = torch.zeros(shape, dtype=torch.int64, device=device) if token_type_ids is None else token_type_ids
        words = self.embeddings.word_embeddings(packed) if inputs_embeds is None else packed
        x = self.embeddings(words, layout.pack(types))
        keep = None if asked is None else layout.pack(asked).nonzero().flatten()
        with_maps, with_states = (
            bool(getattr(self.config, name) if choice is None else choice)
            for name, choice in (
                ("output_attentions", output_attentions),
                ("output_hidden_states", output_hidden_states),
            )
        )
        states, maps = [], []
        for number, layer in enumerate(self.encoder.layer, start=1):
            if with_states:
                states.append(layout.pad(x))
                x = layout.pack(states[-1])  # through the padded form, so that it has a gradient
            x, weights = layer(x, layout, keep if number == self.config.num_hidden_layers else None, with_maps)
            if weights is not None:
                maps.append(weights)
        if with_states:
            states.append(layout.pad(x))
            x = layout.pack(states[-1])
        return Encoding(x, layout, tuple(states) if with_states else None, tuple(maps) if with_maps else None)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPooling | tuple[Any, ...]:
        """Encode a batch.

        Args:
            input_ids: (B, T).
            attention_mask: (B, T), 0 at padding; all ones where it is left out.
            token_type_ids: (B, T); zeros where they are left out.
            position_ids: (T,), (1, T) or (B, T). ALiBi has no position embeddings: attention falls with the distance
                between two tokens' positions, and nothing else depends on them. The columns of the batch by default.
            inputs_embeds: (B, T, D) word embeddings, instead of `input_ids`; token types are still added.
            output_attentions: return the attention maps too. Only ``attn_implementation="eager"`` has them; with others
                transformers warns, and `attentions` is empty.
            output_hidden_states: return the embeddings and the output of each layer too.
            return_dict: False for a tuple.
            **kwargs: see `check_carried`.

        Returns:
            last_hidden_state (B, T, D), zeros at padding; `pooler_output` (B, D) where there is a pooling layer;
            `hidden_states` (B, T, D) and `attentions` (B, H, T, T) of each layer, where they are asked for.
        """
        check_carried(kwargs, harmless=("num_items_in_batch",))
        encoding = self.encode(
            input_ids,
            attention_mask,
            token_type_ids,
            position_ids,
            inputs_embeds,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
        )
        last = encoding.padded
        mask = last.new_ones(last.shape[:2]) if attention_mask is None else attention_mask
        output = BaseModelOutputWithPooling(
            last_hidden_state=last,
            pooler_output=None if self.pooler is None else self.pooler(last, mask),
            hidden_states=encoding.states,
            attentions=encoding.maps,
        )
        return output if self.returns_dict(return_dict) else output.to_tuple()


class DNABert2ForMaskedLM(DNABert2PreTrainedModel):
    """The encoder with its masked-LM head; decoder and word embeddings are one Parameter."""

    _tied_weights_keys = {DECODER: EMBEDDINGS}  # noqa: RUF012
    accepts_loss_kwargs = True

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
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        logits_at: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **kwargs: Any,
    ) -> MaskedLMOutput | tuple[Any, ...]:
        """Predict the token at each position.

        Args:
            input_ids: (B, T); this and the next four as in `DNABert2Model`.
            attention_mask: (B, T), 0 at padding.
            token_type_ids: (B, T).
            position_ids: (T,), (1, T) or (B, T).
            inputs_embeds: (B, T, D), instead of `input_ids`.
            labels: (B, T) true ids, -100 where nothing is asked; padding is never asked. The loss is their mean cross
                entropy, 0 where there is none.
            output_attentions: return the attention maps too, as `DNABert2Model` does.
            output_hidden_states: return the hidden states of every layer too, (B, T, D) each.
            return_dict: False for a tuple.
            logits_at: (B, T) bool, the tokens that are predicted; all by default, padding never. The last feed-forward
                and the head run on these tokens alone, and `logits` is (tokens, V), row by row.
            num_items_in_batch: what the sum of the losses is divided by, instead of the number of labels.
            **kwargs: see `check_carried`.

        Returns:
            loss, logits (B, T, V), zeros at padding, hidden states and attention maps.
        """
        check_carried(kwargs)
        wants_states = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        if logits_at is not None and wants_states:
            raise ValueError("logits_at leaves no hidden states of the other tokens: leave out output_hidden_states")
        if attention_mask is not None:
            attended = attention_mask != 0
            labels = None if labels is None else labels.masked_fill(~attended, IGNORED)
            logits_at = None if logits_at is None else logits_at & attended
        if labels is not None and logits_at is not None:
            labels = labels_at(labels, logits_at)
        encoding = self.bert.encode(
            input_ids,
            attention_mask,
            token_type_ids,
            position_ids,
            inputs_embeds,
            asked=logits_at,
            output_attentions=output_attentions,
            output_hidden_states=wants_states,
        )
        logits = self.cls.predictions(encoding.last)  # (N, V), or (tokens, V) of `logits_at`
        if logits_at is None:
            logits = encoding.layout.pad(logits)  # (B, T, V)
        loss = None if labels is None else token_loss(logits, labels, num_items_in_batch)
        output = MaskedLMOutput(loss=loss, logits=logits, hidden_states=encoding.states, attentions=encoding.maps)
        return output if self.returns_dict(return_dict) else output.to_tuple()


AutoConfig.register(DNABert2Config.model_type, DNABert2Config, exist_ok=True)
AutoModel.register(DNABert2Config, DNABert2Model, exist_ok=True)
AutoModelForMaskedLM.register(DNABert2Config, DNABert2ForMaskedLM, exist_ok=True)
