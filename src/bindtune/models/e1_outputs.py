"""What E1 models return, what they take for a context, and the masked-LM loss."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional as F
from transformers.utils.generic import ModelOutput

from bindtune.models.e1_tokens import PAD


@dataclass(frozen=True)
class E1ContextCache:
    """What any number of queries need of one context: keys and values of the global layers, once.

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
        context_cache: the context that was given.
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


def masked_lm_loss(scores: Tensor, labels: Tensor, wanted: Tensor) -> Tensor:
    """Mean cross-entropy over the labels that are neither 0 nor -100; 0 where there is none.

    Args:
        scores: (W, V) logits of the wanted positions, row by row.
        labels: (B, T).
        wanted: (B, T), where `scores` stand.
    """
    counted = (labels != PAD) & (labels != -100)
    if bool((counted & ~wanted).any()):
        raise ValueError("labels stand where no logits are computed")
    targets = labels.masked_fill(~counted, -100)[wanted]
    return F.cross_entropy(scores, targets, ignore_index=-100, reduction="sum") / counted.sum().clamp(min=1)


def check_carried(carried: dict[str, Any]) -> None:
    """Let pass what has no effect: a batch's `context` and `context_len`, `use_cache` and `output_attentions` if false.

    Raises:
        TypeError: an argument is unknown.
        ValueError: an effect is asked for that there is not.
    """
    unknown = carried.keys() - {"context", "context_len", "use_cache", "output_attentions"}
    if unknown:
        raise TypeError(f"unknown argument: {', '.join(sorted(unknown))}")
    if carried.get("use_cache"):
        raise ValueError("make a context cache with E1Model.cache_context and give it as context_cache")
    if carried.get("output_attentions"):
        raise ValueError("attention maps are never computed")
