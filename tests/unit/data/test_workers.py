import errno
import importlib.util
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from bindtune.data.workers import PRELOADED, PackingCollator, check_semaphores, reading
from bindtune.errors import ConfigError, InputError
from bindtune.fault_messages import fault_message


def collate(rows: list[int]) -> dict[str, Any]:
    return {"ids": torch.tensor(rows), "mask": torch.tensor(rows) > 1, "empty": torch.zeros(0, 3), "rows": rows}


class Collator:
    """Makes batches, and at one row does what it is told."""

    def __init__(self, act: Any) -> None:
        self.act = act

    def __call__(self, rows: list[int]) -> dict[str, Any]:
        if 2 in rows:
            self.act()
        return collate(rows)


def loader(collator: Any, workers: int) -> DataLoader[Any]:
    return DataLoader(range(6), batch_size=2, **reading(workers, collator, setting="n"))  # type: ignore[arg-type]


def test_batches_of_workers_are_those_of_the_process_itself() -> None:
    for own, packed in zip(loader(collate, 0), loader(collate, 2), strict=True):
        assert own.keys() == packed.keys()
        assert own["rows"] == packed["rows"]
        for name in ("ids", "mask", "empty"):
            assert own[name].dtype == packed[name].dtype
            assert torch.equal(own[name], packed[name])
        packed["ids"] += 1  # may be written to, as a batch may


def test_batches_need_no_shared_memory_and_no_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("unable to allocate shared memory(shm)")

    monkeypatch.setattr(torch.UntypedStorage, "_share_fd_cpu_", refuse)
    monkeypatch.setattr(torch.UntypedStorage, "_share_filename_cpu_", refuse)
    assert [batch["rows"] for batch in loader(collate, 1)] == [[0, 1], [2, 3], [4, 5]]
    assert PackingCollator(collate)([1])["rows"] == [1]


@pytest.mark.parametrize("name", PRELOADED)
def test_modules_that_a_server_imports_for_workers_are_there(name: str) -> None:
    """Python skips a missing one without a word, and every worker then imports it by itself."""
    assert importlib.util.find_spec(f"bindtune.data.{name}") is not None


def test_no_room_for_semaphores_names_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(multiprocessing, "Lock", full)
    with pytest.raises(ConfigError, match=r"shm: No space left.* set num_workers=0, .*--shm-size"):
        reading(1, collate, setting="num_workers=0")
    with pytest.raises(ConfigError, match="set processes=1"):
        check_semaphores(2, setting="processes=1")
    assert reading(0, collate, setting="num_workers=0") == {"num_workers": 0, "collate_fn": collate}


def raise_input_error() -> None:
    raise InputError("a.fa", 3, "2 problems", listing=["one", "two"])


def raise_memory_error() -> None:
    raise np._core._exceptions._ArrayMemoryError((1 << 40,), np.dtype(np.int64))


def raise_system_error() -> None:
    raise OSError(errno.ESTALE, "Stale file handle", "a.npz")


def raise_bug() -> None:
    raise TypeError("a bug")


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (raise_input_error, "a.fa:3: 2 problems\none\ntwo"),
        (raise_memory_error, "out of memory: this process may use"),
        (raise_system_error, "Stale file handle: 'a.npz'"),
        (
            lambda: os.kill(os.getpid(), signal.SIGKILL),
            "a process that reads batches ",
        ),
        (lambda: os._exit(3), "a process that reads batches exited unexpectedly, as"),
        (raise_bug, None),
    ],
)
def test_what_happens_in_a_worker_is_said(act: Any, message: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["bindtune", "train"])
    with pytest.raises(Exception) as caught:
        list(loader(Collator(act), 1))
    said = fault_message(caught.value)
    if message is None:
        assert said is None
    else:
        assert said is not None
        assert said.startswith(message)
        assert ("training.num_workers=0" in said) == ("process" in message)


def test_a_process_that_fails_does_not_wait_for_its_workers() -> None:
    """The traceback holds the loader, so that it cannot end its workers, and they leave the first SIGTERM."""
    script = (
        "import torch\n"
        "from torch.utils.data import DataLoader\n"
        "from bindtune.data.workers import reading\n"
        "batches = iter(DataLoader(range(99), **reading(1, dict, setting='n') | {'collate_fn': list}))\n"
        "next(batches)\n"
        "raise RuntimeError('failed')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith("RuntimeError: failed")


def runs(process: int) -> bool:
    """Whether a process is there and has not ended; the system may keep an ended one for a while."""
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False


def test_workers_end_with_a_process_that_is_killed() -> None:
    """They keep memory otherwise: each would go on with its batch, or wait for its turn to send one."""
    script = (
        "import multiprocessing, os, time\n"
        "from torch.utils.data import DataLoader\n"
        "from bindtune.data.workers import reading\n"
        "arguments = reading(2, dict, setting='n') | {'collate_fn': lambda rows: time.sleep(99)}\n"
        "batches = iter(DataLoader(range(2), **arguments))\n"
        "print(*(each.pid for each in multiprocessing.active_children()), flush=True)\n"
        "next(batches)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        workers = [int(word) for word in process.stdout.readline().split()]
        process.kill()
    assert len(workers) == 2
    for _ in range(200):
        if not any(runs(worker) for worker in workers):
            break
        time.sleep(0.1)
    else:
        pytest.fail("a worker outlives the process that it reads for")


def test_an_error_of_input_survives_the_way_between_processes() -> None:
    """A pool whose results cannot be unpickled waits without end."""
    results: list[object] = []
    with multiprocessing.get_context("fork").Pool(1) as pool:
        worker = threading.Thread(target=lambda: results.append(pool.apply_async(raise_input_error)))
        worker.start()
        worker.join()
        with pytest.raises(InputError, match="2 problems") as caught:
            results[0].get(timeout=30)  # type: ignore[attr-defined]
    assert (caught.value.path, caught.value.line, caught.value.unit) == ("a.fa", 3, "")
