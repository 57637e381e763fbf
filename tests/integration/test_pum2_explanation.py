"""Real PUM2 sites: the probe's CNN finds UGUANAU, and its letters carry the binding logit."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from bindtune.config import ExplainConfig, ProbeConfig, build
from bindtune.evaluation.ranking import area_under_roc, sort
from bindtune.probing.explain import explain
from bindtune.probing.run import probe

MOTIF = re.compile("(?=TGTA[ACGT]AT)")
WINDOWS, EXPLAINED = 400, 150


def first_records(source: Path, count: int, target: Path) -> Path:
    target.write_text("\n".join(source.read_text().splitlines()[: 2 * count]) + "\n")
    return target


@pytest.mark.slow
def test_the_cnn_reads_the_motif_of_pum2(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = shared / "data" / "rbp_pum2_parclip"
    files = {
        name: str(first_records(data / f"PUM2_PARCLIP.{name}.fa", WINDOWS, tmp_path / f"{name}.fa"))
        for name in ("positives", "negatives")
    }
    folder, out = tmp_path / "probe", tmp_path / "out"
    probe(build(ProbeConfig, files | {"out": str(folder), "folds": 4, "draws": 1}), notify=lambda text: None)
    some = first_records(tmp_path / "positives.fa", EXPLAINED, tmp_path / "some.fa")
    settings = {"probe": str(folder), "fasta": str(some), "out": str(out), "model": ["cnn"]}
    text = explain(build(ExplainConfig, settings), notify=lambda text: None)
    best = text.splitlines()[1].split()[0]
    assert re.search("TGTA[ACGTN]AT", best), text

    with (out / "nucleotides.tsv").open(newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    with (out / "sequences.tsv").open(newline="") as stream:
        assert all(row["fold"] != "mean" for row in csv.DictReader(stream, delimiter="\t"))  # held out
    inside, values = [], []
    for name in dict.fromkeys(row["sequence"] for row in rows):
        own = [row for row in rows if row["sequence"] == name]
        starts = [match.start() for match in MOTIF.finditer("".join(row["letter"] for row in own))]
        if starts:
            inside += [any(start <= position < start + 7 for start in starts) for position in range(len(own))]
            values += [float(row["importance"]) for row in own]
    mask, importance = np.array(inside), np.array(values)
    area = area_under_roc(sort(mask.astype(np.int8), importance).ranking())
    falls = importance[mask].mean(), importance[~mask].mean()
    with capsys.disabled():
        print(f"\nPUM2 motif {best}: AUROC of its letters {area:.3f} in {mask.sum() // 7} places; a substitution "
              f"lowers the logit by {falls[0]:.2f} in the motif, by {falls[1]:.2f} elsewhere")  # fmt: skip
    assert mask.sum() > 500
    assert area >= 0.85
    assert falls[0] > 5 * abs(falls[1])
