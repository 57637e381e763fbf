"""Count the bytes that the layers of an encoder save for the backward pass and need while it runs.

They are counted tensor by tensor, as `e1.py`, `dnabert2.py`, `residue.py`, `fused.py` and `attention.py` make them.
A measurement would need a real step of the real size: both encoders read the number of tokens of a batch, and tensors
without values (meta device, fake tensors) do not have it. Hooks on saved tensors also miss the work space of the
backward pass and differences on a GPU. A test compares the counts with such hooks on small models.

Shapes: B rows, T columns of the padded batch, N real tokens, M tokens of the queries (the rows' last sequences), W
masked tokens, D width, I inner width, H heads, K ions, V vocabulary, r rank of the adapters.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import nn

from bindtune.models.adapters import adapter_shape
from bindtune.models.dnabert2 import DNABert2ForMaskedLM
from bindtune.models.e1 import E1ForMaskedLM, E1Layer
from bindtune.models.residue import E1ForResidueClassification

WIDE = 4
"""Bytes of a float32 number: parameters, gradients, optimiser, norms, losses."""
_INDEX, _FLAG = 8, 1


@dataclass(frozen=True, kw_only=True)
class BatchShape:
    """The size of a batch.

    Args:
        rows: B.
        columns: T, the longest row.
        tokens: N, without padding.
        masked: W, tokens that the masked-LM head scores.
        queries: M, tokens of the rows' last sequences; None without context.
    """

    rows: int
    columns: int
    tokens: int
    masked: int
    queries: int | None = None

    @property
    def padded(self) -> bool:
        """Whether the batch has padding."""
        return self.tokens < self.rows * self.columns


@dataclass(frozen=True, kw_only=True)
class Arithmetic:
    """How a step is computed.

    Args:
        checkpointing: layers keep only their input and are computed again (gradient checkpointing).
        half: matrix products are in 16 bits (autocast to bfloat16 or float16).
        on_gpu: on a GPU, torch's dropout of the heads keeps a byte for each element instead of a number.
        accumulated: batches of an optimiser step; with several, gradients exist during the forward pass.
    """

    checkpointing: bool = False
    half: bool = False
    on_gpu: bool = False
    accumulated: int = 1

    @property
    def narrow(self) -> int:
        """Bytes of a number in the output of a matrix product."""
        return 2 if self.half else WIDE


class LayerBytes(NamedTuple):
    """Bytes of a layer: saved for its backward pass, its input, work space of the backward pass, and gradients."""

    saved: float
    entry: float
    work: float
    gradients: float


class HeadBytes(NamedTuple):
    """Bytes before and after the layers.

    Args:
        saved: bytes saved for the backward pass.
        shared: tensors that all layers read: angles, or the bias of attention.
        logits: scores and outputs.
        work: work space of the heads' backward pass.
    """

    saved: float
    shared: float
    logits: float
    work: float


def count_activations(
    model: nn.Module, batch: BatchShape, arithmetic: Arithmetic
) -> tuple[list[LayerBytes], HeadBytes] | None:
    """Count the bytes of each layer and of the parts around the layers; None for encoders other than E1 and DNABERT-2.

    Args:
        model: the model to train.
        batch: size of the batch.
        arithmetic: how a step is computed.
    """
    if isinstance(model, E1ForResidueClassification):
        encoder: Any = model._original_model
        e1 = next((part for part in encoder.modules() if isinstance(part, E1ForMaskedLM)), None)
        return None if e1 is None else _E1(e1, batch, arithmetic).with_heads(model)
    native = next((part for part in model.modules() if isinstance(part, DNABert2ForMaskedLM)), None)
    return None if native is None else _DNABert2(native, batch, arithmetic).counted()


def _trained(part: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in part.parameters())


def _gradients(part: nn.Module) -> float:
    return WIDE * sum(parameter.numel() for parameter in part.parameters() if parameter.requires_grad)


class _Counter:
    """The part of the count that both encoders share."""

    def __init__(self, batch: BatchShape, arithmetic: Arithmetic) -> None:
        self.batch, self.arithmetic = batch, arithmetic
        self.narrow = arithmetic.narrow

    def inputs(
        self, tokens: int, width: int, readers: Iterable[nn.Module], *, flows: bool, saved_anyway: bool = False
    ) -> float:
        """Bytes that linear layers keep of one input (tokens, width) that they share.

        A trained weight keeps the input, once for all readers. An adapter keeps the inputs of A and B. With dropout,
        each adapter has its own copy of the input of A, and a byte for each element if gradients flow further down.

        Args:
            tokens: rows of the input.
            width: its features.
            readers: linear layers, with or without adapters.
            flows: whether the input has a gradient.
            saved_anyway: whether the input is kept elsewhere, or can be computed again.
        """
        shared, own = False, 0.0
        for reader in readers:
            adapter = adapter_shape(reader)
            base: Any = reader if adapter is None else reader.base_layer
            shared = shared or base.weight.requires_grad
            if adapter is None:
                continue
            rank, dropout = adapter
            own += self.narrow * tokens * rank
            shared = shared or dropout == 0
            if dropout:
                own += tokens * width * (self.narrow + (_FLAG if flows else 0))
        return own + (self.narrow * tokens * width if shared and not saved_anyway else 0)


class _E1(_Counter):
    """Profluent-E1 with ion heads."""

    def __init__(self, model: E1ForMaskedLM, batch: BatchShape, arithmetic: Arithmetic) -> None:
        super().__init__(batch, arithmetic)
        self.model, self.config = model, model.config
        self.queries = batch.tokens if batch.queries is None else batch.queries

    def with_heads(self, whole: E1ForResidueClassification) -> tuple[list[LayerBytes], HeadBytes]:
        """Bytes of all layers, and of the parts before and after them."""
        layers = list(self._layers())
        flows = _trained(self.model.model)
        return layers, self._head(whole, flows=flows)

    def _layers(self) -> Iterator[LayerBytes]:
        last = self.config.last_global if self.queries < self.batch.tokens else None
        narrowed = last is None and self.queries < self.batch.tokens  # no layer reads the context
        tokens = self.queries if narrowed else self.batch.tokens
        flows = _trained(self.model.model.embed_tokens) or _trained(self.model.model.embed_seq_id)
        for number, layer in enumerate(self.model.model.layers):
            after = self.queries if number == last else tokens
            yield self._layer(layer, before=tokens, after=after, flows=flows)
            flows, tokens = flows or _trained(layer), after

    def _layer(self, layer: E1Layer, *, before: int, after: int, flows: bool) -> LayerBytes:
        """A layer that turns (before, D) into (after, D)."""
        config, narrow = self.config, self.narrow
        width, inner, heads = config.hidden_size, config.intermediate_size or 0, config.num_attention_heads
        held, mlp = layer.norm_attn_norm, layer.ffn.mlp
        attention = held.self_attn
        saved = self._norm(held.input_layernorm, before, flows=flows)
        normed = flows or _trained(held.input_layernorm)
        reads_all, asks = [attention.k_proj, attention.v_proj], [attention.q_proj]
        if after == before:
            saved += self.inputs(before, width, [*asks, *reads_all], flows=normed)
        else:
            saved += self.inputs(before, width, reads_all, flows=normed)
            saved += self.inputs(after, width, asks, flows=normed) + _INDEX * after
        parts = ((attention.q_proj, after, heads), (attention.k_proj, before, 0), (attention.v_proj, before, 0))
        if config.clip_qkv is not None:  # where nothing was clamped
            groups = config.num_key_value_heads or 0
            saved += sum(
                _FLAG * tokens * (own or groups) * config.head_size
                for part, tokens, own in parts
                if normed or _trained(part)
            )
        attended = normed or any(_trained(part) for part, _, _ in parts)
        if attended:  # queries, keys, values, output; the logarithms of the softmax's sums
            saved += narrow * width * (2 * before + 2 * after) + WIDE * after * heads
        saved += self.inputs(after, width, [attention.o_proj], flows=attended, saved_anyway=attended)
        moved = attended or _trained(attention.o_proj)
        saved += self._norm(held.post_attention_layernorm, after, flows=moved)
        normed = moved or _trained(held.post_attention_layernorm)
        up = [mlp.w1, mlp.w3] if mlp.gated else [mlp.w1]
        saved += self.inputs(after, width, up, flows=normed)
        hidden = normed or any(_trained(part) for part in up)
        if hidden:
            saved += narrow * after * inner * (1 if not mlp.gated else 2 if mlp.fused else 3)
        again = mlp.fused and hidden and not self.arithmetic.checkpointing  # `recomputed_product`
        saved += self.inputs(after, inner, [mlp.w2], flows=hidden, saved_anyway=again)
        entry = narrow * before * width if flows or _trained(layer) else 0.0
        # The gated step of the MLP: the gradient that comes, those of gate and value, and that of the residual. What
        # the last projection saved under checkpointing is gone by then.
        work = narrow * after * ((2 if self.arithmetic.checkpointing else 3) * inner + width)
        return LayerBytes(saved=saved, entry=entry, work=work, gradients=_gradients(layer))

    def _norm(self, norm: nn.Module, tokens: int, *, flows: bool) -> float:
        """The fused norm: its input and a number for each token."""
        return (self.narrow * self.config.hidden_size + WIDE) * tokens if flows or _trained(norm) else 0.0

    def _head(self, whole: E1ForResidueClassification, *, flows: bool) -> HeadBytes:
        batch, narrow, width, asked = self.batch, self.narrow, self.config.hidden_size, self.queries
        ions, places = len(whole.ion_types), batch.rows * batch.columns
        # Cosine and sine of positions in the sequence and in the row.
        shared = 2 * 2 * narrow * batch.tokens * (self.config.head_size // 2) if flows else 0
        saved = self._norm(self.model.model.norm, asked, flows=flows)
        saved += _INDEX * asked if flows else 0  # where tokens stand in the padded batch
        saved += 2 * _INDEX * batch.tokens if _trained(self.model.model.embed_tokens) else 0  # what was looked up
        # For each ion: mean and deviation of the norm, noise and output of dropout. All ions share the norm's input.
        half = self.arithmetic.half
        for head in whole.classifier_heads.values():
            dropped: Any = head
            saved += asked * (2 * WIDE + width * (narrow + (self.noise if dropped.dropout.p else 0)))
            saved += WIDE * asked * width if half else 0
        saved += narrow * asked * width if ions and not half else 0
        # Binding losses keep logit, target and whether the label is known.
        saved += places * ions * (2 * WIDE + 3 * _FLAG)
        logits = narrow * places * width + WIDE * places * ions
        work = 3 * narrow * places * width if flows else WIDE * asked * width
        if whole.mlm_weight:
            more, scored = self._mlm()
            saved, logits = saved + more, logits + scored
        return HeadBytes(saved=saved, shared=shared, logits=logits, work=work)

    @property
    def noise(self) -> int:
        """Bytes that the heads' stock dropout keeps for an element: on a CPU what it multiplied with."""
        return _FLAG if self.arithmetic.on_gpu else WIDE

    def _mlm(self) -> tuple[float, float]:
        """Bytes that the masked-LM head saves, and those of its padded scores."""
        masked, width, vocabulary = self.batch.masked, self.config.hidden_size, self.config.vocab_size
        hidden = self.narrow * masked * width  # the input of the activation; the norm's is the next one
        trained = _trained(self.model.mlm_head)
        saved = hidden * (2 if not trained else 4) + WIDE * masked * vocabulary
        return saved, WIDE * self.batch.rows * self.batch.columns * vocabulary


