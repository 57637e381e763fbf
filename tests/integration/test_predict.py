"""`bindtune predict` as a user runs it: tables, kills, processes, structures, and what is refused."""

import gzip
import io
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from biotite.sequence import ProteinSequence

from bindtune import load_ensemble_models
from bindtune.errors import BindtuneError
from bindtune.evaluation.calibration import calibrate, fit_calibration
from bindtune.inference.ensemble_scores import predict_shard
from bindtune.runs.exclusive import only_writer
from bindtune.runs.names import BEST

Run = Callable[..., int]
TABLES = ("predictions.parquet", "predictions.tsv", "calls_ZN.fa")


def write_proteins(path: Path, count: int = 12, *, seed: int = 0) -> Path:
    drawn = random.Random(seed)
    records = ["".join(drawn.choices("ACDEFGHIKLMNPQRSTVWY", k=drawn.randint(5, 120))) for _ in range(count)]
    path.write_text("".join(f">p{number} any words\n{text}\n" for number, text in enumerate(records)))
    return path


def read_fasta(path: Path) -> dict[str, str]:
    lines = path.read_text().splitlines()
    return {name[1:].split()[0]: text for name, text in zip(lines[::2], lines[1::2], strict=True)}


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in TABLES}


def test_tables_calls_and_summary(
    run: Run, binding_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fasta = write_proteins(tmp_path / "p.fa")
    assert run("predict", "--run", binding_run, "--fasta", fasta, "--out", "out", "--shard-proteins", 5) == 0
    proteins = read_fasta(fasta)
    rows = pq.read_table("out/predictions.parquet").to_pylist()
    assert [(row["protein"], row["ion"], row["position"], row["residue"]) for row in rows] == [
        (name, ion, position, letter)
        for name, sequence in proteins.items()
        for ion in ("ZN", "MN")
        for position, letter in enumerate(sequence, start=1)
    ]
    for row in rows:
        assert row["call"] == (None if row["ion"] == "MN" else int(row["probability"] >= 0.5))
    # The same as by hand, with the public functions.
    ensemble = load_ensemble_models(binding_run, num_folds=3, device="cpu")
    batch = ensemble.preparer().get_batch_kwargs([proteins["p3"]])
    tensors = {name: batch[name] for name in batch if name.endswith("ids")}
    with torch.no_grad():
        members = torch.stack([model(**tensors, ion="MN").logits[0, 2:-2].sigmoid() for model in ensemble]).numpy()
    own = [row for row in rows if (row["protein"], row["ion"]) == ("p3", "MN")]
    np.testing.assert_allclose([row["probability"] for row in own], members.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose([row["spread"] for row in own], members.std(axis=0), atol=1e-5)
    called = sum(row["call"] or 0 for row in rows)
    lines = Path("out/calls_ZN.fa").read_text().splitlines()
    assert [line[1:] for line in lines[::3]] == list(proteins) and lines[1::3] == list(proteins.values())
    assert "".join(lines[2::3]).count("1") == called
    summary = json.loads(Path("out/summary.json").read_text())
    assert (summary["proteins"], summary["residues"]) == (12, sum(map(len, proteins.values())))
    assert summary["ions"]["ZN"]["called_residues"] == called and summary["ions"]["MN"]["threshold"] is None
    assert "Profluent-E1" in Path("out/NOTICE").read_text()
    assert not [path for path in Path("out").iterdir() if path.name in ("parts", ".input.fa", ".alignments")]
    assert "12 proteins" in capsys.readouterr().out
    before = contents(Path("out"))
    assert run("predict", "--run", binding_run, "--fasta", fasta, "--out", "out", "--shard-proteins", 5) == 0
    assert contents(Path("out")) == before


def test_gzip_and_standard_input(run: Run, binding_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fasta = write_proteins(tmp_path / "p.fa", 3)
    (tmp_path / "p.fa.gz").write_bytes(gzip.compress(fasta.read_bytes()))
    assert run("predict", "--run", binding_run, "--fasta", fasta, "--out", "a") == 0
    assert run("predict", "--run", binding_run, "--fasta", "p.fa.gz", "--out", "b") == 0
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(fasta.read_bytes())))
    assert run("predict", "--run", binding_run, "--fasta", "-", "--out", "c", "--no-tsv") == 0
    assert Path("a/predictions.parquet").read_bytes() == Path("b/predictions.parquet").read_bytes()
    assert Path("a/predictions.parquet").read_bytes() == Path("c/predictions.parquet").read_bytes()
    assert not Path("c/predictions.tsv").exists()


def test_ions_contexts_and_chunks(run: Run, binding_run: Path, tmp_path: Path) -> None:
    fasta = write_proteins(tmp_path / "p.fa", 3)
    name, sequence = next(iter(read_fasta(fasta).items()))
    (tmp_path / "msa").mkdir()
    homologs = "".join(f">h{n}\n{''.join(random.Random(n).choices('ACDEFGH', k=len(sequence)))}\n" for n in range(5))
    (tmp_path / f"msa/{name}.a3m").write_text(f">{name}\n{sequence}\n{homologs}")
    options = ("--run", binding_run, "--fasta", fasta, "--ions", "MN")
    assert run("predict", *options, "--out", "alone") == 0
    assert (
        run("predict", *options, "--out", "msa-out", "--msa-dir", "msa", "--contexts", 2, "--max-num-samples", 2) == 0
    )
    alone, drawn = (pq.read_table(f"{out}/predictions.parquet") for out in ("alone", "msa-out"))
    assert set(alone["ion"].to_pylist()) == {"MN"}
    is_first = np.array(alone["protein"].to_pylist()) == name
    difference = np.abs(alone["probability"].to_numpy() - drawn["probability"].to_numpy())
    assert difference[is_first].max() > 1e-3 and difference[~is_first].max() < 1e-5
    assert run("predict", *options, "--out", "chunked", "--max-query-length", 64, "--overlap", 20) == 0
    assert pq.read_table("chunked/predictions.parquet").drop_columns(["probability", "spread", "call"]) == (
        alone.drop_columns(["probability", "spread", "call"])
    )


def test_alignments_are_counted_and_found_by_their_short_names(
    run: Run, binding_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    sequence = "MKTAYIAKQRQISFVKSHFSRQ"
    names = ("sp|P1|A_X", "tr|Q2|B_X", "lonely", "barren")
    Path("p.fa").write_text("".join(f">{name}\n{sequence}\n" for name in names))
    Path("ZN_test.fa").write_text("".join(f">{name}\n{sequence}\n{'0' * 21}1\n" for name in names))
    Path("msa").mkdir()
    homolog = "MRSAYLAKNRQVTFVRAHYSKQ"
    for stem in ("P1", "tr_Q2_B_X"):
        Path(f"msa/{stem}.a3m").write_text(f">{stem}\n{sequence}\n>h\n{homolog}\n")
    rows = f">ss_pred\n{'H' * 22}\n>barren\n{sequence}\n>barren_consensus\n{homolog}\n>again\n{sequence}\n"
    Path("msa/barren.a2m").write_text(f"{rows}\0>other\n{homolog}\n")
    line = (
        "3 of 4 proteins have an alignment, 1 give no homolog; rows left out: 1 annotate, 1 are a consensus, "
        "1 stand below another query"
    )
    counts = {
        "proteins": 4, "with_alignment": 3, "without_homolog": 1, "annotation_rows": 1, "consensus_rows": 1,
        "other_query_rows": 1, "estimated": 0,
    }  # fmt: skip
    options = ("--run", binding_run, "--msa-dir", "msa")
    for _ in range(2):  # the second time from the manifest
        assert run("predict", *options, "--fasta", "p.fa", "--shard-proteins", 3, "--out", "predicted") == 0
        assert line in capsys.readouterr().out
        assert json.loads(Path("predicted/summary.json").read_text())["alignments"] == counts
    assert run("evaluate", *options, "--fasta", "{ION}_test.fa", "--ions", "ZN", "--out", "tested") == 0
    assert line in capsys.readouterr().out
    assert yaml.safe_load(Path("tested/summary.yaml").read_text())["alignments"] == counts
    assert "none of" not in caplog.text
    Path("numbered").mkdir()
    Path("numbered/0.a3m").write_text(f">x\n{sequence}\n")
    assert run("predict", "--run", binding_run, "--msa-dir", "numbered", "--fasta", "p.fa", "--out", "none") == 0
    assert "0 of 4 proteins have an alignment, 0 give no homolog" in capsys.readouterr().out
    assert "numbered: none of 4 proteins has an alignment, all are read alone: looked for sp|P1|A_X.a3m" in caplog.text
    assert "the folder holds '0.a3m'" in caplog.text


def write_alignments(folder: Path, fasta: Path, *, seed: int = 0) -> None:
    """Five homologs of each protein."""
    drawn = random.Random(seed)
    folder.mkdir(exist_ok=True)
    for name, sequence in read_fasta(fasta).items():
        homologs = "".join(f">h{n}\n{''.join(drawn.choices('ACDEFGH', k=len(sequence)))}\n" for n in range(5))
        (folder / f"{name}.a3m").write_text(f">{name}\n{sequence}\n{homologs}")


def test_other_alignments_are_not_mixed(
    run: Run, binding_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fasta, msa = write_proteins(tmp_path / "p.fa", 4), tmp_path / "msa"
    write_alignments(msa, fasta)
    options = ("predict", "--run", binding_run, "--fasta", fasta, "--msa-dir", msa, "--shard-proteins", 2, "--out")
    refused = "holds other predictions: alignments are not the same; choose another --out"

    def fail_at_second_shard(shard: Any, **more: Any) -> Any:
        if shard[0].name == "p2":
            raise BindtuneError("stopped")
        return predict_shard(shard, **more)

    with monkeypatch.context() as patched:
        patched.setattr("bindtune.inference.job.predict_shard", fail_at_second_shard)
        assert run(*options, "half") == 2
    assert [path.name for path in Path("half/parts").iterdir()] == ["part-00000.parquet"]
    assert run(*options, "out") == 0
    before = contents(Path("out"))
    (msa / "other.a3m").write_text("of no protein of these")
    (msa / "p3.a3m").touch()
    assert run(*options, "out") == 0  # none of these has changed
    elsewhere = shutil.copytree(binding_run.parent / "encoder", tmp_path / "another place")
    same = ("predict", "--run", binding_run, "--fasta", tmp_path / "." / fasta.name, "--msa-dir", f"{msa}/../msa")
    assert run(*same, "--shard-proteins", 2, "--base-model", elsewhere, "--out", "out") == 0  # hashes decide
    origin, manifest = (json.loads(Path(f"out/{name}.json").read_text()) for name in ("provenance", "manifest"))
    assert origin["inputs"]["alignments"] == {"path": str(msa), "sha256": manifest["alignments"]}
    text = (msa / "p3.a3m").read_text()
    (msa / "p3.a3m").unlink()
    capsys.readouterr()
    for out in ("half", "out"):
        assert run(*options, out) == 2
        assert refused in capsys.readouterr().err
    write_alignments(msa, fasta, seed=1)
    for out in ("half", "out"):
        assert run(*options, out) == 2
        assert refused in capsys.readouterr().err
    write_alignments(msa, fasta)
    assert (msa / "p3.a3m").read_text() == text
    for out in ("half", "out"):
        assert run(*options, out) == 0
        assert contents(Path(out)) == before


@pytest.mark.parametrize("method", ["temperature", "isotonic"])
def test_calibration_is_fitted_out_of_fold(run: Run, binding_run: Path, tmp_path: Path, method: str) -> None:
    fasta = write_proteins(tmp_path / "p.fa", 4)
    options = ("--run", binding_run, "--fasta", fasta)
    assert run("predict", *options, "--out", "raw") == 0
    assert run("predict", *options, "--out", "fitted", "--calibration", method) == 0
    raw, fitted = (pq.read_table(f"{out}/predictions.parquet").to_pandas() for out in ("raw", "fitted"))
    oof = pq.read_table(binding_run / "oof.parquet").to_pandas()
    for ion in ("ZN", "MN"):
        own = oof[oof.ion == ion]
        calibration = fit_calibration(own.label, own.probability, method)  # type: ignore[arg-type]
        assert calibration is not None
        expected = calibrate(calibration, raw[raw.ion == ion].probability)
        np.testing.assert_allclose(fitted[fitted.ion == ion].probability, expected, atol=1e-5)
    np.testing.assert_array_equal(fitted.spread, raw.spread)
    if method == "temperature":
        assert fitted.call.equals(raw.call)
    threshold = json.loads(Path("fitted/summary.json").read_text())["ions"]["ZN"]["threshold"]
    own = fitted[fitted.ion == "ZN"]
    assert ((own.probability >= np.float32(threshold)).astype(int) == own.call).all()


def test_what_a_kill_leaves_before_the_manifest_is_no_obstacle(run: Run, binding_run: Path, tmp_path: Path) -> None:
    fasta = write_proteins(tmp_path / "p.fa", 2)
    (tmp_path / "out").mkdir()
    for name in ("NOTICE", "provenance.json", ".manifest.json.x.part", ".lock"):
        (tmp_path / "out" / name).write_text("of the killed command")
    assert run("predict", "--run", binding_run, "--fasta", fasta, "--out", "out") == 0
    assert json.loads(Path("out/provenance.json").read_text())["inputs"]["fasta"]["path"] == str(fasta)
    assert [path.name for path in Path("out").glob(".*")] == [".lock"]


@pytest.mark.slow
def test_two_processes_give_what_one_gives(run: Run, binding_run: Path, tmp_path: Path, warm_python: Path) -> None:
    fasta = write_proteins(tmp_path / "p.fa", 40)
    options = ("--run", binding_run, "--fasta", fasta, "--shard-proteins", 3)
    assert run("predict", *options, "--out", "one") == 0
    # Without "--" torchrun takes --run for the beginning of an option of its own.
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "--"]
    done = subprocess.run(
        [sys.executable, *launcher, "bindtune", "predict", *map(str, options), "--out", "two"],
        env={**os.environ, "PYTHON_EXEC": str(warm_python)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert contents(Path("two")) == contents(Path("one"))
    assert done.stdout.count("40 proteins, ") == 1


def test_shares_of_a_job_array_are_joined(
    run: Run, binding_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fasta = write_proteins(tmp_path / "p.fa")
    options = ("predict", "--run", binding_run, "--fasta", fasta, "--shard-proteins", 2)
    assert run(*options, "--out", "one") == 0
    assert run(*options, "--out", "shares", "--shard", "3/4") == 0  # parts 2 of 0 to 5
    assert "share 3/4 is predicted: shares holds 1 of 6 parts" in capsys.readouterr().out
    with only_writer(Path("shares"), shared=True):  # another share runs
        assert run(*options, "--out", "shares", "--shard", "1/4") == 0  # parts 0 and 4
        assert run(*options, "--out", "shares") == 2
        assert "in use by another process" in capsys.readouterr().err
    assert sorted(path.name for path in Path("shares/parts").glob("p*")) == [f"part-0000{n}.parquet" for n in (0, 2, 4)]
    assert run(*options, "--out", "shares", "--shard", "2/4", "--seed", "1") == 2
    assert "seed was 0 and is now 1" in capsys.readouterr().err
    assert run(*options, "--out", "shares", "--shard", "2/4") == 0  # parts 1 and 5; 3 is left
    assert not Path("shares/predictions.parquet").exists()
    assert run(*options, "--out", "shares") == 0
    assert contents(Path("shares")) == contents(Path("one"))
    capsys.readouterr()
    assert run(*options, "--out", "shares", "--shard", "4/4") == 0
    assert "shares holds 6 of 6 parts" in capsys.readouterr().out
    for text in ("0/4", "5/4", "1", "1/0", "a/b", "-1/4"):
        assert run(*options, "--out", "shares", f"--shard={text}") == 2
        assert "expected NUMBER/SHARES, such as 3/16" in capsys.readouterr().err
    assert run(*options[:3], "--fasta", "-", "--out", "new", "--shard", "1/2") == 2
    assert "cannot be standard input" in capsys.readouterr().err and not Path("new").exists()


def test_other_inputs_are_not_mixed(
    run: Run, binding_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fasta = write_proteins(tmp_path / "p.fa", 3)
    options = ("predict", "--run", binding_run, "--fasta", fasta)
    assert run(*options, "--out", "out") == 0
    assert run(*options, "--out", "out", "--seed", 5) == 2
    assert "seed was 0 and is now 5" in capsys.readouterr().err
    write_proteins(fasta, 4)
    assert run(*options, "--out", "out") == 2
    assert "input is not the same" in capsys.readouterr().err
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.doc").touch()
    assert run(*options, "--out", "full") == 2
    assert "is not empty" in capsys.readouterr().err


def test_a_finished_folder_gets_the_tables_that_it_lacks(
    run: Run, binding_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fasta = write_proteins(tmp_path / "p.fa", 5)
    options = ("predict", "--run", binding_run, "--fasta", fasta, "--shard-proteins", 2, "--out")
    assert run(*options, "straight") == 0
    capsys.readouterr()
    assert run(*options, "out", "--no-tsv") == 0
    assert "predictions.tsv" not in capsys.readouterr().out and not Path("out/predictions.tsv").exists()
    with monkeypatch.context() as patched:
        patched.setattr("bindtune.inference.job.predict_shard", lambda *_, **__: pytest.fail("was predicted again"))
        assert run(*options, "out") == 0
        assert "out/predictions.parquet and predictions.tsv" in capsys.readouterr().out
        assert contents(Path("out")) == contents(Path("straight"))
        Path("out/calls_ZN.fa").unlink()
        assert run(*options, "out", "--no-tsv") == 0
        assert contents(Path("out")) == contents(Path("straight"))
    Path("out/predictions.parquet").unlink()
    assert run(*options, "out") == 0
    assert contents(Path("out")) == contents(Path("straight"))
    assert not [path for path in Path("out").iterdir() if path.name.endswith(".part")]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "p.fa: holds no sequence"),
        (">a\nMKC\n>b\nMK1C\n", "p.fa:4: 'b': '1' at residue 3, expected A-Z"),
        (">a\nMKC\n>a\nMKK\n", "p.fa:3: 'a' comes twice, first in line 1"),
        (">a\n", "p.fa:1: 'a' has no sequence"),
    ],
)
def test_broken_fasta(
    run: Run, binding_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, problem: str
) -> None:
    (tmp_path / "p.fa").write_text(text)
    assert run("predict", "--run", binding_run, "--fasta", "p.fa", "--out", "out") == 2
    assert capsys.readouterr().err == f"bindtune: {problem}\n"


def test_broken_runs(
    run: Run, make_binding_run: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_binding_run(tmp_path / "run")
    fasta = write_proteins(tmp_path / "p.fa", 2)
    options = ("predict", "--run", folder, "--fasta", fasta, "--out", "out")
    capsys.readouterr()

    def refused(*more: object) -> str:
        assert run(*options, *more) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and error.startswith("bindtune: ")
        return error

    assert "has no CU; it has ZN, MN" in refused("--ions", "ZN,CU")
    assert "no model" in refused("--base-model", tmp_path / "nothing")
    assert "no 'cuda:7' here" in refused("--device", "cuda:7")
    assert "no such file" in refused("--structure", "nothing.pdb")
    assert not (tmp_path / "out/predictions.parquet").exists()
    assert "holds no config.yaml, so it is not the folder of a run\n" in refused("--run", tmp_path)
    assert f"a run; it is a part of one, {folder}" in refused("--run", folder / "fold_1")
    assert "is no folder" in refused("--msa-dir", "nothing")
    heads = folder / "fold_2" / f"{BEST}_heads.pt"
    content = heads.read_bytes()
    heads.write_bytes(content[:100])
    assert "no heads of a binding model" in refused()
    heads.unlink()
    assert "the fold is not trained" in refused()
    heads.write_bytes(content)
    (folder / "global_thresholds.yaml").write_text("thresholds: {ZN: {threshold: .nan}}\n")
    assert "thresholds.ZN.threshold: expected a number from 0 to 1, found nan" in refused()
    (folder / "global_thresholds.yaml").write_text("- 1\n")
    assert "no thresholds of a run" in refused()


def write_structure(path: Path, sequence: str) -> None:
    lines = []
    for n, letter in enumerate(sequence):
        kind = ProteinSequence.convert_letter_1to3(letter)
        coordinates = f"{n * 1.0:8.3f}{0.0:8.3f}{0.0:8.3f}{1.0:6.2f}{50.0:6.2f}"
        lines.append(f"ATOM  {n:5d}  CA  {kind} A{n + 100:4d}    {coordinates}")
    path.write_text("\n".join([*lines, "END", ""]))


def test_structures_are_coloured(
    run: Run, binding_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fasta = write_proteins(tmp_path / "p.fa", 4)
    proteins = read_fasta(fasta)
    options = ("predict", "--run", binding_run, "--fasta", fasta, "--out", "out")
    write_structure(tmp_path / "1abc.pdb", proteins["p1"][2:])
    assert run(*options, "--structure", "1abc.pdb", "--protein", "p1", "--structure-ion", "ZN") == 0
    assert "p1: chain A" in capsys.readouterr().out
    table = pq.read_table("out/predictions.parquet").to_pandas()
    expected = table[(table.protein == "p1") & (table.ion == "ZN")].probability.to_numpy()[2:]
    factors = [float(line[60:66]) for line in Path("out/structures/1abc.pdb").read_text().splitlines()[:-1]]
    np.testing.assert_allclose(factors, expected, atol=0.0005001)
    attributes = Path("out/structures/1abc.defattr").read_text()
    assert "attribute: bindtune_ZN" in attributes and "attribute: bindtune_MN" in attributes
    assert Path("out/structures/1abc.pml").is_file()
    scene = json.loads(Path("out/structures/1abc.mvsj").read_text())
    assert scene["metadata"]["title"] == "p1: ZN"
    (tmp_path / "pdbs").mkdir()
    for name in ("p0", "p2"):
        write_structure(tmp_path / f"pdbs/{name}.pdb", proteins[name])
    write_structure(tmp_path / "pdbs/p9.pdb", proteins["p0"])
    for name in ("p1.txt", ".notes"):
        (tmp_path / "pdbs" / name).write_text("")
    assert run(*options, "--structure", "pdbs") == 0
    lines = capsys.readouterr().out
    assert "structures without a predicted protein: 1 of 3 (p9.pdb)" in lines
    assert "skipped files that are neither PDB nor mmCIF: 1 (p1.txt)" in lines
    summary = json.loads(Path("out/summary.json").read_text())
    assert summary["structures_without_prediction"] == ["p9.pdb"] and summary["skipped_structure_files"] == ["p1.txt"]
    assert [each["protein"] for each in summary["structures"]] == ["p0", "p2"]
    highest = table[table.protein == "p2"].groupby("position").probability.max()
    factors = [float(line[60:66]) for line in Path("out/structures/p2.pdb").read_text().splitlines()[:-1]]
    np.testing.assert_allclose(factors, highest, atol=0.0005001)
    (tmp_path / "pdbs/p2.cif").write_text("data_x\n")
    capsys.readouterr()
    assert run(*options, "--structure", "pdbs") == 2
    assert "p2.pdb: is a second structure of protein 'p2', beside p2.cif" in capsys.readouterr().err
    assert run(*options[:-1], "new", "--structure", "1abc.pdb", "--protein", "p3") == 2
    assert "expected at least 50% and 90%" in capsys.readouterr().err
    assert not list(Path("new").rglob("*.parquet"))  # refused before a model runs
    assert run(*options, "--structure", "1abc.pdb", "--protein", "p9") == 2
    assert "no protein is called p9" in capsys.readouterr().err
    assert run(*options, "--structure", "1abc.pdb", "--protein", "p1", "--chain", "B") == 2
    assert "has no chain 'B' of amino acids, it has A" in capsys.readouterr().err
    odd = Path("1abc.pdb").read_text().replace(" A ", " ; ")
    (tmp_path / "1abc.pdb").write_text(odd)
    assert run(*options, "--structure", "1abc.pdb", "--protein", "p1") == 0
    message = capsys.readouterr().out
    assert "no file for ChimeraX or PyMOL, which would take the name ';' for commands" in message
    assert [path.name for path in sorted(Path("out/structures").glob("1abc.*"))] == ["1abc.mvsj", "1abc.pdb"]
    assert json.loads(Path("out/summary.json").read_text())["structures"][0]["unsafe_name"] == ";"
    (tmp_path / "1abc.pdb").rename(tmp_path / "a;system touch X.pdb")
    write_structure(tmp_path / "a;system touch X.pdb", proteins["p1"])
    assert run(*options, "--structure", "a;system touch X.pdb", "--protein", "p1") == 0
    assert "no file for PyMOL, which would take the name 'a;system touch X.pdb'" in capsys.readouterr().out
    assert {path.suffix for path in Path("out/structures").glob("a;*")} == {".pdb", ".defattr", ".mvsj"}
