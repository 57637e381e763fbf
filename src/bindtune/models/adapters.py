"""LoRA through PEFT: add, count, save, load and merge adapters. Only this module and adapter_config import peft."""

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MethodType
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners.lora import Linear as LoraLinear
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from bindtune.errors import CheckpointError, ConfigError, library_text
from bindtune.models.adapter_config import (
    ALL_LINEAR,
    any_of,
    matching_layers,
    name_layers,
    read_adapter_config,
)
from bindtune.models.finite import check_finite
from bindtune.models.fused import Dropout
from bindtune.models.hub_names import ADAPTER_FILES
from bindtune.models.load_errors import loading
from bindtune.models.sharded import divided
from bindtune.runs.names import README


def add_lora(
    model: nn.Module,
    *,
    r: int,
    alpha: float,
    dropout: float,
    target_modules: Sequence[str] | str,
    bias: str = "none",
    train_mlm_head: bool = False,
) -> Any:
    """Freeze a model and give its linear layers adapters in fp32. The output does not change.

    The masked-LM head gets no adapters: it is trained as a whole or not at all. Parts in the model's list `unused` get
    none either.

    Args:
        model: the encoder with its masked-LM head.
        r: rank.
        alpha: updates are multiplied by alpha / r.
        dropout: before the adapters.
        target_modules: names of linear layers, the last parts of their paths; or a pattern as PEFT understands it.
        bias: biases that are trained too: none, all, lora_only.
        train_mlm_head: train the masked-LM head too; it is saved with the adapters.

    Raises:
        ConfigError: the model has no such layers.
    """
    unused: tuple[str, ...] = getattr(model, "unused", ())
    head = _mlm_head(model)
    targets = target_modules if isinstance(target_modules, str) else list(target_modules)
    outside = [*([head] if head else []), *unused]
    prefixes = tuple(f"{name}." for name in outside)
    linear = [name for name in _linear(model) if not f"{name}.".startswith(prefixes)]
    there = f"it has {', '.join(sorted({name.rpartition('.')[2] for name in linear}))}"
    if missing := _missing(targets, linear):
        raise ConfigError(f"lora.target_modules: the model has no linear layer {', '.join(missing)}; {there}")
    settings: dict[str, Any] = {"r": r, "lora_alpha": alpha, "lora_dropout": dropout, "bias": bias}
    config = LoraConfig(
        **settings,
        target_modules=_bounded(targets, model, there),
        exclude_modules="|".join(rf"(.*\.)?{re.escape(name)}(\..*)?" for name in outside) or None,
        modules_to_save=[head] if train_mlm_head and head else None,
    )
    try:
        with warnings.catch_warnings():
            # PEFT asks the model for its checkpointing by a name that transformers 5 has given up.
            warnings.simplefilter("ignore", FutureWarning)
            # A head that is trained as a whole is a copy, so no weight is tied to it.
            warnings.filterwarnings("ignore", ".*ensure_weight_tying", UserWarning)
            adapted = get_peft_model(model, config)
    except ValueError as error:
        raise ConfigError(f"lora.target_modules: {library_text(error)}; {there}") from error
    if isinstance(targets, str):
        own: Any = adapted.peft_config["default"]
        own.target_modules = targets  # as it was asked for
    for name in unused:
        model.get_submodule(name).requires_grad_(False)  # with `bias` PEFT trains biases wherever they are
    for layer in adapted.modules():
        if isinstance(layer, LoraLinear):
            # PEFT widens inputs to the adapter's fp32. With fp32 weights, only autocast narrows them, and would again.
            layer.cast_input_dtype_enabled = layer.weight.dtype != torch.float32
            for name, module in layer.lora_dropout.items():
                if isinstance(module, nn.Dropout):
                    layer.lora_dropout[name] = Dropout(module.p)
    return adapted


def _mlm_head(model: nn.Module) -> str | None:
    """The path of the masked-LM head in the model."""
    head = getattr(model, "mlm_head", None)
    return next((name for name, part in model.named_modules() if head is not None and part is head), None)


def _linear(model: nn.Module) -> list[str]:
    return [name for name, part in model.named_modules() if isinstance(part, nn.Linear)]


