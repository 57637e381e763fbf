"""Every command on network disks, on disks without locks, in other locales and with unusual names."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file

SCRIPT = Path(__file__).with_name("every_command.py")
MARK = " ü é"
_LOCK_FREE = ("check-lora", "verify")
"""Commands that write nothing beside a temporary folder."""
_C = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture(scope="module")
def inputs(generated: tuple[Path, Path, Path], binding_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `every_command.py` is given."""
    folder = tmp_path_factory.mktemp("every")
    shutil.copytree(generated[0].parent, folder / "windows")
    shutil.copytree(generated[0].parents[1] / "genome", folder / "genome")
    shutil.copytree(generated[2], folder / "model")
    shutil.copytree(binding_run.parent / "encoder", folder / "encoder")
    return folder


def run_all(python: object, inputs: Path, folder: Path, *, disk: str = "local", mark: str = "", **more: str) -> str:
    """Run every command in a folder, and give what they said on standard error."""
    folder.mkdir(parents=True)
    ended = subprocess.run(
        [str(python), str(SCRIPT), str(inputs), disk, mark],
        cwd=folder, env={**os.environ, **more}, capture_output=True, check=False,
    )  # fmt: skip
    said = ended.stderr.decode()
    assert ended.returncode == 0, said[-3000:]
    return said


def results(folder: Path, mark: str = "") -> dict[str, object]:
    """Values of every output, without the mark in names."""
    tables = {
        name: pq.read_table(folder / name.format(mark)).to_pylist()
        for name in ("run{}/oof.parquet", "predicted{}/predictions.parquet", "evaluated{}/predictions.parquet",
                     "windows{}/train.parquet", "pretraining{}/eval_records.parquet", "embeddings{}.parquet")
    }  # fmt: skip
    weights = {
        name: load_file(folder / name.format(mark))
        for name in ("pretraining{}/model.safetensors", "merged{}/model.safetensors", "embeddings{}.safetensors")
    }
    texts = {
        name: (folder / name.format(mark)).read_text(encoding="utf-8")
        for name in ("run{}/global_thresholds.yaml", "evaluated{}/summary.yaml", "scores{}.tsv", "run{}/metrics.csv")
    }
    values = {name: [str(row) for row in rows] for name, rows in tables.items()}
    tensors = {name: {key: str(each.tolist()) for key, each in part.items()} for name, part in weights.items()}
    text = json.dumps({**values, **tensors, **texts}, ensure_ascii=False)
    return json.loads(text.replace(MARK, ""))


def test_every_command_on_network_disks_and_in_the_c_locale(warm_python: Path, inputs: Path, tmp_path: Path) -> None:
    """In one test, so that what they must agree with is made once."""
    here = tmp_path / f"dir{MARK}"
    inherited = {name: "" for name in os.environ if name.startswith("LC_")}
    assert "no file locks" not in run_all(sys.executable, inputs, here, mark=MARK, **{**inherited, **_C})
    expected = results(here, MARK)
    assert "'protein': 'prötein0'" in expected["predicted{}/predictions.parquet"][0]  # type: ignore[index]
    assert "prötein0" in (here / f"report{MARK}.html").read_text(encoding="utf-8")
    for disk in ("nfs", "none"):
        said = run_all(warm_python, inputs, tmp_path / disk, disk=disk)
        assert results(tmp_path / disk) == expected
        parts = [(part.split()[0], part) for part in said.split("== ")[1:]]
        unfinished = [name for name, part in parts if not part.splitlines()[-1].startswith("next: bindtune ")]
        assert unfinished == []
        warnings = [(name, part.count("no file locks (No locks available)")) for name, part in parts]
        assert warnings == [(name, int(disk == "none" and name not in _LOCK_FREE)) for name, _ in parts]
        assert not list((tmp_path / disk).rglob("*.part"))


