"""Every long command is killed and goes on: benchmarks/faults.py in little, and whether it would see a bad outcome."""

import json
import shutil
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "faults.py"
MATRIX = ("windows", "pretrain", "train", "merge", "predict")


@pytest.fixture(scope="module")
def jobs() -> ModuleType:
    spec = spec_from_file_location("fault_jobs", SCRIPT.with_name("fault_jobs.py"))
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look for it there
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_every_command_survives_kills(warm_python: Path) -> None:
    chosen = [word for name in MATRIX for word in ("--command", name)]
    words = [warm_python, SCRIPT, *chosen, "--fault", "SIGKILL", "--kills", "2", "--forks"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    killed = next(line for line in done.stdout.splitlines() if line.startswith("SIGKILL"))
    assert killed.count("2 kills") == len(MATRIX)
    assert done.stdout.endswith("\n0 bad outcomes\n")


def write_run(folder: Path) -> Path:
    """A file of each kind that commands write."""
    (folder / "checkpoint-4").mkdir(parents=True)
    save_file({"a": torch.zeros(9), "b": torch.ones(3, 3)}, folder / "model.safetensors")
    torch.save({"a": torch.zeros(9)}, folder / "heads.pt")
    pq.write_table(pa.table({"a": [1, 2]}), folder / "oof.parquet")
    np.savez(folder / "oof.npz", a=np.zeros(9))
    (folder / "results.json").write_text(json.dumps({"loss": 1.5, "eval_runtime": 2.0}))
    (folder / "thresholds.yaml").write_text("a: 1\n")
    (folder / "metrics.csv").write_text("a,b\n1,2\n")
    (folder / "checkpoint-4" / "trainer_state.json").write_text("{}")
    shutil.copyfile(folder / "model.safetensors", folder / "checkpoint-4" / "model.safetensors")
    return folder


def test_the_comparison_sees_what_differs_and_leaves_out_times(jobs: ModuleType, tmp_path: Path) -> None:
    first, second = write_run(tmp_path / "one"), write_run(tmp_path / "other")
    (second / "results.json").write_text(json.dumps({"loss": 1.5, "eval_runtime": 3.0}))
    (second / "provenance.json").write_text("of another time")
    assert jobs.differences(first, second) == []
    (second / "results.json").write_text(json.dumps({"loss": 1.6, "eval_runtime": 2.0}))
    save_file({"a": torch.zeros(9), "b": torch.ones(3, 3) + 1e-7}, second / "checkpoint-4" / "model.safetensors")
    (second / "heads.pt").unlink()
    (second / ".metrics.csv.x.part").touch()
    assert jobs.differences(first, second) == [
        "heads.pt is missing", ".metrics.csv.x.part was left behind", "checkpoint-4/model.safetensors differs",
        "results.json differs",
    ]  # fmt: skip


def test_what_is_cut_off_is_seen_in_every_kind_of_file(jobs: ModuleType, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    assert jobs.half_written(run) == []
    names = [path.name for path in run.iterdir() if path.is_file()]
    for name in names:
        whole = (run / name).read_bytes()
        for remainder in (whole[:-1], whole[: len(whole) // 2], b""):
            (run / name).write_bytes(remainder)
            if name == "metrics.csv" and remainder == whole[: len(whole) // 2]:
                continue  # it may end with a line
            assert jobs.half_written(run) == [name], remainder
        (run / name).write_bytes(whole)
    weights = run / "checkpoint-4" / "model.safetensors"
    weights.write_bytes(b"half")
    assert jobs.half_written(run) == ["checkpoint-4/model.safetensors"]
    (run / "checkpoint-4" / "trainer_state.json").unlink()  # it is not complete, and is known not to be
    assert jobs.half_written(run) == []
