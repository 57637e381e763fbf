"""Labels that are not known (?): no loss, table, figure or page counts them, from training to evaluation."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

import tiny_e1

Run = Callable[..., int]


def _sequence(seed: int) -> str:
    return "".join(random.Random(seed).choices("ACDEFGHIKLMNPQRSTVWY", k=30 + seed)) + "CK"


def _labels(seed: int, sequence: str) -> str:
    """C binds; the first residue, a stretch and the last residue are unknown, the stretch with a C in it."""
    labels = ["01"[letter == "C"] for letter in sequence]
    labels[0] = labels[-1] = "?"
    labels[5 + seed : 9 + seed] = "????"
    return "".join(labels)


@pytest.fixture
def proteins() -> dict[str, tuple[str, str]]:
    sequences = {f"p{seed}": _sequence(seed) for seed in range(8)}
    return {name: (text, _labels(seed, text)) for seed, (name, text) in enumerate(sequences.items())}


def test_unknown_residues_are_never_counted(
    run: Run,
    tmp_path: Path,
    proteins: dict[str, tuple[str, str]],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    sizes = {"num_hidden_layers": 2, "global_attention_every_n_layers": 2, "max_num_sequences": 4}
    tiny_e1.save(tmp_path / "encoder", **sizes)
    text = "".join(f">{name}\n{sequence}\n{labels}\n" for name, (sequence, labels) in proteins.items())
    (tmp_path / "ZN.fa").write_text(text)
    settings = (
        f"data.fasta_path={tmp_path}/ZN.fa", "training.ions=[ZN]", "training.num_folds=2", "training.epochs=1",
        "training.num_workers=0", "lora.r=2", f"model.checkpoint={tmp_path}/encoder", "training.output_dir=run",
    )  # fmt: skip
    assert run("train", *settings) == 0
    every = "".join(labels for _, labels in proteins.values())
    counts = f"ZN: 8 proteins, {every.count('1')} binding residues, {every.count('?')} residues unknown (?)"
    assert counts in caplog.text
    rows = pq.read_table("run/oof.parquet").to_pylist()
    expected = {
        (name, position + 1, sequence[position], int(labels[position]))
        for name, (sequence, labels) in proteins.items()
        for position in range(len(sequence))
        if labels[position] != "?"
    }
    assert len(rows) == len(expected)
    assert {(row["protein"], row["position"], row["residue"], row["label"]) for row in rows} == expected
    thresholds = yaml.safe_load(Path("run/global_thresholds.yaml").read_text())["thresholds"]
    assert thresholds["ZN"]["num_samples"] == len(expected)
    assert run("report", "run") == 0
    page = Path("run/report.html").read_text()
    assert "labelled residues, the last at" in page and f"{len(expected):,}" in page

    # A test protein that training has, though the run's tables lack its unknown residues; one that differs where
    # labels are known; an ion file in which nothing is known is said and left out.
    sequence, labels = proteins["p3"]
    position = labels.index("0")
    other = sequence[:position] + ("A" if sequence[position] != "A" else "G") + sequence[position + 1 :]
    (tmp_path / "test.fa").write_text(f">same\n{sequence}\n{labels}\n>other\n{other}\n{labels}\n")
    capsys.readouterr()
    assert run("evaluate", "--run", "run", "--fasta", "test.fa", "--out", "out", "--draws", 5) == 0
    assert "1 of 2 test proteins have the sequence of a training protein: same\n" in capsys.readouterr().out
    assert json.loads(Path("out/audit.json").read_text())["leaks"] == 1
    arrays = np.load("out/test_predictions.npz", allow_pickle=False)
    assert "".join(map(str, arrays["ZN_labels"])) == 2 * labels.replace("?", "")
    assert "same:0" not in arrays["ZN_ids"].tolist() and "same:1" in arrays["ZN_ids"].tolist()
    (tmp_path / "none.fa").write_text(">q\nMKT\n???\n")
    assert run("evaluate", "--run", "run", "--fasta", "none.fa", "--out", "none", "--draws", 5) == 0
    assert "ZN: no residue of the test file has a label 0 or 1, it is not evaluated" in caplog.text
