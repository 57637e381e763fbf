"""Locks on local disks, on network disks and on disks that have none."""

import errno
import fcntl
import json
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bindtune import locks
from bindtune.errors import ConfigError
from bindtune.locks import lock, open_lock
from bindtune.runs.exclusive import in_use, only_writer, taking_turns
from bindtune.runs.names import LOCK
from bindtune.runs.writing import atomic_folder, atomic_path, sweep, write_text

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
# Every use of a lock; a second process looks at what the first one holds.
_USES = """
import json, logging, subprocess, sys
from pathlib import Path
from bindtune.errors import ConfigError
from bindtune.runs.writing import atomic_folder, atomic_path, sweep, write_text
from bindtune.runs.exclusive import in_use, only_writer, taking_turns

logging.basicConfig(format="%(message)s")
folder = Path(sys.argv[1])
if len(sys.argv) > 2:
    sweep(folder)
    try:
        with only_writer(folder / "run"):
            print(json.dumps("let in"))
    except ConfigError as error:
        print(json.dumps(str(error)))
    sys.exit()
answers = {}
with only_writer(folder / "run"), atomic_path(folder / "file") as file, atomic_folder(folder / "folder") as new:
    answers["in use"] = in_use(folder / "run")
    second = subprocess.run([sys.executable, *sys.orig_argv[1:], "second"], capture_output=True, text=True, check=True)
    answers["second"] = json.loads(second.stdout)
    file.write_text("file", encoding="utf-8")
    write_text(new / "part", "part")
with taking_turns(folder / "run"):
    answers["written"] = [(folder / "file").read_text(encoding="utf-8"), (folder / "folder" / "part").read_text()]
answers["in use after"] = in_use(folder / "run")
answers["names"] = sorted(path.name for path in folder.iterdir())
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Path], tuple[dict[str, object], str]]:
    """Uses locks in a process whose `flock` answers as a kind of disk does; gives what it found and said."""
    if COMPILER is None or sys.platform != "linux":
        message = "no C compiler, or not Linux: what disks answer is not tried"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    library = tmp_path_factory.mktemp("preloaded") / "flock.so"
    source = Path(__file__).with_name("flock.c")
    subprocess.run([COMPILER, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)

    def use(kind: str, folder: Path) -> tuple[dict[str, object], str]:
        environment = {**os.environ, "LD_PRELOAD": str(library), "FLOCK": kind}
        process = subprocess.run(
            [sys.executable, "-c", _USES, folder], env=environment, capture_output=True, text=True, check=False
        )
        assert process.returncode == 0, process.stderr
        return json.loads(process.stdout), process.stderr

    return use


@pytest.mark.parametrize("kind", ["nfs", "none"])
def test_every_use_of_a_lock_works_on_every_disk(
    disk: Callable[[str, Path], tuple[dict[str, object], str]], tmp_path: Path, kind: str
) -> None:
    answers, said = disk(kind, tmp_path)
    assert answers["written"] == ["file", "part"]
    assert answers["names"] == ["file", "folder", "run"]
    assert answers["in use after"] is False
    if kind == "none":
        assert answers["in use"] is False
        assert answers["second"] == "let in"
        assert said.count("\n") == 1
        assert said.startswith(f"{tmp_path / 'run'}: this disk has no file locks (No locks available)")
    else:
        assert answers["in use"] is True
        assert answers["second"] == f"{tmp_path / 'run'} is in use by another process"
        assert said == ""


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets `flock` fail with a number from now on, in a process that has not complained yet."""

    def fail(number: int) -> None:
        def flock(descriptor: int, operation: int) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(fcntl, "flock", flock)
        monkeypatch.setattr(locks, "_warned", [])

    return fail


@pytest.mark.parametrize("name", ["ENOLCK", "ENOSYS", "EOPNOTSUPP", "EINVAL", "EBADF"])
def test_a_missing_lock_is_said_once(
    tmp_path: Path, no_locks: Callable[[int], None], caplog: pytest.LogCaptureFixture, name: str
) -> None:
    no_locks(getattr(errno, name))
    with caplog.at_level(logging.WARNING), only_writer(tmp_path / "run"), taking_turns(tmp_path / "other"):
        write_text(tmp_path / "a.txt", "x")
        assert not in_use(tmp_path / "run")
    assert len(caplog.messages) == 1
    assert f"{tmp_path / 'run'}: this disk has no file locks" in caplog.messages[0]


