import errno
import resource
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors import SafetensorError

from bindtune.errors import CheckpointError, ConfigError, InputError
from bindtune.host_limits import host_memory, size
from bindtune.memory_errors import OutOfMemoryError, is_out_of_memory, naming_settings
from bindtune.models.load_errors import loading

FAR_TOO_MUCH = 1 << 60


def _raised(work: Callable[[], object]) -> Exception:
    with pytest.raises(Exception) as caught:
        work()
    return caught.value


@pytest.mark.parametrize(
    "work",
    [
        lambda: np.empty(FAR_TOO_MUCH, np.int8),
        lambda: torch.empty(FAR_TOO_MUCH // 8),
        lambda: pa.allocate_buffer(FAR_TOO_MUCH),
        lambda: bytearray(FAR_TOO_MUCH),
    ],
)
def test_what_libraries_raise_is_recognised(work: Callable[[], object]) -> None:
    assert is_out_of_memory(_raised(work))


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("unable to mmap 8 bytes from file <x>: Cannot allocate memory (12)"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        OSError("unable to mmap 8 bytes: Cannot allocate memory (12)"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        SafetensorError("Error while deserializing: Cannot allocate memory (os error 12)"),
    ],
)
def test_what_the_system_says_is_recognised(error: Exception) -> None:
    assert is_out_of_memory(error)
    wrapped = InputError("a", None, "cannot be read")
    wrapped.__cause__ = error
    assert is_out_of_memory(wrapped)


@pytest.mark.parametrize(
    "error",
    [
        InputError("out of memory.fa", None, "holds no protein"),
        OSError(errno.ENOENT, "No such file", "out of memory.fa"),
        RuntimeError("shape mismatch"),
        ValueError("Cannot allocate memory"),
        ImportError("libtorch_cpu.so: cannot open shared object file"),
    ],
)
def test_all_else_is_not(error: Exception) -> None:
    assert not is_out_of_memory(error)


def test_an_error_without_words_counts_where_the_shell_limits_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    error = SystemError("error return without exception set")
    for limit, is_memory in ((resource.RLIM_INFINITY, False), (1 << 30, True)):
        monkeypatch.setattr(resource, "getrlimit", lambda kind, limit=limit: (limit, limit))
        assert is_out_of_memory(error) == is_memory


def test_an_error_that_hides_another_stands_for_itself() -> None:
    try:
        try:
            raise MemoryError
        except MemoryError:
            raise ConfigError("too many proteins") from None
    except ConfigError as error:
        assert not is_out_of_memory(error)


def test_the_line_says_how_much_there_is_and_what_lowers_the_need() -> None:
    with pytest.raises(OutOfMemoryError) as caught, naming_settings(lambda: "lower x (now 3)"):
        raise MemoryError
    assert str(caught.value) == f"out of memory: this process may use {size(host_memory())}; lower x (now 3)"
    with pytest.raises(OutOfMemoryError, match=r"^inner$"), naming_settings(lambda: "outer"):
        raise OutOfMemoryError("inner")


def test_a_model_that_does_not_fit_is_not_called_damaged() -> None:
    fault = r"^out of memory: .*; m\.pt does not fit, or is damaged$"
    with pytest.raises(OutOfMemoryError, match=fault), loading("m.pt", "no model"):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes")
    with pytest.raises(RuntimeError, match=r"^can't start new thread$"), loading("m.pt", "no model"):
        raise RuntimeError("can't start new thread")
    with pytest.raises(CheckpointError, match=r"m\.pt: no model: cut off"), loading("m.pt", "no model"):
        raise RuntimeError("cut off")


def test_a_limit_of_the_shell_counts() -> None:
    script = (
        "import resource; from bindtune.host_limits import host_memory; "
        f"resource.setrlimit(resource.RLIMIT_AS, ({1 << 30}, {resource.RLIM_INFINITY})); print(host_memory())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(done.stdout) == 1 << 30
