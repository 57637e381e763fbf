"""Run folders: files that are written whole or not at all, and the record of what was run."""

import errno
import glob
import hashlib
import os
import platform
import re
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

from safetensors import SafetensorError

from bindtune.documents import read_json
from bindtune.errors import ConfigError, InputError, library_text
from bindtune.locks import lock, open_lock
from bindtune.outputs import output_folder

LOCK, PROVENANCE = ".lock", "provenance.json"
FOLDER = "folder"
"""What provenance.json calls the absolute path of the run folder when the run began."""
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
    """Hash of a file's content, a block at a time; one process hashes a file again only where it has changed.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        state = path.stat()
        if not stat.S_ISREG(state.st_mode):
            return _hash(path)
        key = (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
        if key not in _hashes:
            _hashes[key] = _hash(path)
        return _hashes[key]
    except OSError as error:
        raise InputError(path, None, f"cannot be read: {error.strerror}") from error


_hashes: dict[tuple[int, ...], str] = {}
"""Hashes of files by where they lie on the disk, their size and when they were changed."""


def _hash(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def provenance(inputs: Mapping[str, Path], packages: Sequence[str]) -> dict[str, Any]:
    """What a run was made of: versions, the command, and the absolute path and the hash of each input file.

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
        "inputs": {name: {"path": str(path.absolute()), "sha256": sha256(path)} for name, path in inputs.items()},
    }


def read_inputs(signed: Path) -> dict[str, dict[str, str]]:
    """Path and hash of each input file, as `provenance` noted them; none where the file is missing.

    Raises:
        InputError: the file is damaged.
    """
    if not signed.is_file():
        return {}
    damaged = InputError(signed, None, "is damaged: expected inputs, each with a path and a sha256")
    content = read_json(signed)
    inputs = content.get("inputs") if isinstance(content, dict) else None
    if not isinstance(inputs, dict):
        raise damaged
    for each in inputs.values():
        if not isinstance(each, dict) or not isinstance(each.get("sha256"), str):
            raise damaged
    return {name: {key: str(value) for key, value in each.items()} for name, each in inputs.items()}


def places(run: Path, path: Path) -> Iterator[Path]:
    """Where a file or folder of a run may lie now: where it was, where it moved together with the run, beside the run.

    Args:
        run: the run folder, as it lies now.
        path: the absolute path when the run began.
    """
    yield path
    before = read_json(run / PROVENANCE).get(FOLDER) if (run / PROVENANCE).is_file() else None
    if isinstance(before, str) and Path(before).is_absolute():
        yield Path(os.path.normpath(run.absolute() / os.path.relpath(path, before)))
    yield from (folder / path.name for folder in (run.absolute(), run.absolute().parent))


def refuse_other_inputs(signed: Path, origin: Mapping[str, Any], *, names: Collection[str] | None = None) -> None:
    """Refuse to go on with other input files than those that a run began with; hashes decide, and not where they lie.

    Args:
        signed: what `provenance` said then, as JSON.
        origin: what it says now.
        names: of the inputs that are compared; all by default.

    Raises:
        ConfigError: names the inputs that changed.
        InputError: what was said then is damaged.
    """
    before, now = read_inputs(signed), origin["inputs"]
    changed = [
        _change(name, before.get(name), now.get(name))
        for name in sorted(before.keys() | now.keys())
        if names is None or name in names
        if before.get(name, {}).get("sha256") != now.get(name, {}).get("sha256")
    ]
    if changed:
        raise ConfigError(
            f"{signed.parent}: the input files are not those that the run began with: {'; '.join(changed)}"
        )


def _change(name: str, before: Mapping[str, str] | None, now: Mapping[str, str] | None) -> str:
    """What changed of an input file, in words."""
    if now is None:
        return f"{name} is missing"
    if before is None:
        return f"{name} is new"
    return f"{name} has another content{f', {path}' if (path := now.get('path')) else ''}"
