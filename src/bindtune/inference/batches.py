"""Cut queries into batches, and run E1 on them."""

from collections.abc import Iterator, Sequence
from typing import cast

import torch
from torch import Tensor

from bindtune.models.e1 import E1ForMaskedLM
from bindtune.models.e1_outputs import E1ContextCache
from bindtune.models.e1_tokens import E1Batch, E1BatchPreparer

IDS = ("input_ids", "within_seq_position_ids", "global_position_ids", "sequence_ids")


def ids_of(batch: E1Batch) -> dict[str, Tensor]:
    """The four tensors that a model is called with, (B, T) each."""
    return {name: cast(Tensor, batch[name]) for name in IDS}  # type: ignore[literal-required]


def budgeted(lengths: Sequence[int], *, max_tokens: int) -> Iterator[list[int]]:
    """Indices in batches of neighbours in length; a batch has at most `max_tokens`, or one member.

    The longest come first: what does not fit is known at once.
    """
    batch: list[int] = []
    held = 0
    for index in sorted(range(len(lengths)), key=lambda place: (-lengths[place], place)):
        if batch and held + lengths[index] > max_tokens:
            yield batch
            batch, held = [], 0
        batch.append(index)
        held += lengths[index]
    if batch:
        yield batch


@torch.no_grad()
def cached(model: E1ForMaskedLM, preparer: E1BatchPreparer, context: str) -> E1ContextCache | None:
    """Keys and values of a context, or None for the empty one."""
    if not context:
        return None
    cache: E1ContextCache = model.model.cache_context(**ids_of(preparer.get_batch_kwargs([context], model.device)))
    return cache
