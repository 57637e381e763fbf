"""Read and check `adapter_config.json` of PEFT, which may come from other people, and try its patterns in bounded time.

PEFT runs patterns of the file as they are, imports a module that the file names, and may change the base weights
before it loads adapters. So only settings of plain LoRA are read, and PEFT gets names of layers instead of patterns.
"""

import math
import re
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import regex
from peft import LoraConfig, PeftConfig

from bindtune.errors import CheckpointError, ConfigError, library_text
from bindtune.models.hub_names import ADAPTER_CONFIG
from bindtune.models.load_errors import loading
from bindtune.yaml_json import read_names_and_values

ALL_LINEAR = "all-linear"
"""The word by which PEFT means every linear layer."""
_READ = {
    "r", "lora_alpha", "lora_dropout", "bias", "target_modules", "exclude_modules", "modules_to_save", "rank_pattern",
    "alpha_pattern", "layers_to_transform", "layers_pattern", "init_lora_weights", "fan_in_fan_out", "use_rslora",
    "use_dora", "lora_bias", *(each.name for each in fields(PeftConfig)),
}  # fmt: skip
_SAVED_BY_DEFAULT = {each.name: each.default for each in fields(LoraConfig) if each.default is not MISSING}
_HARMLESS_STARTS = (None, True, False, "gaussian")
"""Kinds of initial weights that do not change the base weights; they are overwritten here."""
_PLAIN = re.compile(r"[\w.-]+")
_LONGEST, _MOST_REPEATS, _SECONDS = 1000, 1000, 2.0
"""Limits of a pattern: its letters, the product of its counts, and the seconds to try it on all layers."""
_LARGEST = 1e12
_BRACES = re.compile(r"\{[0-9]{0,9},?[0-9]{0,9}\}")


def read_adapter_config(folder: Path) -> Any:
    """PEFT's configuration of the adapters in a folder; it may hold patterns (see `name_layers`).

    Raises:
        CheckpointError: the file is missing, damaged, or for adapters other than plain LoRA.
    """
    path = folder / ADAPTER_CONFIG
    if not path.is_file():  # PEFT would ask the hub
        raise CheckpointError(f"{path}: no such file")
    with loading(path, "no adapters' configuration"):
        _check_settings(path, read_names_and_values(path))
        config = PeftConfig.from_pretrained(str(folder))
    if not isinstance(config, LoraConfig):
        raise CheckpointError(f"{path}: expected LoRA, found {getattr(config, 'peft_type', None)}")
    _check_values(path, config)
    return config


def name_layers(config: Any, names: Sequence[str], *, source: Path) -> None:
    """Replace the patterns of a configuration by the names of a model's layers, in place.

    Args:
        config: as `read_adapter_config` gives it.
        names: paths of the model's parts.
        source: the folder of adapters, for messages.

    Raises:
        CheckpointError: a pattern is malformed, is too long, takes too long or matches no layer.
    """
    path = source / ADAPTER_CONFIG
    for setting in ("target_modules", "exclude_modules"):
        pattern = getattr(config, setting)
        if isinstance(pattern, str) and pattern != ALL_LINEAR:
            try:
                layers = matching_layers(pattern, names)
            except ConfigError as error:
                raise CheckpointError(f"{path}: {setting}: {error}") from error
            if setting == "target_modules" and not layers:
                raise CheckpointError(f"{path}: {setting}: {_short(pattern)} matches no layer of the base model")
            setattr(config, setting, any_of(layers) if layers else None)
    for setting in ("rank_pattern", "alpha_pattern"):
        values = getattr(config, setting) or {}
        if not all(_PLAIN.fullmatch(key) for key in values):
            try:
                setattr(config, setting, _values_by_name(values, names))
            except ConfigError as error:
                raise CheckpointError(f"{path}: {setting}: {error}") from error


