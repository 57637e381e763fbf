"""Run folders: files that are written whole or not at all, and the record of what was run."""

import errno
import glob
import hashlib
import json
import os
import platform
import re
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

from safetensors import SafetensorError

from bindtune.errors import ConfigError, InputError
from bindtune.locks import lock, open_lock
from bindtune.outputs import output_folder

LOCK = ".lock"
_TRIES = 5
_PART = ".part"
_NEXT_TO_NOTHING = 1 << 16
_LONGEST = 100
"""Bytes of a name that temporary names repeat: some disks have room for 143, most for 255."""
_DAY = 24 * 60 * 60.0


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; it takes that name when the block ends, and is removed when it fails.

    Args:
        path: the file to be written; its folder is made where it is missing.

    Raises:
        OSError: the file cannot be written; with its own name.
    """
    with writing(path):
        _make_folder(path.parent)
        temporary = _temporary(path)
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        try:
            with _locked(descriptor, temporary):
                yield temporary
                # Some libraries put a file of their own, with rights of its own, in place of the one they are given.
                if stat.S_IMODE(temporary.stat().st_mode) != mode:
                    temporary.chmod(mode)
                temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_stream(path: Path) -> Iterator[BinaryIO]:
    """Give an open file to write bytes to, which is in its place when the block ends, as by `atomic_path`.

    Libraries that are given a file need no name, which some of them would take for UTF-8.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        yield stream


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give an empty temporary folder beside `path`; it takes that name when the block ends, and goes when it fails.

    Args:
        path: the folder to be made, which is not there or is empty.

    Raises:
        ConfigError: another process is making it.
        OSError: something in it cannot be written.
    """
    with writing(path):
        _make_folder(path.parent)
        _refuse_twin(path)
        outer = _temporary(path)
        outer.mkdir()
        try:
            with _locked(open_lock(outer / LOCK, create=True), path):
                new = outer / path.name
                new.mkdir()
                yield new
                new.replace(path)
        finally:
            shutil.rmtree(outer, ignore_errors=True)


def _refuse_twin(path: Path) -> None:
    """Refuse to make a folder that another process is making; nobody knows on a disk without locks."""
    for temporary in path.parent.glob(f"{glob.escape(_beginning(path.name))}*{_PART}"):
        try:
            with suppress(FileNotFoundError, PermissionError):
                if temporary.is_dir() and not temporary.is_symlink():
                    _is_abandoned(temporary)
        except BlockingIOError as error:
            raise ConfigError(f"{path} is in use by another process") from error


def _make_folder(folder: Path) -> None:
    """Make a folder and its parents where they are missing.

    Raises:
        InputError: something else stands there, such as a link to nothing.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        output_folder(folder)
        raise


def _temporary(path: Path) -> Path:
    """A new name beside `path` that `sweep` recognises."""
    return path.with_name(f"{_beginning(path.name)}{secrets.token_hex(4)}{_PART}")


def _beginning(name: str) -> str:
    """How temporary names for a file begin: with its name, or with a hash where a disk might find that too long."""
    content = os.fsencode(name)
    return f".{name if len(content) <= _LONGEST else hashlib.sha256(content).hexdigest()[:32]}."


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
        temporary = str(path.parent / _beginning(path.name))
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


def sweep(folder: Path, name: str | None = None) -> None:
    """Remove what processes that were killed left half-written in a folder; what a living one writes stays.

    On a disk without locks nobody knows who lives: there, what is a day old is removed.

    Args:
        folder: need not be there.
        name: of the file that was being written; any by default.
    """
    beginning = "." if name is None else _beginning(name)
    for stray in folder.glob(f".*{_PART}"):
        # Another user's leftovers cannot be opened and stay; another process may sweep at the same moment.
        with suppress(FileNotFoundError, PermissionError, BlockingIOError, ConfigError):
            if stray.name.startswith(beginning) and not stray.is_symlink() and _is_abandoned(stray):
                if stray.is_dir():
                    shutil.rmtree(stray, ignore_errors=True)
                else:
                    stray.unlink()


def _is_abandoned(stray: Path) -> bool:
    """Whether no living process writes a temporary file or folder.

    Raises:
        BlockingIOError: one does.
    """
    path = stray / LOCK if stray.is_dir() else stray
    descriptor = open_lock(path, create=stray.is_dir())
    try:
        return lock(descriptor, path) or time.time() - stray.stat().st_mtime > _DAY
    finally:
        os.close(descriptor)


@contextmanager
def _locked(descriptor: int, path: Path) -> Iterator[None]:
    """Hold a lock on an open file of this process, and close the file."""
    try:
        lock(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def in_use(folder: Path) -> bool:
    """Whether a process, this one included, is `only_writer` of a folder; nobody knows on a disk without locks."""
    path = folder / LOCK
    try:
        try:
            descriptor = open_lock(path, create=False)
        except OSError as error:
            if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
                raise
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        lock(descriptor, path, shared=True)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextmanager
def taking_turns(folder: Path) -> Iterator[None]:
    """Let one process after the other through the block; the folder is made where it is missing."""
    with _lock_file(folder) as descriptor:
        lock(descriptor, folder / LOCK, wait=True)
        yield


_descriptors: set[int] = set()
"""Lock files of this process. A lock goes when the last process that has its file open ends: forked ones close it."""


def _close_in_child() -> None:
    for descriptor in _descriptors:
        os.close(descriptor)
    _descriptors.clear()


os.register_at_fork(after_in_child=_close_in_child)


@contextmanager
def _lock_file(folder: Path) -> Iterator[int]:
    _make_folder(folder)
    descriptor = open_lock(folder / LOCK, create=True)
    _descriptors.add(descriptor)
    try:
        yield descriptor
    finally:
        if descriptor in _descriptors:
            _descriptors.discard(descriptor)
            os.close(descriptor)


@contextmanager
def only_writer(folder: Path, *, tidy: bool = False) -> Iterator[None]:
    """Keep other processes out of a folder while the block runs; the folder is made where it is missing.

    The lock goes with the process, so a kill leaves nothing behind that would have to be removed. On a disk without
    locks nothing keeps them out.

    Args:
        folder: that files are written to.
        tidy: remove the lock's file at the end, and the folder where it was made and nothing came into it.

    Raises:
        ConfigError: another process has the folder.
    """
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for _ in range(_TRIES):
        with _lock_file(folder) as descriptor:
            try:
                lock(descriptor, folder / LOCK)
            except BlockingIOError:
                time.sleep(0.05)  # `in_use` holds the lock for a moment
                continue
            if not _is_at(descriptor, folder / LOCK):
                continue  # a process that ended has just removed the file
            try:
                yield
            finally:
                if tidy:
                    (folder / LOCK).unlink(missing_ok=True)
                    for one in missing:
                        with suppress(OSError):  # it holds something
                            one.rmdir()
            return
    raise ConfigError(f"{folder} is in use by another process")


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file has still its name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


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
