"""What is compared in a probe: baselines that are always there, and the user's models. One record each."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from bindtune.config import ProbeConfig
from bindtune.data.dna.composition import composition, letter_codes, word_counts
from bindtune.data.keyed_random import digest
from bindtune.probing import linear, networks
from bindtune.probing.embeddings import Embeddings
from bindtune.probing.encoders import Encoder, architecture_of, load_encoder, random_encoder

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_WORD = 4


class ArmData(NamedTuple):
    """The windows of one data set and arm.

    Args:
        name: of data set and arm, for keys of draws.
        sequences: N.
        labels: (N,) 1 bound, 0 not.
        folds: (N,) fold of each.
        places: (N,) index of each sequence among the distinct ones of the probe.
    """

    name: str
    sequences: Sequence[str]
    labels: NDArray[np.int8]
    folds: Ints
    places: Ints


Score = Callable[[ArmData, int], Floats]
"""Windows and a seed -> (N,) out-of-fold log odds."""


@dataclass(frozen=True)
class Contestant:
    """One model of the comparison.

    Args:
        name: what it is called.
        score: trains it on each set of training folds and scores the others.
        drawn: it begins with random numbers, so that seeds matter.
        about: what it is, in a few words.
    """

    name: str
    score: Score
    drawn: bool
    about: str


def contestants(
    config: ProbeConfig, sequences: Sequence[str], *, cache: Path, device: torch.device
) -> list[Contestant]:
    """Baselines first, then the user's models in the order given.

    Args:
        config: the settings.
        sequences: the distinct sequences of the probe.
        cache: folder for vectors of windows.
        device: where networks run.
    """
    source = _Encoders(config, sequences, cache=cache, device=device)
    found = [
        Contestant("composition", _composition, False, "frequencies of letters and of pairs of letters"),
        Contestant("4-mer", _words, False, "counts of words of 4 letters"),
        Contestant("cnn", _cnn(device), True, "a small convolutional network on the letters"),
    ]
    found += [
        Contestant(random, source.random(like), True, f"the architecture of {like} with random weights")
        for random, like in random_names(
            config.models, [architecture_of(path) for path in config.models.values()]
        ).items()
    ]
    return found + [
        Contestant(name, source.given(name), False, f"{path}, frozen") for name, path in config.models.items()
    ]


def random_names(models: Iterable[str], architectures: Sequence[str]) -> dict[str, str]:
    """Name of each model with random weights, and the first of the user's models that has its architecture.

    Example:
        >>> random_names(["base", "adapted", "small"], ["a", "a", "b"])
        {'random': 'base', 'random-small': 'small'}
    """
    first: dict[str, str] = {}
    for model, architecture in zip(models, architectures, strict=True):
        first.setdefault(architecture, model)
    return {"random" if not place else f"random-{model}": model for place, model in enumerate(first.values())}


def _composition(arm: ArmData, seed: int) -> Floats:
    return linear.out_of_fold(composition(arm.sequences), arm.labels, arm.folds)


def _words(arm: ArmData, seed: int) -> Floats:
    return linear.out_of_fold(word_counts(arm.sequences, _WORD).astype(np.float64), arm.labels, arm.folds)


def _cnn(device: torch.device) -> Score:
    def score(arm: ArmData, seed: int) -> Floats:
        batch = networks.one_hot(arm.sequences, letter_codes, device)
        return networks.out_of_fold(
            lambda: networks.WindowCNN(4), batch, arm.labels, arm.folds, recipe=networks.ONE_HOT,
            key=digest(seed, "cnn", arm.name), device=device,
        )  # fmt: skip

    return score


def _advance(progress: "tqdm[NoReturn]", count: int) -> None:
    progress.update(count)


class _Encoders:
    """The user's models, one of them in memory at a time."""

    def __init__(self, config: ProbeConfig, sequences: Sequence[str], *, cache: Path, device: torch.device) -> None:
        self._config, self._sequences, self._cache, self._device = config, sequences, cache, device
        self._held: tuple[object, Encoder] | None = None
        self._ready: dict[object, Embeddings] = {}

    def given(self, name: str) -> Score:
        """Regression on the vectors of a frozen model."""
        return lambda arm, seed: self._score(name, None, arm)

    def random(self, like: str) -> Score:
        """Regression on the vectors of random weights."""
        return lambda arm, seed: self._score(like, seed, arm)

    def _load(self, name: str, seed: int | None) -> Encoder:
        """A model, or its architecture with random weights where a seed is given."""
        if self._held is None or self._held[0] != (name, seed):
            self._held = None
            path = self._config.models[name]
            if seed is None:
                encoder = load_encoder(name, path, device=self._device)
            else:
                encoder = random_encoder(f"random weights of {name}", path, seed=seed, device=self._device)
            self._held = (name, seed), encoder
        return self._held[1]

    def _score(self, name: str, seed: int | None, arm: ArmData) -> Floats:
        vectors = self._ready.get((name, seed))
        if vectors is None:
            vectors = self._embed(name, seed)
            self._ready = {(name, seed): vectors}
        return linear.out_of_fold(vectors.rows(arm.places), arm.labels, arm.folds)

    def _embed(self, name: str, seed: int | None) -> Embeddings:
        config, encoder = self._config, self._load(name, seed)
        vectors = Embeddings(
            self._cache, encoder=lambda: encoder, identity=encoder.identity, sequences=self._sequences,
            layer=config.layer, pooling=config.pooling, batch_tokens=config.batch_tokens,
        )  # fmt: skip
        with tqdm(
            total=len(self._sequences), desc=encoder.name, unit=" windows", disable=None, leave=False
        ) as progress:
            vectors.compute(done=lambda count: _advance(progress, count))
        return vectors
