"""What stands where a command is to write, looked at before anything is computed."""

import errno
import os
import stat
from pathlib import Path

from bindtune.errors import InputError

LONGEST_NAME = 255
"""Bytes of the name of a file, on most disks."""


def output_folder(path: Path) -> Path:
    """The folder to write into; it need not be there.

    Returns:
        The folder itself where `path` is a link to it.

    Raises:
        InputError: a file, or a link to nothing, stands there or where one of its parents should be.
        OSError: nothing can be written there.
    """
    for folder in (path, *path.parents):
        mode = _mode(folder)
        if mode is None:
            continue
        if not stat.S_ISDIR(mode):
            raise InputError(folder, None, "is a file, expected a folder")
        if not os.access(folder, os.W_OK | os.X_OK):
            number = errno.EROFS if os.statvfs(folder).f_flag & os.ST_RDONLY else errno.EACCES
            raise OSError(number, os.strerror(number), str(path))
        break
    return path.resolve() if path.is_symlink() else path


def output_file(path: Path) -> Path:
    """The file to write; it need not be there.

    Returns:
        The file itself where `path` is a link to it.

    Raises:
        InputError: a folder, a device or a link to nothing stands there, or a file where one of its parents should be.
        OSError: nothing can be written there.
    """
    mode = _mode(path)
    if mode is not None and not stat.S_ISREG(mode):
        kind = "folder" if stat.S_ISDIR(mode) else "device"
        raise InputError(path, None, f"is a {kind}; --out names a file")
    target = path.resolve() if path.is_symlink() else path
    output_folder(target.parent)
    return target


def _mode(path: Path) -> int | None:
    """What kind of file there is, or None where there is none.

    Raises:
        InputError: there is a link to nothing.
    """
    try:
        return path.stat().st_mode
    except NotADirectoryError:  # one of the parents is a file
        return None
    except FileNotFoundError as error:
        if not path.is_symlink():
            return None
        target = path.readlink()
        raise InputError(
            path, None, f"is a symbolic link to '{target}', which is not there: make that first, or delete the link"
        ) from error
