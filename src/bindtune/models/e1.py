"""Profluent-E1 from settings to heads: configuration, layers, encoder, masked-LM head, with the hub's key names.

A bidirectional protein encoder that may read homologs before the protein. Most layers attend within one sequence; every
`global_attention_every_n_layers`-th lets a sequence see itself and the sequences before it in its row. Nothing that is
computed for a sequence depends on what follows it, so keys and values of a context serve any number of queries.

Shapes: B rows, T columns, N real tokens of all rows on one axis, D width, I inner width, H query heads, G key/value
heads, d = D / H, V vocabulary, C context tokens.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, PreTrainedConfig
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.utils.generic import ModelOutput

from bindtune.errors import CheckpointError, ConfigError
from bindtune.models.attention import attend, attend_after_context
from bindtune.models.config_numbers import refuse_odd_numbers
from bindtune.models.e1_tokens import BOS, EOS, PAD, complete_ids, last_sequence_mask
from bindtune.models.fused import (
    Angles,
    add_residual,
    clip_rotate,
    gated_silu,
    recomputed_product,
    rms_norm,
    rotary_angles,
)
from bindtune.models.packing import Packing, View, pack
from bindtune.models.padded_rows import DensePlan, PaddedRows, padded_rows
from bindtune.models.strict import StrictPreTrainedModel, check_carried
from bindtune.models.token_loss import IGNORED, labels_at, token_loss

# ---------------- settings

# Keys of other programs' files: code to download, kernels to choose, switches that change no result.
_IGNORED_KEYS = (
    "auto_map", "attn_backend", "no_ffn_gradient_checkpointing", "gradient_checkpointing",
)  # fmt: skip
_IGNORED_IN_FILES = ("attn_implementation", "_attn_implementation")
_WHOLE = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "global_attention_every_n_layers", "max_num_sequences", "max_num_positions_within_seq",
    "max_num_positions_global",
)  # fmt: skip
_NUMBERS = {
    "rms_norm_eps": (0, 1), "initializer_range": (0, 1000),
    "rope_theta_within_seq": (1e-3, 1e12), "rope_theta_global": (1e-3, 1e12),
}  # fmt: skip
_MOST = {"num_hidden_layers": 1000, "max_num_positions_within_seq": 1 << 30, "max_num_positions_global": 1 << 30}


class E1Config(PreTrainedConfig):
    """Settings of an E1 model, as its config.json has them.

    The defaults stand for keys that the file leaves out; the released models set every key. `intermediate_size` None is
    3 D where `gated_mlp`, else 4 D; `num_key_value_heads` None is as many as query heads;
    `global_attention_every_n_layers` 0 is no global layer; `clip_qkv` None is no clipping. Token ids are the
    vocabulary's whatever the file says.

    Raises:
        ConfigError: the settings describe no model.
    """

    model_type = "E1"
    keys_to_ignore_at_inference = ["mlm_loss", "embeddings", "context_cache"]  # noqa: RUF012 - left out by Trainer when it gathers

    vocab_size: int = 34
    hidden_size: int = 4096
    intermediate_size: int | None = 16384
    gated_mlp: bool = False
    num_hidden_layers: int = 40
    num_attention_heads: int = 32
    num_key_value_heads: int | None = 8
    hidden_act: str = "silu"
    rms_norm_eps: float = 1e-5
    initializer_range: float = 0.02
    global_attention_every_n_layers: int = 0
    clip_qkv: float | int | None = None
    rope_theta_within_seq: float = 10000.0
    rope_theta_global: float = 100000.0
    max_num_sequences: int = 512
    max_num_positions_within_seq: int = 8192
    max_num_positions_global: int = 131072
    pad_token_id: int = PAD
    bos_token_id: int = BOS
    eos_token_id: int = EOS
    tie_word_embeddings: bool = False
    use_cache: bool = True

    def __post_init__(self, **kwargs: Any) -> None:
        if self.intermediate_size is None:
            self.intermediate_size = (3 if self.gated_mlp else 4) * self.hidden_size
        if self.num_key_value_heads is None:
            self.num_key_value_heads = self.num_attention_heads
        self.pad_token_id, self.bos_token_id, self.eos_token_id = PAD, BOS, EOS
        self.tie_word_embeddings = False
        refuse_odd_numbers("E1", {name: getattr(self, name) for name in _NUMBERS}, whole={}, ranges=_NUMBERS)
        for problem, is_present in self._problems().items():
            if is_present:
                raise ConfigError(f"E1 configuration: {problem}")
        super().__post_init__(**{key: value for key, value in kwargs.items() if key not in _IGNORED_KEYS})

    def _problems(self) -> dict[str, bool]:
        odd = {
            f"{name} must be a whole number, found {getattr(self, name)!r}": True
            for name in _WHOLE
            if isinstance(getattr(self, name), bool) or not isinstance(getattr(self, name), int)
        }
        if odd:
            return odd
        largest = {name: getattr(self, name) for name in _WHOLE if getattr(self, name) > _MOST.get(name, 1 << 20)}
        if largest:
            return {f"no model is as large as {largest}": True}
        width, heads, groups = self.hidden_size, self.num_attention_heads, self.num_key_value_heads or 0
        positive = min(width, heads, groups, self.num_hidden_layers, self.vocab_size, self.max_num_sequences) > 0
        if not positive:
            return {"sizes and numbers of layers and heads must be positive": True}
        return {
            f"hidden_size {width} is not a multiple of num_attention_heads {heads}": bool(width % heads),
            f"the head size {width // heads} is odd; rotation needs pairs": bool(width // heads % 2),
            f"num_attention_heads {heads} is not a multiple of num_key_value_heads {groups}": bool(heads % groups),
            f"clip_qkv {self.clip_qkv} is no positive number": self.clip_qkv is not None
            and not (
                isinstance(self.clip_qkv, int | float)
                and not isinstance(self.clip_qkv, bool)
                and 0 < self.clip_qkv < math.inf
            ),
            f"hidden_act '{self.hidden_act}' is unknown": str(self.hidden_act) not in ACT2FN,
            f"global_attention_every_n_layers {self.global_attention_every_n_layers} is negative": (
                self.global_attention_every_n_layers < 0
            ),
        }

    @classmethod
    def describes(cls, content: Mapping[str, Any]) -> bool:
        """Whether the content of a config.json is of an E1: by its model type, or by settings that only E1 has."""
        kind = content.get("model_type")
        return kind == cls.model_type or (kind is None and "rope_theta_within_seq" in content)

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Self:
        """Build from the content of a config.json.

        Raises:
            CheckpointError: the file describes a model of another kind.
        """
        if not cls.describes(config_dict):
            kind = config_dict.get("model_type")
            if kind is None:
                raise CheckpointError("the configuration names no model type and has none of the settings of E1")
            raise CheckpointError(f"the checkpoint is a '{kind}' model, expected '{cls.model_type}'")
        own = {key: value for key, value in config_dict.items() if key not in _IGNORED_IN_FILES}
        config: Self = super().from_dict(own, **kwargs)
        return config

    @property
    def head_size(self) -> int:
        """Features of one head, d."""
        return self.hidden_size // self.num_attention_heads

    def is_global(self, layer: int) -> bool:
        """Whether a layer (0-based) sees the earlier sequences of the row."""
        every = self.global_attention_every_n_layers
        return every > 0 and (layer + 1) % every == 0

    @property
    def last_global(self) -> int | None:
        """The last layer (0-based) that sees earlier sequences, or None."""
        return max(filter(self.is_global, range(self.num_hidden_layers)), default=None)


# ---------------- outputs


@dataclass(frozen=True)
class E1ContextCache:
    """Keys and values of one context in the global layers, which any number of queries use.

    Args:
        layers: for each global layer, clipped and rotated keys, and clipped values, (C, G, d) each.
        num_sequences: sequences in the context; a query's sequence id is not less.
    """

    layers: dict[int, tuple[Tensor, Tensor]]
    num_sequences: int


@dataclass
class E1ModelOutput(ModelOutput):
    """Output of `E1Model`; `hidden_states` are those of `E1MaskedLMOutput`."""

    last_hidden_state: Tensor | None = None
    context_cache: E1ContextCache | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: None = None


@dataclass
class E1MaskedLMOutput(ModelOutput):
    """Output of `E1ForMaskedLM`.

    Args:
        loss: cross-entropy over the labels that are neither 0 nor -100, 0 where there is none.
        mlm_loss: the same.
        logits: (B, T, V) in fp32, 0 where they were not asked for.
        embeddings: (B, T, D), after the final norm.
        context_cache: the argument of the same name.
        hidden_states: L + 1 of (B, T, D): the embedding, the residual after each layer but the last, `embeddings`.
        attentions: None; they are never computed.
    """

    loss: Tensor | None = None
    mlm_loss: Tensor | None = None
    logits: Tensor | None = None
    embeddings: Tensor | None = None
    context_cache: E1ContextCache | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: None = None


# ---------------- layers


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
        hidden = add_residual(attended, hidden if view.only is None else hidden[view.only])
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
        saving = not (checkpointed or torch.compiler.is_compiling())
        return add_residual(self.ffn(normed, saving=saving), hidden)


# ---------------- encoder


class E1PreTrainedModel(StrictPreTrainedModel):
    """What E1 models share: strict loading, initialisation, checkpointing of layers.

    `attn_implementation` changes nothing: device, type and batch decide which kernel computes attention.
    """

    config_class = E1Config
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _no_split_modules = ["E1Layer"]  # noqa: RUF012 - transformers expects a list

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: Any, *args: Any, dtype: torch.dtype | str = torch.float32, **kwargs: Any
    ) -> Self:
        """Load from a hub name or a folder.

        Args:
            pretrained_model_name_or_path: such as ``Profluent-Bio/E1-150m``, or a folder with config.json and weights.
            *args: as in transformers.
            dtype: the type the parameters get, whatever the file and its configuration say; "auto" for theirs.
            **kwargs: as in transformers.

        Raises:
            CheckpointError: the weights are missing, damaged, or do not fit the model key by key and shape by shape.
        """
        dtype = kwargs.pop("torch_dtype", dtype)
        if dtype is None:
            raise ValueError("state a dtype, such as torch.float32, torch.bfloat16 or 'auto' for the configuration's")
        return super().from_pretrained(pretrained_model_name_or_path, *args, dtype=dtype, **kwargs)


class E1Model(E1PreTrainedModel):
    """The encoder."""

    _keys_to_ignore_on_load_unexpected = [r"^mlm_head\."]  # noqa: RUF012 - transformers expects a list

    def __init__(self, config: E1Config) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, padding_idx=PAD)
        self.embed_seq_id = nn.Embedding(config.max_num_sequences, config.hidden_size)
        self.layers = nn.ModuleList(E1Layer(config) for _ in range(config.num_hidden_layers))
        self.norm = E1RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        within_seq_position_ids: Tensor | None = None,
        global_position_ids: Tensor | None = None,
        sequence_ids: Tensor | None = None,
        context_cache: E1ContextCache | None = None,
        output_hidden_states: bool | None = None,
        query_only: bool = False,
        return_dict: bool | None = None,
        inputs_embeds: Tensor | None = None,
        **carried: Any,
    ) -> E1ModelOutput | tuple[Any, ...]:
        """Encode a batch.

        Args:
            input_ids: (B, T).
            within_seq_position_ids: (B, T), position in the sequence. This and the next two follow from `input_ids`
                where they are left out: a sequence begins at each <bos> (`row_ids`).
            global_position_ids: (B, T), position in the row.
            sequence_ids: (B, T), number of the sequence in the row, -1 at padding.
            context_cache: a cached context that precedes every row; only without gradients.
            output_hidden_states: return the residual after each layer too.
            query_only: compute the last sequence of each row alone. Outputs at context tokens are 0, and the layers
                after the last global one skip the context.
            return_dict: False for a tuple.
            inputs_embeds: (B, T, D) token embeddings, instead of `input_ids`; those of sequence ids are still added.
            **carried: see `_check_arguments`; `labels` of a batch may be there too.
        """
        beside = {name: value for name, value in carried.items() if name not in ("labels", "num_items_in_batch")}
        _check_arguments({"output_attentions": self.config.output_attentions, **beside})
        if output_hidden_states is None:
            output_hidden_states = bool(self.config.output_hidden_states)
        if output_hidden_states and query_only:
            raise ValueError("query_only leaves no hidden states of the context: leave out output_hidden_states")
        within, across, sequence = complete_ids(input_ids, within_seq_position_ids, global_position_ids, sequence_ids)
        packing = self._pack(sequence, context_cache)
        if query_only and self.config.last_global is None:
            packing = packing.queries
        hidden = self._embed(input_ids, packing, inputs_embeds)  # (N, D)
        views = self._views((within, across), packing, hidden.dtype, context=context_cache, query_only=query_only)
        states = []
        for layer, view in zip(self.layers, views, strict=True):
            if output_hidden_states:
                states.append(packing.unpack(hidden))  # (B, T, D)
                hidden = packing.pack(states[-1])  # through the padded form, so that it has a gradient
            hidden = layer(hidden, view)  # (N, D), or (M, D) from the last global layer on
            packing = packing if view.only is None else packing.queries
        if query_only and isinstance(packing, PaddedRows):
            packing = packing.queries
        last = packing.unpack(self.norm(hidden))  # (B, T, D)
        output = E1ModelOutput(
            last_hidden_state=last,
            context_cache=context_cache,
            hidden_states=(*states, last) if output_hidden_states else None,
        )
        return output if self.returns_dict(return_dict) else output.to_tuple()

    def encode(
        self,
        input_ids: Tensor,
        within_seq_position_ids: Tensor,
        global_position_ids: Tensor,
        sequence_ids: Tensor,
        context_cache: E1ContextCache | None = None,
        *,
        layer: int | None = None,
    ) -> Tensor:
        """Hidden states of the queries (B, T, D), 0 at padding; the last ones, 0 at context too, without a layer."""
        ids = (input_ids, within_seq_position_ids, global_position_ids, sequence_ids)
        if layer is not None:
            states: Tensor = self(
                *ids, context_cache=context_cache, output_hidden_states=True, return_dict=True
            ).hidden_states[layer]
            return states
        output = self(*ids, context_cache=context_cache, query_only=True, return_dict=True)
        hidden: Tensor = output.last_hidden_state
        return hidden

    @property
    def encoder(self) -> "E1Model":
        """The encoder without the masked-LM head: the model itself."""
        return self

    @torch.no_grad()
    def cache_context(
        self, input_ids: Tensor, within_seq_position_ids: Tensor, global_position_ids: Tensor, sequence_ids: Tensor
    ) -> E1ContextCache:
        """Compute once what all queries of a context use; without gradients.

        Args:
            input_ids: (1, C), the context alone, as a row of its own.
            within_seq_position_ids: (1, C).
            global_position_ids: (1, C).
            sequence_ids: (1, C).
        """
        if len(input_ids) != 1:
            raise ValueError(f"a context is one row, found {len(input_ids)}")
        packing: Any = self._pack(sequence_ids, None)
        hidden = self._embed(input_ids, packing)  # (C, D)
        positions = (within_seq_position_ids, global_position_ids)
        captured: list[tuple[Tensor, Tensor]] = []
        views = self._views(positions, packing, hidden.dtype, captured=captured)
        last = self.config.last_global
        for index, view in enumerate(views[: last if last is not None else 0]):
            hidden = self.layers[index](hidden, view)  # (C, D)
        if last is not None:
            attention = self.layers[last].norm_attn_norm
            captured.append(attention.self_attn.keys_and_values(attention.input_layernorm(hidden), views[last].angles))
        layers = filter(self.config.is_global, range(self.config.num_hidden_layers))
        return E1ContextCache(dict(zip(layers, captured, strict=True)), int(sequence_ids.max()) + 1)

    def _pack(self, sequence_ids: Tensor, context: E1ContextCache | None) -> Packing | PaddedRows:
        if sequence_ids.ndim != 2:
            raise ValueError(f"sequence_ids must be (B, T), found shape {tuple(sequence_ids.shape)}")
        if torch.compiler.is_exporting():
            if context is not None:
                raise ValueError("a cached context cannot be exported: its size decides what is computed")
            return padded_rows(sequence_ids)
        if int(sequence_ids.amax()) >= self.config.max_num_sequences:
            raise ValueError(f"sequence id {int(sequence_ids.amax())}, the model has {self.config.max_num_sequences}")
        packing = pack(sequence_ids)
        if context is not None:
            if torch.is_grad_enabled():
                raise ValueError("a cached context has no gradients: call the model under torch.no_grad()")
            if len(packing.index) and int(packing.sequence_ids.amin()) < context.num_sequences:
                raise ValueError("sequence ids overlap those of the cached context: use get_query_kwargs")
        return packing

    def _embed(
        self, input_ids: Tensor | None, packing: Packing | PaddedRows, inputs_embeds: Tensor | None = None
    ) -> Tensor:
        """Token plus sequence number: (N, D). Under autocast the residual has autocast's type throughout."""
        if inputs_embeds is not None and input_ids is None:
            tokens = packing.pack(inputs_embeds)
        elif input_ids is not None and inputs_embeds is None:
            tokens = self.embed_tokens(packing.pack(input_ids))
        else:
            raise ValueError("give either input_ids or inputs_embeds")
        hidden: Tensor = tokens + self.embed_seq_id(packing.sequence_ids)
        device = hidden.device.type
        return hidden.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else hidden

    def _views(
        self,
        positions: tuple[Tensor, Tensor],
        packing: Any,
        dtype: torch.dtype,
        *,
        context: E1ContextCache | None = None,
        query_only: bool = False,
        captured: list[tuple[Tensor, Tensor]] | None = None,
    ) -> list[View]:
        """How each layer sees the tokens. `positions` are the positions in the sequence and in the row, (B, T) each."""
        config = self.config
        thetas = (config.rope_theta_within_seq, config.rope_theta_global)
        within, across = (
            rotary_angles(packing.pack(ids), theta=theta, head_size=config.head_size, dtype=dtype)
            for ids, theta in zip(positions, thetas, strict=True)
        )
        narrowing = config.last_global if query_only and packing.has_context else None
        views = []
        for layer in range(config.num_hidden_layers):
            past = context.layers[layer] if context is not None and config.is_global(layer) else None
            if layer == narrowing:
                views.append(View(packing.causal_queries, across, packing.query, past))
                within = (within[0][packing.query], within[1][packing.query])
                packing = packing.queries
            elif config.is_global(layer):
                views.append(View(packing.causal, across, None, past, captured))
            else:
                views.append(View(packing.within, within))
        return views


