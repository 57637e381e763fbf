"""Losses of binding sites, over known labels alone."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from bindtune.models.token_loss import IGNORED


@dataclass(frozen=True)
class BindingLoss:
    """How logits and labels become a loss.

    Args:
        kind: binary cross-entropy, or the focal loss (Lin et al. 2017, arXiv 1708.02002), which ignores `pos_weight`.
        focal_gamma: exponent of the focal loss.
        focal_alpha: weight of binding residues in the focal loss; the others have 1 - alpha.
        label_smoothing: known labels become s and 1 - s, while training.
    """

    kind: Literal["bce", "focal"] = "bce"
    focal_gamma: float = 2.0
    focal_alpha: float = 0.75
    label_smoothing: float = 0.0

    def sums(self, logits: Tensor, labels: Tensor, *, pos_weight: Tensor | None, training: bool) -> Tensor:
        """Sum of the losses of known labels, by ion (K,).

        Args:
            logits: (..., K).
            labels: (..., K), 1 binds, 0 does not, -100 is unknown.
            pos_weight: weight of positives; broadcasts against the logits.
            training: smooth the labels.
        """
        known = labels != IGNORED
        truth = labels.masked_fill(~known, 0).to(logits.dtype)
        smoothing = self.label_smoothing if training else 0.0
        target = truth * (1 - 2 * smoothing) + smoothing
        if self.kind == "bce":
            losses = F.binary_cross_entropy_with_logits(logits, target, reduction="none", pos_weight=pos_weight)
        else:
            losses = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
            # (1 - p_t)^gamma by its logarithm: a power below 1 has no finite gradient where 1 - p_t rounds to 0.
            damping = torch.exp(self.focal_gamma * F.logsigmoid(logits * (1 - 2 * truth)))
            weight = truth * self.focal_alpha + (1 - truth) * (1 - self.focal_alpha)
            losses = weight * damping * losses
        # Not an index but a product: every head takes part in every step, with a gradient of 0 where nothing is known.
        return (losses * known).flatten(0, -2).sum(dim=0)
