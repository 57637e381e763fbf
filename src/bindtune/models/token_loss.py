"""The cross entropy of labelled tokens. Shapes: B rows, T tokens, W labelled tokens, C classes."""

import torch
from torch import Tensor
from torch.nn import functional as F

IGNORED = -100
"""The label of a token that takes no part in a loss."""


def token_loss(scores: Tensor, labels: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
    """Mean cross entropy over the labels that are not -100; 0 where there is none.

    Args:
        scores: (..., C) logits.
        labels: (...) true classes, -100 at tokens without a label.
        num_items_in_batch: the divisor of the sum, such as the labels of an optimiser step. By default the labels here.

    Examples:
        >>> token_loss(torch.zeros(3, 2), torch.tensor([0, 1, -100])).item()
        0.6931471824645996
    """
    items = (labels != IGNORED).sum() if num_items_in_batch is None else torch.as_tensor(num_items_in_batch)
    summed = summed_token_loss(scores, labels)
    return summed / items.to(summed.device).clamp(min=1)


def summed_token_loss(scores: Tensor, labels: Tensor) -> Tensor:
    """Sum of the cross entropy over the labels that are not -100, in fp32; shapes as in `token_loss`."""
    targets = labels.flatten().to(scores.device)
    return F.cross_entropy(scores.flatten(0, -2).float(), targets, ignore_index=IGNORED, reduction="sum")


def labels_at(labels: Tensor, logits_at: Tensor) -> Tensor:
    """The labels (W,) of the tokens that have logits.

    Args:
        labels: (B, T), -100 at tokens without a label.
        logits_at: (B, T), True at the tokens that have logits.

    Raises:
        ValueError: a labelled token has no logits.
    """
    if bool(((labels != IGNORED) & ~logits_at).any()):
        raise ValueError("labels stand where no logits are computed")
    return labels[logits_at]
