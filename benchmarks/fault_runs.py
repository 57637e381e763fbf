"""Commands in processes that can be killed: forked from one that has imported everything and computed nothing.

Starting Python and torch costs seconds; a fork costs none, and is sound while the parent has one thread, which is
checked. Whether a forked command does what `python -m bindtune` does is checked too, by `faults.py`.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from fault_jobs import JOBS, OUT, make_inputs, set_up, unmerged

# Before anything is imported that reads them.
os.environ |= {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}

LIMIT = 900.0
"""Seconds after which a command counts as hanging."""


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Args:
        code: exit code; negative for the signal that ended it, None for one that hung.
        output: what it wrote to both streams.
        seconds: how long it ran.
    """

    code: int | None
    output: str
    seconds: float

    @property
    def told(self) -> str:
        """The last line, where the output is fit for a user: no traceback, and the last line is bindtune's."""
        lines = self.output.strip().splitlines()
        if any(word in self.output for word in ("Traceback (most recent", "--- Logging error", "Exception ignored")):
            return ""
        return lines[-1] if lines and lines[-1].startswith("bindtune: ") else ""


def fork(work: Callable[[], int], *, log: Path, rights: bool = True) -> int:
    """Start `work` in a process and session of its own, and return its id when it begins."""
    sys.stdout.flush()
    sys.stderr.flush()
    begun, begins = os.pipe()
    process = os.fork()
    if not process:
        _child(work, log, rights, begins)
    os.close(begins)
    os.read(begun, 1)
    os.close(begun)
    return process


def _child(work: Callable[[], int], log: Path, rights: bool, begins: int) -> NoReturn:
    code = 70
    try:
        os.setsid()
        stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        for number in (1, 2):
            os.dup2(stream, number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the parent runs in the background
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        if not rights:
            _drop_rights()
        os.write(begins, b"1")
        os.close(begins)
        code = work()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    except BaseException:  # noqa: BLE001 (as the interpreter does it)
        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _drop_rights() -> None:
    """Give up what root may beyond other users (capset(2)), reading files without permission above all."""
    version = 0x20080522
    header, none = (ctypes.c_uint32 * 2)(version, 0), (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None).capset(header, none):
        raise OSError("capset failed")


Watch = Callable[[str, bool], None]
"""Is given the name that a file takes, before it takes it (False) and after (True)."""


def _watch_renames(watch: Watch) -> None:
    """Tell of every file that is renamed, in this process and those that it forks."""

    def watched(rename: Callable[..., None]) -> Callable[..., None]:
        def renamed(source: Any, target: Any, **options: Any) -> None:
            name = Path(os.fsdecode(target)).name
            watch(name, False)
            rename(source, target, **options)
            watch(name, True)

        return renamed

    os.replace, os.rename = watched(os.replace), watched(os.rename)


def command(words: Sequence[str], folder: Path, watch: Watch | None = None) -> Callable[[], int]:
    """What runs a command line in a folder, with a cache and a temporary folder there."""

    def work() -> int:
        if watch is not None:
            _watch_renames(watch)
        import tempfile

        import datasets

        from bindtune import cli

        os.chdir(folder)
        datasets.config.HF_DATASETS_CACHE = folder / "cache"
        tempfile.tempdir = str(folder / "tmp")
        sys.argv = ["bindtune", *words]
        cli.main()
        return 0

    return work


def run(
    words: Sequence[str],
    folder: Path,
    *,
    at: float | None = None,
    number: int = signal.SIGKILL,
    again: float | None = None,
    grace: float | None = None,
    act: Callable[[], None] | None = None,
    rights: bool = True,
    watch: Watch | None = None,
) -> Ended:
    """Run a command to its end, or until something is done to it.

    Args:
        words: the command line without `bindtune`.
        folder: to run in.
        at: seconds after which the signal is sent to all its processes, or `act` is called.
        number: of the signal.
        again: seconds after the signal until it is sent once more.
        grace: seconds after the signal until SIGKILL.
        act: what to do instead of a signal.
        rights: whether root keeps those that other users do not have.
        watch: is told of renamed files, in the process of the command.
    """
    for name in ("cache", "tmp"):
        (folder / name).mkdir(exist_ok=True)
        (folder / name).chmod(0o777)
    log = folder / "log"
    process, started = fork(command(words, folder, watch), log=log, rights=rights), time.monotonic()
    ended = _wait(process, started + (LIMIT if at is None else at))
    if ended is None and at is not None:
        if act is not None:
            act()
        else:
            os.killpg(process, number)
        if again is not None and (ended := _wait(process, time.monotonic() + again)) is None:
            os.killpg(process, number)
        if ended is None:
            ended = _wait(process, time.monotonic() + (LIMIT if grace is None else grace))
    code = None if ended is None else os.waitstatus_to_exitcode(ended)
    seconds = time.monotonic() - started
    _end(process, alive=ended is None)
    if code is None and grace is not None:
        code = -signal.SIGKILL
    return Ended(code, log.read_text(errors="replace"), seconds)


def _wait(process: int, until: float) -> int | None:
    while True:
        ended_process, status = os.waitpid(process, os.WNOHANG)
        if ended_process:
            return status
        left = until - time.monotonic()
        if left <= 0:
            return None
        time.sleep(min(left, 0.003))


def _end(process: int, *, alive: bool) -> None:
    """Leave nothing of a session behind: workers that outlived their parent, or all of a command that hangs."""
    with suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)
    if alive:
        os.waitpid(process, 0)


