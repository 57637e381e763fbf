"""A model that a probe has trained, as a function: sequences -> binding logits."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import nn

from bindtune.config import ProbeConfig, load
from bindtune.data.blocks import blocks
from bindtune.data.dna.composition import composition, letter_codes, word_counts
from bindtune.errors import ConfigError, InputError
from bindtune.probing import networks
from bindtune.probing.contestants import WORD
from bindtune.probing.embeddings import embed, tokenise
from bindtune.probing.encoders import Encoder, load_encoder, random_encoder, without_precision
from bindtune.probing.fine_tuning import TunedClassifier, token_batches
from bindtune.probing.heads import Heads, State, heads_path, read_heads, scores_path
from bindtune.probing.linear import LinearHead
from bindtune.probing.token_states import state_batches
from bindtune.probing.window_rows import arms_of, rows_of
from bindtune.runs.kinds import require_run
from bindtune.runs.names import CONFIG, PREDICTIONS, PROBE_WINDOWS
from bindtune.runs.parquet import read_parquet

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
NEW = -1
"""The fold of a sequence that is not a window of the probe."""
_BLOCK_LETTERS = 1 << 19
"""Most letters of the sequences whose features are in memory at the same time."""


@dataclass(frozen=True)
class TrainedProbe:
    """A finished probe.

    Args:
        folder: its folder.
        config: its settings.
        windows: its windows.
        models: names of its models, baselines first.
    """

    folder: Path
    config: ProbeConfig
    windows: pa.Table
    models: tuple[str, ...]


def open_probe(folder: Path, command: str) -> TrainedProbe:
    """Open the folder of a finished probe.

    Args:
        folder: output folder of `bindtune probe`.
        command: the command that needs it, for messages.

    Raises:
        ConfigError: it is another run.
        InputError: it is no run, it is not finished, or a file is damaged.
    """
    require_run(folder, "probe", command)
    config = load(ProbeConfig, config=folder / CONFIG, options={})
    for name in (PROBE_WINDOWS, PREDICTIONS):
        if not (folder / name).is_file():
            raise InputError(folder, None, f"the probe is not finished: it has no {name}; run the same probe again")
    names = read_parquet(folder / PREDICTIONS, ["model"])["model"].unique().to_pylist()
    return TrainedProbe(folder, config, read_parquet(folder / PROBE_WINDOWS), tuple(names))


def chosen_arm(probe: TrainedProbe, dataset: str | None, arm: str | None) -> tuple[str, str]:
    """The data set and arm whose models are used. By default, these are the only data set and its first arm.

    Raises:
        ConfigError: there are several data sets and none is named, or there is no such data set or arm.
    """
    pairs = arms_of(probe.windows)
    datasets = list(dict.fromkeys(each for each, _ in pairs))
    if dataset is None and len(datasets) > 1:
        raise ConfigError(f"{probe.folder} has several data sets: choose with --dataset {'|'.join(datasets)}")
    name = datasets[0] if dataset is None else dataset
    arms = [each for own, each in pairs if own == name]
    if not arms:
        raise ConfigError(f"{probe.folder} has no data set {name}; it has {', '.join(datasets)}")
    if arm is not None and arm not in arms:
        raise ConfigError(f"{probe.folder} has no arm {arm} of {name}; it has {', '.join(arms)}")
    return name, arms[0] if arm is None else arm


class BindingModel:
    """One model of a probe, trained on one data set and arm; it gives the binding logit of any sequence.

    Args:
        name: what the probe calls it.
        dataset: data set.
        arm: kind of negatives.
        fold_of: fold of each window of the probe, by its sequence.
        scorers: one for each seed.
    """

    def __init__(
        self, name: str, *, dataset: str, arm: str, fold_of: Mapping[str, int], scorers: Sequence["FoldScorer"]
    ) -> None:
        self.name, self.dataset, self.arm, self.scorers = name, dataset, arm, scorers
        self._fold_of = fold_of
        self.folds = tuple(sorted(scorers[0].heads.states))

    def fold_of(self, sequences: Sequence[str]) -> Ints:
        """(N,) the fold in which a sequence was held out; NEW for sequences that are not windows of the probe."""
        return np.array([self._fold_of.get(sequence, NEW) for sequence in sequences], np.int64)

    def logits(self, sequences: Sequence[str], folds: Ints | None = None) -> Floats:
        """(N,) log odds that sequences are bound.

        A window of the probe gets its out-of-fold score: the model that scores it was not trained on it. Any other
        sequence gets the mean over the folds. Models with several seeds are averaged.

        Args:
            sequences: N, of A, C, G, T and N, in upper case.
            folds: (N,) fold of each sequence, NEW for the mean over folds; without it, `fold_of` decides. A
                variant of a window belongs to the fold of the window.

        Raises:
            ConfigError: a sequence is too long for the model.
        """
        rows_fold = self.fold_of(sequences) if folds is None else folds
        logits = np.zeros(len(sequences))
        for fold in np.unique(rows_fold).tolist():
            rows = np.flatnonzero(rows_fold == fold)
            used = self.folds if fold == NEW else (fold,)
            for block in blocks(rows.tolist(), lambda row: len(sequences[row]), most=_BLOCK_LETTERS):
                own = [sequences[row] for row in block]
                values = [scorer.logits(own, used).mean(axis=0) for scorer in self.scorers]
                logits[block] = np.mean(values, axis=0)
        return logits


def binding_model(
    probe: TrainedProbe,
    name: str,
    *,
    dataset: str | None = None,
    arm: str | None = None,
    paths: Mapping[str, str] | None = None,
    device: torch.device = torch.device("cpu"),  # noqa: B008 (a constant)
    exact: bool = False,
) -> BindingModel:
    """Read a trained model of a probe.

    Args:
        probe: from `open_probe`.
        name: of the model: composition, 4-mer, cnn, random, or a name that the user gave.
        dataset: data set that it was trained on; the only one by default.
        arm: kind of negatives that it was trained with; the first by default.
        paths: folders of encoders that have moved since, by the names of their models.
        device: where it computes.
        exact: compute in fp32, even if the probe computed hidden states in bfloat16.

    Raises:
        ConfigError: there is no such model, data set or arm, or an encoder has changed.
        CheckpointError: an encoder cannot be loaded.
        InputError: the heads are missing or damaged.
    """
    dataset, arm = chosen_arm(probe, dataset, arm)
    if name not in probe.models:
        raise ConfigError(f"{probe.folder} has no model {name}; it has {', '.join(probe.models)}")
    config = probe.config
    heads = [read_heads(path) for path in head_files(probe, dataset=dataset, arm=arm, model=name)]
    encoders = _Encoders(config, paths or {}, device, bf16=config.bf16 and not exact)
    own = probe.windows.take(rows_of(probe.windows, dataset, arm))
    fold_of = dict(zip(own["sequence"].to_pylist(), own["fold"].to_pylist(), strict=True))
    scorers = [FoldScorer(each, config=config, encoders=encoders, device=device) for each in heads]
    return BindingModel(name, dataset=dataset, arm=arm, fold_of=fold_of, scorers=scorers)


def head_files(probe: TrainedProbe, *, dataset: str, arm: str, model: str) -> list[Path]:
    """The heads of each seed that gave scores.

    Raises:
        InputError: they are missing.
    """
    named = {"dataset": dataset, "arm": arm, "model": model}
    seeds = range(probe.config.seed, probe.config.seed + probe.config.seeds)
    seeds_with_scores = [seed for seed in seeds if scores_path(probe.folder, **named, seed=seed).is_file()]
    paths = [heads_path(probe.folder, **named, seed=seed) for seed in seeds_with_scores]
    if not paths or not all(path.is_file() for path in paths):
        problem = f"lacks trained heads of {model}: an older version made it; run the same probe again to add them"
        raise InputError(probe.folder, None, problem)
    return paths


class _Encoders:
    """Encoders of a probe, one of them in memory at a time."""

    def __init__(self, config: ProbeConfig, paths: Mapping[str, str], device: torch.device, *, bf16: bool) -> None:
        self._paths, self._device, self._bf16 = dict(config.models) | dict(paths), device, bf16
        self._held: tuple[object, Encoder] | None = None

    def path(self, facts: Mapping[str, Any]) -> str:
        """Hub name or folder of the encoder that heads were trained on."""
        return self._paths[str(facts["encoder"])]

    def load(self, facts: Mapping[str, Any]) -> Encoder:
        """The encoder that heads were trained on.

        Raises:
            ConfigError: it has changed since.
        """
        key, name = (facts["encoder"], facts["weights"]), str(facts["encoder"])
        if self._held is None or self._held[0] != key:
            self._held = None
            if facts["weights"] is None:
                encoder = load_encoder(name, self.path(facts), device=self._device, bf16=self._bf16)
            else:
                seed = int(facts["weights"])
                encoder = random_encoder(name, self.path(facts), seed=seed, device=self._device, bf16=self._bf16)
            if without_precision(encoder.identity) != without_precision(str(facts["identity"])):
                raise ConfigError(f"{self.path(facts)} is not the model that was probed as {name}: its weights differ")
            self._held = key, encoder
        return self._held[1]


class FoldScorer:
    """The heads that one model learned with one seed, and the features that they read.

    Args:
        heads: the heads of all folds.
        config: settings of the probe.
        encoders: loads its encoder when it is needed.
        device: where it computes.
    """

    def __init__(self, heads: Heads, *, config: ProbeConfig, encoders: _Encoders, device: torch.device) -> None:
        self.heads, self.config, self.device, self._encoders = heads, config, device, encoders
        self._network: tuple[int, nn.Module] | None = None

    @property
    def reads(self) -> str:
        """The kind of its features: composition, words, letters, vectors, states or tokens."""
        return str(self.heads.facts["features"])

    @property
    def encoder(self) -> Encoder:
        """Its encoder."""
        return self._encoders.load(self.heads.facts)

    def logits(self, sequences: Sequence[str], folds: Sequence[int]) -> Floats:
        """(F, N) log odds of N sequences by the heads of F folds."""
        return _LOGITS[self.reads](self, sequences, folds)

    def linear_head(self, fold: int) -> LinearHead:
        """The regression of a fold."""
        return LinearHead.of(self.heads.states[fold])

    def network(self, fold: int) -> nn.Module:
        """The network of a fold; one is in memory at a time."""
        state, facts = self.heads.states[fold], self.heads.facts
        if self._network is not None and self._network[0] != fold and facts.get("weights") is None:
            networks.restore(self._network[1], state)  # the frozen part is the same in all folds
            self._network = fold, self._network[1]
        elif self._network is None or self._network[0] != fold:
            with networks.drawing(int(facts["key"]), fold, self.device):
                network = self._new_network(state).to(self.device).eval()
            networks.restore(network, state)
            self._network = fold, network
        return self._network[1]

    def _new_network(self, state: State) -> nn.Module:
        facts = self.heads.facts
        if self.reads != "tokens":
            first = state.get(f"{networks.FIRST_LAYER}.weight")
            return networks.WindowCNN(4 if first is None or first.dim() < 2 else int(first.shape[1]))
        random = facts["weights"] is not None
        return TunedClassifier(self._encoders.path(facts), rank=self.config.lora_rank, random_weights=random)


def _by_regression(scorer: FoldScorer, features: NDArray[np.floating], folds: Sequence[int]) -> Floats:
    return np.stack([scorer.linear_head(fold).logits(features) for fold in folds])


def _of_composition(scorer: FoldScorer, sequences: Sequence[str], folds: Sequence[int]) -> Floats:
    return _by_regression(scorer, composition(sequences), folds)


def _of_words(scorer: FoldScorer, sequences: Sequence[str], folds: Sequence[int]) -> Floats:
    return _by_regression(scorer, word_counts(sequences, WORD).astype(np.float64), folds)


def _of_vectors(scorer: FoldScorer, sequences: Sequence[str], folds: Sequence[int]) -> Floats:
    config = scorer.config
    vectors = embed(
        scorer.encoder, sequences, layer=config.layer, pooling=config.pooling, batch_tokens=config.batch_tokens
    )
    return _by_regression(scorer, vectors, folds)


def _of_letters(scorer: FoldScorer, sequences: Sequence[str], folds: Sequence[int]) -> Floats:
    """Pad each sequence as if it were alone, because the network reads the zeros after its end."""
    usual = int(scorer.heads.facts["length"])
    lengths = np.array([max(usual, len(sequence)) for sequence in sequences])
    logits = np.zeros((len(folds), len(sequences)))
    for length in np.unique(lengths).tolist():
        rows = np.flatnonzero(lengths == length)
        own = [sequences[row] for row in rows.tolist()]
        batch = networks.one_hot(own, letter_codes, scorer.device, length=length)
        for index, fold in enumerate(folds):
            logits[index, rows] = networks.predict(
                scorer.network(fold), batch, np.arange(len(own)), size=networks.ONE_HOT.batch
            )
    return logits


def _of_states(scorer: FoldScorer, sequences: Sequence[str], folds: Sequence[int]) -> Floats:
    config, usual = scorer.config, int(scorer.heads.facts["tokens"])
    ids = tokenise(scorer.encoder, sequences)[0][: len(sequences)]
    logits = np.zeros((len(folds), len(sequences)))
    for rows, states in state_batches(scorer.encoder, ids, layer=config.layer, batch_tokens=config.batch_tokens):
        missing = max(usual - states.shape[1], 0)
        padded = nn.functional.pad(states.float(), (0, 0, 0, missing)).transpose(1, 2).clone()
        for index, fold in enumerate(folds):
            with torch.no_grad():
                logits[index, rows] = scorer.network(fold)(padded).double().cpu().numpy()
    return logits


def _of_tokens(scorer: FoldScorer, sequences: Sequence[str], folds: Sequence[int]) -> Floats:
    batch = token_batches(scorer.encoder, sequences, scorer.device)
    rows = np.arange(len(sequences))
    return np.stack([networks.predict(scorer.network(fold), batch, rows, size=32) for fold in folds])


_LOGITS: dict[str, Callable[[FoldScorer, Sequence[str], Sequence[int]], Floats]] = {
    "composition": _of_composition,
    "words": _of_words,
    "letters": _of_letters,
    "vectors": _of_vectors,
    "states": _of_states,
    "tokens": _of_tokens,
}
"""The function that scores sequences, by the kind of features."""
