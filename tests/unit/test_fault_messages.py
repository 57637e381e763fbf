import errno
import re

import pytest

from bindtune import fault_messages
from bindtune.config import BindingConfig
from bindtune.config.commands import COMMANDS, settings_of
from bindtune.errors import ConfigError, InputError
from bindtune.fault_messages import fault_message


@pytest.mark.parametrize("command", sorted(fault_messages._LESS_MEMORY))
def test_settings_that_lower_the_need_for_memory_are_there(command: str) -> None:
    text = fault_messages._LESS_MEMORY[command]
    options = re.findall(r"--([\w-]+)", text)
    settings = re.findall(r"training\.([\w.]+)", text)
    assert options or settings
    if command in COMMANDS:
        assert {name.replace("-", "_") for name in options} <= settings_of(command).model_fields.keys()
    training = BindingConfig.model_fields["training"].annotation
    assert training is not None
    assert {name.split(".")[0] for name in settings} <= training.model_fields.keys()


def test_every_command_has_one_line_where_memory_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for command in ("report", *COMMANDS):
        monkeypatch.setattr("sys.argv", ["bindtune", command])
        wrapped = InputError("run/config.yaml", None, "cannot be read")
        wrapped.__cause__ = OSError(errno.ENOMEM, "Cannot allocate memory")
        for error in (MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory"), wrapped):
            message = fault_message(error)
            assert message is not None
            assert re.fullmatch(r"out of memory: this process may use [\d.]+ GiB; .+", message)
        assert fault_message(ConfigError("x is required")) == "x is required"
        assert fault_message(TypeError("a bug")) is None


def test_limits_of_the_system_are_named() -> None:
    files = fault_message(OSError(errno.EMFILE, "Too many open files", "a.parquet"))
    assert files is not None
    assert re.fullmatch(r"a.parquet: Too many open files: raise the limit \(ulimit -n, now \d+\)", files)
    processes = fault_message(BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"))
    assert processes is not None
    assert "raise the limit of processes and threads (ulimit -u, now " in processes
    threads = fault_message(RuntimeError("can't start new thread"))
    assert threads is not None
    assert threads.startswith("no thread can be started: raise the limit of processes and threads (ulimit -u, now ")


def test_a_process_that_tokenises_and_dies_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["bindtune", "pretrain"])
    message = fault_message(RuntimeError("One of the subprocesses has abruptly died during map operation.To debug"))
    assert message is not None
    assert "lower --preprocessing_num_workers" in message
