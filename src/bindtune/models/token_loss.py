"""The cross entropy of labelled tokens."""

import torch
from torch import Tensor
from torch.nn import functional as F

IGNORED = -100
"""The label of a token that nothing is asked of."""


def token_loss(scores: Tensor, labels: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
    """Mean cross entropy over the labels that are not -100; 0 where there is none.

    Args:
        scores: (..., C) logits.
        labels: (...) true classes, -100 where nothing is asked.
        num_items_in_batch: what the sum is divided by, such as the labels of an optimiser step; those here by default.
    """
    summed = F.cross_entropy(
        scores.flatten(0, -2).float(), labels.flatten().to(scores.device), ignore_index=IGNORED, reduction="sum"
    )
    items = (labels != IGNORED).sum() if num_items_in_batch is None else torch.as_tensor(num_items_in_batch)
    return summed / items.to(summed.device).clamp(min=1)
