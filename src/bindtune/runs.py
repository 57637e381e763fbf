"""Run folders: files that are written whole or not at all, and the record of what was run."""

import errno
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

from safetensors import SafetensorError

from bindtune.errors import ConfigError, InputError

LOCK = ".lock"
_TRIES = 5
_PART = ".part"
_NEXT_TO_NOTHING = 1 << 16


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; it takes that name when the block ends, and is removed when it fails.

    Args:
        path: the file to be written; its folder is made where it is missing.

    Raises:
        OSError: the file cannot be written; with its own name.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=_PART)
        os.close(handle)
        temporary = Path(name)
        try:
            with _locked(temporary):
                yield temporary
                umask = os.umask(0)
                os.umask(umask)
                temporary.chmod(0o666 & ~umask)
                temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give an empty temporary folder beside `path`; it takes that name when the block ends, and goes when it fails.

    Args:
        path: the folder to be made, which is not there or is empty.

    Raises:
        OSError: something in it cannot be written.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        made = tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.", suffix=_PART)
        with made as name, _locked(Path(name)):
            new = Path(name) / path.name
            new.mkdir()
            yield new
            new.replace(path)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Name what is written in the errors of those who write to it.

    An OSError of an open file has no name, and torch and safetensors raise errors of their own where a disk is full.

    Args:
        path: the file, or the folder in which more files are written than this.

    Raises:
        OSError: the block could not write; `filename` is `path`, or what the block says itself.
    """
    try:
        yield
    except OSError as error:
        temporary = str(path.with_name(f".{path.name}."))
        own = error.filename is None or os.fsdecode(error.filename).startswith(temporary)
        if error.errno is None or not own:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
    except (RuntimeError, SafetensorError) as error:
        if not any(words in str(error) for words in _FAILED_WRITES):
            raise
        number = _errno(error, path)
        reason = os.strerror(number) if number else f"cannot be written: {' '.join(str(error).split())[:200]}"
        raise OSError(number or errno.EIO, reason, str(path)) from error


_FAILED_WRITES = ("inline_container", "iostream error", "PytorchStreamWriter", "Error while serializing")
"""In what torch and safetensors say."""


def _errno(error: BaseException, path: Path) -> int | None:
    """Why a library could not write: an error before it says so, or the number in its text; or the disk is full."""
    before = error.__context__
    while before is not None:
        if isinstance(before, OSError) and before.errno:
            return before.errno
        before = before.__context__
    if told := re.search(r"os error (\d+)", str(error)):
        return int(told[1])
    there = next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())
    return errno.ENOSPC if shutil.disk_usage(there).free < _NEXT_TO_NOTHING else None


def sweep(folder: Path, name: str = "*") -> None:
    """Remove what processes that were killed left half-written in a folder; what a living one writes stays.

    Args:
        folder: need not be there.
        name: of the file that was being written; any by default.
    """
    for stray in folder.glob(f".{name}.*{_PART}"):
        with suppress(FileNotFoundError, BlockingIOError), _locked(stray):
            if stray.is_dir():
                shutil.rmtree(stray, ignore_errors=True)
            else:
                stray.unlink()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock on a file or folder, which goes with the process.

    Raises:
        BlockingIOError: a living process holds it.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


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


def refuse_other_inputs(signed: Path, origin: Mapping[str, Any]) -> None:
    """Refuse to go on with other input files than those that a run began with.

    Args:
        signed: what `provenance` said then, as JSON.
        origin: what it says now.

    Raises:
        ConfigError: names the inputs that changed.
        InputError: what was said then is damaged.
    """
    try:
        earlier = json.loads(signed.read_text(encoding="utf-8"))
        before = {name: each["sha256"] for name, each in earlier["inputs"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(signed, None, "is damaged") from error
    now = {name: each["sha256"] for name, each in origin["inputs"].items()}
    changed = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    if changed:
        raise ConfigError(
            f"{signed.parent}: the input files are not those that the run began with: {', '.join(changed)}"
        )