def _missing(targets: list[str] | str, linear: Sequence[str]) -> list[str]:
    """Names without a layer; PEFT itself checks a pattern."""
    if not targets:
        return ["of no name"]
    if isinstance(targets, str):
        return []
    return [target for target in targets if not any(f".{name}".endswith(f".{target}") for name in linear)]


def _bounded(targets: list[str] | str, model: nn.Module, layers: str) -> list[str] | str:
    """Targets with a pattern replaced by names, because PEFT would run a pattern without a time limit.

    Raises:
        ConfigError: the pattern matches nothing, is malformed or takes too long.
    """
    if not isinstance(targets, str) or targets == ALL_LINEAR:
        return targets
    try:
        names = matching_layers(targets, [name for name, _ in model.named_modules() if name])
    except ConfigError as error:
        raise ConfigError(f"lora.target_modules: {error}; {layers}") from error
    if not names:
        raise ConfigError(f"lora.target_modules: no layer of the model matches {targets!r}; {layers}")
    return any_of(names)


def has_adapters(model: nn.Module) -> bool:
    """Whether `add_lora` was applied."""
    return isinstance(model, PeftModel)


def adapter_shape(layer: nn.Module) -> tuple[int, float] | None:
    """Rank and dropout of a linear layer's adapter; None where it has none."""
    if not isinstance(layer, LoraLinear):
        return None
    name = layer.active_adapters[0]
    return int(layer.r[name]), float(getattr(layer.lora_dropout[name], "p", 0.0))


@dataclass(frozen=True)
class ParameterCounts:
    """Trainable parameters by part, and all parameters."""

    adapters: int
    heads: int
    backbone: int
    total: int

    def __str__(self) -> str:
        trained = self.adapters + self.heads + self.backbone
        parts = {"adapters": self.adapters, "heads": self.heads, "encoder and masked-LM head": self.backbone}
        counts = ", ".join(f"{name} {count:,}" for name, count in parts.items() if count)
        return f"trainable parameters: {counts}: {100 * trained / max(self.total, 1):.2f} % of {self.total:,}"


def count_parameters(model: nn.Module) -> ParameterCounts:
    """Count the trained parameters of a residue model."""
    counts = {"adapters": 0, "heads": 0, "backbone": 0}
    total = 0
    for name, parameter in model.named_parameters():
        total += parameter.numel()
        if parameter.requires_grad:
            part = "heads" if name.startswith("classifier_heads.") else "adapters" if "lora_" in name else "backbone"
            counts[part] += parameter.numel()
    return ParameterCounts(**counts, total=total)


def save_adapters(model: Any, folder: Path, *, base: str) -> None:
    """Write adapters so that plain PEFT loads them; `base` is the model they belong to."""
    for config in model.peft_config.values():
        config.base_model_name_or_path = base
        if isinstance(config.target_modules, set):
            config.target_modules = sorted(config.target_modules)  # a set has another order in each process
    # Unless told, PEFT asks the hub whether the vocabulary has grown.
    model.save_pretrained(folder, save_embedding_layers=False)
    (folder / README).unlink(missing_ok=True)  # PEFT's form of a model card, which nobody has filled in


def adapter_weights(model: Any, adapter: str = "default") -> dict[str, Tensor]:
    """The weights that `save_adapters` writes."""
    weights: dict[str, Tensor] = get_peft_model_state_dict(model, adapter_name=adapter, save_embedding_layers=False)
    return weights


def restore_adapters(model: Any, weights: Mapping[str, Tensor], *, source: object, adapter: str = "default") -> None:
    """Put weights into the adapters of a model, completely or not at all.

    Raises:
        CheckpointError: the weights belong to another model.
    """
    expected = adapter_weights(model, adapter)
    problems = [f"nothing for {name}" for name in sorted(expected.keys() - weights.keys())]
    problems += [f"no parameter for {name}" for name in sorted(weights.keys() - expected.keys())]
    problems += [
        f"{name} has shape {tuple(tensor.shape)}, expected {tuple(expected[name].shape)}"
        for name, tensor in weights.items()
        if name in expected and tensor.shape != expected[name].shape
    ]
    if problems:
        more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise CheckpointError(f"{source}: the adapters do not fit the base model: {'; '.join(problems[:5])}{more}")
    set_peft_model_state_dict(model, divided(weights, expected), adapter_name=adapter)


