"""Train a small network on windows, fold by fold, with early stopping inside the training folds."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bindtune.data.keyed_random import digest
from bindtune.errors import CheckpointError
from bindtune.probing.fold_progress import Epoch, FoldProgress
from bindtune.progress import progress

log = logging.getLogger(__name__)
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Args:
        epochs: most passes over the training windows.
        patience: training stops after this many passes without a lower loss on the inner fold.
        batch: windows of a step.
        rate: learning rate of AdamW.
        decay: weight decay of AdamW.
    """

    epochs: int
    patience: int
    batch: int
    rate: float
    decay: float = 0.01


Batch = Callable[[Ints], tuple[Tensor, ...]]
"""Indices of windows -> inputs of the network."""


def out_of_fold(
    make: Callable[[], nn.Module],
    batch: Batch,
    labels: NDArray[np.int8],
    folds: Ints,
    *,
    recipe: Recipe,
    key: int,
    device: torch.device,
    store: FoldProgress | None = None,
    name: str = "network",
) -> tuple[Floats, dict[int, dict[str, Tensor]]]:
    """Score every window with a network that was trained on the other folds.

    One of the training folds decides when training stops.

    Args:
        make: a new network, which maps a batch to (B,) log odds.
        batch: makes the inputs of the network.
        labels: (N,) 1 bound, 0 not.
        folds: (N,) fold of each window.
        recipe: how it is trained.
        key: key of first weights, order and dropout.
        device: device of the training.
        store: files of finished folds and epochs, so that a killed command goes on; None saves nothing.
        name: of the network, for its progress.

    Returns:
        (N,) log odds, and what the network of each fold learned.
    """
    scores, states = np.zeros(len(labels)), {}
    numbers = np.unique(folds).tolist()
    for index, fold in enumerate(numbers):
        own = np.flatnonzero(folds == fold)
        done = None if store is None else store.finished(fold, count=len(own))
        if done is None:
            inner = numbers[(index + 1) % len(numbers)]
            alone = inner == fold
            train = np.flatnonzero((folds != fold) & ((folds != inner) | alone | (len(numbers) < 3)))
            held = np.flatnonzero((folds == inner) & (folds != fold))
            with drawing(key, fold, device):
                network = make().to(device)
                fit(
                    network, batch, labels, train=train, held=held, recipe=recipe, key=digest(key, "order", fold),
                    store=store, fold=fold, name=f"{name}, fold {index + 1} of {len(numbers)}",
                )  # fmt: skip
                done = predict(network, batch, own, size=recipe.batch), _state(network)
            if store is not None:
                store.finish(fold, *done)
        scores[own], learned = done
        states[fold] = {part: value.cpu() for part, value in learned.items()}
    return scores, states


@contextmanager
def drawing(key: int, fold: int, device: torch.device) -> Iterator[None]:
    """Draw first weights and dropout from the key and the fold."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(digest(key, "weights", fold) % 2**63)
        yield


def restore(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load learned weights into a network.

    Args:
        network: on its device, with the weights that are not trained.
        state: weights of a fold from `out_of_fold`.

    Raises:
        CheckpointError: the network has other shapes.
    """
    expected = {name: tuple(value.shape) for name, value in _state(network).items()}
    there = {name: tuple(value.shape) for name, value in state.items()}
    if there != expected:
        name = min(name for name in there | expected if there.get(name) != expected.get(name))
        shapes = f"{name} has shape {there.get(name)}, expected {expected.get(name)}"
        raise CheckpointError(f"the weights do not fit the network: {shapes}")
    network.load_state_dict(dict(state), strict=False)


