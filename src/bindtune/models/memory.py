"""Predict the peak memory of a training step from the shapes of a model and of a batch, without a run and without
weights.

The model may lie on any device; `torch.device("meta")` costs nothing. `activation_bytes.py` counts what its
layers save.

In the forward pass the activations grow. In the backward pass they are freed layer by layer, while gradients are made.
The peak is the moment with most bytes. Optimiser state exists from the second step on.

Only tensors are predicted. On a CPU, the heap of glibc becomes fragmented and holds far more. With
MALLOC_MMAP_THRESHOLD_ set, it returns large tensors to the system when they are freed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import accumulate
from typing import NamedTuple

from torch import nn

from bindtune.models.activation_bytes import WIDE, Arithmetic, BatchShape, HeadBytes, LayerBytes, count_activations


@dataclass(frozen=True)
class Memory:
    """Bytes of each part at the worst moment of a training step.

    Args:
        weights: parameters without the adapters'.
        adapters: of the adapters.
        casts: copies of weights in 16 bits, which autocast makes and the backward pass keeps.
        gradients: gradients at that moment.
        optimiser: two moments of each trained parameter (AdamW).
        activations: what layers and heads keep for the backward pass.
        logits: scores of the masked-LM head, their logarithms, and hidden states and logits that the step returns.
        working: work space of the computation at that moment.
    """

    weights: float
    adapters: float
    casts: float
    gradients: float
    optimiser: float
    activations: float
    logits: float
    working: float

    @property
    def total(self) -> float:
        """All parts together."""
        return sum(getattr(self, field.name) for field in fields(self))


def predict_memory(model: nn.Module, batch: BatchShape, arithmetic: Arithmetic) -> Memory | None:
    """Predict the peak of a training step; None for an encoder whose activations are not known here.

    Args:
        model: the trained model, from `training.binding.model.assemble`, or a DNABERT-2.
        batch: the batch.
        arithmetic: how the step is computed.
    """
    counted = count_activations(model, batch, arithmetic)
    if counted is None:
        return None
    layers, head = counted
    adapters, weights = _bytes(model, adapters=True), _bytes(model, adapters=False)
    trained = WIDE * sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    linear = sum(part.weight.numel() for part in model.modules() if isinstance(part, nn.Linear))
    moment = _worst(layers, head, trained, arithmetic)
    return Memory(
        weights=weights,
        adapters=adapters,
        casts=arithmetic.narrow * linear if arithmetic.half else 0,
        gradients=moment.gradients,
        optimiser=2 * trained,
        activations=moment.activations,
        logits=moment.logits,
        working=moment.working,
    )


def saved_for_backward(model: nn.Module, batch: BatchShape, arithmetic: Arithmetic) -> float | None:
    """Bytes that a forward pass leaves for the backward pass, parameters not counted; None as in `predict_memory`."""
    counted = count_activations(model, batch, arithmetic)
    if counted is None:
        return None
    layers, head = counted
    if arithmetic.checkpointing:
        return sum(layer.entry for layer in layers) + head.saved
    return sum(layer.saved for layer in layers) + head.saved + head.shared


class _Moment(NamedTuple):
    activations: float
    logits: float
    gradients: float
    working: float


def _worst(layers: Sequence[LayerBytes], head: HeadBytes, trained: float, arithmetic: Arithmetic) -> _Moment:
    """The moment of a step with most bytes: the backward pass of the heads, or of a layer."""
    resting = [layer.entry if arithmetic.checkpointing else layer.saved for layer in layers]
    before = list(accumulate(resting, initial=head.shared))
    everything = arithmetic.accumulated > 1
    moments = [_Moment(before[-1] + head.saved, head.logits, trained if everything else 0.0, head.work)]
    made = trained - sum(layer.gradients for layer in layers)
    for number in reversed(range(len(layers))):
        layer = layers[number]
        again = layer.saved if arithmetic.checkpointing else 0.0
        made += layer.gradients
        held = trained if everything else max(made, 0.0)
        moments.append(_Moment(before[number + 1] + again, head.logits, held, layer.work))
    return max(moments, key=sum)


def _bytes(model: nn.Module, *, adapters: bool) -> float:
    return WIDE * sum(
        parameter.numel() for name, parameter in model.named_parameters() if ("lora_" in name) == adapters
    )
