"""The job script, run without SLURM: its syntax, what it starts, and what its signals do."""

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

import bindtune

SCRIPT = Path(bindtune.__file__).parent / "init" / "slurm" / "pretrain.sbatch"
Files = tuple[Path, Path, Path]


def options(generated: Files, model: Path, out: Path, *, gpus: int, accumulated: int) -> list[str]:
    """Steps of 16 windows; SGD without dropout, so that what is left between one process and two is rounding."""
    train, validation, _ = generated
    return [
        str(Path(__file__).parents[2] / "configs" / "pretrain-tiny.yaml"),
        "--model_name_or_path", str(model), "--train_file", str(train), "--validation_file", str(validation),
        "--output_dir", str(out), "--max_steps", "27", "--logging_steps", "1", "--optim", "sgd",
        "--learning_rate", "0.1", "--gradient_accumulation_steps", str(accumulated),
        "--per_device_train_batch_size", str(16 // gpus),
    ]  # fmt: skip


def test_syntax() -> None:
    subprocess.run(["bash", "-n", SCRIPT], check=True)


def test_a_missing_config_is_told() -> None:
    done = subprocess.run(["bash", SCRIPT], capture_output=True, text=True)
    assert done.returncode != 0
    assert "usage: sbatch pretrain.sbatch CONFIG.yaml" in done.stderr


@pytest.mark.parametrize(
    ("number", "gpus"),
    [(signal.SIGTERM, 1), (signal.SIGUSR1, 2)],
    ids=["pre-emption", "time limit of two processes"],
)
def test_signal_saves_and_the_next_start_finishes(
    generated: Files,
    still_model: Path,
    tmp_path: Path,
    run: Callable[..., int],
    slurm_environment: Callable[..., dict[str, str]],
    number: int,
    gpus: int,
) -> None:
    straight, broken, tools = tmp_path / "straight", tmp_path / "broken", tmp_path / "tools"
    env = slurm_environment("tools", SLURM_JOB_ID=17, SLURM_GPUS_ON_NODE=gpus)
    assert run("pretrain", "--config", *options(generated, still_model, straight, gpus=gpus, accumulated=gpus)) == 0

    words = ["bash", str(SCRIPT), *options(generated, still_model, broken, gpus=gpus, accumulated=1)]
    second_epoch = f"step {-(-pq.read_metadata(generated[0]).num_rows // 16) + 1}/27"
    with (tmp_path / "log").open("w") as log, subprocess.Popen(words, env=env, stdout=log, stderr=log) as process:
        while second_epoch not in (tmp_path / "log").read_text():
            assert process.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.02)
        process.send_signal(number)
    if gpus == 1:
        assert "bindtune ended with 143" in (tmp_path / "log").read_text()
    assert list(broken.glob("checkpoint-*/trainer_state.json"))
    if number == signal.SIGUSR1:
        assert process.returncode == 0
        assert (tools / "asked").read_text() == "requeue 17\n"
    else:
        assert process.returncode == 143
        assert not (tools / "asked").exists()

    assert not (broken / "model.safetensors").exists()
    subprocess.run(words, env=env, check=True, capture_output=True)
    left, right = (load_file(run / "model.safetensors") for run in (straight, broken))
    for name, value in left.items():
        torch.testing.assert_close(right[name], value, rtol=0 if gpus == 1 else 1e-4, atol=0 if gpus == 1 else 1e-6)
