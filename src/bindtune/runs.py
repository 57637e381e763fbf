"""Run folders: files that are written whole or not at all, and the record of what was run."""

import fcntl
import hashlib
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

from bindtune.errors import ConfigError, InputError

LOCK = ".lock"
_TRIES = 5


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; it takes that name when the block ends, and is removed when it fails.

    Args:
        path: the file to be written; its folder is made where it is missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def in_use(folder: Path) -> bool:
    """Whether a process, this one included, is `only_writer` of a folder."""
    try:
        with (folder / LOCK).open("r") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


@contextmanager
def taking_turns(folder: Path) -> Iterator[None]:
    """Let one process after the other through the block; the folder is made where it is missing."""
    with _lock_file(folder) as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


_handles: set[TextIO] = set()
"""Lock files of this process. A lock goes when the last process that has its file open ends: forked ones close it."""


def _close_in_child() -> None:
    for handle in _handles:
        handle.close()


os.register_at_fork(after_in_child=_close_in_child)


@contextmanager
def _lock_file(folder: Path) -> Iterator[TextIO]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as handle:
        _handles.add(handle)
        try:
            yield handle
        finally:
            _handles.discard(handle)


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Keep other processes out of a run folder while the block runs; the folder is made where it is missing.

    The lock goes with the process, so a kill leaves nothing behind that would have to be removed.

    Raises:
        ConfigError: another process has the folder.
    """
    with _lock_file(folder) as handle:
        for left in reversed(range(_TRIES)):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if not left:
                    raise ConfigError(f"{folder} is in use by another process") from error
                time.sleep(0.05)  # `in_use` holds the lock for a moment
        yield


def sha256(path: Path) -> str:
    """Hash of a file's content.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise InputError(path, None, f"cannot be read: {error.strerror}") from error


def provenance(inputs: Mapping[str, Path], packages: Sequence[str]) -> dict[str, Any]:
    """What a run was made of: versions, the command, and the hash of each input file.

    Args:
        inputs: input files by the setting that names them.
        packages: distributions whose versions matter.
    """
    return {
        "command": sys.argv,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {name: version(name) for name in ("bindtune", *packages)},
        "inputs": {name: {"path": str(path), "sha256": sha256(path)} for name, path in inputs.items()},
    }
