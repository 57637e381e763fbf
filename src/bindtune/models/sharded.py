"""Parts of whole tensors for a model that FSDP divided: every process holds a part of each parameter."""

from collections.abc import Mapping

from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor


def divided(weights: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """This process's part of each weight, where the target of that name is a part too; any other weight as it is.

    Args:
        weights: whole tensors, the same in every process, so that nothing is sent.
        targets: what they are to be copied into, such as a module's `state_dict()`.
    """
    return {name: part_of(tensor, targets.get(name)) for name, tensor in weights.items()}


def part_of(tensor: Tensor, target: Tensor | None) -> Tensor:
    """This process's part of a whole tensor; the tensor itself where its target is not divided or of another shape."""
    if not isinstance(target, DTensor) or target.shape != tensor.shape:
        return tensor
    on_device = tensor.to(target.device)
    return distribute_tensor(on_device, target.device_mesh, target.placements, src_data_rank=None)
