"""What E1 models return, what they take for a context, and the masked-LM loss."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.utils.generic import ModelOutput

from bindtune.models.arguments import check_carried
from bindtune.models.e1_tokens import PAD
from bindtune.models.token_loss import IGNORED

_ADVICE = {
    "attention_mask": "E1 reads no attention_mask: padding is <pad>, or a sequence id of -1",
    "output_attentions": "E1 gives no attention maps: they are never computed, whatever attn_implementation says",
    "position_ids": "E1 has two kinds of positions: give within_seq_position_ids and global_position_ids",
    "use_cache": "make a context cache with E1Model.cache_context and give it as context_cache",
}


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


def masked_lm_targets(labels: Tensor) -> Tensor:
    """Labels (B, T) with -100 in the place of 0, the id of padding, which is no target either."""
    return labels.masked_fill(labels == PAD, IGNORED)


def unmasked_ids(input_ids: Tensor, labels: Tensor) -> Tensor:
    """Token ids (B, T) with the true ones, which the labels hold, in the place of those that a collator put there."""
    targets = masked_lm_targets(labels)
    return torch.where(targets == IGNORED, input_ids, targets)


def check_e1_arguments(carried: dict[str, Any]) -> None:
    """Let pass what has no effect: a batch's `context` and `context_len`, and what is None or False.

    Raises:
        TypeError: an argument is unknown.
        ValueError: an effect is asked for that there is not.
    """
    check_carried(carried, harmless=("context", "context_len"), advice=_ADVICE)
