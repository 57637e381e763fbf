"""Training a small network on windows, fold by fold, with early stopping inside the training folds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bindtune.data.keyed_random import digest
from bindtune.errors import CheckpointError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Args:
        epochs: passes over the training windows at most.
        patience: passes without a lower loss on the inner fold after which training stops.
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
"""Indices of windows -> what the network takes."""


def out_of_fold(
    make: Callable[[], nn.Module],
    batch: Batch,
    labels: NDArray[np.int8],
    folds: Ints,
    *,
    recipe: Recipe,
    key: int,
    device: torch.device,
    fold_done: Callable[[int], None] = lambda fold: None,
) -> tuple[Floats, dict[int, dict[str, Tensor]]]:
    """Score every window with a network that was trained on the other folds.

    One of the training folds decides when training stops.

    Args:
        make: a new network, which maps a batch to (B,) log odds.
        batch: what it takes.
        labels: (N,) 1 bound, 0 not.
        folds: (N,) fold of each window.
        recipe: how it is trained.
        key: first weights, order and dropout follow from it.
        device: where it is trained.
        fold_done: is told each fold that is done.

    Returns:
        (N,) log odds, and what the network of each fold learned.
    """
    scores, states = np.zeros(len(labels)), {}
    numbers = np.unique(folds).tolist()
    for place, fold in enumerate(numbers):
        inner = numbers[(place + 1) % len(numbers)]
        alone = inner == fold
        train = np.flatnonzero((folds != fold) & ((folds != inner) | alone | (len(numbers) < 3)))
        held = np.flatnonzero((folds == inner) & (folds != fold))
        with drawing(key, fold, device):
            network = make().to(device)
            fit(network, batch, labels, train=train, held=held, recipe=recipe, key=digest(key, "order", fold))
            scores[folds == fold] = predict(network, batch, np.flatnonzero(folds == fold), size=recipe.batch)
        states[fold] = {name: value.cpu() for name, value in _state(network).items()}
        fold_done(fold)
    return scores, states


@contextmanager
def drawing(key: int, fold: int, device: torch.device) -> Iterator[None]:
    """Draw first weights and dropout from the key and the fold."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(digest(key, "weights", fold) % 2**63)
        yield


def restore(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Put into a network what one like it has learned.

    Args:
        network: on its device; what is not learned it has already.
        state: what `out_of_fold` gave for a fold.

    Raises:
        CheckpointError: the network is not like the one that learned this.
    """
    expected = {name: tuple(value.shape) for name, value in _state(network).items()}
    there = {name: tuple(value.shape) for name, value in state.items()}
    if there != expected:
        name = min(name for name in there | expected if there.get(name) != expected.get(name))
        shapes = f"{name} has shape {there.get(name)}, expected {expected.get(name)}"
        raise CheckpointError(f"what was learned does not fit the network: {shapes}")
    network.load_state_dict(dict(state), strict=False)


def fit(
    network: nn.Module, batch: Batch, labels: NDArray[np.int8], *, train: Ints, held: Ints, recipe: Recipe, key: int
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
    """
    learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
    device = learned[0].device
    optimiser = torch.optim.AdamW(learned, lr=recipe.rate, weight_decay=recipe.decay)
    truth = torch.from_numpy(labels.astype(np.float32)).to(device)
    best, best_loss, since = _state(network), float("inf"), 0
    for epoch in range(recipe.epochs):
        network.train()
        order = np.random.default_rng(digest(key, epoch)).permutation(train)
        for first in range(0, len(order), recipe.batch):
            rows = order[first : first + recipe.batch]
            loss = nn.functional.binary_cross_entropy_with_logits(network(*batch(rows)), truth[rows])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(learned, 1.0)
            optimiser.step()
        scores = torch.from_numpy(predict(network, batch, held, size=recipe.batch))
        held_loss = float(nn.functional.binary_cross_entropy_with_logits(scores, truth[held].double().cpu()))
        since += 1
        if held_loss < best_loss:
            best, best_loss, since = _state(network), held_loss, 0
        if since >= recipe.patience:
            break
    network.load_state_dict(best, strict=False)


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
    """A copy of what is learned."""
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
