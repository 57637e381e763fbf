"""Files to begin with are written all or none, and never over others."""

import errno
from pathlib import Path

import pytest

from bindtune.errors import ConfigError
from bindtune.init import files
from bindtune.init.files import KINDS, write_files

SOURCE = Path(files.__file__).parent


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("pretrain", ["pretrain.yaml"]),
        ("train", ["train.yaml"]),
        ("windows", ["windows.yaml"]),
        ("probe", ["probe.yaml"]),
        ("sites", ["sites.yaml"]),
        ("slurm", ["predict.sbatch", "pretrain.sbatch", "train.sbatch"]),
        ("accelerate", ["ddp.yaml", "fsdp.yaml"]),
    ],
)
def test_files_of_each_kind(kind: str, names: list[str], tmp_path: Path) -> None:
    written = write_files(kind, tmp_path / "new" / "folder")
    assert written == [tmp_path / "new" / "folder" / name for name in names]
    assert sorted(path.name for path in written[0].parent.iterdir()) == names
    assert {path.name: path.read_text() for path in written} == KINDS[kind]()


def test_every_kind_is_tested() -> None:
    assert list(KINDS) == ["pretrain", "train", "windows", "probe", "sites", "slurm", "accelerate"]


@pytest.mark.parametrize(("kind", "begin"), [("slurm", "#!/usr/bin/env bash\n"), ("accelerate", "# ")])
def test_files_are_those_of_the_package(kind: str, begin: str, tmp_path: Path) -> None:
    for path in write_files(kind, tmp_path):
        text = path.read_text()
        assert text == (SOURCE / kind / path.name).read_text()
        assert text.startswith(begin)
        # An installed package has no checkout beside it.
        assert not any(word in text for word in ("configs/", "slurm/", "src/", "../"))


@pytest.mark.parametrize("there", ["file", "folder", "dangling link"])
def test_nothing_is_overwritten(there: str, tmp_path: Path) -> None:
    path = tmp_path / "train.sbatch"
    if there == "file":
        path.write_text("mine")
    elif there == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"train\.sbatch is there already") as refusal:
        write_files("slurm", tmp_path)
    assert "\n" not in str(refusal.value)
    assert [each.name for each in tmp_path.iterdir()] == ["train.sbatch"]
    assert there != "file" or path.read_text() == "mine"


def test_a_full_disk_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text = files.write_text

    def second_fails(path: Path, text: str) -> None:
        if path.name == "train.sbatch":
            raise OSError(errno.ENOSPC, "No space left", str(path))
        write_text(path, text)

    monkeypatch.setattr(files, "write_text", second_fails)
    with pytest.raises(OSError, match="No space left"):
        write_files("slurm", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["align", "pretrian", ""])
def test_what_there_is_no_file_for_is_one_line(kind: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refusal:
        write_files(kind, tmp_path)
    kinds = "pretrain, train, windows, probe, sites, slurm, accelerate"
    assert str(refusal.value) == f"bindtune 0.1.0 has no files for '{kind}', expected one of {kinds}"
