"""Refuse weights that hold nan or infinity when they are loaded."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn

from bindtune.errors import CheckpointError
from bindtune.models.base_files import base_files


def check_finite(source: Path | str, weights: Iterable[tuple[str, Tensor]]) -> None:
    """Refuse weights that hold nan or infinity.

    Args:
        source: the file that they were read from, for the message.
        weights: tensors by name.

    Raises:
        CheckpointError: names the file and the first such tensor.
    """
    for name, tensor in weights:
        if not is_finite(tensor):
            count = int((~torch.isfinite(tensor)).sum())
            raise CheckpointError(
                f"{source}: {name} is not finite: nan or infinity in {count:,} of {tensor.numel():,} places"
            )


def is_finite(tensor: Tensor) -> bool:
    """Whether a tensor holds neither nan nor infinity; whole numbers, and shapes without values, always do."""
    if tensor.is_meta or not tensor.numel() or not tensor.is_floating_point():
        return True
    return bool(torch.isfinite(torch.stack(torch.aminmax(tensor.detach()))).all())  # without a copy of the tensor


def check_finite_model(model: nn.Module, name: str) -> None:
    """Refuse a loaded model that has a parameter with nan or infinity.

    Args:
        model: the model.
        name: the hub name or folder that it was loaded from.

    Raises:
        CheckpointError: names the file and the first such tensor.
    """
    if all(is_finite(parameter) for parameter in model.parameters()):
        return
    for path in base_files(name).values():
        check_finite(path, _stored(path))
    check_finite(name, model.named_parameters())  # finite in the file, and too large for the type it was loaded in


def _stored(path: Path) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a file of weights, one after the other."""
    if path.suffix == ".safetensors":
        with safe_open(path, "pt") as stored:
            yield from ((name, stored.get_tensor(name)) for name in stored.keys())  # noqa: SIM118 (no mapping)
    elif path.suffix == ".bin":
        yield from torch.load(path, map_location="cpu", weights_only=True).items()
