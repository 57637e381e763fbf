"""Every command looks at its output before it computes anything, and takes a link to a folder for the folder."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., int]
# The words of each command, its output last.
FOLDERS = {
    "windows": "windows --peaks none.bed --genome none.fa --regions none.bed --out",
    "sites": "sites --structures none --ions ZN --out",
    "align": "align --fasta none.fa --database none --out",
    "pretrain": "pretrain --model_name_or_path none --train_file none --output_dir",
    "predict": "predict --run {run} --fasta none.fa --out",
    "evaluate": "evaluate --run {run} --fasta ZN_test.fa --ions ZN --out",
    "scan": "scan --run {run} --fasta none.fa --out",
    "export": "export {run}/fold_1 --out",
    "smoke": "smoke --out",
    "demo": "demo --out",
    "init": "init train --out",
}
FILES = {
    "report": "report {written} --out",
    "compare": "compare {written} {written} --out",
    "embed": "embed --model none --fasta none.fa --out",
    "score": "score --model none --parent none --variants none --out",
    "schema": "schema train --out",
}


@pytest.fixture
def refusal(
    run: Run, binding_run: Path, pretraining_run: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Runs a command that must be refused, and gives the one line that it says."""

    def refuse(words: str, out: str) -> str:
        arguments = words.format(run=binding_run, written=pretraining_run).split()
        assert run(*arguments, out) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        return said

    return refuse


@pytest.mark.parametrize("command", [*FOLDERS, "train"])
def test_a_folder_that_cannot_be(refusal: Callable[..., str], tmp_path: Path, command: str) -> None:
    (tmp_path / "dangling").symlink_to("gone")
    (tmp_path / "file").touch()
    (tmp_path / "ZN_test.fa").write_text(">a\nMCH\n011\n")
    for out, problem in {
        "dangling": "dangling: is a symbolic link to 'gone', which is not there: make that first, or delete the link",
        "dangling/new": "dangling: is a symbolic link to 'gone'",
        "file": "file: is a file, expected a folder",
        "file/new": "file: is a file, expected a folder",
        "n" * 256: r"n+\.\.\. \(\d+ more letters\) \.\.\.n+: File name too long",  # long names are shown in short
    }.items():
        if command == "train":
            said = refusal("train data.fasta_path=none model.checkpoint=none", f"training.output_dir={out}")
        else:
            said = refusal(FOLDERS[command], out)
        assert re.match(f"bindtune: {problem}", said), said
    assert {path.name for path in tmp_path.iterdir()} == {"dangling", "file", "ZN_test.fa"}


@pytest.mark.parametrize("command", FILES)
def test_a_file_that_cannot_be(refusal: Callable[..., str], tmp_path: Path, command: str) -> None:
    suffix = {"embed": ".parquet", "schema": ".json"}.get(command, "")
    (tmp_path / f"dangling{suffix}").symlink_to("gone")
    (tmp_path / f"folder{suffix}").mkdir()
    (tmp_path / "file").touch()
    for out, problem in {
        f"dangling{suffix}": f"dangling{suffix}: is a symbolic link to 'gone', which is not there",
        f"folder{suffix}": f"folder{suffix}: is a folder; --out names a file",
        f"file/new{suffix}": "file: is a file, expected a folder",
    }.items():
        said = refusal(FILES[command], out)
        assert said.startswith(f"bindtune: {problem}"), said


def test_a_link_in_a_run_folder_is_replaced(run: Run, pretraining_run: Path, tmp_path: Path) -> None:
    """Run folders come from other people: their links must not choose what is overwritten."""
    folder, precious = tmp_path / "theirs", tmp_path / "precious"
    shutil.copytree(pretraining_run, folder)
    precious.write_text("precious")
    (folder / "report.html").symlink_to(precious)
    assert run("report", folder) == 0
    assert precious.read_text() == "precious"
    assert not (folder / "report.html").is_symlink()
    assert (folder / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_links_are_followed(run: Run, pretraining_run: Path, binding_run: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "old.html").write_text("old")
    (tmp_path / "report.html").symlink_to("elsewhere/old.html")
    assert run("report", pretraining_run, "--out", "report.html") == 0
    assert (tmp_path / "elsewhere" / "old.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert (tmp_path / "report.html").is_symlink()
    (tmp_path / "elsewhere" / "model").mkdir()
    (tmp_path / "model").symlink_to("elsewhere/model")
    assert run("export", binding_run / "fold_1", "--out", "model") == 0
    assert (tmp_path / "elsewhere" / "model" / "model.safetensors").is_file()
    assert (tmp_path / "model").is_symlink()
