"""What the libraries that load models raise where a file is damaged, as one kind of error."""

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from zipfile import BadZipFile

from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError

from bindtune.documents import read_json
from bindtune.errors import BindtuneError, CheckpointError

DAMAGED = (
    OSError, RuntimeError, EOFError, LookupError, TypeError, ValueError, AttributeError, AssertionError, ImportError,
    ArithmeticError, MemoryError, struct.error, BadZipFile, UnpicklingError, SafetensorError, StrictDataclassError,
)  # fmt: skip
"""What loading raises, depending on where a file is damaged."""
MODEL_DOCUMENTS = ("config.json", "model.safetensors.index.json", "pytorch_model.bin.index.json")
TOKENIZER_DOCUMENTS = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


@contextmanager
def loading(source: Path | str, what: str) -> Iterator[None]:
    """Make a CheckpointError that names the source of whatever loading raises.

    Args:
        source: file, folder or hub name.
        what: begins the message, such as "no tokenizer".

    Raises:
        CheckpointError: the block could not load.
    """
    try:
        yield
    except BindtuneError as error:
        if str(source) in str(error):
            if isinstance(error, CheckpointError):
                raise
            raise CheckpointError(str(error)) from error
        raise CheckpointError(f"{source}: {what}: {error}") from error
    except DAMAGED as error:
        raise CheckpointError(f"{source}: {what}: {_one_line(error)}") from error
    except Exception as error:
        if type(error) is not Exception:
            raise
        raise CheckpointError(f"{source}: {what}: {_one_line(error)}") from error  # tokenizers has no error of its own


def check_documents(folder: Path | str, names: Sequence[str]) -> None:
    """Refuse a folder whose JSON files hold something else than names and values; a file may be missing.

    Raises:
        CheckpointError: one does.
        InputError: one is not JSON.
    """
    for path in (Path(folder) / name for name in names):
        if path.is_file() and not isinstance(content := read_json(path), dict):
            raise CheckpointError(f"{path}: expected names and values, found {type(content).__name__}")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:400] or f"it is empty or cut off ({type(error).__name__})"
