"""Turn the errors of model-loading libraries for damaged files into one kind of error."""

import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import BadZipFile

from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError

from bindtune.errors import BindtuneError, CheckpointError, is_panic, library_text
from bindtune.memory_errors import OutOfMemoryError, is_no_thread, is_out_of_memory, out_of_memory

DAMAGED = (
    OSError, RuntimeError, EOFError, LookupError, TypeError, ValueError, AttributeError, AssertionError, ImportError,
    ArithmeticError, MemoryError, struct.error, BadZipFile, UnpicklingError, SafetensorError, StrictDataclassError,
)  # fmt: skip
"""Errors of loading, depending on the damaged part of a file."""


@contextmanager
def loading(source: Path | str, what: str) -> Iterator[None]:
    """Turn any error of loading into a CheckpointError that names the source.

    Args:
        source: file, folder or hub name.
        what: beginning of the message, such as "no tokenizer".

    Raises:
        CheckpointError: the block could not load.
        OutOfMemoryError: it ran out of memory.
    """
    try:
        yield
    except BindtuneError as error:
        if is_out_of_memory(error):
            raise
        if str(source) in str(error):
            if isinstance(error, CheckpointError):
                raise
            raise CheckpointError(str(error)) from error
        raise CheckpointError(f"{source}: {what}: {error}") from error
    except DAMAGED as error:
        if is_out_of_memory(error):
            raise OutOfMemoryError(out_of_memory(error, f"{source} does not fit, or is damaged")) from error
        if is_no_thread(error):
            raise
        raise CheckpointError(f"{source}: {what}: {_one_line(error)}") from error
    except BaseException as error:
        if not is_panic(error) and (type(error) is not Exception or is_out_of_memory(error)):
            raise
        raise CheckpointError(f"{source}: {what}: {_one_line(error)}") from error  # tokenizers has no error of its own


@contextmanager
def tokenising(tokenizer: Any) -> Iterator[None]:
    """Name the tokenizer in the error if its files make it fail on a sequence, for example by a pattern without end.

    Args:
        tokenizer: of transformers, which knows where it came from.

    Raises:
        CheckpointError: the block failed.
    """
    with loading(tokenizer.name_or_path, "the tokenizer fails"):
        yield


def _one_line(error: BaseException) -> str:
    text = str(error)
    if not text.strip():
        return f"it is empty or cut off ({type(error).__name__})"
    if isinstance(error, UnpicklingError):
        asked = re.search(r"Unsupported global: GLOBAL (\S+)", text)
        content = f" ({asked[1][:80]})" if asked else ""
        return f"it is damaged, or holds more than tensors and plain values{content}, and no other pickle is run"
    return library_text(error, 400)