def run_for_real(words: Sequence[str], folder: Path) -> Ended:
    """Run a command as users do, in a new interpreter."""
    for name in ("cache", "tmp"):
        (folder / name).mkdir(exist_ok=True)
    environment = {**os.environ, "HF_DATASETS_CACHE": str(folder / "cache"), "TMPDIR": str(folder / "tmp")}
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "bindtune", *words], cwd=folder, env=environment, text=True, capture_output=True
    )
    return Ended(done.returncode, done.stdout + done.stderr, time.monotonic() - started)


def compute(work: Callable[[], None], *, log: Path) -> None:
    """Run something that computes in a process of its own.

    Raises:
        RuntimeError: it failed; its output says why.
    """

    def counted() -> int:
        work()
        return 0

    _, status = os.waitpid(fork(counted, log=log), 0)
    if status:
        raise RuntimeError(log.read_text(encoding="utf-8"))


def prepare(work: Path) -> Path:
    """Write the inputs of all jobs, with a trained run and a probe."""
    inputs = work / "inputs"
    inputs.mkdir()
    compute(lambda: make_inputs(inputs), log=work / "inputs.log")
    trained = set_up(JOBS["train"], inputs, work / "trained")
    if (ended := run(JOBS["train"].words, trained)).code:
        raise RuntimeError(ended.output)
    shutil.copytree(trained / OUT, inputs / "run")
    unmerged(inputs / "run", inputs / "unmerged")
    probed = set_up(JOBS["probe"], inputs, work / "probed")
    if (ended := run(JOBS["probe"].words, probed)).code:
        raise RuntimeError(ended.output)
    shutil.copytree(probed / OUT, inputs / "probe")
    return inputs


# -------------------------------------------------------------------- disks


class NoMountError(Exception):
    """No file system can be mounted here."""


@contextmanager
def disk(folder: Path, *, size: int | None = None) -> Iterator[Callable[..., None]]:
    """Mount a small disk on a folder.

    Args:
        folder: an empty folder.
        size: bytes; unlimited where it is None.

    Yields:
        What changes it while it is mounted: `writable=False` or `size=`.

    Raises:
        NoMountError: mounting is refused.
    """

    def mount(*options: str) -> None:
        words = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(folder)]
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode:
            raise NoMountError(" ".join(done.stderr.split()) or "mount failed")

    def change(*, writable: bool = True, size: int | None = None) -> None:
        mount("remount", "rw" if writable else "ro", f"size={size or 0}")

    try:
        mount("rw", "mode=0777", f"size={size or 0}")
    except FileNotFoundError as error:
        raise NoMountError("there is no mount command") from error
    try:
        yield change
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False, capture_output=True)
