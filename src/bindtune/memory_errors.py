"""Memory that ran out: how Python and the libraries say it, and what is said to the user."""

import errno
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bindtune.errors import BindtuneError
from bindtune.host_limits import host_memory, size

OUT_OF_MEMORY = (
    "allocate memory",  # "can't" by torch, "Cannot" by the system
    "not enough memory",
    "out of memory",
    "alloc_failed",
    "bad_alloc",
    "failed to map segment",  # a shared library at an import
)
"""What errors say that have no class or number of their own, in lower case."""
NO_THREAD = ("can't start new thread", "resource temporarily unavailable")
"""What Python and C++ say where no thread can be started, in lower case: too many run, or there is no memory for it."""
_UNLIMITED = 1 << 60
_NOT_THEIR_OWN = (RuntimeError, ImportError, OSError)


class OutOfMemoryError(BindtuneError):
    """Memory ran out; the message names what lowers the need."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, or one that it was raised from, says that memory ran out.

    Examples:
        >>> is_out_of_memory(MemoryError())
        True
        >>> is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory"))
        True
        >>> is_out_of_memory(ValueError("out of memory"))
        False
    """
    cause: BaseException | None = error
    while cause is not None:
        if _says_so(cause):
            return True
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return False


def _says_so(error: BaseException) -> bool:
    if isinstance(error, MemoryError):  # those of NumPy and Arrow are such
        return True
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno == errno.ENOMEM
    if isinstance(error, SystemError):  # Python's own code, where even the error found no memory
        return "without exception set" in str(error) and resource.getrlimit(resource.RLIMIT_AS)[0] in range(
            1, _UNLIMITED
        )
    # safetensors and tokenizers, which are written in Rust, have errors of no other class
    if isinstance(error, _NOT_THEIR_OWN) or type(error) is Exception or type(error).__name__ == "SafetensorError":
        return any(words in str(error).lower() for words in OUT_OF_MEMORY)
    return False


def is_no_thread(error: BaseException) -> bool:
    """Whether an error says that no thread could be started.

    Examples:
        >>> is_no_thread(RuntimeError("can't start new thread"))
        True
        >>> is_no_thread(RuntimeError("can't allocate memory"))
        False
    """
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in NO_THREAD)


@contextmanager
def naming_settings(advice: Callable[[], str]) -> Iterator[None]:
    """Say how much memory there is, and what lowers the need, where the block runs out of it.

    Args:
        advice: which settings lower the need.

    Raises:
        OutOfMemoryError: memory ran out while the block ran.
    """
    try:
        yield
    except OutOfMemoryError:
        raise
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(out_of_memory(error, advice())) from error


def out_of_memory(error: BaseException, advice: str) -> str:
    """The line about memory that ran out: of what there was too little, how much there is, and what to do."""
    return f"out of memory: {_memory(error)}; {advice}"


def _memory(error: BaseException) -> str:
    torch: Any = sys.modules.get("torch")  # not imported for this: there may be no memory for it
    if torch is not None and "cuda" in str(error).lower() and torch.cuda.is_initialized():
        free, total = torch.cuda.mem_get_info()
        return f"the GPU has {size(total)}, of which {size(free)} are free"
    return process_memory()


def process_memory() -> str:
    """How much memory this process may use, in words."""
    memory = host_memory()
    return f"this process may use {size(memory)}" if memory else "how much this process may use is unknown"