class _DNABert2(_Counter):
    """DNABERT-2 with its masked-LM head, trained on labelled tokens."""

    def __init__(self, model: DNABert2ForMaskedLM, batch: BatchShape, arithmetic: Arithmetic) -> None:
        super().__init__(batch, arithmetic)
        self.model, self.config = model, model.config

    def counted(self) -> tuple[list[LayerBytes], HeadBytes]:
        """Bytes of all layers, and of the parts before and after them."""
        embeddings = self.model.bert.embeddings
        flows = _trained(embeddings)
        layers, stack = [], list(self.model.bert.encoder.layer)
        for number, layer in enumerate(stack, start=1):
            after = self.batch.masked if number == len(stack) else self.batch.tokens
            layers.append(self._layer(layer, after=after, flows=flows))
            flows = flows or _trained(layer)
        return layers, self._head(flows_in=_trained(embeddings))

    def _layer(self, layer: Any, *, after: int, flows: bool) -> LayerBytes:
        """A layer that attends over all tokens, and goes on with `after` of them."""
        batch, config, narrow = self.batch, self.config, self.narrow
        width, inner, heads = config.hidden_size, config.intermediate_size, config.num_attention_heads
        before, places = batch.tokens, batch.rows * batch.columns
        attention, closing, mlp = layer.attention.self, layer.attention.output, layer.mlp
        saved = self.inputs(before, width, [attention.Wqkv], flows=flows)
        attended = flows or _trained(attention)
        if attended:  # queries, keys, values and output over the padded batch; the softmax's sums
            saved += narrow * places * 4 * width + WIDE * places * heads
            saved += narrow * self._bias() if self.arithmetic.half else 0  # a copy in the product's type for each layer
        own = not batch.padded and after == before  # the projection reads attention's own output
        saved += self.inputs(after, width, [closing.dense], flows=attended, saved_anyway=own)
        moved = attended or _trained(closing.dense)
        saved += self._closing(after, p=closing.p, flows=moved)
        saved += self.inputs(after, width, [mlp.gated_layers], flows=moved or _trained(closing))
        gated = moved or _trained(mlp.gated_layers)
        saved += narrow * after * 2 * inner if gated else 0
        dropped = bool(mlp.p)
        saved += self._own_noise(after * inner) if dropped and gated else 0
        saved += self.inputs(after, inner, [mlp.wo], flows=gated)
        saved += self._closing(after, p=0.0, flows=gated or _trained(mlp.wo))
        # In front of the gate: the gradient that comes, that of gate and value, a product, and that of the residual;
        # what the second projection saved is gone by then.
        work = after * (4 * inner + width) * narrow - (after * inner * (narrow + _FLAG) if dropped else 0)
        work = max(work, places * 7 * width * narrow)  # in attention, the gradients of queries, keys and values
        return LayerBytes(saved=saved, entry=WIDE * before * width, work=work, gradients=_gradients(layer))

    def _closing(self, tokens: int, *, p: float, flows: bool) -> float:
        """Dropout, residual, norm: where dropout saved; the norm's input, mean and deviation."""
        if not flows:
            return 0.0
        noise = self._own_noise(tokens * self.config.hidden_size) if p else 0
        return noise + WIDE * tokens * (self.config.hidden_size + 2)

    def _own_noise(self, elements: int) -> float:
        """`fused.dropout` keeps a byte an element, on every device."""
        return _FLAG * elements

    def _bias(self) -> int:
        """Numbers of the ALiBi bias: one row where there is no padding."""
        rows = self.batch.rows if self.batch.padded else 1
        return rows * self.config.num_attention_heads * self.batch.columns**2

    def _head(self, *, flows_in: bool) -> HeadBytes:
        batch, config, narrow = self.batch, self.config, self.narrow
        width, vocabulary, masked = config.hidden_size, config.vocab_size, batch.masked
        saved = self._closing(batch.tokens, p=config.hidden_dropout_prob, flows=flows_in)
        saved += _INDEX * (3 * batch.tokens + 2 * masked)  # ids, types, places; labelled tokens
        head = self.model.cls.predictions
        transform = head.transform
        saved += self.inputs(masked, width, [transform.dense], flows=True)
        saved += narrow * masked * width + WIDE * masked * (width + 2)  # inputs of the activation and of the norm
        saved += self.inputs(masked, width, [head.decoder], flows=True)
        saved += (WIDE + _INDEX / vocabulary) * masked * vocabulary  # logarithms of the probabilities
        scores = masked * vocabulary
        # Backward, the gradient of the scores is made from that of the logarithms.
        logits = (narrow + WIDE if self.arithmetic.half else WIDE) * scores
        return HeadBytes(saved=saved, shared=WIDE * self._bias(), logits=logits, work=2 * WIDE * scores)
