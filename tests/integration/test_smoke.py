"""`bindtune smoke`: every check of both jobs can fail, says why, and leaves the others to be made."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from bindtune.checks import Check
from bindtune.config import BindingConfig, PretrainConfig
from bindtune.demo import smoke as both
from bindtune.demo import smoke_binding as binding
from bindtune.demo.smoke import run_smoke
from bindtune.training.binding import merge, tensorboard
from bindtune.training.pretraining import smoke as pretraining

Smoke = Callable[[], list[Check]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The whole smoke test on its own data: its folder, and what it said."""
    folder, lines = tmp_path_factory.mktemp("smoke"), list[str]()
    with pytest.MonkeyPatch.context() as patch:  # pictures take most of the time
        patch.setattr(tensorboard, "save_fold_plots", lambda *_, **__: None)
        patch.setattr(merge, "_draw", lambda *_: None)
        assert run_smoke(None, None, out=folder, notify=lines.append)
    return folder, lines


@pytest.fixture
def smoke(whole: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Smoke:
    """The checks of the binding job on a copy of what was trained."""

    def copy(config: BindingConfig, *, fold: int) -> None:
        if fold == 1:
            shutil.copytree(whole[0] / "binding" / "run", config.training.output_dir)

    monkeypatch.setattr(binding, "cross_validate", copy)
    return lambda: list(binding.smoke_binding(tmp_path / "smoke", notify=lambda _: None))


def failed(checks: list[Check]) -> list[str]:
    return [check.name for check in checks if check.passed is False]


def test_both_jobs_pass_on_the_embedded_default(whole: tuple[Path, list[str]]) -> None:
    folder, lines = whole
    passed = {line.split(":")[0]: line.split(": ", 1)[1] for line in lines if line.startswith("passed")}
    pretraining = ["passed  adaptive run", "passed  standard run", "passed  masking"]
    names = ["adapters", "binding run", "adapted weights", "prediction"]
    assert list(passed) == [*pretraining, *(f"passed  {name}" for name in names)]
    assert passed["passed  masking"].startswith("0 of 20000 totals off")
    assert lines[-1] == "7 of 7 checks passed"
    rows = len(pq.read_table(folder / "binding" / "run" / "oof.parquet"))
    assert passed["passed  binding run"].startswith(f"{rows:,} residues of ")
    predicted = len(pq.read_table(folder / "binding" / "predictions" / "predictions.parquet"))
    about = f"{predicted:,} probabilities of {predicted // 2:,} residues, all from 0 to 1"
    assert passed["passed  prediction"] == about


def test_a_library_that_fails_is_a_failed_check(smoke: Smoke, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> str:
        raise TypeError("got an unexpected keyword argument 'cache'")

    monkeypatch.setattr(binding, "cross_validate", refuse)
    checks = smoke()
    assert failed(checks) == ["binding run"]
    assert checks[-1].detail.startswith("TypeError: got an unexpected keyword argument 'cache' (")
    assert "test_smoke.py:" in checks[-1].detail


def test_adapters_that_do_not_learn(smoke: Smoke, monkeypatch: pytest.MonkeyPatch) -> None:
    load = binding.load_lora_checkpoint

    def silent(path: Path) -> Any:
        model = load(path)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if "lora_B" in name:
                    weight.zero_()
        return model

    monkeypatch.setattr(binding, "load_lora_checkpoint", silent)
    assert failed(smoke()) == ["adapted weights"]


def test_merged_weights_that_are_others(smoke: Smoke, monkeypatch: pytest.MonkeyPatch) -> None:
    load = binding.load_backbone

    def other(name: str) -> Any:
        model, preparer = load(name)
        with torch.no_grad():
            model.model.norm.weight.mul_(1.1)
        return model, preparer

    monkeypatch.setattr(binding, "load_backbone", other)
    assert failed(smoke()) == ["adapted weights"]


def test_adapters_that_are_not_neutral_at_first(smoke: Smoke, monkeypatch: pytest.MonkeyPatch) -> None:
    from bindtune.training.binding import model as fold_model

    check = fold_model.check_lora

    def shifted(model: Any, batch: Any) -> Any:
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if "lora_B" in name:
                    weight.add_(0.1)
        return check(model, batch)

    monkeypatch.setattr(fold_model, "check_lora", shifted)
    checks = smoke()
    assert failed(checks) == ["adapters"]
    assert "NO   B = 0 leaves the output as it is" in checks[0].detail


def test_probabilities_that_are_not_finite(smoke: Smoke, monkeypatch: pytest.MonkeyPatch) -> None:
    class Table:
        def __init__(self, table: Any) -> None:
            self._table = table

        def __len__(self) -> int:
            return len(self._table)

        def __getitem__(self, name: str) -> Any:
            column = self._table[name]
            if name != "probability":
                return column
            values = column.to_numpy().copy()
            values[3] = np.nan
            return type("Column", (), {"to_numpy": lambda self: values})()

    read = binding.pq.read_table
    monkeypatch.setattr(binding.pq, "read_table", lambda path: Table(read(path)))
    checks = smoke()
    assert failed(checks) == ["binding run"]
    assert checks[1].detail.endswith("not all finite")


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        (lambda state: state.update(log_history=[]), "20 steps, loss ; masked"),
        (lambda state: state["log_history"][1].update(loss=float("nan")), "nan"),
        (lambda state: state.update(global_step=19), "19 steps"),
        (lambda state: None, None),
    ],
    ids=["no loss", "not finite", "too few steps", "as it was"],
)
def test_a_pretraining_run_that_did_not_work(
    change: Callable[[dict[str, Any]], None], detail: str | None, whole: tuple[Path, list[str]], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def copy(config: PretrainConfig) -> None:
        shutil.copytree(whole[0] / "adaptive", config.output_dir)
        path = config.output_dir / "trainer_state.json"
        state = json.loads(path.read_text())
        change(state)
        path.write_text(json.dumps(state))

    monkeypatch.setattr(pretraining, "pretrain", copy)
    windows, model = whole[0] / "generated" / "windows" / "train.parquet", whole[0] / "generated" / "model"
    checks = pretraining.smoke(windows, str(model), validation_file=None, out=tmp_path, notify=lambda _: None)
    check = next(checks)
    assert check.passed is (detail is None)
    assert (detail or "saved and loaded again") in check.detail


def test_one_failure_is_exit_code_1_and_the_rest_is_still_tried(
    run: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(config: Any) -> None:
        raise RuntimeError("no kernel image is available for execution on the device")

    monkeypatch.setattr(pretraining, "pretrain", refuse)
    monkeypatch.setattr(
        both, "smoke_binding", lambda folder, notify: iter([Check("binding run", True, "not made here")])
    )
    assert run("smoke") == 1
    lines = capsys.readouterr().out.splitlines()
    outcomes = [line.split(":")[0] for line in lines if line.startswith(("passed", "FAILED"))]
    assert outcomes == ["FAILED  adaptive run", "FAILED  standard run", "passed  masking", "passed  binding run"]
    assert lines[-1] == "2 of 4 checks passed"
