"""What is distributed: its content, and that an installed package works in an empty folder without the checkout."""

import json
import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

import bindtune

ROOT = Path(__file__).parents[2]
NAME = f"bindtune-{bindtune.__version__}"
EXCLUDED = {".ci/run"}
"""Files of the repository that the sdist leaves out."""


def build(project: Path, target: str, out: Path) -> Path:
    """Build a wheel or an sdist, without a network and without a new environment."""
    words = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(out)]
    done = subprocess.run(words, cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = out.iterdir()
    return made


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, "sdist", tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))


def in_wheel(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def in_folder(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_the_wheel_holds_the_package_and_its_papers(wheel: Path) -> None:
    content = in_wheel(wheel)
    package = {name.removeprefix("bindtune/"): data for name, data in content.items() if name.startswith("bindtune/")}
    assert package == in_folder(ROOT / "src" / "bindtune")
    for name in (
        "py.typed",
        "models/PROFLUENT_E1_NOTICE.txt",
        "reports/templates/page.html.j2",
        "init/slurm/train.sbatch",
        "init/accelerate/ddp.yaml",
    ):
        assert name in package
    papers = {name.removeprefix(f"{NAME}.dist-info/") for name in content if not name.startswith("bindtune/")}
    assert papers == {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE", "licenses/NOTICE"}
    assert wheel.name == f"{NAME}-py3-none-any.whl"


def test_the_metadata_have_what_a_registry_shows(wheel: Path) -> None:
    lines = in_wheel(wheel)[f"{NAME}.dist-info/METADATA"].decode().splitlines()
    repository = yaml.safe_load((ROOT / "CITATION.cff").read_text())["repository-code"]
    assert f"Project-URL: Repository, {repository}" in lines
    assert f"Project-URL: Issues, {repository}/issues" in lines
    assert "License-Expression: Apache-2.0" in lines
    assert "Requires-Python: >=3.11" in lines
    for version in ("3.11", "3.12", "3.13", "3.14"):
        assert f"Classifier: Programming Language :: Python :: {version}" in lines
    assert "Description-Content-Type: text/markdown" in lines


def test_versions_agree(wheel: Path) -> None:
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == bindtune.__version__
    assert f"Version: {bindtune.__version__}" in in_wheel(wheel)[f"{NAME}.dist-info/METADATA"].decode().splitlines()


def unpacked(sdist: Path, folder: Path) -> Path:
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return folder / NAME


def test_the_sdist_holds_the_repository(sdist: Path, tmp_path: Path) -> None:
    content = in_folder(unpacked(sdist, tmp_path))
    assert b"Name: bindtune" in content.pop("PKG-INFO")
    for name in ("LICENSE", "NOTICE", "README.md", "CITATION.cff", "CONTRIBUTING.md", "CHANGELOG.md", "Makefile"):
        assert name in content
    for folder in ("configs", "docs", "tests", "benchmarks", "src/bindtune/init/slurm"):
        assert any(name.startswith(f"{folder}/") for name in content), folder
    for name, data in content.items():
        assert data == (ROOT / name).read_bytes(), name
    if (ROOT / ".git").exists():
        words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"]
        listed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
        assert content.keys() == {name for name in listed if (ROOT / name).is_file()} - EXCLUDED


def test_the_sdist_makes_the_same_wheel(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    again = build(unpacked(sdist, tmp_path / "project"), "wheel", tmp_path / "wheel")
    assert again.name == wheel.name
    assert in_wheel(again) == in_wheel(wheel)


Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel; what bindtune needs comes from the environment of the tests."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(folder, with_pip=False)
    words = ["-m", "pip", "--python", str(folder / "bin" / "python"), "install", "-q", "--no-index", "--no-deps"]
    subprocess.run([sys.executable, *words, "--no-compile", str(wheel)], check=True)
    (own,) = (folder / "lib").glob("python*/site-packages")
    # Python reads no .pth files in folders that a .pth file names: an editable bindtune stays out.
    (own / "libraries.pth").write_text("\n".join(path for path in sys.path if path.endswith("-packages")))
    return folder / "bin"


@pytest.fixture
def command(installed: Path, tmp_path: Path) -> Command:
    """Runs an installed program in an empty folder."""
    away = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if name not in away}
    environment |= {"PATH": f"{installed}:/usr/bin:/bin", "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    folder = tmp_path / "empty"
    folder.mkdir()

    def run(program: str, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(installed / program), *words], cwd=folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return run


def test_the_installed_package_is_not_the_checkout(command: Command, installed: Path) -> None:
    code = "import bindtune, json, sys; print(json.dumps([bindtune.__file__, sys.path]))"
    file, places = json.loads(command("python", "-c", code).stdout)
    assert Path(file).is_relative_to(installed.parent)
    assert not [path for path in places if Path(path).is_relative_to(ROOT / "src")]


def test_files_to_begin_with(command: Command, tmp_path: Path) -> None:
    for kind in ("pretrain", "windows", "slurm", "accelerate"):
        command("bindtune", "init", kind)
    command("python", "-m", "bindtune", "init", "train")
    folder = tmp_path / "empty"
    assert sorted(path.name for path in folder.iterdir()) == [
        "ddp.yaml", "fsdp.yaml", "predict.sbatch", "pretrain.sbatch", "pretrain.yaml", "train.sbatch", "train.yaml",
        "windows.yaml",
    ]  # fmt: skip
    assert (folder / "train.yaml").read_bytes() == (ROOT / "configs" / "binding.yaml").read_bytes()
    again = command("bindtune", "init", "train", code=2)
    assert again.stderr.startswith("bindtune: train.yaml is there already")
    command("bindtune", "schema", "train", "--out", "train.schema.json")
    # All that is missing is what had to be filled in.
    refused = command("bindtune", "windows", "--config", "windows.yaml", code=2)
    assert refused.stderr == "bindtune: hg38.2bit: cannot be read: No such file or directory\n"


@pytest.mark.slow
def test_both_jobs_run(command: Command, tmp_path: Path) -> None:
    assert "bindtune" in command("bindtune", "doctor").stdout
    passed = [line for line in command("bindtune", "smoke").stdout.splitlines() if line.startswith("passed")]
    assert len(passed) >= 3
    said = command("bindtune", "demo", "--small").stdout
    folder = tmp_path / "empty"
    assert [path.name for path in folder.iterdir()] == ["demo-output"]
    for run in ("pretraining/adaptive", "binding/run"):
        assert f"report: demo-output/{run}/report.html" in said
        assert "</html>" in (folder / "demo-output" / run / "report.html").read_text()
    notice = folder / "demo-output" / "binding" / "run" / "NOTICE"
    assert "Profluent-E1" in notice.read_text()
