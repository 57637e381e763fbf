"""Locks on files that go with the process, on disks that have them and on disks that have none.

Network disks make a `flock` from locks on bytes. There an exclusive lock needs a file that is open for writing, and a
disk whose lock server is not running has no locks at all.
"""

import errno
import fcntl
import logging
import os
from pathlib import Path

from bindtune.errors import ConfigError

log = logging.getLogger(__name__)

_MISSING = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF}
_TAKEN = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES}
_warned: list[Path] = []
"""The file for which this process said that its disk has no locks: it says so once."""


def open_lock(path: Path, *, create: bool) -> int:
    """Open a file to lock it, for writing; its content stays as it is, and a symbolic link is not followed.

    Args:
        path: the file.
        create: make it where it is missing.

    Returns:
        A descriptor, which the caller closes.

    Raises:
        ConfigError: the file is a symbolic link.
        OSError: it cannot be opened for writing.
    """
    return open_own(path, os.O_RDWR | (os.O_CREAT if create else 0))


def open_own(path: Path, flags: int) -> int:
    """Open a file that bindtune makes under a fixed name; a symbolic link is not followed.

    Args:
        path: the file.
        flags: as `os.open` takes them.

    Returns:
        A descriptor, which the caller closes.

    Raises:
        ConfigError: the file is a symbolic link.
        OSError: it cannot be opened.
    """
    try:
        return os.open(path, flags | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            refuse_link(path)
        raise


def refuse_link(path: Path) -> None:
    """Refuse a symbolic link where bindtune makes a file of its own.

    Raises:
        ConfigError: there is one.
    """
    if path.is_symlink():
        raise ConfigError(f"{path} is a symbolic link, expected a file that bindtune makes: delete it")


def lock(descriptor: int, path: Path, *, shared: bool = False, wait: bool = False) -> bool:
    """Lock an open file; the lock goes when the file is closed.

    Args:
        descriptor: of the file.
        path: the file, for the message.
        shared: let other shared locks stand beside this one.
        wait: until the lock can be had.

    Returns:
        Whether there is a lock now. A disk without locks is named in one warning, and bindtune goes on without.

    Raises:
        BlockingIOError: another process holds the lock.
    """
    kind = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
    try:
        fcntl.flock(descriptor, kind)
    except OSError as error:
        if error.errno in _TAKEN:
            raise BlockingIOError(error.errno, error.strerror, str(path)) from error
        if error.errno not in _MISSING:
            raise
        if not _warned:
            _warned.append(path)
            log.warning(
                "%s: this disk has no file locks (%s); bindtune goes on without them, so start only one command at a "
                "time in a folder",
                path.parent, error.strerror,
            )  # fmt: skip
        return False
    return True
