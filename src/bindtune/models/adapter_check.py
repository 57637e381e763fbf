"""Check that adapters work: they change nothing at the start, change the output when filled, and learn first in B."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class LoraCheck:
    """Whether adapters work, as numbers.

    Args:
        unchanged: largest difference of a hidden state between the base and the fresh adapters; must be 0.
        changed: the same with A and B filled; must be above 0.
        gradient_a: largest gradient of A at the start; must be 0, since B is.
        gradient_b: largest gradient of B at the start; must be above 0.
        fresh_b: largest weight of B at the start; must be 0.
        modified: numbers of adapters whose A was filled, whose B was filled, and of all adapters.
        version: version of PEFT.
    """

    unchanged: float
    changed: float
    gradient_a: float
    gradient_b: float
    fresh_b: float
    modified: tuple[int, int, int]
    version: str

    @property
    def statements(self) -> dict[str, bool]:
        """The three statements, and whether each holds."""
        return {
            f"B = 0 leaves the output as it is (largest difference {self.unchanged:.3g})": self.unchanged == 0,
            f"filled A and B change it (largest difference {self.changed:.3g})": self.changed > 0,
            f"B receives gradient first (A {self.gradient_a:.3g}, B {self.gradient_b:.3g})": (
                self.gradient_a == 0 and self.gradient_b > 0
            ),
        }

    @property
    def advice(self) -> str:
        """Advice if a statement is false."""
        filled_a, filled_b, adapters = self.modified
        return (
            f"look at: the initialisation of B (largest weight {self.fresh_b:.3g}, expected 0); whether A and B were "
            f"both modified (A in {filled_a}, B in {filled_b} of {adapters} adapters); the version of PEFT "
            f"({self.version})"
        )


@torch.no_grad()
def adapter_effect(model: Any, batch: Mapping[str, Tensor]) -> float:
    """The largest difference that adapters make to a hidden state.

    Args:
        model: an encoder with adapters.
        batch: input_ids, positions and sequence_ids, as `encode` takes them.
    """
    adapted = model.encode(**batch)
    with model.disable_adapter():
        return float((adapted - model.encode(**batch)).abs().max())


def check_lora(model: Any, batch: Mapping[str, Tensor]) -> LoraCheck:
    """Try new adapters of a model; its weights stay unchanged.

    Args:
        model: an encoder after `add_lora`.
        batch: input_ids, positions and sequence_ids, as `encode` takes them.
    """
    matrices = {name: tensor for name, tensor in model.named_parameters() if "lora_A" in name or "lora_B" in name}
    first = {name: tensor for name, tensor in matrices.items() if "lora_A" in name}
    second = {name: tensor for name, tensor in matrices.items() if "lora_B" in name}
    was_training = model.training
    model.eval()
    with torch.no_grad(), model.disable_adapter():
        base = model.encode(**batch)
    hidden = model.encode(**batch)
    # Any loss works, except one that a norm makes constant, such as the sum or the square of a state.
    weights = torch.randn(hidden.shape, generator=torch.Generator().manual_seed(0)).to(hidden)
    gradients = torch.autograd.grad((hidden * weights).mean(), list(matrices.values()))
    by_name = dict(zip(matrices, gradients, strict=True))
    before = {name: tensor.detach().clone() for name, tensor in matrices.items()}
    fresh_b = _largest(second.values())
    with torch.no_grad():
        generator = torch.Generator().manual_seed(0)
        for tensor in matrices.values():
            tensor.add_(torch.randn(tensor.shape, generator=generator).to(tensor) * 0.05)
        filled = model.encode(**batch)
        modified = tuple(
            sum(bool((tensor != before[name]).any()) for name, tensor in part.items()) for part in (first, second)
        )
        for name, tensor in matrices.items():
            tensor.copy_(before[name])
    model.train(was_training)
    return LoraCheck(
        unchanged=_largest([hidden - base]),
        changed=_largest([filled - base]),
        gradient_a=_largest(by_name[name] for name in first),
        gradient_b=_largest(by_name[name] for name in second),
        fresh_b=fresh_b,
        modified=(modified[0], modified[1], len(second)),
        version=version("peft"),
    )


def _largest(tensors: Any) -> float:
    return max((float(tensor.detach().abs().max()) for tensor in tensors if tensor.numel()), default=0.0)
