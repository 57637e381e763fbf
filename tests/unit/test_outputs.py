"""What stands where a command is to write is looked at first."""

import errno
import os
from pathlib import Path

import pytest

from bindtune.errors import InputError
from bindtune.outputs import output_file, output_folder
from bindtune.runs.exclusive import only_writer
from bindtune.runs.writing import atomic_folder, atomic_path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file, a folder, links to both, links to nothing; the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("content")
    (tmp_path / "real").mkdir()
    for name, target in {"link": "real", "file-link": "file", "dangling": "gone", "loop": "loop"}.items():
        (tmp_path / name).symlink_to(target)
    return tmp_path


def test_new_and_present_outputs(folder: Path) -> None:
    for name in ("real", "new", "real/new/newer", "."):
        assert output_folder(Path(name)) == Path(name)
    assert output_folder(Path("link")) == folder / "real"
    assert output_folder(Path("link/new")) == Path("link/new")
    for name in ("file", "new.html", "real/new/a.html", "link/a.html"):
        assert output_file(Path(name)) == Path(name)
    assert output_file(Path("file-link")) == folder / "file"
    assert {path.name for path in folder.iterdir()} == {"file", "real", "link", "file-link", "dangling", "loop"}


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("file", "file: is a file, expected a folder"),
        ("file/new", "file: is a file, expected a folder"),
        ("file-link", "file-link: is a file, expected a folder"),
        ("dangling", "dangling: is a symbolic link to 'gone', which is not there: make that first, or delete the link"),
        ("dangling/new/newer", "dangling: is a symbolic link to 'gone'"),
    ],
)
def test_what_is_no_folder_is_named(folder: Path, name: str, problem: str) -> None:
    with pytest.raises(InputError) as excinfo:
        output_folder(Path(name))
    assert str(excinfo.value).startswith(problem)
    with pytest.raises(InputError) as excinfo, only_writer(Path(name)):
        pass
    assert str(excinfo.value).startswith(problem)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("real", "real: is a folder; --out names a file"),
        ("link", "link: is a folder; --out names a file"),
        ("file/new.html", "file: is a file, expected a folder"),
        ("dangling", "dangling: is a symbolic link to 'gone', which is not there"),
        ("dangling/new.html", "dangling: is a symbolic link to 'gone', which is not there"),
        ("/dev/null", "/dev/null: is a device; --out names a file"),
    ],
)
def test_what_is_no_file_is_named(folder: Path, name: str, problem: str) -> None:
    with pytest.raises(InputError) as excinfo:
        output_file(Path(name))
    assert str(excinfo.value).startswith(problem)


def test_links_in_a_circle_and_long_names_are_errors_of_the_disk(folder: Path) -> None:
    for name, number in {"loop": errno.ELOOP, "n" * 256: errno.ENAMETOOLONG}.items():
        for look in (output_file, output_folder):
            with pytest.raises(OSError, match=r"symbolic links|too long") as excinfo:
                look(Path(name))
            assert excinfo.value.errno == number


def test_a_folder_that_may_not_be_written_is_named_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != Path("real"))
    for name in ("real", "real/new/newer"):
        with pytest.raises(OSError, match="Permission denied") as excinfo:
            output_folder(Path(name))
        assert excinfo.value.filename == name
    with pytest.raises(OSError, match="Permission denied"):
        output_file(Path("real/a.html"))
    output_folder(Path("new"))


def test_what_writes_says_the_same(folder: Path) -> None:
    for write in (atomic_path, atomic_folder):
        for name in ("dangling/new", "file/new"):
            with pytest.raises(InputError, match=r"is a symbolic link to 'gone'|is a file"), write(Path(name)):
                pass
