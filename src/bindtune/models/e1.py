"""Profluent-E1: encoder and masked-LM head, with the hub's key names.

A bidirectional protein encoder that may read homologs before the protein. Most layers attend within one sequence; every
`global_attention_every_n_layers`-th lets a sequence see itself and the sequences before it in its row. Nothing that is
computed for a sequence depends on what follows it, so keys and values of a context serve any number of queries.

Shapes: B rows, T columns, N real tokens of all rows on one axis, D width, I inner width, H query heads, G key/value
heads, d = D / H, V vocabulary, C context tokens.
"""

from typing import Any, Self

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM

from bindtune.models.e1_config import E1Config
from bindtune.models.e1_layers import E1Layer, E1RMSNorm
from bindtune.models.e1_outputs import (
    E1ContextCache,
    E1MaskedLMOutput,
    E1ModelOutput,
    check_e1_arguments,
    masked_lm_targets,
    unmasked_ids,
)
from bindtune.models.e1_tokens import PAD, complete_ids, last_sequence_mask
from bindtune.models.fused import rotary_angles
from bindtune.models.packing import Packing, View, pack
from bindtune.models.padded_rows import PaddedRows, padded_rows
from bindtune.models.strict import StrictPreTrainedModel
from bindtune.models.token_loss import IGNORED, labels_at, token_loss


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
            query_only: only the last sequence of each row is wanted. Outputs at context tokens are 0, and the context
                is left out of the work after the last layer that needs it.
            return_dict: False for a tuple.
            inputs_embeds: (B, T, D) token embeddings, instead of `input_ids`; those of sequence ids are still added.
            **carried: see `check_e1_arguments`; `labels` of a batch may be there too.
        """
        beside = {name: value for name, value in carried.items() if name not in ("labels", "num_items_in_batch")}
        check_e1_arguments({"output_attentions": self.config.output_attentions, **beside})
        if output_hidden_states is None:
            output_hidden_states = bool(self.config.output_hidden_states)
        if output_hidden_states and query_only:
            raise ValueError("hidden states of all tokens are not computed where only the query is wanted")
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
        self, input_ids: Tensor, within_seq_position_ids: Tensor, global_position_ids: Tensor, sequence_ids: Tensor
    ) -> Tensor:
        """Hidden states of the queries (B, T, D), 0 at context and padding."""
        ids = (input_ids, within_seq_position_ids, global_position_ids, sequence_ids)
        output = self(*ids, query_only=True, return_dict=True)
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
        """Compute what queries need of a context, once; without gradients.

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
        """How each layer sees the tokens; positions are those in the sequence and those in the row, (B, T) each."""
        config = self.config
        thetas = (config.rope_theta_within_seq, config.rope_theta_global)
        within, across = (
            rotary_angles(packing.pack(place), theta=theta, head_size=config.head_size, dtype=dtype)
            for place, theta in zip(positions, thetas, strict=True)
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
            query_only: only the last sequence of each row is wanted; outputs are 0 at context tokens.
            logits_at: (B, T), True where logits are wanted; everywhere by default. The head runs nowhere else.
            return_dict: False for a tuple.
            inputs_embeds: (B, T, D), instead of `input_ids`, as in `E1Model`.
            num_items_in_batch: what the sum of the losses is divided by, instead of the number of labels.
            **carried: see `check_e1_arguments`.
        """
        check_e1_arguments({"output_attentions": self.config.output_attentions, **carried})
        # A collator may replace a masked token by any, <pad> and <bos> too: positions are those of the true tokens.
        true_ids = input_ids if input_ids is None or labels is None else unmasked_ids(input_ids, labels)
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
        targets = None if labels is None else masked_lm_targets(labels)
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
        self, input_ids: Tensor, within_seq_position_ids: Tensor, global_position_ids: Tensor, sequence_ids: Tensor
    ) -> Tensor:
        """Hidden states of the queries (B, T, D), 0 at context and padding."""
        hidden: Tensor = self.model.encode(input_ids, within_seq_position_ids, global_position_ids, sequence_ids)
        return hidden


AutoConfig.register(E1Config.model_type, E1Config, exist_ok=True)
AutoModel.register(E1Config, E1Model, exist_ok=True)
AutoModelForMaskedLM.register(E1Config, E1ForMaskedLM, exist_ok=True)