# ---------------- masked-language head


class E1ForMaskedLM(E1PreTrainedModel):
    """The encoder and its masked-LM head. A checkpoint without the head is refused."""

    # transformers' Trainer would count the labels 0 of padding and context as items.
    accepts_loss_kwargs = False

    def __init__(self, config: E1Config) -> None:
        super().__init__(config)
        width = config.hidden_size
        self.model = E1Model(config)
        self.mlm_head = nn.Sequential(
            nn.Linear(width, width),
            nn.GELU(),
            nn.LayerNorm(width, config.rms_norm_eps),
            nn.Linear(width, config.vocab_size),
        )
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        within_seq_position_ids: Tensor | None = None,
        global_position_ids: Tensor | None = None,
        sequence_ids: Tensor | None = None,
        labels: Tensor | None = None,
        context_cache: E1ContextCache | None = None,
        output_hidden_states: bool | None = None,
        query_only: bool = False,
        logits_at: Tensor | None = None,
        return_dict: bool | None = None,
        inputs_embeds: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **carried: Any,
    ) -> E1MaskedLMOutput | tuple[Any, ...]:
        """Score tokens.

        Args:
            input_ids: (B, T); this and the next three as in `E1Model`.
            within_seq_position_ids: (B, T).
            global_position_ids: (B, T).
            sequence_ids: (B, T).
            labels: (B, T) true ids; 0 and -100 are left out of the loss.
            context_cache: a cached context that precedes every row; only without gradients.
            output_hidden_states: return the residual after each layer too.
            query_only: compute the last sequence of each row alone; outputs are 0 at context tokens.
            logits_at: (B, T), True at the tokens that are scored; all by default. Logits of other tokens are 0.
            return_dict: False for a tuple.
            inputs_embeds: (B, T, D), instead of `input_ids`, as in `E1Model`.
            num_items_in_batch: what the sum of the losses is divided by, instead of the number of labels.
            **carried: see `_check_arguments`.
        """
        _check_arguments({"output_attentions": self.config.output_attentions, **carried})
        # A collator may replace a masked token by any, <pad> and <bos> too: positions are those of the true tokens.
        true_ids = input_ids if input_ids is None or labels is None else _true_ids(input_ids, labels)
        within, across, sequence = complete_ids(true_ids, within_seq_position_ids, global_position_ids, sequence_ids)
        encoded = self.model(
            input_ids,
            within,
            across,
            sequence,
            context_cache=context_cache,
            output_hidden_states=output_hidden_states,
            query_only=query_only,
            return_dict=True,
            inputs_embeds=inputs_embeds,
        )
        hidden = encoded.last_hidden_state  # (B, T, D)
        asked = last_sequence_mask(sequence) if query_only else sequence >= 0
        if logits_at is not None:
            asked = asked & logits_at
        logits, loss = self._score(hidden, asked, labels, num_items_in_batch)
        output = E1MaskedLMOutput(
            loss=loss,
            mlm_loss=loss,
            logits=logits,
            embeddings=hidden,
            context_cache=context_cache,
            hidden_states=encoded.hidden_states,
        )
        return output if self.returns_dict(return_dict) else output.to_tuple()

    def get_output_embeddings(self) -> nn.Module:
        """The last layer of the masked-LM head."""
        return self.mlm_head[3]

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        """Replace the last layer of the masked-LM head."""
        self.mlm_head[3] = new_embeddings

    def _score(
        self, hidden: Tensor, asked: Tensor, labels: Tensor | None, items: Tensor | int | None
    ) -> tuple[Tensor, Tensor | None]:
        """Logits (B, T, V), 0 where nothing is asked, and the loss."""
        targets = None if labels is None else _masked_lm_targets(labels)
        if torch.compiler.is_exporting():  # then no shape may depend on the number of tokens
            logits = self.mlm_head(hidden).float().masked_fill(~asked[..., None], 0.0)
            loss = None if targets is None else token_loss(logits, targets.masked_fill(~asked, IGNORED), items)
            return logits, loss
        scores = self.mlm_head(hidden[asked]).float()  # (W, V)
        loss = None if targets is None else token_loss(scores, labels_at(targets, asked), items)
        logits = scores.new_zeros(*asked.shape, scores.shape[-1])
        return logits.masked_scatter(asked[..., None], scores), loss

    @property
    def encoder(self) -> E1Model:
        """The encoder without the masked-LM head."""
        return self.model

    def encode(
        self,
        input_ids: Tensor,
        within_seq_position_ids: Tensor,
        global_position_ids: Tensor,
        sequence_ids: Tensor,
        context_cache: E1ContextCache | None = None,
        *,
        layer: int | None = None,
    ) -> Tensor:
        """Hidden states of the queries; see `E1Model.encode`."""
        ids = (input_ids, within_seq_position_ids, global_position_ids, sequence_ids)
        hidden: Tensor = self.model.encode(*ids, context_cache, layer=layer)
        return hidden


