"""Batches in the form in which E1 is called, and cached contexts."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from bindtune.models.e1 import E1ContextCache, E1ForMaskedLM
from bindtune.models.e1_tokens import IDS, E1Batch, E1BatchPreparer


def ids_of(batch: E1Batch) -> dict[str, Tensor]:
    """The four input tensors of a model, (B, T) each."""
    return {name: cast(Tensor, batch[name]) for name in IDS}  # type: ignore[literal-required]


@torch.no_grad()
def cached(model: E1ForMaskedLM, preparer: E1BatchPreparer, context: Sequence[str]) -> E1ContextCache | None:
    """Keys and values of a context, or None for the empty context."""
    if not context:
        return None
    cache: E1ContextCache = model.model.cache_context(**ids_of(preparer.get_batch_kwargs([context], model.device)))
    return cache
