"""Commands where the machine gives too little: memory, shared memory, open files, processes, a home, a terminal."""

import os
import pty
import select
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

Ended = subprocess.CompletedProcess[str]


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., Ended]:
    """Runs a command as users do, behind the words of a shell if there are any."""

    def run(*words: object, before: str = "", stdin: int | None = subprocess.DEVNULL, **environment: str) -> Ended:
        line = f'{before}\nexec "$@"'
        return subprocess.run(
            ["bash", "-c", line, "bash", sys.executable, "-m", "bindtune", *map(str, words)],
            cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1", **environment}, stdin=stdin,
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    return run


def message(ended: Ended, code: int = 2) -> str:
    """The line of a command that ended with one."""
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr
    line = ended.stderr.splitlines()[-1]
    assert line.startswith("bindtune: ")
    return line


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    """Proteins of 1,200 residues, and one short one."""
    path = tmp_path / "proteins.fa"
    path.write_text(">a\nMKTAYIAKQRHC\n" + "".join(f">p{n}\n{'MKTAYIAKQRHC' * 100}\n" for n in range(800)))
    return path


@pytest.mark.slow
def test_memory_that_runs_out_is_one_line(command: Callable[..., Ended], binding_run: Path, fasta: Path) -> None:
    words = ("predict", "--run", binding_run, "--fasta", fasta, "--out", "out", "--device", "cpu")
    words += ("--max-batch-tokens", "2000000", "--max-query-length", "1200")
    before_the_imports, in_a_batch = (
        message(command(*words, before=f"ulimit -v {size * 1024}", OPENBLAS_NUM_THREADS="1")) for size in (700, 1600)
    )
    assert "out of memory: this process may use 0.68 GiB of address space, " in before_the_imports
    assert "out of memory: this process may use 1.56 GiB; lower --max-batch-tokens (now 2000000)" in in_a_batch


_MOUNT = "mount --make-rprivate / && mount -t tmpfs -o size={size} tmpfs /dev/shm && "


def _can_mount() -> bool:
    program = shutil.which("unshare")
    words = ["unshare", "-m", "bash", "-c", _MOUNT.format(size="64k") + "true"]
    return program is not None and subprocess.run(words, capture_output=True, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("full", [True, False])
def test_shared_memory_that_is_full_or_small(
    command: Callable[..., Ended], generated: tuple[Path, Path, Path], full: bool
) -> None:
    if not _can_mount():
        pytest.skip("no file system can be mounted here")
    train, validation, model = generated
    words = ["pretrain", "--model_name_or_path", model, "--train_file", train, "--validation_file", validation,
             "--output_dir", "run", "--max_steps", "1", "--max_eval_samples", "4", "--report_to", "none",
             "--preprocessing_num_workers", "1", "--dataloader_num_workers", "2"]  # fmt: skip
    fill = "dd if=/dev/zero of=/dev/shm/full bs=4096 2>/dev/null; " if full else ""
    mounted = f'{_MOUNT.format(size="1m")} {fill} exec "$@"'
    ended = command(*words, before=f'exec unshare -m bash -c {shlex.quote(mounted)} bash "$@"')
    if full:
        line = message(ended)
        assert "shm: No space left" in line and "num_workers=0" in line and "--shm-size" in line
    else:
        assert ended.returncode == 0, ended.stderr


@pytest.mark.slow
def test_a_terminal_that_is_closed_saves_the_run(
    tmp_path: Path, generated: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    train, validation, model = generated
    words = [sys.executable, "-m", "bindtune", "pretrain", "--model_name_or_path", model, "--train_file", train,
             "--validation_file", validation, "--output_dir", tmp_path / "run", "--max_steps", "5000",
             "--eval_strategy", "no", "--save_steps", "100000", "--logging_steps", "1", "--report_to", "none",
             "--preprocessing_num_workers", "1", "--dataloader_num_workers", "1"]  # fmt: skip
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    process, terminal = pty.fork()
    if not process:
        os.execv(sys.executable, list(map(str, words)))  # noqa: S606 (no shell is wanted)
    output, end = b"", time.monotonic() + 200
    while b"windows/s" not in output and time.monotonic() < end:
        if select.select([terminal], [], [], 1)[0]:
            output += os.read(terminal, 65536)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 129, output.decode()
    states = list((tmp_path / "run").glob("checkpoint-*/trainer_state.json"))
    assert len(states) == 1
