"""The job script of a prediction array, run without SLURM: its syntax, what it starts, and what its signals do."""

import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import bindtune

SCRIPT = Path(bindtune.__file__).parent / "init" / "slurm" / "predict.sbatch"


@pytest.fixture
def environment(slurm_environment: Callable[..., dict[str, str]]) -> Callable[[int], dict[str, str]]:
    """Makes the environment of one of two tasks."""

    def of(task: int) -> dict[str, str]:
        array = {"SLURM_ARRAY_JOB_ID": 17, "SLURM_ARRAY_TASK_ID": task, "SLURM_ARRAY_TASK_MAX": 2}
        return slurm_environment("tools", SLURM_JOB_ID=18, **array)

    return of


def test_syntax_and_what_is_missing(environment: Callable[[int], dict[str, str]]) -> None:
    subprocess.run(["bash", "-n", SCRIPT], check=True)
    done = subprocess.run(["bash", SCRIPT], capture_output=True, text=True)
    assert done.returncode != 0 and "submit with --array=1-SHARES" in done.stderr
    env = {**environment(2), "SLURM_ARRAY_TASK_MIN": "0"}
    done = subprocess.run(["bash", SCRIPT], capture_output=True, text=True, env=env)
    assert done.returncode == 2 and "expected --array=1-SHARES" in done.stderr


@pytest.mark.slow
def test_shares_that_are_stopped_and_joined(
    run: Callable[..., int], binding_run: Path, tmp_path: Path, environment: Callable[[int], dict[str, str]]
) -> None:
    drawn = random.Random(0)
    fasta = tmp_path / "p.fa"
    sequences = ("".join(drawn.choices("ACDEFGHIKLMNPQRSTVWY", k=60)) for _ in range(300))
    fasta.write_text("".join(f">p{number}\n{sequence}\n" for number, sequence in enumerate(sequences)))
    options = ["--run", str(binding_run), "--fasta", str(fasta), "--shard-proteins", "1", "--no-tsv"]
    shares = tmp_path / "shares"
    words = ["bash", str(SCRIPT), *options, "--out", str(shares)]
    log = tmp_path / "log"
    with (
        log.open("w") as stream,
        subprocess.Popen(words, env=environment(1), stdout=stream, stderr=stream) as process,
    ):
        while not list(shares.glob("parts/*.parquet")):
            assert process.poll() is None, log.read_text()
            time.sleep(0.01)
        process.send_signal(signal.SIGUSR1)
    assert process.returncode == 0, log.read_text()
    assert (tmp_path / "tools" / "asked").read_text() == "requeue 17_1\n"
    assert len(list(shares.glob("parts/*.parquet"))) < 150
    tasks = [subprocess.Popen(words, env=environment(task), stdout=subprocess.DEVNULL) for task in (1, 2)]
    assert [task.wait() for task in tasks] == [0, 0]
    assert len(list(shares.glob("parts/*.parquet"))) == 300
    assert run("predict", *options, "--out", shares) == 0
    assert run("predict", *options, "--out", tmp_path / "straight") == 0
    name = "predictions.parquet"
    assert pq.read_table(shares / name).equals(pq.read_table(tmp_path / "straight" / name))
