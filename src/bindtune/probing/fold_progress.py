"""The progress of the training of networks, on disk until all folds are done: finished folds and saved epochs."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import save
from torch import Tensor

from bindtune.errors import InputError, library_text
from bindtune.runs.writing import atomic_stream

Floats = NDArray[np.float64]
State = Mapping[str, Tensor]
SECONDS = 30.0
"""Seconds between two writes of a fold. A killed command loses at most this time and its present epoch."""
_FACTS, _SEPARATOR = "bindtune", "/"


class Epoch(NamedTuple):
    """Training between two epochs.

    Args:
        done: epochs that are done.
        since: epochs since the loss on the inner fold was lowest.
        best_loss: this lowest loss.
        best: what was learned then.
        learned: what is learned now.
        optimiser: its `state`, by number of the parameter and name.
        random: state of torch's random numbers.
    """

    done: int
    since: int
    best_loss: float
    best: State
    learned: State
    optimiser: Mapping[int, State]
    random: Tensor


class FoldProgress:
    """The files of one cross-validation, one for each fold.

    Args:
        folder: their folder.
        name: the beginning of their names; it identifies the windows, the network and its seed.
        seconds: time between two writes of a fold in training.
    """

    def __init__(self, folder: Path, name: str, *, seconds: float = SECONDS) -> None:
        self._folder, self._name, self._seconds = folder, name, seconds
        self._written = time.monotonic()

    def _path(self, fold: int) -> Path:
        return self._folder / f"{self._name}-fold-{fold}.safetensors"

    def finished(self, fold: int, *, count: int) -> tuple[Floats, dict[str, Tensor]] | None:
        """Scores (count,) of a fold and what its network learned, or None where it is not done.

        Raises:
            InputError: the file is damaged.
        """
        facts, parts = self._read(fold)
        if facts.get("stage") != "done":
            return None
        scores = parts.get("scores", {}).get("all")
        if scores is None or scores.shape != (count,):
            raise self._damaged(fold, f"it has no {count} scores")
        return np.asarray(scores.numpy(), np.float64), parts.get("learned", {})

    def finish(self, fold: int, scores: Floats, learned: State) -> None:
        """Write a finished fold."""
        self._write(fold, {"stage": "done"}, {"scores": {"all": torch.from_numpy(scores)}, "learned": learned})

    def epoch(self, fold: int) -> Epoch | None:
        """The last saved epoch of a fold, or None.

        Raises:
            InputError: the file is damaged.
        """
        facts, parts = self._read(fold)
        if facts.get("stage") != "training":
            return None
        try:
            numbers = {int(name.removeprefix("optimiser ")) for name in parts if name.startswith("optimiser ")}
            return Epoch(
                int(facts["done"]), int(facts["since"]), float(facts["best_loss"]), parts["best"], parts["learned"],
                {number: parts[f"optimiser {number}"] for number in sorted(numbers)}, parts["random"]["state"],
            )  # fmt: skip
        except (KeyError, TypeError, ValueError) as error:
            raise self._damaged(fold, library_text(error)) from error

    def keep(self, fold: int, epoch: Epoch) -> None:
        """Write an epoch, if the last write was long enough ago."""
        if time.monotonic() - self._written < self._seconds:
            return
        facts = {"stage": "training", "done": epoch.done, "since": epoch.since, "best_loss": epoch.best_loss}
        optimiser = {f"optimiser {number}": state for number, state in epoch.optimiser.items()}
        parts = {"best": epoch.best, "learned": epoch.learned, "random": {"state": epoch.random}, **optimiser}
        self._write(fold, facts, parts)
        self._written = time.monotonic()

    def _write(self, fold: int, facts: Mapping[str, Any], parts: Mapping[str, State]) -> None:
        tensors = {
            f"{part}{_SEPARATOR}{name}": value.detach().cpu().contiguous().clone()
            for part, state in parts.items()
            for name, value in state.items()
        }
        with atomic_stream(self._path(fold)) as stream:
            stream.write(save(tensors, {_FACTS: json.dumps(dict(facts))}))

    def _read(self, fold: int) -> tuple[dict[str, Any], dict[str, dict[str, Tensor]]]:
        """The facts and the tensors of a file; both are empty if there is no file."""
        path, parts = self._path(fold), dict[str, dict[str, Tensor]]()
        if not path.is_file():
            return {}, parts
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                facts = dict(json.loads((file.metadata() or {})[_FACTS]))
                for key in file.keys():  # noqa: SIM118 (no mapping)
                    part, _, name = key.partition(_SEPARATOR)
                    parts.setdefault(part, {})[name] = file.get_tensor(key)
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            raise self._damaged(fold, library_text(error)) from error
        if not all(bool(value.isfinite().all()) for state in parts.values() for value in state.values()):
            raise self._damaged(fold, "it holds values that are not finite")
        return facts, parts

    def _damaged(self, fold: int, problem: str) -> InputError:
        advice = "delete it, and run the same probe again"
        return InputError(self._path(fold), None, f"is no file of a fold in training ({problem}): {advice}")
