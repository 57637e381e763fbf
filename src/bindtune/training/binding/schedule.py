"""The learning rate of every step, and when a fold stops."""

import math


def learning_rate(step: int, *, warmup: int, total: int, highest: float, lowest: float) -> float:
    """Linear rise, then a cosine.

    Args:
        step: 0-based optimiser step.
        warmup: steps of the rise; the first has 1 / warmup of the highest rate.
        total: steps of the whole run; the last has the lowest rate.
        highest: at the end of the rise.
        lowest: at the end of the cosine.
    """
    if step < warmup:
        return highest * (step + 1) / warmup
    share = min((step - warmup + 1) / max(total - warmup, 1), 1.0)
    return lowest + (highest - lowest) * (1 + math.cos(math.pi * share)) / 2


def is_stale(epoch: int, *, best_epoch: int, warmup: float, patience: int) -> bool:
    """Whether a fold stops after this epoch: `patience` epochs without a better one, and the warm-up is over."""
    return 0 < patience <= epoch - best_epoch and epoch > warmup
