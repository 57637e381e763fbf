"""Which checkpoints are whole, resumed from, best, and kept."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from bindtune.errors import CheckpointError
from bindtune.training.pretraining.checkpoints import (
    best,
    losses,
    read_state,
    remove_incomplete,
    rotate,
    stale_evaluations,
    to_resume,
)

History = list[dict[str, Any]]


def save(run: Path, step: int, *, state: str | None = None) -> Path:
    folder = run / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "model.safetensors").touch()
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": step}) if state is None else state)
    return folder


def history(**values: float) -> History:
    """Evaluations (s100=0.5: step 100, loss 0.5), with the training lines that stand between them."""
    history: History = []
    for name, loss in values.items():
        step = int(name[1:])
        history += [{"step": step, "loss": 9.0}, {"step": step, "eval_loss": loss}]
    return history


def names(run: Path) -> list[str]:
    return sorted(path.name for path in run.iterdir())


@pytest.mark.parametrize("state", ["", "{", "[]", "{}", '{"global_step": 5', "\x00"])
def test_a_state_that_is_not_whole_is_no_state(tmp_path: Path, state: str) -> None:
    assert read_state(save(tmp_path, 5, state=state)) is None
    assert read_state(tmp_path / "nowhere") is None
    assert read_state(save(tmp_path, 6)) == {"global_step": 6}


def test_what_to_resume(tmp_path: Path) -> None:
    assert to_resume(tmp_path, None) is None
    assert to_resume(tmp_path, "auto") is None
    assert to_resume(tmp_path / "nowhere", "auto") is None
    ten = save(tmp_path, 10)
    save(tmp_path, 9)
    save(tmp_path, 20, state="{")
    assert to_resume(tmp_path, "auto") == ten
    assert to_resume(tmp_path, None) is None
    assert to_resume(tmp_path, str(tmp_path / "checkpoint-9")) == tmp_path / "checkpoint-9"
    for checkpoint in (tmp_path / "checkpoint-20", tmp_path / "checkpoint-99"):
        with pytest.raises(CheckpointError, match=f"{checkpoint}: not a complete checkpoint"):
            to_resume(tmp_path, str(checkpoint))


def test_unfinished_ones_are_removed_and_told(tmp_path: Path) -> None:
    save(tmp_path, 10)
    broken = [save(tmp_path, 15, state="{"), tmp_path / "checkpoint-20"]
    broken[1].mkdir()
    (tmp_path / "logs").mkdir()
    assert remove_incomplete(tmp_path) == broken
    assert names(tmp_path) == ["checkpoint-10", "logs"]
    assert remove_incomplete(tmp_path) == []


@pytest.mark.parametrize(
    ("evaluated", "limit", "steps"),
    [
        ({"s10": 0.5, "s20": 0.4, "s30": 0.3, "s40": 0.6, "s50": 0.7}, 3, [10, 20, 30, 50]),
        ({"s10": 0.1, "s20": 0.4, "s30": 0.3, "s40": 0.6, "s50": 0.2}, 3, [10, 30, 50]),
        ({"s10": 0.1, "s20": 0.4, "s30": 0.3, "s40": 0.6, "s50": 0.7}, 1, [10, 50]),
        ({"s10": 0.1, "s20": 0.1, "s30": 0.3, "s40": 0.6, "s50": 0.7}, 2, [10, 20, 50]),
        ({}, 2, [40, 50]),
        ({}, 9, [10, 20, 30, 40, 50]),
        ({"s10": 0.9}, 2, [10, 50]),
        ({"s10": math.nan, "s20": 0.5, "s30": math.nan, "s40": 0.4, "s50": 0.6}, 2, [20, 40, 50]),
    ],
)
def test_the_lowest_losses_and_the_newest_are_kept(
    tmp_path: Path, evaluated: dict[str, float], limit: int, steps: list[int]
) -> None:
    for step in (10, 20, 30, 40, 50):
        save(tmp_path, step)
    (tmp_path / "logs").mkdir()
    rotate(tmp_path, history(**evaluated), limit=limit)
    assert names(tmp_path) == [*(f"checkpoint-{step}" for step in steps), "logs"]


def test_nothing_to_rotate(tmp_path: Path) -> None:
    rotate(tmp_path, [], limit=2)
    assert names(tmp_path) == []


def test_a_deletion_that_a_kill_cut_short_is_finished(tmp_path: Path) -> None:
    for step in (10, 20):
        save(tmp_path, step)
    save(tmp_path / "old", 10).rename(tmp_path / ".deleted-checkpoint-10")
    (tmp_path / "old").rmdir()
    rotate(tmp_path, history(s10=0.5, s20=0.4), limit=1)
    assert names(tmp_path) == ["checkpoint-20"]


def test_losses_by_step() -> None:
    assert losses(history(s10=0.5, s20=0.4)) == {10: 0.5, 20: 0.4}
    assert losses([{"step": 3, "loss": 1.0}]) == {}


@pytest.mark.parametrize(
    ("values", "stale"),
    [
        ([], 0),
        ([0.5], 0),
        ([0.5, 0.4, 0.3], 0),
        ([0.3, 0.4, 0.5], 2),
        ([0.5, 0.3, 0.4, 0.35], 2),
        ([0.3, 0.3, 0.3], 2),  # no lower is no better
        ([math.nan, 0.5, 0.4], 0),
        ([0.4, math.nan, 0.5], 2),
        ([0.5, math.nan, 0.4], 0),
    ],
)
def test_evaluations_without_a_lower_loss(values: list[float], stale: int) -> None:
    assert stale_evaluations(history(**{f"s{n}": value for n, value in enumerate(values)})) == stale


def test_the_best_is_whole_evaluated_and_there(tmp_path: Path) -> None:
    for step in (10, 20, 30):
        save(tmp_path, step)
    save(tmp_path, 40, state="{")
    rows = history(s5=0.01, s10=0.5, s20=0.3, s30=0.3, s40=0.1)
    assert best(tmp_path, rows) == tmp_path / "checkpoint-20"
    assert best(tmp_path, history(s10=math.nan, s20=0.9)) == tmp_path / "checkpoint-20"
    assert best(tmp_path, []) is None
    assert best(tmp_path, history(s5=0.1)) is None