def fit(
    network: nn.Module,
    batch: Batch,
    labels: NDArray[np.int8],
    *,
    train: Ints,
    held: Ints,
    recipe: Recipe,
    key: int,
    store: FoldProgress | None = None,
    fold: int = 0,
    name: str = "network",
) -> None:
    """Train a network, and leave in it the weights with the lowest loss on the held-out windows.

    Args:
        network: on its device.
        batch: what it takes.
        labels: (N,).
        train: windows to train on.
        held: windows that decide when to stop.
        recipe: how.
        key: of the order of windows.
        store: files of epochs; None saves nothing.
        fold: the held-out fold.
        name: of the training, for its progress.
    """
    learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
    device = learned[0].device
    optimiser = torch.optim.AdamW(learned, lr=recipe.rate, weight_decay=recipe.decay)
    truth = torch.from_numpy(labels.astype(np.float32)).to(device)
    epoch, since, best_loss = 0, 0, float("inf")
    best: Mapping[str, Tensor] = _state(network)
    before = None if store is None else store.epoch(fold)
    if before is not None:
        epoch, since, best_loss, best = before.done, before.since, before.best_loss, before.best
        _go_on(network, optimiser, before)
    left = (recipe.epochs - epoch) * -(-len(train) // recipe.batch)
    with progress(name, left, unit="steps", log=log) as advance:
        while epoch < recipe.epochs and since < recipe.patience:
            network.train()
            order = np.random.default_rng(digest(key, epoch)).permutation(train)
            for first in range(0, len(order), recipe.batch):
                rows = order[first : first + recipe.batch]
                loss = nn.functional.binary_cross_entropy_with_logits(network(*batch(rows)), truth[rows])
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(learned, 1.0)
                optimiser.step()
                advance(1)
            scores = torch.from_numpy(predict(network, batch, held, size=recipe.batch))
            held_loss = float(nn.functional.binary_cross_entropy_with_logits(scores, truth[held].double().cpu()))
            epoch, since = epoch + 1, since + 1
            if held_loss < best_loss:
                best, best_loss, since = _state(network), held_loss, 0
            if store is not None:
                state = optimiser.state_dict()["state"]
                store.keep(fold, Epoch(epoch, since, best_loss, best, _state(network), state, _random_state(device)))
    network.load_state_dict(dict(best), strict=False)


def _random_state(device: torch.device) -> Tensor:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def _go_on(network: nn.Module, optimiser: torch.optim.Optimizer, epoch: Epoch) -> None:
    """Restore a network, its optimiser and torch's random numbers after an epoch."""
    restore(network, epoch.learned)
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": dict(epoch.optimiser), "param_groups": groups})
    device = next(network.parameters()).device
    if device.type == "cuda":
        torch.cuda.set_rng_state(epoch.random, device)
    else:
        torch.set_rng_state(epoch.random)


@torch.no_grad()
def predict(network: nn.Module, batch: Batch, rows: Ints, *, size: int) -> Floats:
    """(R,) log odds of some windows.

    Args:
        network: on its device.
        batch: what it takes.
        rows: the windows.
        size: windows computed at once.
    """
    network.eval()
    parts = [network(*batch(rows[first : first + size])).double().cpu() for first in range(0, len(rows), size)]
    return np.asarray(torch.cat(parts).numpy())


def _state(network: nn.Module) -> dict[str, Tensor]:
    """A copy of the trained weights."""
    learned = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    buffers = {name for name, _ in network.named_buffers()}
    return {name: value.clone() for name, value in network.state_dict().items() if name in learned | buffers}


class WindowCNN(nn.Module):
    """Two convolutions, the maximum over positions, one value.

    Args:
        channels: C, values of each position.
        width: channels inside.
    """

    def __init__(self, channels: int, width: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(channels, width, 11, padding=5), nn.ReLU(), nn.MaxPool1d(2, ceil_mode=True),
            nn.Conv1d(width, width, 5, padding=2), nn.ReLU(), nn.AdaptiveMaxPool1d(1), nn.Flatten(), nn.Dropout(0.3),
            nn.Linear(width, 1),
        )  # fmt: skip

    def forward(self, values: Tensor) -> Tensor:
        """Map (B, C, L) to (B,) log odds."""
        scores: Tensor = self.layers(values).squeeze(-1)
        return scores


FIRST_LAYER = "layers.0"
"""The name of the first convolution of `WindowCNN`."""
ONE_HOT = Recipe(epochs=30, patience=4, batch=64, rate=1e-3)


def one_hot(
    sequences: Sequence[str],
    codes_of: Callable[[str], NDArray[np.int8]],
    device: torch.device,
    *,
    length: int = 0,
) -> Batch:
    """How batches of letters (B, 4, L) are made; letters other than A, C, G and T, and ends, are zeros.

    Args:
        sequences: N.
        codes_of: (L,) 0 to 3 for the four letters, 4 for others.
        device: where batches go.
        length: L at least; the longest sequence decides where it is longer.
    """
    longest = max([length, *map(len, sequences)])
    codes = np.full((len(sequences), longest), 4, np.int8)
    for row, sequence in zip(codes, sequences, strict=True):
        row[: len(sequence)] = codes_of(sequence)
    letters = torch.eye(5)[:, :4].to(device)

    def batch(rows: Ints) -> tuple[Tensor, ...]:
        return (letters[torch.from_numpy(codes[rows]).long().to(device)].transpose(1, 2),)

    return batch