@pytest.fixture
def bindtune(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Runs `python -m bindtune` in an interpreter of its own, in the C locale without UTF-8 mode or another one."""

    def run(*words: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
        cleared = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG"))}
        return subprocess.run(
            [sys.executable, "-m", "bindtune", *words],
            cwd=tmp_path, env={**cleared, **(environment or _C)}, capture_output=True, check=False,
        )  # fmt: skip

    return run


def write_genome(folder: Path) -> tuple[str, ...]:
    """Write a genome with its peaks and regions, whose names are not ASCII, and give the words of the command."""
    folder.mkdir()
    (folder / "genöme.fa").write_text(">chr1 é\n" + "ACGTTGCAAC" * 60 + "\n", encoding="utf-8")
    (folder / "peäks.bed").write_text("chr1\t100\t130\tpëak\n", encoding="utf-8")
    (folder / "regiöns.bed").write_text("chr1\t0\t600\trëgion\t0\t+\n", encoding="utf-8")
    files = (f"{folder.name}/{name}" for name in ("peäks.bed", "genöme.fa", "regiöns.bed"))
    options = zip(("--peaks", "--genome", "--regions"), files, strict=True)
    return (
        "windows",
        *(word for pair in options for word in pair),
        "--validation-fraction",
        "0",
        "--out",
        "dir ü/out é",
    )


def test_other_locales(bindtune: Callable[..., subprocess.CompletedProcess[bytes]], tmp_path: Path) -> None:
    words = write_genome(tmp_path / "dir ü")
    ended = bindtune(*words)
    assert ended.returncode == 0, ended.stderr
    assert "dir ü/out é/summary.json" in ended.stdout.decode()
    assert pq.read_table(tmp_path / "dir ü" / "out é" / "train.parquet").num_rows == 2
    # A Latin-1 terminal gets Latin-1, files keep their UTF-8 names.
    locales = tmp_path / "locales"
    locales.mkdir()
    program = shutil.which("localedef")
    made = (
        program
        and subprocess.run([program, "-i", "en_US", "-f", "ISO-8859-1", locales / "en_US.ISO-8859-1"]).returncode
    )
    if made != 0:
        pytest.skip("no locale of ISO-8859-1 can be made here")
    latin = {"LC_ALL": "en_US.ISO-8859-1", "LOCPATH": str(locales)}
    ended = bindtune(*words, "--overwrite", **latin)
    assert ended.returncode == 0, ended.stderr
    assert "dir ü/out é/summary.json" in ended.stdout.decode("latin-1")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dir ü", "locales"]


def test_a_name_that_is_not_utf8_is_one_line(bindtune: Callable[..., subprocess.CompletedProcess[bytes]]) -> None:
    for environment in (_C, {"LC_ALL": "C.UTF-8"}):
        ended = bindtune("report", os.fsdecode(b"r\xfcn"), **environment)
        assert ended.returncode == 2
        assert re.fullmatch(rb"bindtune: 'r\\udcfcn' is not UTF-8, expected names in UTF-8: [^\n]*\n", ended.stderr)


def test_names_of_255_bytes(run: Callable[..., int], inputs: Path, binding_run: Path, tmp_path: Path) -> None:
    long = "n" * 251
    (tmp_path / f"{long}.bed").write_text("chr1\t100\t130\n")
    (tmp_path / f"{'g' * 252}.fa").write_text(">chr1\n" + "ACGTTGCAAC" * 60 + "\n")
    (tmp_path / "regions.bed").write_text("chr1\t0\t600\tr\t0\t+\n")
    arguments = ["--peaks", f"{long}.bed", "--genome", f"{'g' * 252}.fa", "--regions", "regions.bed"]
    assert run("windows", *arguments, "--validation-fraction", "0", "--out", "w" * 255) == 0
    assert pq.read_table(tmp_path / ("w" * 255) / "train.parquet").num_rows == 2
    protein = "i" * 300  # an id may be longer than any file's name: it has no alignment
    (tmp_path / f"{'p' * 252}.fa").write_text(f">{protein}\nMKTCHHDE\n")
    (tmp_path / "msa").mkdir()
    fasta = f"{'p' * 252}.fa"
    embed = ["embed", "--model", binding_run.parent / "encoder", "--fasta", fasta, "--msa-dir", "msa"]
    for suffix in (".parquet", ".safetensors"):
        assert run(*embed, "--out", "e" * (255 - len(suffix)) + suffix) == 0
    assert pq.read_table(tmp_path / ("e" * 247 + ".parquet"))["protein"].to_pylist() == [protein]
    predict = ["predict", "--run", binding_run, "--fasta", fasta, "--msa-dir", "msa"]
    assert run(*predict, "--out", "o" * 255) == 0
    assert run("export", binding_run / "fold_1", "--out", "x" * 255) == 0
    assert not [path for path in tmp_path.rglob(".*") if path.name != ".lock"]


def test_what_becomes_a_file_name_is_looked_at_first(
    run: Callable[..., int], binding_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ions = f"training.ions=[ZN, {'ü' * 51}]"
    assert run("train", "data.fasta_path=none", ions, "training.output_dir=run") == 2
    said = capsys.readouterr().err
    assert "has at most 100 bytes, and 'üüüüüüüüüüüüüüüüüüüü...' has 102" in said and said.count("\n") == 1
    structure = tmp_path / f"{'s' * 248}.pdb"
    structure.touch()
    arguments = ["--run", binding_run, "--fasta", "none.fa", "--structure", structure.name, "--out", "out"]
    assert run("predict", *arguments) == 2
    said = capsys.readouterr().err
    assert said == f"bindtune: {structure.name}: its copies would have names of 256 bytes, expected at most 255\n"
    assert not (tmp_path / "run").exists() and not (tmp_path / "out").exists()
