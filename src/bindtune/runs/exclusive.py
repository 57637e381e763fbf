"""One process at a time in a folder."""

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bindtune.errors import ConfigError
from bindtune.locks import lock, open_lock
from bindtune.runs.names import LOCK
from bindtune.runs.writing import make_folder

_TRIES = 5


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
    make_folder(folder)
    descriptor = open_lock(folder / LOCK, create=True)
    _descriptors.add(descriptor)
    try:
        yield descriptor
    finally:
        if descriptor in _descriptors:
            _descriptors.discard(descriptor)
            os.close(descriptor)


@contextmanager
def only_writer(folder: Path, *, tidy: bool = False, shared: bool = False) -> Iterator[None]:
    """Keep other processes out of a folder while the block runs; the folder is made where it is missing.

    The lock goes with the process, so a kill leaves nothing behind that would have to be removed. On a disk without
    locks nothing keeps them out.

    Args:
        folder: that files are written to.
        tidy: remove the lock's file at the end, and the folder where it was made and nothing came into it.
        shared: let other processes in that share the folder too, and keep out those that want it alone.

    Raises:
        ConfigError: another process has the folder.
    """
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for _ in range(_TRIES):
        with _lock_file(folder) as descriptor:
            try:
                lock(descriptor, folder / LOCK, shared=shared)
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
