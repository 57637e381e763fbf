"""A training that is stopped anywhere goes on and gives the same scores, bit by bit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import tiny_dnabert2
from bindtune.errors import InputError
from bindtune.probing import networks
from bindtune.probing.encoders import load_encoder
from bindtune.probing.fine_tuning import TunedClassifier, token_batches
from bindtune.probing.fold_progress import FoldProgress

CPU = torch.device("cpu")
COUNT = 24
LABELS = np.array([number % 2 for number in range(COUNT)], np.int8)
FOLDS = np.arange(COUNT) // 2 % 3
RECIPE = networks.Recipe(epochs=4, patience=2, batch=5, rate=0.02)


class StoppedError(Exception):
    """What a kill is in these tests."""


def convolutions() -> tuple[Callable[[], nn.Module], networks.Batch]:
    values = torch.randn(COUNT, 4, 20, generator=torch.Generator().manual_seed(1))
    return lambda: networks.WindowCNN(4, width=8), lambda rows: (values[rows],)


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Any:
    folder = tmp_path_factory.mktemp("model")
    tiny_dnabert2.build(initializer_range=0.3).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    windows = ["ACGTTGCA"[row % 5 :] * 3 for row in range(COUNT)]
    batch = token_batches(load_encoder("tiny", str(folder), device=CPU), windows, CPU)
    return lambda: TunedClassifier(str(folder), rank=2, random_weights=True), batch


def train(make: Callable[[], nn.Module], batch: networks.Batch, store: FoldProgress | None) -> Any:
    return networks.out_of_fold(make, batch, LABELS, FOLDS, recipe=RECIPE, key=3, device=CPU, store=store, name="test")


@pytest.mark.parametrize("kind", ["convolutions", "adapters"])
def test_a_stopped_training_goes_on_bit_by_bit(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    make, batch = convolutions() if kind == "convolutions" else request.getfixturevalue("adapters")
    expected, states = train(make, batch, None)
    calls, limit = [0], [7]

    def stopping(rows: Any) -> Any:
        calls[0] += 1
        if calls[0] > limit[0]:
            raise StoppedError
        return batch(rows)

    stops = 0
    while True:
        try:
            scores, learned = train(make, stopping, FoldProgress(tmp_path, "a", seconds=0))
            break
        except StoppedError:
            calls[0], stops = 0, stops + 1
            torch.rand(stops)  # the state of torch's random numbers is another one each time
    assert stops > 3
    np.testing.assert_array_equal(scores, expected)
    for fold, state in states.items():
        assert state.keys() == learned[fold].keys()
        for name, value in state.items():
            torch.testing.assert_close(learned[fold][name], value, rtol=0, atol=0)


def test_epochs_are_kept_only_now_and_then(tmp_path: Path) -> None:
    make, batch = convolutions()
    progress = FoldProgress(tmp_path, "a", seconds=1000)

    def stopping(rows: Any) -> Any:
        if len(list(tmp_path.iterdir())) == 1:  # one fold is done
            raise StoppedError
        return batch(rows)

    with pytest.raises(StoppedError):
        train(make, stopping, progress)
    assert [path.name for path in tmp_path.iterdir()] == ["a-fold-0.safetensors"]
    assert progress.finished(0, count=8) is not None
    assert progress.epoch(0) is None and progress.epoch(1) is None


@pytest.mark.parametrize("damage", ["cut", "other", "count"])
def test_a_damaged_file_is_named(tmp_path: Path, damage: str) -> None:
    progress = FoldProgress(tmp_path, "a")
    progress.finish(0, np.arange(8.0), {"weight": torch.ones(3)})
    path = tmp_path / "a-fold-0.safetensors"
    scores, learned = progress.finished(0, count=8) or (None, {})
    np.testing.assert_array_equal(scores, np.arange(8.0))
    assert learned["weight"].tolist() == [1, 1, 1]
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-3])
    if damage == "other":
        path.write_bytes(b"not tensors")
    with pytest.raises(InputError, match=r"a-fold-0.safetensors: is no file of a fold in training .*delete it"):
        progress.finished(0, count=9 if damage == "count" else 8)