_ADVICE = {
    "attention_mask": "E1 reads no attention_mask: padding is <pad>, or a sequence id of -1",
    "output_attentions": "E1 gives no attention maps: they are never computed, whatever attn_implementation says",
    "position_ids": "E1 has two kinds of positions: give within_seq_position_ids and global_position_ids",
    "use_cache": "make a context cache with E1Model.cache_context and give it as context_cache",
}


def _masked_lm_targets(labels: Tensor) -> Tensor:
    """Labels (B, T) with -100 instead of 0: the id of padding is no target either."""
    return labels.masked_fill(labels == PAD, IGNORED)


def _true_ids(input_ids: Tensor, labels: Tensor) -> Tensor:
    """Token ids (B, T) before a collator replaced some: the labels hold the true ids of these."""
    targets = _masked_lm_targets(labels)
    return torch.where(targets == IGNORED, input_ids, targets)


def _check_arguments(carried: dict[str, Any]) -> None:
    """Accept arguments without effect: a batch's `context` and `context_len`, and those that are None or False.

    Raises:
        TypeError: an argument is unknown.
        ValueError: an argument asks for an effect that E1 does not have.
    """
    check_carried(carried, harmless=("context", "context_len"), advice=_ADVICE)


AutoConfig.register(E1Config.model_type, E1Config, exist_ok=True)
AutoModel.register(E1Config, E1Model, exist_ok=True)
AutoModelForMaskedLM.register(E1Config, E1ForMaskedLM, exist_ok=True)
