"""`bindtune evaluate`: the figures are those of the arrays, thresholds and baselines those of the run."""

import csv
import hashlib
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from sklearn import metrics

from bindtune.evaluation import residue_baseline

Run = Callable[..., int]


def write_labels(path: Path, *, first: int, count: int = 10, extra: str = "") -> None:
    """Proteins q<first>... in which most C bind; a protein has the same sequence in every file."""
    path.parent.mkdir(exist_ok=True)
    records = []
    for number in range(first, first + count):
        drawn = random.Random(1000 + number)
        sequence = "".join(drawn.choices("ACDEFGHIKLMNPQRSTVWY", k=40)) + "C"
        labels = "".join("1" if letter == "C" and drawn.random() < 0.8 else "0" for letter in sequence)
        records.append(f">q{number}\n{sequence}\n{labels}\n")
    path.write_text("".join(records) + extra)


def check_figures(out: Path, ion: str, thresholds: dict[str, float]) -> None:
    """test_metrics.csv against scikit-learn on test_predictions.npz."""
    with (out / "test_metrics.csv").open() as handle:
        row: dict[str, Any] = {each["ion"]: each for each in csv.DictReader(handle)}[ion]
    arrays = np.load(out / "test_predictions.npz", allow_pickle=False)
    labels, scores = arrays[f"{ion}_labels"], arrays[f"{ion}_probs"]
    assert len(arrays[f"{ion}_ids"]) == len(arrays[f"{ion}_std_probs"]) == len(labels) == int(row["residues"])
    expected = {
        "auroc": metrics.roc_auc_score(labels, scores),
        "auprc": metrics.average_precision_score(labels, scores),
        "base_rate": labels.mean(),
    }
    if ion in thresholds:
        calls = scores >= thresholds[ion]
        expected |= {
            "f1": metrics.f1_score(labels, calls),
            "mcc": metrics.matthews_corrcoef(labels, calls),
            "precision": metrics.precision_score(labels, calls, zero_division=0),
            "recall": metrics.recall_score(labels, calls),
        }
        assert float(row["true_positives"]) == (calls & (labels == 1)).sum()
    else:
        assert row["f1"] == row["threshold"] == row["f1_low"] == row["false_negatives"] == ""
    for name, value in expected.items():
        assert float(row[name]) == pytest.approx(value, abs=1e-6), name
    for name in ("auroc", "auprc", "hra"):
        assert float(row[f"{name}_low"]) <= float(row[f"{name}_high"])


