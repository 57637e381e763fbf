"""Curves of a fold: a table after each epoch, pictures once a minute and with the last epoch."""

from pathlib import Path
from typing import Any

import pytest

from bindtune.training.binding import tensorboard


def rows(epoch: int) -> list[dict[str, Any]]:
    return [
        {"fold": 1, "epoch": epoch, "split": split, "ion": "ZN", "loss": 1 / epoch, "auprc": 0.5, "base_rate": 0.1}
        for split in ("train", "validation")
    ]


def test_pictures_are_drawn_once_a_minute_and_with_the_last_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(tensorboard.time, "monotonic", lambda: now[0])
    drawn: list[int] = []
    monkeypatch.setattr(tensorboard, "save_fold_plots", lambda rows, *_, **__: drawn.append(rows[-1]["epoch"]))
    (tmp_path / "fold_1").mkdir()
    with tensorboard.Board(tmp_path, 1, ions=["ZN"], history=[]) as curves:
        for epoch, seconds in enumerate((10.0, 59.0, 61.0, 62.0, 100.0, 122.0, 123.0), 1):
            now[0] = seconds
            curves.add(rows(epoch), last=epoch == 7)
            assert (tmp_path / "fold_1" / "history.csv").read_text().count("\n") == 1 + 2 * epoch
    assert drawn == [3, 6, 7]
    with tensorboard.Board(tmp_path, 1, ions=["ZN"], history=rows(1)):
        assert drawn == [3, 6, 7, 1]  # a resumed fold may have no epoch left
