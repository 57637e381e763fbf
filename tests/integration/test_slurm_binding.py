"""The job script of a fold array, run without SLURM: its syntax, what it starts, and what its signals do."""

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

import bindtune
import tiny_e1

SCRIPT = Path(bindtune.__file__).parent / "init" / "slurm" / "train.sbatch"
Environment = Callable[..., dict[str, str]]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings of a small run, without its output_dir."""
    folder = tmp_path_factory.mktemp("small")
    sizes = {"num_hidden_layers": 2, "global_attention_every_n_layers": 2, "max_num_sequences": 8}
    tiny_e1.save(folder / "encoder", **sizes)
    letters = "ACDEFGHIKLMNPQRSTVWY"
    proteins = [
        "".join(letters[(seed * position + position) % 20] for position in range(20 + seed)) + "C" for seed in range(9)
    ]
    text = "".join(f">p{n}\n{s}\n{''.join('01'[x == 'C'] for x in s)}\n" for n, s in enumerate(proteins))
    (folder / "ZN.fa").write_text(text)
    training = {"ions": ["ZN"], "num_folds": 2, "epochs": 3, "patience": 0, "batch_size": 1, "accum_steps": 1,
                "num_workers": 0, "save_steps": 0}  # fmt: skip
    values = {"data": {"fasta_path": str(folder / "ZN.fa")}, "training": training, "lora": {"r": 2, "dropout": 0.1},
              "model": {"checkpoint": str(folder / "encoder")}}  # fmt: skip
    (folder / "small.yaml").write_text(yaml.safe_dump(values))
    return folder / "small.yaml"


@pytest.fixture
def environment(slurm_environment: Environment) -> Environment:
    """Makes the environment of one task of the array."""

    def of(name: str, *, gpus: int = 1, task: int = 1) -> dict[str, str]:
        job = {"SLURM_JOB_ID": 18, "SLURM_ARRAY_JOB_ID": 17, "SLURM_ARRAY_TASK_ID": task, "SLURM_GPUS_ON_NODE": gpus}
        return slurm_environment(name, **job)

    return of


def words(config: Path, run: Path, *overrides: str) -> list[str]:
    return ["bash", str(SCRIPT), str(config), f"training.output_dir={run}", *overrides]


def test_syntax() -> None:
    subprocess.run(["bash", "-n", SCRIPT], check=True)


def test_what_is_missing_is_told(config: Path, tmp_path: Path, environment: Environment) -> None:
    done = subprocess.run(["bash", SCRIPT], capture_output=True, text=True)
    assert done.returncode != 0
    assert "usage: sbatch --array=1-FOLDS train.sbatch CONFIG.yaml" in done.stderr
    env = environment("tools")
    del env["SLURM_ARRAY_TASK_ID"]
    done = subprocess.run(words(config, tmp_path / "run"), capture_output=True, text=True, env=env)
    assert done.returncode != 0 and "submit with --array=1-FOLDS" in done.stderr


def test_folds_that_start_together_end_as_one_run(config: Path, tmp_path: Path, environment: Environment) -> None:
    run = tmp_path / "run"
    tasks = [
        subprocess.Popen(
            words(config, run, "training.epochs=1"),
            env=environment(f"tools{task}", task=task),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for task in (1, 2)
    ]
    said = [task.communicate()[0] for task in tasks]
    assert [task.returncode for task in tasks] == [0, 0], said
    assert all((run / f"fold_{fold}" / "oof.parquet").is_file() for fold in (1, 2))
    # The last to end merges; where both ended at once, each did, and wrote the same.
    assert any("base rate" in text for text in said)
    assert (run / "global_thresholds.yaml").is_file()


@pytest.mark.parametrize(
    ("number", "gpus"),
    [(signal.SIGTERM, 1), (signal.SIGUSR1, 2)],
    ids=["pre-emption", "time limit of two processes"],
)
def test_signal_saves_and_the_next_start_finishes(
    config: Path, tmp_path: Path, run: Callable[..., int], environment: Environment, number: int, gpus: int
) -> None:
    straight, broken, tools = tmp_path / "straight", tmp_path / "broken", tmp_path / "tools"
    env = environment("tools", gpus=gpus)
    longer = ("training.epochs=12", "lora.dropout=0", "model.dropout=0")
    options = ("--config", config, f"training.output_dir={straight}", *longer, f"training.accum_steps={gpus}")
    assert run("train", *options, "--fold", 1) == 0

    log = tmp_path / "log"
    with (
        log.open("w") as stream,
        subprocess.Popen(words(config, broken, *longer), env=env, stdout=stream, stderr=stream) as process,
    ):
        while "epoch 1:" not in log.read_text():
            assert process.poll() is None, log.read_text()
            time.sleep(0.01)
        process.send_signal(number)
    assert "go on with bindtune train --resume" in log.read_text()
    if gpus == 1:
        assert "bindtune ended with 143" in log.read_text()
    if number == signal.SIGUSR1:
        assert process.returncode == 0
        assert (tools / "asked").read_text() == "requeue 17_1\n"
    else:
        assert process.returncode == 143
        assert not (tools / "asked").exists()
    assert (broken / "fold_1" / "state.pt").is_file()
    assert not (broken / "fold_1" / "oof.parquet").exists()

    subprocess.run(words(config, broken, *longer), env=env, check=True, capture_output=True)
    first, second = (pq.read_table(path / "fold_1" / "oof.parquet") for path in (straight, broken))
    if gpus == 1:
        assert first.equals(second)
        assert (broken / "fold_1" / "history.csv").read_bytes() == (straight / "fold_1" / "history.csv").read_bytes()
    assert first.drop(["probability"]).equals(second.drop(["probability"]))
    np.testing.assert_allclose(first["probability"], second["probability"], atol=1e-5)
