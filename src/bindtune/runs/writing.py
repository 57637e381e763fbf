"""Write files completely or not at all."""

import errno
import glob
import hashlib
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from safetensors import SafetensorError

from bindtune.errors import ConfigError, library_text
from bindtune.locks import lock, open_lock
from bindtune.outputs import output_folder
from bindtune.runs.names import LOCK

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
        make_folder(path.parent)
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
        make_folder(path.parent)
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


def make_folder(folder: Path) -> None:
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
        if error.errno is None or error.errno in _NOT_ABOUT_FILES or not own:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
    except (RuntimeError, SafetensorError) as error:
        if not any(words in str(error) for words in _FAILED_WRITES):
            raise
        number = _errno(error, path)
        reason = os.strerror(number) if number else f"cannot be written: {library_text(error)}"
        raise OSError(number or errno.EIO, reason, str(path)) from error


_NOT_ABOUT_FILES = (errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN)
"""Too little memory, too many open files or processes: the file that was being written has no part in it."""


_FAILED_WRITES = ("inline_container", "iostream error", "PytorchStreamWriter", "Error while serializing")
"""In what torch and safetensors say."""


def _errno(error: BaseException, path: Path) -> int | None:
    """Why a library could not write: an error before it says so, or the number in its text; or the disk is full."""
    before = error.__context__
    while before is not None:
        if isinstance(before, OSError) and before.errno:
            return before.errno
        before = before.__context__
    if match := re.search(r"os error (\d+)", str(error)):
        return int(match[1])
    there = next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())
    return errno.ENOSPC if shutil.disk_usage(there).free < _NEXT_TO_NOTHING else None


def is_temporary(name: str) -> bool:
    """Whether a file is, by its name, one that was being written; a killed process leaves such files.

    Example:
        >>> is_temporary(".config.yaml.1f67daf7.part"), is_temporary("config.yaml")
        (True, False)
    """
    return name.startswith(".") and name.endswith(_PART)


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
