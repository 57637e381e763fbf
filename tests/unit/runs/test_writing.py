"""Files and folders are written whole or not at all."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from bindtune.errors import ConfigError
from bindtune.runs.writing import atomic_folder, atomic_path, sweep, write_text, writing


def test_a_file_appears_whole_with_usual_rights(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.txt"
    before = os.umask(0o027)
    try:
        write_text(path, "grün\n")
    finally:
        os.umask(before)
    assert path.read_text(encoding="utf-8") == "grün\n"
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_appears_whole_in_place_of_an_empty_one(tmp_path: Path) -> None:
    target = tmp_path / "model"
    target.mkdir()
    with pytest.raises(RuntimeError), atomic_folder(target) as new:
        (new / "a").write_text("half")
        raise RuntimeError
    assert [*tmp_path.iterdir()] == [target] and not any(target.iterdir())
    with atomic_folder(target) as new:
        (new / "a").write_text("whole")
        assert not (target / "a").exists()
    assert (target / "a").read_text() == "whole"
    assert [*tmp_path.iterdir()] == [target]


def write_on_full_disk(kind: str) -> None:
    """Write to the device on which every write finds no space."""
    with open("/dev/full", "wb") as stream:  # noqa: PTH123 (a device)
        if kind == "torch":
            torch.save({"a": torch.zeros(9000)}, stream)
        stream.write(b"x")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("kind", ["file", "torch"])
def test_a_full_disk_is_told_with_the_final_name(tmp_path: Path, kind: str) -> None:
    with pytest.raises(OSError, match="No space left") as failure, atomic_path(tmp_path / "model.pt"):
        write_on_full_disk(kind)
    assert (failure.value.errno, failure.value.filename) == (errno.ENOSPC, str(tmp_path / "model.pt"))
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("failure", "number", "reason"),
    [
        (SafetensorError("Error while serializing: I/O error: No space (os error 28)"), errno.ENOSPC, "No space left"),
        (
            RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 5 vs 4"),
            errno.EIO,
            "unexpected pos",
        ),
        (OSError(errno.ENOSPC, "Error writing bytes to file"), errno.ENOSPC, "No space left"),
        (OSError(errno.EROFS, "no", "elsewhere"), errno.EROFS, "no"),
    ],
)
def test_what_libraries_raise_gets_a_name_and_a_reason(
    tmp_path: Path, failure: Exception, number: int, reason: str
) -> None:
    with pytest.raises(OSError, match=reason) as error, writing(tmp_path / "a"):
        raise failure
    named = getattr(failure, "filename", None) or str(tmp_path / "a")
    assert (error.value.errno, error.value.filename) == (number, named)


def test_errors_that_are_not_about_writing_pass(tmp_path: Path) -> None:
    for failure in (RuntimeError("CUDA error: out of memory"), OSError("no such model"), ValueError("x")):
        with pytest.raises(type(failure)) as error, writing(tmp_path):
            raise failure
        assert error.value is failure


_DIES = """
import os, sys
from pathlib import Path
from bindtune.runs.writing import atomic_folder, atomic_path
with atomic_path(Path(sys.argv[1]) / "a.txt"), atomic_folder(Path(sys.argv[1]) / "b") as new:
    (new / "c").write_text("half")
    os._exit(9)
"""


def test_what_a_kill_left_is_swept_up_and_what_is_being_written_is_not(tmp_path: Path) -> None:
    assert subprocess.run([sys.executable, "-c", _DIES, tmp_path]).returncode == 9
    assert len([*tmp_path.iterdir()]) == 2
    with atomic_path(tmp_path / "a.txt") as mine, atomic_folder(tmp_path / "b") as folder:
        sweep(tmp_path, "b")
        assert len([*tmp_path.iterdir()]) == 3
        sweep(tmp_path)
        assert {*tmp_path.iterdir()} == {mine, folder.parent}
        sweep(tmp_path / "not there")


def test_a_folder_that_is_being_made_is_not_made_twice(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "new") as folder:
        (folder / "part").touch()
        with pytest.raises(ConfigError, match=r"new is in use by another process"), atomic_folder(tmp_path / "new"):
            pass
        with atomic_folder(tmp_path / "newer"):  # another name
            pass
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["part"]
    (tmp_path / "new" / "part").unlink()
    with atomic_folder(tmp_path / "new"):
        pass
