"""The models that a probe compares: the baselines and the user's models, one record for each."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from bindtune.config import ProbeConfig
from bindtune.data.dna.composition import composition, letter_codes, word_counts
from bindtune.data.keyed_random import digest
from bindtune.probing import linear, networks
from bindtune.probing.embeddings import Embeddings
from bindtune.probing.encoders import Encoder, architecture_of, load_encoder, random_encoder
from bindtune.probing.fine_tuning import TunedClassifier, token_batches
from bindtune.probing.fold_progress import FoldProgress
from bindtune.probing.heads import Heads
from bindtune.probing.token_states import batches_of, keep_states
from bindtune.progress import progress

log = logging.getLogger(__name__)
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
WORD = 4
"""Letters of the words that are counted."""


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


class Trained(NamedTuple):
    """The result of a cross-validation.

    Args:
        scores: (N,) out-of-fold log odds.
        heads: the learned heads, with which `binding_model` scores other sequences.
    """

    scores: Floats
    heads: Heads


Score = Callable[[ArmData, int], Trained]
"""Windows and a seed -> out-of-fold scores and the heads that gave them."""


@dataclass(frozen=True)
class Contestant:
    """One model of the comparison.

    Args:
        name: its name.
        score: trains it on each set of training folds and scores the held-out fold.
        drawn: whether it begins with random numbers, so that seeds matter.
        about: its description, in a few words.
    """

    name: str
    score: Score
    drawn: bool
    about: str


def contestants(
    config: ProbeConfig, sequences: Sequence[str], *, cache: Path, unfinished: Path, device: torch.device
) -> list[Contestant]:
    """Baselines first, then the user's models in the order given.

    Args:
        config: the settings.
        sequences: the distinct sequences of the probe.
        cache: folder for vectors of windows.
        unfinished: folder for networks in training.
        device: where networks run.
    """
    source = _Encoders(config, sequences, cache=cache, unfinished=unfinished, device=device)
    contestants = [
        Contestant("composition", _composition, False, "frequencies of letters and of pairs of letters"),
        Contestant("4-mer", _words, False, "counts of words of 4 letters"),
        Contestant("cnn", _cnn(unfinished, device), True, "a small convolutional network on the letters"),
    ]
    architectures = [architecture_of(path) for path in config.models.values()]
    trained = _TRAINED[config.tune, config.head]
    drawn = (config.tune, config.head) != ("none", "linear")
    contestants += [
        Contestant(random, source.random(like), True, f"the architecture of {like} with random weights, {trained}")
        for random, like in random_names(config.models, architectures).items()
    ]
    return contestants + [
        Contestant(name, source.of_model(name), drawn, f"{path}, {trained}") for name, path in config.models.items()
    ]


_TRAINED = {
    ("none", "linear"): "frozen, logistic regression",
    ("none", "cnn"): "frozen, a convolutional network on the tokens' states",
    ("lora", "linear"): "fine-tuned with LoRA",
}
"""The trained part, by tune and head."""


def random_names(models: Iterable[str], architectures: Sequence[str]) -> dict[str, str]:
    """Name of each model with random weights, and the first of the user's models that has its architecture.

    Example:
        >>> random_names(["base", "adapted", "small"], ["a", "a", "b"])
        {'random': 'base', 'random-small': 'small'}
    """
    first: dict[str, str] = {}
    for model, architecture in zip(models, architectures, strict=True):
        first.setdefault(architecture, model)
    return {"random" if not index else f"random-{model}": model for index, model in enumerate(first.values())}


def _composition(arm: ArmData, seed: int) -> Trained:
    return _regression(composition(arm.sequences), arm, {"features": "composition"})


def _words(arm: ArmData, seed: int) -> Trained:
    return _regression(word_counts(arm.sequences, WORD).astype(np.float64), arm, {"features": "words"})


def _regression(features: NDArray[np.floating], arm: ArmData, facts: Mapping[str, Any]) -> Trained:
    scores, heads = linear.out_of_fold(features, arm.labels, arm.folds)
    return Trained(scores, Heads({fold: head.state() for fold, head in heads.items()}, facts))


def _cnn(unfinished: Path, device: torch.device) -> Score:
    def score(arm: ArmData, seed: int) -> Trained:
        batch, key = networks.one_hot(arm.sequences, letter_codes, device), digest(seed, "cnn", arm.name)
        scores, states = networks.out_of_fold(
            lambda: networks.WindowCNN(4), batch, arm.labels, arm.folds, recipe=networks.ONE_HOT, key=key,
            device=device, store=_fold_progress(unfinished, key), name="cnn",
        )  # fmt: skip
        facts = {"features": "letters", "key": key, "length": max(map(len, arm.sequences))}
        return Trained(scores, Heads(states, facts))

    return score


def _fold_progress(unfinished: Path, key: int) -> FoldProgress:
    return FoldProgress(unfinished, f"{key:016x}")


class _Encoders:
    """The user's models, one of them in memory at a time."""

    def __init__(
        self, config: ProbeConfig, sequences: Sequence[str], *, cache: Path, unfinished: Path, device: torch.device
    ) -> None:
        self._config, self._sequences, self._device = config, sequences, device
        self._cache, self._unfinished = cache, unfinished
        self._held: tuple[object, Encoder] | None = None
        self._ready: dict[object, Embeddings | NDArray[np.float16]] = {}

    def of_model(self, name: str) -> Score:
        """Scores by one of the user's models."""
        return lambda arm, seed: self._score(name, None, arm, seed)

    def random(self, like: str) -> Score:
        """Scores by random weights."""
        return lambda arm, seed: self._score(like, seed, arm, seed)

    def _load(self, name: str, seed: int | None) -> Encoder:
        """A model, or its architecture with random weights where a seed is given."""
        if self._held is None or self._held[0] != (name, seed):
            self._held = None
            path, bf16 = self._config.models[name], self._config.bf16
            if seed is None:
                encoder = load_encoder(name, path, device=self._device, bf16=bf16)
            else:
                encoder = random_encoder(f"random weights of {name}", path, seed=seed, device=self._device, bf16=bf16)
            self._held = (name, seed), encoder
        return self._held[1]

    def _score(self, name: str, weights: int | None, arm: ArmData, seed: int) -> Trained:
        """Out-of-fold scores of a model, or of random weights where their seed is given."""
        if self._config.tune == "lora":
            return self._tuned(name, weights, arm, digest(seed, "lora", name, weights, arm.name))
        if self._config.head == "cnn":
            return self._convolved(name, weights, arm, digest(seed, "head", name, weights, arm.name))
        vectors = self._ready.get((name, weights))
        if not isinstance(vectors, Embeddings):
            vectors = self._embed(name, weights)
            self._ready = {(name, weights): vectors}
        facts = {"features": "vectors", "encoder": name, "weights": weights, "identity": vectors.identity}
        return _regression(vectors.rows(arm.places), arm, facts)

    def _tuned(self, name: str, weights: int | None, arm: ArmData, key: int) -> Trained:
        config = self._config
        encoder = self._load(name, weights)
        recipe = networks.Recipe(config.tune_epochs, patience=2, batch=32, rate=config.learning_rate)
        scores, states = networks.out_of_fold(
            lambda: TunedClassifier(
                config.models[name], rank=config.lora_rank, random_weights=weights is not None
            ),
            token_batches(encoder, arm.sequences, self._device), arm.labels, arm.folds,
            recipe=recipe, key=key, device=self._device, store=_fold_progress(self._unfinished, key),
            name=encoder.name,
        )  # fmt: skip
        facts = {"features": "tokens", "encoder": name, "weights": weights, "identity": encoder.identity, "key": key}
        return Trained(scores, Heads(states, facts))

    def _convolved(self, name: str, weights: int | None, arm: ArmData, key: int) -> Trained:
        encoder = self._load(name, weights)
        states = self._ready.get((name, weights))
        if not isinstance(states, np.ndarray):
            with self._progress(encoder.name) as advance:
                states = keep_states(
                    self._cache, encoder, self._sequences, layer=self._config.layer,
                    batch_tokens=self._config.batch_tokens, done=advance,
                )  # fmt: skip
            self._ready = {(name, weights): states}
        scores, learned = networks.out_of_fold(
            lambda: networks.WindowCNN(states.shape[2]), batches_of(states, arm.places, self._device), arm.labels,
            arm.folds, recipe=networks.ONE_HOT, key=key, device=self._device,
            store=_fold_progress(self._unfinished, key), name=encoder.name,
        )  # fmt: skip
        facts = {"features": "states", "encoder": name, "weights": weights, "identity": encoder.identity, "key": key}
        return Trained(scores, Heads(learned, facts | {"tokens": states.shape[1]}))

    def _embed(self, name: str, weights: int | None) -> Embeddings:
        config, encoder = self._config, self._load(name, weights)
        vectors = Embeddings(
            self._cache, encoder=lambda: encoder, identity=encoder.identity, sequences=self._sequences,
            layer=config.layer, pooling=config.pooling, batch_tokens=config.batch_tokens,
        )  # fmt: skip
        with self._progress(encoder.name) as advance:
            vectors.compute(done=advance)
        return vectors

    def _progress(self, name: str) -> AbstractContextManager[Callable[[int], None]]:
        return progress(name, len(self._sequences), unit="windows", log=log)
