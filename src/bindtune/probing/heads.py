"""The heads that each model of a probe learned, in files of the probe's folder. They score new sequences."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
from safetensors import SafetensorError
from safetensors.torch import save
from torch import Tensor

from bindtune import __version__
from bindtune.data.keyed_random import digest
from bindtune.errors import InputError, library_text
from bindtune.probing.linear import LinearHead
from bindtune.runs.names import PROBE_HEADS, SCORES
from bindtune.runs.writing import atomic_stream
from bindtune.wrong_files import refuse_wrong_file

State = dict[str, Tensor]
"""Tensors that were learned on the training folds of one held-out fold, by name."""
_HEADER, _SEPARATOR = "bindtune", "/"
_OF_AN_ENCODER = ("encoder", "weights", "identity")
FACTS: dict[str, tuple[str, ...]] = {
    "composition": (),
    "words": (),
    "letters": ("key", "length"),
    "vectors": _OF_AN_ENCODER,
    "states": (*_OF_AN_ENCODER, "key", "tokens"),
    "tokens": (*_OF_AN_ENCODER, "key"),
}
"""The kinds of features, and the facts that each kind needs to be used again."""
_NUMBERS = ("key", "length", "tokens")
LINEAR = ("composition", "words", "vectors")
"""Features whose head is a regression."""
LINEAR_PARTS = LinearHead._fields


@dataclass(frozen=True)
class Heads:
    """The heads that one model learned in a cross-validation.

    Args:
        states: by held-out fold.
        facts: numbers and texts that are also needed to use it.
    """

    states: Mapping[int, State]
    facts: Mapping[str, Any]


def heads_path(folder: Path, *, dataset: str, arm: str, model: str, seed: int) -> Path:
    """The file of the heads of one model in the folder of a probe."""
    return folder / PROBE_HEADS / f"{digest(dataset, arm, model, seed):016x}.safetensors"


def scores_path(folder: Path, *, dataset: str, arm: str, model: str, seed: int) -> Path:
    """The file of the out-of-fold scores of one model in the folder of a probe."""
    return folder / SCORES / f"{digest(dataset, arm, model, seed):016x}.npy"


def write_heads(path: Path, heads: Heads) -> None:
    """Write heads as safetensors, whole or not at all; the facts are JSON in the file's header."""
    tensors = {
        f"{fold}{_SEPARATOR}{name}": value.contiguous()
        for fold, state in heads.states.items()
        for name, value in state.items()
    }
    facts = {"version": __version__, "folds": sorted(heads.states), **heads.facts}
    with atomic_stream(path) as stream:
        stream.write(save(tensors, {_HEADER: json.dumps(facts, sort_keys=True)}))


def read_heads(path: Path) -> Heads:
    """Read heads that `write_heads` wrote.

    Raises:
        InputError: the file is damaged.
    """
    refuse_wrong_file(path)
    states: dict[int, State] = {}
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {})[_HEADER])
            states = {int(fold): {} for fold in facts.pop("folds")}
            for key in file.keys():  # noqa: SIM118 (no mapping)
                fold, _, name = key.partition(_SEPARATOR)
                states[int(fold)][name] = file.get_tensor(key)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        problem = f"is no file of trained heads ({library_text(error)}): delete it, and run the same probe again"
        raise InputError(path, None, problem) from error
    problem = _problem(states, facts)
    if problem:
        raise InputError(path, None, f"{problem}: delete it, and run the same probe again")
    return Heads(states, facts)


def _problem(states: Mapping[int, State], facts: Mapping[str, Any]) -> str:
    """The problem of heads that could be read; an empty text if they are correct."""
    features = facts.get("features")
    if not isinstance(features, str) or features not in FACTS:
        return f"does not say what its model reads, but '{features}'"
    missing = [name for name in FACTS[features] if name not in facts]
    wrong = [name for name in _NUMBERS if name in facts and type(facts[name]) is not int]
    if missing or wrong:
        return f"lacks the number or the text '{(missing + wrong)[0]}'"
    if not states or not all(states.values()):
        return "holds no heads"
    if not all(bool(value.isfinite().all()) for state in states.values() for value in state.values()):
        return "holds values that are not finite"
    if features in LINEAR and any(_shapes(state) is None for state in states.values()):
        return f"holds no regression: expected {', '.join(LINEAR_PARTS)} of one length"
    return ""


def _shapes(state: State) -> int | None:
    """The number of features of a regression; None for other heads."""
    if set(state) != set(LINEAR_PARTS) or any(state[name].dim() != 1 for name in LINEAR_PARTS):
        return None
    lengths = {len(state[name]) for name in LINEAR_PARTS[:3]}
    return lengths.pop() if len(lengths) == 1 and len(state[LINEAR_PARTS[3]]) == 1 else None