def test_faults_of_a_disk_are_no_missing_locks(tmp_path: Path, no_locks: Callable[[int], None]) -> None:
    no_locks(errno.EIO)
    with pytest.raises(OSError, match="Input/output error"), only_writer(tmp_path):
        pass
    no_locks(errno.EACCES)  # how some disks say that another process has the lock
    assert in_use(tmp_path)


def test_without_locks_only_old_leftovers_go(tmp_path: Path, no_locks: Callable[[int], None]) -> None:
    no_locks(errno.ENOLCK)
    for age in (0, 2 * 24 * 60 * 60):
        for stray in (tmp_path / f".a.{age}.part", tmp_path / f".b.{age}.part"):
            if stray.name.startswith(".a"):
                stray.touch()
            else:
                stray.mkdir()
                (stray / LOCK).touch()
            os.utime(stray, (time.time() - age, time.time() - age))
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a.0.part", ".b.0.part"]


def test_a_lock_file_is_neither_followed_nor_emptied(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("content")
    run = tmp_path / "run"
    run.mkdir()
    (run / LOCK).symlink_to(precious)
    for use in (only_writer, taking_turns):
        with pytest.raises(ConfigError, match=r"run/\.lock is a symbolic link, expected a file"), use(run):
            pass
    with pytest.raises(ConfigError, match="is a symbolic link"):
        in_use(run)
    (run / LOCK).unlink()
    (run / LOCK).write_text("kept")
    with only_writer(run):
        assert in_use(run)
    assert (precious.read_text(), (run / LOCK).read_text()) == ("content", "kept")


def test_a_link_that_looks_like_a_leftover_is_left_alone(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / ".a.1.part").symlink_to(outside)
    sweep(tmp_path / "folder")
    assert (tmp_path / "folder" / ".a.1.part").is_symlink() and not any(outside.iterdir())


def test_a_folder_that_cannot_be_written_is_not_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / LOCK).touch()
    opened = os.open

    def read_only(path: Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_RDWR:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return opened(path, flags, mode)

    monkeypatch.setattr(os, "open", read_only)
    assert not in_use(tmp_path)
    descriptor = opened(tmp_path / LOCK, os.O_RDWR)
    lock(descriptor, tmp_path / LOCK)
    assert in_use(tmp_path)
    os.close(descriptor)
    assert not in_use(tmp_path)


def test_a_lock_can_be_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "a"
    first, second = open_lock(path, create=True), open_lock(path, create=False)
    assert lock(first, path)
    with pytest.raises(BlockingIOError):
        lock(second, path)
    os.close(first)
    assert lock(second, path, wait=True)
    os.close(second)


@pytest.mark.parametrize("length", [100, 101, 255])
def test_names_may_be_as_long_as_a_disk_has_them(tmp_path: Path, length: int) -> None:
    name = "ü" * 40 + "n" * (length - 80)
    assert len(os.fsencode(name)) == length
    with atomic_path(tmp_path / name) as temporary, atomic_folder(tmp_path / name[1:]) as new:
        temporary.write_text("file")
        (new / "part").write_text("part")
        sweep(tmp_path, name)
        assert temporary.exists() and len(os.fsencode(temporary.name)) <= 120
    assert (tmp_path / name).read_text() == "file"
    assert (tmp_path / name[1:] / "part").read_text() == "part"
    stray = temporary.with_name(temporary.name)
    stray.touch()
    sweep(tmp_path, "another")
    assert stray.exists()
    sweep(tmp_path, name)
    assert not stray.exists()


def test_a_name_too_long_for_the_disk_is_told_whole(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="File name too long") as excinfo, atomic_path(tmp_path / ("n" * 256)):
        pass
    assert excinfo.value.filename == str(tmp_path / ("n" * 256))


def test_wildcards_in_a_name_are_letters(tmp_path: Path) -> None:
    for name in (".[ab].1.part", ".a.1.part"):
        (tmp_path / name).touch()
    sweep(tmp_path, "[ab]")
    assert [path.name for path in tmp_path.iterdir()] == [".a.1.part"]


def test_a_library_that_puts_its_own_file_there_does_not_change_the_rights(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with atomic_path(tmp_path / "a") as temporary:
            replacement = tmp_path / "other"
            replacement.touch(0o600)
            replacement.replace(temporary)
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640
