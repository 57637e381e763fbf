"""What each model of a probe learned, kept in the probe's folder: with it, new sequences get scores."""

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
from bindtune.runs.names import PROBE_HEADS, SCORES
from bindtune.runs.writing import atomic_stream

State = dict[str, Tensor]
"""What was learned on the training folds of one held-out fold, by name."""
_FACTS, _SEPARATOR = "bindtune", "/"


@dataclass(frozen=True)
class Heads:
    """What one model learned in a cross-validation.

    Args:
        states: by held-out fold.
        facts: what else is needed to use it: numbers and texts.
    """

    states: Mapping[int, State]
    facts: Mapping[str, Any]


def heads_path(folder: Path, *, dataset: str, arm: str, model: str, seed: int) -> Path:
    """Where the heads of one model lie in the folder of a probe."""
    return folder / PROBE_HEADS / f"{digest(dataset, arm, model, seed):016x}.safetensors"


def scores_path(folder: Path, *, dataset: str, arm: str, model: str, seed: int) -> Path:
    """Where the out-of-fold scores of one model lie in the folder of a probe."""
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
        stream.write(save(tensors, {_FACTS: json.dumps(facts, sort_keys=True)}))


def read_heads(path: Path) -> Heads:
    """Read heads that `write_heads` wrote.

    Raises:
        InputError: the file is damaged.
    """
    states: dict[int, State] = {}
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {})[_FACTS])
            states = {int(fold): {} for fold in facts.pop("folds")}
            for key in file.keys():  # noqa: SIM118 (no mapping)
                fold, _, name = key.partition(_SEPARATOR)
                states[int(fold)][name] = file.get_tensor(key)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        problem = f"is no file of trained heads ({library_text(error)}): delete it, and run the same probe again"
        raise InputError(path, None, problem) from error
    if not states or not all(bool(value.isfinite().all()) for state in states.values() for value in state.values()):
        raise InputError(path, None, "holds values that are not finite: delete it, and run the same probe again")
    return Heads(states, facts)