def read_adapters(folder: Path) -> dict[str, Tensor]:
    """Adapter weights of a folder.

    Raises:
        CheckpointError: they are missing or damaged, or hold nan or infinity.
    """
    path = folder / ADAPTER_FILES[1]
    with loading(path, "no adapters' weights"):
        weights = load_file(path)
        check_finite(path, weights.items())
    return weights


def load_adapters(encoder: nn.Module, folders: Mapping[str, Path]) -> Any:
    """Add one or several saved adapters to an encoder. The first is active, and none is trained.

    Args:
        encoder: the model that they were trained on, with its masked-LM head.
        folders: folders of adapters, by their names for `use_adapter`; only one if it trains biases.

    Raises:
        CheckpointError: adapters are missing or damaged, or do not fit the encoder or each other.
    """
    model: Any = None
    layers = [name for name, _ in encoder.named_modules() if name]
    for name, folder in folders.items():
        config, weights = read_adapter_config(folder), read_adapters(folder)
        name_layers(config, layers, source=folder)
        config.inference_mode = True
        widest = max((len(tensor) for key, tensor in weights.items() if "lora_A" in key and tensor.ndim), default=0)
        if (rank := max(config.r, *(config.rank_pattern or {}).values(), 0)) > widest:
            raise CheckpointError(f"{folder}: do not fit their configuration: rank {rank}, the weights' is {widest}")
        # PEFT draws initial weights, which are overwritten, and warns as in `add_lora`.
        with (
            loading(folder, "do not fit the base model"),
            torch.random.fork_rng(devices=[]),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore", FutureWarning)
            if model is None:
                model = PeftModel(encoder, config, adapter_name=name)
            else:
                model.add_adapter(name, config)
        restore_adapters(model, weights, source=folder, adapter=name)
    use_adapter(model, next(iter(folders)))
    return model.requires_grad_(False).eval()


def use_adapter(model: Any, name: str) -> None:
    """Make one of several adapters active."""
    if model.active_adapters != [name]:
        model.set_adapter(name, inference_mode=True)


def merge_in_passing(model: nn.Module) -> None:
    """Let layers with adapters compute with the sum of their weight and B A, instead of two products.

    The sum is computed for each batch and then deleted. So it takes the memory of one layer's weight, the base weights
    never change, and a newly active adapter works at once. With few tokens, with gradients, and with other adapters
    than plain LoRA, layers run as in PEFT.
    """
    for layer in model.modules():
        if isinstance(layer, LoraLinear):
            layer.forward = MethodType(_merging_forward, layer)  # type: ignore[method-assign]


def _merging_forward(layer: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    name = _mergeable(layer)
    base = layer.get_base_layer()
    outer, inner = base.weight.shape
    # The sum costs r * outer * inner products, and the adapter alone r * (outer + inner) for each token.
    if name is None or args or kwargs or x.numel() < inner * (outer * inner / (outer + inner)):
        result: Tensor = LoraLinear.forward(layer, x, *args, **kwargs)
        return result
    first, second = layer.lora_A[name].weight, layer.lora_B[name].weight
    with torch.autocast(x.device.type, enabled=False):
        summed = torch.addmm(base.weight.to(second.dtype), second, first, alpha=layer.scaling[name])
    return F.linear(x, summed.to(base.weight.dtype), base.bias)


def _mergeable(layer: Any) -> str | None:
    """The adapter to merge into a layer's weight, or None."""
    active = layer.active_adapters
    plain = len(active) == 1 and active[0] in layer.lora_A and active[0] not in layer.lora_variant
    ready = plain and not (layer.merged or layer.disable_adapters or layer.fan_in_fan_out or layer.training)
    if not ready or torch.is_grad_enabled() or layer.lora_B[active[0]].bias is not None:
        return None
    name: str = active[0]
    return name


def merge_adapters(encoder: nn.Module, folder: Path) -> Any:
    """Add the adapters of a folder to an encoder's weights.

    Args:
        encoder: the model that they were trained on, with its masked-LM head; it is changed.
        folder: adapters as `save_adapters` writes them.

    Returns:
        The encoder, without adapters, in evaluation mode.

    Raises:
        CheckpointError: the adapters are missing or damaged, or do not fit the encoder.
    """
    return load_adapters(encoder, {"default": folder}).merge_and_unload(safe_merge=True).eval()