def matching_layers(pattern: str, names: Sequence[str]) -> list[str]:
    r"""The names that a pattern matches whole, in bounded time.

    Args:
        pattern: a regular expression.
        names: paths of layers.

    Raises:
        ConfigError: it is malformed, is too long or takes too long.

    Examples:
        >>> matching_layers(r".*\.(q|v)", ["layer.0.q", "layer.0.k", "layer.1.v"])
        ['layer.0.q', 'layer.1.v']
    """
    shown = repr(pattern if len(pattern) <= 80 else f"{pattern[:80]}...")
    if len(pattern) > _LONGEST:
        raise ConfigError(f"a pattern of {len(pattern):,} letters, expected {_LONGEST:,} at most: {shown}")
    counts = [int(number) for braces in _BRACES.findall(pattern) for number in re.findall("[0-9]+", braces)]
    if math.prod(counts) > _MOST_REPEATS or "{" in _BRACES.sub("", pattern).replace(r"\{", ""):
        raise ConfigError(f"expected counts of {_MOST_REPEATS:,} at most in a pattern, found {shown}")
    end = time.monotonic() + _SECONDS
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # both warn of what later versions may read in another way
            re.compile(pattern)  # `regex` has more, such as recursion, which its time limit does not stop
            compiled = regex.compile(pattern)
        return [name for name in names if compiled.fullmatch(name, timeout=max(end - time.monotonic(), 1e-3))]
    except TimeoutError as error:
        raise ConfigError(
            f"the pattern {shown} takes more than {_SECONDS:.0f} s: give the names of layers instead"
        ) from error
    except (re.error, regex.error, RecursionError, OverflowError, MemoryError) as error:
        raise ConfigError(f"no pattern: {shown}: {library_text(error)}") from error


def any_of(names: Iterable[str]) -> str:
    """A pattern for these names only; a list of names would also match longer names that end in one of them."""
    return "|".join(map(re.escape, names))


def _values_by_name(values: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Patterns with names in their place; as in PEFT, the first pattern that fits the end of a name counts."""
    left, layers_by_value = list(names), dict[Any, list[str]]()
    for pattern, value in values.items():
        layers = set(matching_layers(rf"(.*\.)?({pattern})", left))
        layers_by_value.setdefault(value, []).extend(name for name in left if name in layers)
        left = [name for name in left if name not in layers]
    return {f"^(?:{any_of(layers)})": value for value, layers in layers_by_value.items() if layers}


def _check_settings(path: Path, content: Mapping[str, Any]) -> None:
    """Refuse settings beyond plain LoRA; PEFT itself refuses settings that it does not know."""
    if content.get("peft_type") != "LORA":
        return
    for name, value in content.items():
        saved = name in _SAVED_BY_DEFAULT and value == _SAVED_BY_DEFAULT[name]
        if name not in _READ and name in LoraConfig.__dataclass_fields__ and value and not saved:
            raise CheckpointError(f"{path}: {name}: adapters with this setting are not read, expected plain LoRA")
    if (start := content.get("init_lora_weights")) not in _HARMLESS_STARTS:
        raise CheckpointError(f"{path}: init_lora_weights: {start!r} changes the base weights, expected true or false")


def _check_values(path: Path, config: Any) -> None:
    ranks = config.rank_pattern if isinstance(config.rank_pattern, dict) else {"": config.rank_pattern or 1}
    for rank in (config.r, *ranks.values()):
        if type(rank) is not int or rank < 1:
            raise CheckpointError(f"{path}: expected whole numbers from 1 up as ranks, found {_short(rank)}")
    for name, (expected, fits) in _VALUES.items():
        value = getattr(config, name)
        if not fits(value):
            raise CheckpointError(f"{path}: {name}: expected {expected}, found {_short(value)}")


def _are_names(value: Any) -> bool:
    return isinstance(value, set | list | tuple) and all(isinstance(name, str) for name in value)


def _are_plain(value: Any) -> bool:
    return _are_names(value) and all(_PLAIN.fullmatch(name) for name in value)


def _are_whole(value: Any) -> bool:
    return all(type(each) is int for each in (value if isinstance(value, list) else [value]))


def _are_numbers(values: Iterable[Any]) -> bool:
    return all(map(_is_number, values))


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= _LARGEST


_VALUES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "target_modules": ("names of layers", lambda value: isinstance(value, str) or (_are_names(value) and bool(value))),
    "exclude_modules": ("names of layers", lambda value: isinstance(value, str | None) or _are_names(value)),
    # PEFT takes these two for patterns, and for nothing else.
    "modules_to_save": ("plain names of layers", lambda value: value is None or _are_plain(value)),
    "layers_pattern": ("plain names", lambda value: not value or _are_plain([value] if type(value) is str else value)),
    "layers_to_transform": ("whole numbers", lambda value: value is None or _are_whole(value)),
    "lora_alpha": ("a number", _is_number),
    "lora_dropout": ("a number from 0 to 1", lambda value: _is_number(value) and 0 <= value <= 1),
    "alpha_pattern": ("numbers", lambda value: not value or (type(value) is dict and _are_numbers(value.values()))),
    "bias": ("none, all or lora_only", lambda value: value in ("none", "all", "lora_only")),
}


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."
