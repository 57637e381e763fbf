"""The optimiser of a fold, and its learning rate at every step."""

import math
from collections.abc import Iterable

import torch
from torch import nn

from bindtune.config import BindingConfig


def make_optimizer(
    config: BindingConfig, parameters: Iterable[nn.Parameter], device: torch.device
) -> torch.optim.AdamW:
    """AdamW over the trainable parameters, with the settings of a run.

    Args:
        config: the settings.
        parameters: parameters of the model; frozen ones are left out.
        device: the model's device; a GPU updates all parameters in one call.
    """
    training = config.training
    return torch.optim.AdamW(
        [parameter for parameter in parameters if parameter.requires_grad],
        lr=training.learning_rate,
        weight_decay=training.weight_decay,
        fused=device.type == "cuda" or None,
    )


def learning_rate(step: int, *, warmup: int, total: int, highest: float, lowest: float) -> float:
    """The learning rate of a step: a linear rise, then a cosine.

    Args:
        step: optimiser step, from 0.
        warmup: steps of the rise; the first has 1 / warmup of the highest rate.
        total: steps of the whole run; the last has the lowest rate.
        highest: rate at the end of the rise.
        lowest: rate at the end of the cosine.

    Examples:
        >>> [learning_rate(step, warmup=2, total=4, highest=1.0, lowest=0.0) for step in range(4)]
        [0.5, 1.0, 0.5, 0.0]
    """
    if step < warmup:
        return highest * (step + 1) / warmup
    share = min((step - warmup + 1) / max(total - warmup, 1), 1.0)
    return lowest + (highest - lowest) * (1 + math.cos(math.pi * share)) / 2


def rate_of_step(config: BindingConfig, step: int, *, steps_per_epoch: int) -> float:
    """The learning rate of a fold's step (counted from 0) with the settings of a run."""
    training = config.training
    return learning_rate(
        step,
        warmup=round(training.warmup_epochs * steps_per_epoch),
        total=training.epochs * steps_per_epoch,
        highest=training.learning_rate,
        lowest=min(training.min_lr, training.learning_rate),
    )
