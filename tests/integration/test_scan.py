"""`bindtune scan`: every substitution in a table and a heat map; a stopped scan goes on; ESM-2 is scanned too."""

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from bindtune.errors import InputError
from bindtune.inference import scan as module

Run = Callable[..., int]
SEQUENCE = "MKCHHCDEAAWYCHDKLMNPQRSTVW"
COLUMNS = [
    *("protein", "position", "residue", "mutant", "ion", "site_position"),
    *("probability_wildtype", "probability_mutant", "change", "variant"),
]


@pytest.fixture
def words(binding_run: Path, tmp_path: Path) -> list[Any]:
    (tmp_path / "p.fa").write_text(f">p1 one\n{SEQUENCE.lower()}\n>p2\nMKK\n")
    return ["scan", "--run", binding_run, "--fasta", "p.fa", "--protein", "p1", "--out", "out"]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def test_every_substitution_is_in_the_table(
    run: Run, words: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words, "--ions", "ZN", "--positions", "3-5,13", "--sites", "4,26") == 0
    said = capsys.readouterr().out
    assert "p1: 76 variants: out/scan.parquet and scan.tsv" in said and "ZN: sites: 4, 26" in said
    table = rows(tmp_path / "out/scan.tsv")
    assert list(table[0]) == COLUMNS and len(table) == 4 * 19 * 2
    variants = {(row["position"], row["residue"], row["mutant"]) for row in table}
    assert variants == {
        (str(index), SEQUENCE[index - 1], letter)
        for index in (3, 4, 5, 13)
        for letter in "ACDEFGHIKLMNPQRSTVWY"
        if letter != SEQUENCE[index - 1]
    }
    assert {row["site_position"] for row in table} == {"4", "26"} and {row["ion"] for row in table} == {"ZN"}
    for row in table:
        before, after, change = (float(row[name]) for name in COLUMNS[6:9])
        assert change == pytest.approx(after - before, abs=1e-6)
        assert row["variant"] == f"{row['residue']}{row['position']}{row['mutant']}"
    # The numbers are those of `bindtune predict` for the protein and for a variant of it.
    one = next(row for row in table if row["variant"] == "H4W" and row["site_position"] == "26")
    (tmp_path / "v.fa").write_text(f">p1\n{SEQUENCE}\n>v\n{SEQUENCE[:3]}W{SEQUENCE[4:]}\n")
    assert run("predict", "--run", words[2], "--fasta", "v.fa", "--ions", "ZN", "--out", "predicted") == 0
    predicted = {(row["protein"], row["position"]): float(row["probability"])
                 for row in rows(tmp_path / "predicted/predictions.tsv")}  # fmt: skip
    assert float(one["probability_wildtype"]) == pytest.approx(predicted["p1", "26"], abs=1e-5)
    assert float(one["probability_mutant"]) == pytest.approx(predicted["v", "26"], abs=1e-5)
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert "Scan of p1" in page and page.count("<circle") == 4  # the protein's own residues
    strongest = max(table, key=lambda row: abs(float(row["change"])))
    assert strongest["variant"] in page
    assert run("report", "out", "--out", "again.html") == 0
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == page


def test_sites_are_those_that_are_called(
    run: Run, words: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words, "--to", "a", "--calibration", "temperature") == 0
    said = capsys.readouterr().out
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert (
        run("predict", "--run", words[2], "--fasta", "p.fa", "--out", "predicted", "--calibration", "temperature") == 0
    )
    called = [int(row["position"]) for row in rows(tmp_path / "predicted/predictions.tsv")
              if (row["protein"], row["ion"], row["call"]) == ("p1", "ZN", "1")]  # fmt: skip
    assert called and summary["ions"]["ZN"] == {"sites": called, "chosen": "called"}
    assert summary["ions"]["MN"]["chosen"] == "most probable" and len(summary["ions"]["MN"]["sites"]) == 1
    assert "MN: no residue is called; followed is the most probable one: " in said
    table = rows(tmp_path / "out/scan.tsv")
    assert {row["mutant"] for row in table} == {"A"}
    assert len(table) == sum(letter != "A" for letter in SEQUENCE) * (len(called) + 1)


def test_a_list_of_variants(run: Run, words: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "v.txt").write_text("H4W\nM1K:W26A\n")
    assert run(*words, "--variants", "v.txt", "--sites", "4", "--ions", "MN") == 0
    table = rows(tmp_path / "out/scan.tsv")
    assert [(row["variant"], row["position"], row["mutant"]) for row in table] == [
        ("H4W", "4", "W"),
        ("M1K:W26A", "", ""),
    ]
    (tmp_path / "v.txt").write_text("K4W\n")
    assert run(*words[:-1], "other", "--variants", "v.txt") == 2
    assert "v.txt:1: 'K4W': residue 4 of the parent is H" in capsys.readouterr().err


