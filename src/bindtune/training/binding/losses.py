"""Losses of a fold: means over the known labels and masked residues of a step or an epoch, over all processes.

Shapes: B proteins, T columns, K ions.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from bindtune.models.residue import E1ForResidueClassification
from bindtune.models.token_loss import IGNORED

LossSums = Mapping[str, Sequence[float]]
"""Sums: `known` labels and `bce` losses of each ion (K), `masked` residues and `mlm` loss (1)."""


def step_totals(batches: Sequence[Mapping[str, Any]], accelerator: Accelerator) -> tuple[Tensor, Tensor]:
    """Numbers of known labels and masked residues of a whole step, over all processes; at least 1, for the division.

    Args:
        batches: batches that this process learns from.
        accelerator: joins the processes.
    """
    labels = sum(int((batch["labels"] != IGNORED).sum()) for batch in batches)
    masked = sum(int((batch["mlm_labels"] > 0).sum()) for batch in batches if "mlm_labels" in batch)
    own = torch.tensor([labels, masked], device=accelerator.device)
    total: Tensor = accelerator.reduce(own, reduction="sum")
    return total[0].clamp(min=1), total[1].clamp(min=1)


def batch_loss(
    output: Any, batch: Mapping[str, Any], totals: tuple[Tensor, Tensor], *, mlm_weight: float
) -> tuple[Tensor, LossSums]:
    """The batch's share of the loss of its step, and its sums.

    Args:
        output: the model's output with `bce_sums` (K,) and, if residues are masked, `mlm_sum`.
        batch: `labels` (B, T, K) and, if residues are masked, `mlm_labels` (B, T).
        totals: result of `step_totals` for the step.
        mlm_weight: weight of the masked-LM loss in the joint loss.
    """
    labels, masked = totals
    loss: Tensor = output.bce_sums.sum() / labels
    sums = {"known": (batch["labels"] != IGNORED).sum(dim=(0, 1)), "bce": output.bce_sums}
    if output.mlm_sum is not None:
        loss = loss + mlm_weight * output.mlm_sum / masked
        sums |= {"masked": (batch["mlm_labels"] > 0).sum()[None], "mlm": output.mlm_sum[None]}
    return loss, {name: values.detach().double().tolist() for name, values in sums.items()}


def is_finite(sums: LossSums) -> bool:
    """Whether no sum is infinite or not a number."""
    return all(map(math.isfinite, (value for values in sums.values() for value in values)))


def added(first: LossSums, second: LossSums) -> dict[str, list[float]]:
    """Add loss sums, name by name; a missing name counts as 0."""
    sums = {name: list(values) for name, values in first.items()}
    for name, values in second.items():
        earlier = sums.get(name, [0.0] * len(values))
        sums[name] = [a + b for a, b in zip(earlier, values, strict=True)]
    return sums


def epoch_losses(sums: LossSums, model: E1ForResidueClassification, accelerator: Accelerator) -> dict[str, float]:
    """Mean losses over all processes: loss, loss_bce, loss_mlm, and loss_bce_ION of each ion."""
    ions = len(model.ion_types)
    order = {"known": ions, "bce": ions, "masked": 1, "mlm": 1}
    flat = [value for name, size in order.items() for value in sums.get(name, [0.0] * size)]
    summed: Any = accelerator.reduce(
        torch.tensor(flat, dtype=torch.float64, device=accelerator.device), reduction="sum"
    )
    label_counts, bce, masked, mlm = torch.split(summed.cpu(), list(order.values()))
    losses = {
        "loss_bce": _ratio(float(bce.sum()), float(label_counts.sum())),
        "loss_mlm": _ratio(float(mlm), float(masked)),
    }
    losses["loss"] = joint(losses["loss_bce"], losses["loss_mlm"], mlm_weight=model.mlm_weight)
    means = {ion: _ratio(float(b), float(k)) for ion, b, k in zip(model.ion_types, bce, label_counts, strict=True)}
    return losses | {f"loss_bce_{ion}": mean for ion, mean in means.items()}


def joint(binding: float, masked: float, *, mlm_weight: float) -> float:
    """The joint loss of two mean losses; a nan mean (over no residue) is left out."""
    parts = [part for part in (binding, mlm_weight * masked) if not math.isnan(part)]
    return sum(parts) if parts else math.nan


def _ratio(summed: float, count: float) -> float:
    return summed / count if count else math.nan