def test_figures_are_those_of_the_arrays(
    run: Run, binding_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_labels(tmp_path / "tests/ZN_test.fa", first=0)
    write_labels(tmp_path / "tests/MN_test.fa", first=6)
    options = ("evaluate", "--run", binding_run, "--fasta", "tests/{ION}_test.fa", "--draws", 50)
    assert run(*options, "--out", "out") == 0
    printed = capsys.readouterr().out
    assert "0 of 16 test proteins have the sequence of a training protein" in printed and "baseline" in printed
    out = tmp_path / "out"
    for ion in ("ZN", "MN"):
        check_figures(out, ion, {"ZN": 0.5})
    # Residues are those of the files, in the files' order, and predictions those of the table.
    arrays = np.load(out / "test_predictions.npz", allow_pickle=False)
    lines = (tmp_path / "tests/MN_test.fa").read_text().splitlines()
    expected = [
        f"{name[1:]}:{position}"
        for name, text in zip(lines[::3], lines[1::3], strict=True)
        for position in range(len(text))
    ]
    assert arrays["MN_ids"].tolist() == expected and arrays["position_base"] == 0
    assert "".join(map(str, arrays["MN_labels"])) == "".join(lines[2::3])
    table = pq.read_table(out / "predictions.parquet").to_pandas()
    table = table[table.ion == "MN"]
    table.index = table.protein + ":" + (table.position - 1).astype(str)
    np.testing.assert_array_equal(table.loc[expected].probability, arrays["MN_probs"])
    np.testing.assert_array_equal(table.loc[expected].spread, arrays["MN_std_probs"])
    # The baseline was fitted on the out-of-fold residues of the run.
    oof = pq.read_table(binding_run / "oof.parquet").to_pandas()
    own = oof[oof.ion == "MN"]
    odds = residue_baseline.fit(["".join(own.residue)], [own.label.to_numpy(np.int8)[:, None]])
    scores = residue_baseline.score(odds, "".join(lines[1::3]))[:, 0]
    summary = yaml.safe_load((out / "summary.yaml").read_text())
    ions, overall = summary["ions"], summary["overall"]
    reached = metrics.average_precision_score(arrays["MN_labels"], scores)
    assert ions["MN"]["baseline_auprc"] == pytest.approx(reached)
    assert overall["mean_auprc"] == pytest.approx((ions["ZN"]["auprc"] + ions["MN"]["auprc"]) / 2)
    assert overall["mean_f1"] == pytest.approx(ions["ZN"]["f1"])
    assert sorted(path.name for path in (out / "plots").iterdir()) == [
        "calibration_MN.png", "calibration_ZN.png", "thresholds_MN.png", "thresholds_ZN.png",
    ]  # fmt: skip
    before = (out / "test_predictions.npz").read_bytes()
    assert run(*options, "--out", "out") == 0  # done already, and scored anew
    assert (out / "test_predictions.npz").read_bytes() == before


def test_thresholds_never_come_from_the_test_set(run: Run, binding_run: Path, tmp_path: Path) -> None:
    write_labels(tmp_path / "tests/ZN_test.fa", first=0)
    swapped = (tmp_path / "tests/ZN_test.fa").read_text().replace("1", "2").replace("0", "1").replace("2", "0")
    (tmp_path / "other").mkdir()
    lines = swapped.splitlines()
    names = (tmp_path / "tests/ZN_test.fa").read_text().splitlines()[::3]
    triples = zip(names, lines[1::3], lines[2::3], strict=True)
    (tmp_path / "other/ZN_test.fa").write_text("".join(f"{a}\n{b}\n{c}\n" for a, b, c in triples))
    for folder in ("tests", "other"):
        options = ("--fasta", folder, "--out", f"out-{folder}", "--draws", 5, "--calibration", "isotonic")
        assert run("evaluate", "--run", binding_run, *options) == 0
    messages = [
        yaml.safe_load(Path(f"out-{folder}/summary.yaml").read_text())["ions"]["ZN"] for folder in ("tests", "other")
    ]
    assert messages[0]["threshold"] == messages[1]["threshold"] and messages[0]["auprc"] != messages[1]["auprc"]
    check_figures(tmp_path / "out-tests", "ZN", {"ZN": messages[0]["threshold"]})
    tables = [Path(f"out-{folder}/predictions.parquet").read_bytes() for folder in ("tests", "other")]
    assert tables[0] == tables[1]


def test_training_proteins_in_the_test_set(
    run: Run,
    binding_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    oof = pq.read_table(binding_run / "oof.parquet").to_pandas()
    own = oof[(oof.protein == "t2") & (oof.ion == "ZN")]
    leaked = f">other_name\n{''.join(own.residue)}\n{''.join(map(str, own.label))}\n"
    near = own.residue.to_list()
    near[3:5] = "WW"
    near_copy = f">near\n{''.join(near)}\n{'0' * len(near)}\n"
    write_labels(tmp_path / "tests/ZN_test.fa", first=0, extra=leaked + near_copy)
    options = ("evaluate", "--run", binding_run, "--fasta", "tests", "--draws", 5, "--out", "out")
    assert run(*options, "--leaks", "fail") == 1
    assert "1 of 12 test proteins have the sequence of a training protein: other_name; see" in capsys.readouterr().err
    audit = json.loads(Path("out/audit.json").read_text())
    (example,) = audit["test"]["examples"]
    assert {example["first"], example["second"]} == {"other_name", "t2"} and audit["leaks"] == 1
    assert not Path("out/predictions.parquet").exists()
    caplog.clear()
    assert run(*options) == 0
    assert "1 of 12 test proteins have the sequence of a training protein: other_name\n" in capsys.readouterr().out
    (warned,) = (one for one in caplog.records if "make the figures too high" in one.getMessage())
    assert warned.levelname == "WARNING" and "training protein: other_name; see" in warned.getMessage()
    assert yaml.safe_load(Path("out/summary.yaml").read_text())["leaks"]["identical_pairs"] == 1
    assert run(*options[:-1], "other", "--audit-identity", 0.5) == 0
    assert "1 others are similar to one (identity at least 0.5): other_name, near\n" in capsys.readouterr().out


def test_what_cannot_be_evaluated(
    run: Run, binding_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_labels(tmp_path / "tests/ZN_test.fa", first=0)
    options = ("evaluate", "--run", binding_run, "--out", "out")
    assert run(*options, "--fasta", "nothing/{ION}.fa") == 2
    assert "nothing/ZN.fa" in capsys.readouterr().err
    assert run(*options, "--fasta", "tests", "--ions", "MN") == 2
    assert "ion MN: no labelled file" in capsys.readouterr().err
    assert run(*options, "--fasta", "tests/ZN_test.fa") == 2
    assert "is one file" in capsys.readouterr().err
    (tmp_path / "tests/MN_test.fa").write_text(">a\nMKC\n010\n>b\nMK1\n000\n>c\nMKC\n01\n")
    assert run(*options, "--fasta", "tests") == 2
    error = capsys.readouterr().err
    assert "MN_test.fa:5" in error and "MN_test.fa:9" in error
    assert not Path("out").exists()


def test_each_member_of_a_group_has_a_file_of_any_suffix(
    run: Run,
    binding_run: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(binding_run, "grouped")
    config = yaml.safe_load(Path("grouped/config.yaml").read_text())
    config["data"]["ion_groups"] = {"ZN": ["light", "heavy"]}
    Path("grouped/config.yaml").write_text(yaml.safe_dump(config))
    write_labels(tmp_path / "tests/light_test.fa", first=0)
    write_labels(tmp_path / "tests/heavy_test.fasta", first=6)
    assert run("evaluate", "--run", "grouped", "--fasta", "tests", "--out", "out", "--draws", 5) == 0
    arrays = np.load("out/test_predictions.npz", allow_pickle=False)
    assert {name.split(":")[0] for name in arrays["ZN_ids"]} == {f"q{number}" for number in range(16)}
    assert "MN: no test file, it is not evaluated" in caplog.text and "ZN: no" not in caplog.text
    (tmp_path / "tests/heavy_test.fasta").rename(tmp_path / "tests/heavy_Test.fasta")
    write_labels(tmp_path / "tests/MN_test.fa", first=0)
    assert run("evaluate", "--run", "grouped", "--fasta", "tests", "--out", "half") == 2
    assert "ion ZN: no labelled file of its member heavy; looked for tests/heavy_test.fasta" in capsys.readouterr().err


@pytest.mark.slow
def test_real_proteins(run: Run, binding_run: Path, shared: Path, tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    shutil.copy(shared / "data/metal_ions/MN_test.fa", tmp_path / "tests")
    assert run("evaluate", "--run", binding_run, "--fasta", "tests/{ION}_test.fa", "--out", "out", "--draws", 20) == 0
    check_figures(tmp_path / "out", "MN", {})
    summary = yaml.safe_load(Path("out/summary.yaml").read_text())["ions"]["MN"]
    assert summary["proteins"] == 57 and summary["base_rate"] == pytest.approx(0.011, abs=5e-4)


def test_an_ion_that_was_left_out_of_training(
    run: Run, binding_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_labels(tmp_path / "tests/CU_test.fa", first=0)
    options = ("evaluate", "--run", binding_run, "--fasta", "tests", "--draws", 50, "--out", "out")
    assert run(*options, "--transfer", "CU") == 0
    assert "sites of CU, which the run was not trained on, as its heads find them" in capsys.readouterr().out
    out = tmp_path / "out"
    arrays = np.load(out / "test_predictions.npz", allow_pickle=False)
    assert (arrays["ZN_labels"] == arrays["MN_labels"]).all() and (arrays["ZN_ids"] == arrays["MN_ids"]).all()
    assert (arrays["any head_probs"] == np.maximum(arrays["ZN_probs"], arrays["MN_probs"])).all()
    lines = (tmp_path / "tests/CU_test.fa").read_text().splitlines()
    assert "".join(map(str, arrays["MN_labels"])) == "".join(lines[2::3])
    for row in ("ZN", "MN", "any head"):
        check_figures(out, row, {"ZN": 0.5})
    assert yaml.safe_load((out / "summary.yaml").read_text())["transfer"] == "CU"
    assert run(*options[:-1], "one", "--transfer", "CU", "--ions", "MN") == 0
    with (tmp_path / "one/test_metrics.csv").open() as handle:
        assert [row["ion"] for row in csv.DictReader(handle)] == ["MN", "mean"]
    capsys.readouterr()
    for ion, message in (
        ("ZN", "was trained on sites of ZN, as ZN: leave transfer out"),
        ("NI", "ion NI: no labelled file; looked for tests/NI_test.fasta"),
    ):
        assert run(*options[:-1], "other", "--transfer", ion) == 2
        assert message in capsys.readouterr().err


def test_a_target_chooses_the_threshold_on_the_out_of_fold_residues(
    run: Run, binding_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = shutil.copytree(binding_run, tmp_path / "run")
    table = pq.read_table(trained / "oof.parquet")
    proteins = [f"{name}-{copy}" for copy in range(12) for name in table["protein"].to_pylist()]
    many = pa.concat_tables([table] * 12).set_column(0, "protein", pa.array(proteins))
    label = many["label"].to_numpy()
    scores = pa.array(np.where(label == 1, 0.31, 0.02).astype(np.float32))
    pq.write_table(many.set_column(many.schema.names.index("probability"), "probability", scores),
                   trained / "oof.parquet")  # fmt: skip
    write_labels(tmp_path / "tests/ZN_test.fa", first=0)
    options = ("evaluate", "--run", trained, "--fasta", "tests/ZN_test.fa", "--ions", "ZN", "--draws", 5)
    assert run(*options, "--target", "recall=0.8", "--out", "out") == 0
    printed = capsys.readouterr().out
    assert "ZN: recall of at least 0.8 with 90 % confidence: threshold 0.289" in printed
    assert "recall 1.000, precision 1.000 out of fold" in printed
    summary = yaml.safe_load((tmp_path / "out/summary.yaml").read_text())
    target, row = summary["targets"]["ZN"], summary["ions"]["ZN"]
    assert row["threshold"] == target["threshold"] == pytest.approx(1 / (1 + np.exp(0.9)))
    assert (f"recall is {row['recall']:.3f}: {'kept' if row['recall'] >= 0.8 else 'not kept'}") in printed
    assert run("predict", "--run", trained, "--fasta", "tests/ZN_test.fa", "--target", "recall=0.8", "--out", "p") == 2
    (tmp_path / "p.fa").write_text(">q\nACDEFGHIKLMNPQRSTVWY\n")
    assert run("predict", "--run", trained, "--fasta", "p.fa", "--target", "recall=0.8", "--out", "p") == 0
    counts = json.loads((tmp_path / "p/summary.json").read_text())["ions"]["ZN"]
    assert counts["threshold"] == counts["target"]["threshold"] == target["threshold"]
    for wrong, message in (("recall=2", "expected recall=NUMBER"), ("precision=0.999", "no ion with such a threshold")):
        capsys.readouterr()
        assert run("predict", "--run", trained, "--fasta", "p.fa", "--target", wrong, "--out", "q") == 2
        assert message in capsys.readouterr().err


def test_other_tools_stand_beside_the_run(
    run: Run, binding_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_labels(tmp_path / "tests/ZN_test.fa", first=0)
    lines = (tmp_path / "tests/ZN_test.fa").read_text().splitlines()
    records = list(zip((name[1:] for name in lines[::3]), lines[1::3], lines[2::3], strict=True))
    perfect = [f'{name},{sequence},"{",".join(labels)}","{",".join(labels)}"' for name, sequence, labels in records]
    (tmp_path / "l.csv").write_text("\n".join(["ID,Sequence,ZN_prob,ZN_pred", *perfect]) + "\n")
    (tmp_path / "learned.txt").write_text("q1\nq2\n")
    options = ("evaluate", "--run", binding_run, "--fasta", "tests/ZN_test.fa", "--ions", "ZN", "--draws", 5)
    tool = ("--tool", "LMetalSite=l.csv", "--tool-training", "LMetalSite=learned.txt")
    assert run(*options, *tool, "--out", "out") == 0
    printed = capsys.readouterr().out
    assert "ZN: 10 of 10 proteins are predicted by both, 8 of them are in nobody's training set" in printed
    table = {(row["subset"], row["figure"]): row for row in json.loads(Path("out/tools.json").read_text())["rows"]}
    row = table["all proteins", "AUPRC"]
    figures = yaml.safe_load(Path("out/summary.yaml").read_text())["ions"]["ZN"]
    assert row["tool_value"] == 1 and row["run"] == pytest.approx(figures["auprc"])
    assert "AUPRC of ZN, all proteins is lower with the run than with LMetalSite" in printed
    assert "Intervals from fewer than 30 proteins are often too narrow: ZN (10)." in printed
    assert row["conclusion"] in Path("out/tools.html").read_text() and Path("out/tools.csv").is_file()
    inputs = json.loads(Path("out/tools.json").read_text())["provenance"]["inputs"]
    for name, path in (("predictions of LMetalSite", "l.csv"), ("training proteins of LMetalSite", "learned.txt"),
                       ("test predictions", "out/predictions.parquet")):  # fmt: skip
        expected = {"path": str(tmp_path / path), "sha256": hashlib.sha256(Path(path).read_bytes()).hexdigest()}
        assert inputs[name] == expected
    sites = list(csv.DictReader(Path("out/test_sites.csv").read_text().splitlines()))
    counts = yaml.safe_load(Path("out/summary.yaml").read_text())["sites"]["ZN"]
    assert sum(site["site"] == "found" for site in sites) == counts["found"]
    assert sum(site["site"] == "invented" for site in sites) == counts["invented"]
    own = {(site["protein"], int(place)) for site in sites if site["site"] != "invented"
           for place in site["positions"].split()}  # fmt: skip
    assert own == {(name, place) for name, _, labels in records
                   for place, label in enumerate(labels, start=1) if label == "1"}  # fmt: skip
    assert f"ZN: {counts['sites']} sites, {counts['found']} found, {counts['missed']} missed" in printed
    assert f"{counts['found']} found by both, 0 by the run alone, {counts['missed']} by LMetalSite alone" in printed
    cut = [perfect[0].replace(records[0][1], records[0][1][:-1])]
    (tmp_path / "l.csv").write_text("\n".join(["ID,Sequence,ZN_prob,ZN_pred", *cut]) + "\n")
    assert run(*options, *tool, "--out", "other") == 2
    assert "l.csv:2: 'q0' has 40 residues, expected 41" in capsys.readouterr().err
    assert not Path("other").exists()