def test_a_stopped_scan_goes_on(
    run: Run, words: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--positions", "3-8", "--sites", "4", "--part-variants", 50]
    assert run(*words[:-1], "whole", *options) == 0
    real, calls = module.variant_probabilities, list[int]()

    def stops(*arguments: Any, **more: Any) -> Any:
        calls.append(len(arguments[1]))
        if len(calls) == 2:
            raise InputError(None, None, "stopped")
        return real(*arguments, **more)

    monkeypatch.setattr(module, "variant_probabilities", stops)
    assert run(*words, *options) == 2
    assert [path.name for path in (tmp_path / "out/parts").iterdir()] == ["part-00000.parquet"]
    assert not (tmp_path / "out/scan.parquet").exists()
    assert run("report", "out") == 0
    assert "The scan is not finished" in (tmp_path / "out/report.html").read_text(encoding="utf-8")
    capsys.readouterr()
    assert run(*words, *options[2:]) == 2
    assert "out holds another scan: variants are not the same" in capsys.readouterr().err
    assert run(*words, *options) == 0
    assert calls == [50, 50, 50, 14]
    whole, resumed = (pq.read_table(tmp_path / name / "scan.parquet") for name in ("whole", "out"))
    assert resumed.equals(whole)
    assert not (tmp_path / "out/parts").exists()
    assert run(*words, *options) == 0 and calls == [50, 50, 50, 14]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--protein", "p3"], "p.fa: has no protein 'p3'"),
        (["--positions", "20-27"], "positions: 20-27, expected residues from 1 to 26 of p1"),
        (["--positions", "5-3"], "positions: 5-3, expected residues from 1 to 26"),
        (["--sites", "0"], "sites: expected residues such as 90-120 or 94,96,119, found '0'"),
        (["--to", "AB"], "to: expected letters of the 20 amino acids, found 'B'"),
        (["--ions", "CU"], "has no CU; it has ZN, MN"),
        (["--variants", "v.txt", "--to", "A"], "to has no effect with variants: leave it out"),
    ],
)
def test_what_cannot_be_scanned(
    run: Run, words: list[Any], capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert run(*words, *options) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1


def test_several_proteins_need_a_name(run: Run, words: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    unnamed = [word for word in words if word not in ("--protein", "p1")]
    assert run(*unnamed) == 2
    assert "p.fa: holds 2 proteins, expected one or --protein" in capsys.readouterr().err


def test_a_scan_is_no_run(run: Run, words: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*words, "--positions", "4", "--sites", "4") == 0
    capsys.readouterr()
    for command, message in (
        (["predict", "--run", "out", "--fasta", "p.fa", "--out", "o"], "out is a scan; predict needs a binding run"),
        (["push", "out", "--repo", "a/b", "--dry-run"], "out is a scan: it holds figures, and no model to push"),
        (["compare", "out", words[2]], "runs of different jobs cannot be compared: out (scan), "),
    ):
        assert run(*command) == 2
        assert message in capsys.readouterr().err


def test_esm2_is_scanned(run: Run, tmp_path: Path) -> None:
    """An encoder without homologs, heads alone."""
    from transformers import EsmConfig, EsmForMaskedLM, EsmTokenizer

    from bindtune.config import BindingConfig, build, dump
    from bindtune.models.backbones import load_backbone
    from bindtune.models.binding_checkpoint import save_best
    from bindtune.models.residue import E1ForResidueClassification

    letters = ["<cls>", "<pad>", "<eos>", "<unk>", *"LAGVSERTIDPKQNFYMHWCXBUZO.-", "<null_1>", "<mask>"]
    encoder, folder = tmp_path / "encoder", tmp_path / "run"
    encoder.mkdir()
    (encoder / "vocab.txt").write_text("\n".join(letters) + "\n")
    EsmTokenizer(str(encoder / "vocab.txt")).save_pretrained(encoder)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    ids = {"vocab_size": len(letters), "pad_token_id": 1, "mask_token_id": len(letters) - 1}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        EsmForMaskedLM(EsmConfig(**shape, **ids, position_embedding_type="rotary")).save_pretrained(encoder)
        model, _ = load_backbone(str(encoder))
        classifier = E1ForResidueClassification(model, ["ZN"])
        about = {"fold": 1, "epoch": 1, "metrics": {"auprc": 0.5, "hra": 0.5}}
        for fold in (1, 2):
            save_best(folder / f"fold_{fold}", classifier, base=str(encoder), about=about)
    values = {
        "data": {"fasta_path": "unused"},
        "training": {"ions": ["ZN"], "num_folds": 2, "output_dir": str(folder)},
        "model": {"checkpoint": str(encoder)},
        "lora": None,
    }
    (folder / "config.yaml").write_text(dump(build(BindingConfig, values)))
    (tmp_path / "p.fa").write_text(f">p\n{''.join(random.Random(0).choices('ACDEFGHIKL', k=30))}\n")
    assert run("scan", "--run", "run", "--fasta", "p.fa", "--positions", "7", "--sites", "7,8", "--out", "out") == 0
    table = rows(tmp_path / "out/scan.tsv")
    assert len(table) == 19 * 2 and any(abs(float(row["change"])) > 1e-4 for row in table)
