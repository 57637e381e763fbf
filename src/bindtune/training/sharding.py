"""FSDP: parameters and the optimiser's state divided between processes, as accelerate's configuration asks for it.

Files of a run hold whole weights whatever the processes hold of them. `whole` and `whole_state` put weights and the
optimiser's state together, `load_whole` and `restore_state` take them apart again. So a checkpoint says nothing of how
it was computed, and loads anywhere.
"""

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from torch import Tensor, distributed, nn
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor
from transformers.modeling_layers import GradientCheckpointingLayer

from bindtune.errors import ConfigError
from bindtune.models.sharded import divided, part_of

_REFUSED = {
    "ACCELERATE_USE_DEEPSPEED": "DeepSpeed",
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM",
    "ACCELERATE_USE_PARALLELISM_CONFIG": "a parallelism_config",
}


def _asked(name: str) -> bool:
    return os.environ.get(name, "").lower() in ("1", "true", "yes")


def check_launcher(*, precision: str) -> None:
    """Refuse what the launcher's environment asks for and the files or the settings of a run do not hold.

    Args:
        precision: what the settings ask for: "no", "fp16" or "bf16".

    Raises:
        ConfigError: it asks for something else than data parallelism or FSDP 2, or for another precision.
    """
    # transformers would take it over; `accelerate launch` always sets it.
    asked = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    if asked not in ("no", precision):
        raise ConfigError(
            f"accelerate's configuration asks for mixed_precision {asked!r}, the settings for {precision!r}: "
            "leave 'no' there, and set fp16 or bf16 (pretrain), training.use_bf16 (train)"
        )
    for name, what in _REFUSED.items():
        if _asked(name):
            raise ConfigError(f"accelerate's configuration asks for {what}: supported are MULTI_GPU and FSDP")
    if not _asked("ACCELERATE_USE_FSDP"):
        return
    # Some outputs are views, and nothing is done to them in place.
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view tensor", UserWarning)
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        raise ConfigError("FSDP divides a model between processes, and one was started: raise num_processes")
    settings = {
        "fsdp_version": (os.environ.get("FSDP_VERSION", "1"), "2"),
        "fsdp_cpu_ram_efficient_loading": (os.environ.get("FSDP_CPU_RAM_EFFICIENT_LOADING", "false").lower(), "false"),
        "fsdp_offload_params": (os.environ.get("FSDP_OFFLOAD_PARAMS", "false").lower(), "false"),
        "fsdp_activation_checkpointing": (os.environ.get("FSDP_ACTIVATION_CHECKPOINTING", "false").lower(), "false"),
    }
    faults = [f"{name} is {value}, expected {needed}" for name, (value, needed) in settings.items() if value != needed]
    if faults:
        raise ConfigError(
            f"accelerate's FSDP configuration: {'; '.join(faults)} (gradient_checkpointing is a setting of bindtune)"
        )


def check_gpus() -> None:
    """Refuse more processes than GPUs, of which one would fail at its first step.

    Raises:
        ConfigError: this machine has GPUs, and fewer than processes were started here.
    """
    processes, gpus = int(os.environ.get("LOCAL_WORLD_SIZE", "1")), torch.cuda.device_count()
    if processes > gpus > 0 and not _asked("ACCELERATE_USE_CPU"):
        raise ConfigError(
            f"{processes} processes were started here, for {gpus} GPU{'s' if gpus > 1 else ''}: start one a GPU at "
            "most; where CUDA_VISIBLE_DEVICES is empty they compute on the CPU"
        )


def shard_on_cpu(accelerator: Accelerator) -> None:
    """Make a new accelerator shard on CPUs too, where accelerate leaves FSDP out without a word."""
    state = accelerator.state
    if _asked("ACCELERATE_USE_FSDP") and state.distributed_type == DistributedType.MULTI_CPU:
        state.fsdp_plugin = FullyShardedDataParallelPlugin()
        if state.mixed_precision != "no":
            state.fsdp_plugin.set_mixed_precision(state.mixed_precision)
        # Every further state takes its kind from PartialState, as accelerate itself leaves it on GPUs.
        PartialState().distributed_type = state.distributed_type = DistributedType.FSDP


def divide(accelerator: Accelerator, model: Any) -> None:
    """Divide a model between the processes, where accelerate's configuration asks for it; before the optimiser is made.

    Each layer is a group of its own, and everything else is one group: embeddings, final norm and head share weights
    and biases in many models, and FSDP takes a shared parameter in one group only. accelerate would part embeddings and
    head from the rest; it leaves a model alone that is divided already.

    Args:
        accelerator: of the processes.
        model: is changed.
    """
    if not is_sharded(accelerator):
        return
    plugin = accelerator.state.fsdp_plugin
    policy = plugin.mixed_precision_policy or MixedPrecisionPolicy()
    names = set(plugin.transformer_cls_names_to_wrap or ())
    layers = [
        part
        for part in model.modules()
        if (type(part).__name__ in names if names else isinstance(part, GradientCheckpointingLayer))
    ]
    plugin.auto_wrap_policy = None  # it would look for classes that have other names once they are divided
    for layer in layers:
        fully_shard(layer, reshard_after_forward=plugin.reshard_after_forward, mp_policy=policy)
    fully_shard(model, mp_policy=policy)


def parameter_groups(optimizer: Any) -> list[list[Tensor]]:
    """The parameters that an optimiser learns, by group."""
    return [list(group["params"]) for group in optimizer.param_groups]


def put_back(optimizer: Any, groups: Sequence[Sequence[Tensor]]) -> None:
    """Give an optimiser its parameters again, after accelerate has prepared it.

    accelerate looks for them by the address of their part, and all parts without a row have the same.

    Args:
        optimizer: prepared or not.
        groups: what `parameter_groups` gave before.
    """
    for group, parameters in zip(optimizer.param_groups, groups, strict=True):
        group["params"] = list(parameters)


def is_sharded(accelerator: Accelerator) -> bool:
    """Whether models are divided between processes, which then have to run them equally often."""
    return bool(accelerator.distributed_type == DistributedType.FSDP)


@contextmanager
def whole(model: nn.Module) -> Iterator[None]:
    """Put together a model's parameters while the block reads them; all processes take part.

    The first process alone has them whole. `load_whole` is the way back.

    Args:
        model: sharded or not; a model that is not stays as it is.
    """
    reshard(model)
    parts: list[tuple[nn.Module, str, Any]] = [
        (module, name, part)
        for module in model.modules()
        for name, part in module.named_parameters(recurse=False, remove_duplicate=False)
        if isinstance(part, DTensor)
    ]
    reads = not distributed.is_initialized() or distributed.get_rank() == 0
    made: dict[int, nn.Parameter] = {}  # tied parameters stay tied
    for part in {id(part): part for _, _, part in parts}.values():
        gathered = part.detach().full_tensor()
        if reads:
            made[id(part)] = nn.Parameter(gathered, part.requires_grad)
    for module, name, part in parts:
        setattr(module, name, made.get(id(part), part))
    try:
        yield
    finally:
        for module, name, part in parts:
            setattr(module, name, part)


def load_whole(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load a state_dict of whole tensors, strictly, into a module that is sharded or not.

    Args:
        module: the model, or a part of it.
        weights: the same in every process.

    Raises:
        RuntimeError: they are not those of this module.
    """
    reshard(module)
    module.load_state_dict(divided(weights, module.state_dict()))


def reshard(model: nn.Module) -> None:
    """Let go of the whole layers that FSDP keeps after a forward pass, before parameters are read or written."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def whole_state(optimizer: Any) -> dict[str, Any]:
    """An optimiser's state_dict of whole tensors; all processes take part."""
    state: dict[str, Any] = optimizer.state_dict()
    values = {
        number: {name: value.full_tensor() if isinstance(value, DTensor) else value for name, value in held.items()}
        for number, held in state["state"].items()
    }
    return {**state, "state": values}


def restore_state(optimizer: Any, state: Mapping[str, Any]) -> None:
    """Take over what `whole_state` gave, or the state_dict of an optimiser that was not sharded.

    Raises:
        ValueError: it is of another model.
    """
    learned = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    values = {
        number: {
            name: part_of(value, learned[number]) if isinstance(value, Tensor) else value
            for name, value in held.items()
        }
        for number, held in state["state"].items()
    }
    optimizer.load_state_dict({**state, "state": values})
