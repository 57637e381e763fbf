"""`bindtune probe` on published binding sites: PUM2 sites as FASTA, eCLIP peaks with a FASTA of exons."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bindtune.config import ProbeConfig, build
from bindtune.data.dna.composition import composition, gc_of
from bindtune.probing import networks
from bindtune.probing.linear import best_strength
from bindtune.probing.run import probe


@pytest.fixture(autouse=True)
def _one_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The convolutional baseline is no matter here, and takes most of the time."""
    monkeypatch.setattr(networks, "ONE_HOT", networks.Recipe(epochs=1, patience=1, batch=64, rate=1e-3))


def run(out: Path, **settings: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Windows and summary of a probe."""
    probe(build(ProbeConfig, {"out": str(out), "draws": 20} | settings), notify=lambda text: None)
    rows: list[dict[str, Any]] = pq.read_table(out / "windows.parquet").to_pylist()
    return rows, yaml.safe_load((out / "summary.yaml").read_text())


@pytest.mark.slow
def test_the_4_mers_figures_on_pum2_are_those_of_scikit_learn(shared: Path, tmp_path: Path) -> None:
    files = {kind: str(shared / f"data/rbp_pum2_parclip/PUM2_PARCLIP.{kind}.fa") for kind in ("positives", "negatives")}
    rows, summary = run(tmp_path / "out", folds=3, leaks="drop", **files)
    column = {"".join(word): position for position, word in enumerate(product("ACGT", repeat=4))}
    features = np.zeros((len(rows), 256))
    for counts, row in zip(features, rows, strict=True):
        for at in range(len(row["sequence"]) - 3):
            counts[column[row["sequence"][at : at + 4]]] += 1
    labels, folds = (np.array([row[name] for row in rows]) for name in ("label", "fold"))
    scores = np.zeros(len(rows))
    for fold in np.unique(folds):
        train = folds != fold
        strength = best_strength(features[train], labels[train], folds[train])
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000))
        scores[~train] = model.fit(features[train], labels[train]).decision_function(features[~train])
    ((results,),) = [list(arms.values()) for arms in summary["results"].values()]
    assert results["4-mer"]["auroc"]["value"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-6)
    assert results["4-mer"]["auprc"]["value"] == pytest.approx(average_precision_score(labels, scores), abs=1e-6)
    assert results["4-mer"]["auroc"]["value"] > results["composition"]["auroc"]["value"] > 0.6


@pytest.mark.slow
def test_arms_of_eclip_peaks_match_and_avoid_peaks(shared: Path, tmp_path: Path) -> None:
    folder = shared / "data/eclip_hg38_peakhood"
    proteins = ("SERBP1", "SUPV3L1")
    rows, summary = run(
        tmp_path / "out", leaks="drop", peaks=[f"{name}={folder / name}_K562.hg38.bed" for name in proteins],
        region_fasta=str(folder / "exon_blocks.hg38.fa.gz"),
    )  # fmt: skip
    # The rare protein has no window in one of the folds, and is probed all the same.
    assert summary["windows"]["arms"]["SUPV3L1"]["gc-region"]["folds_with_windows"] == 4
    for protein in proteins:
        assert {"gc-region", "dinucleotide", "shuffled"} <= set(summary["results"][protein])
    peaks = {
        name: [line.split("\t") for line in (folder / f"{name}_K562.hg38.bed").read_text().splitlines()]
        for name in proteins
    }
    pairs: dict[tuple[str, str, int], dict[int, dict[str, Any]]] = {}
    for row in rows:
        pairs.setdefault((row["dataset"], row["arm"], row["pair"]), {})[row["label"]] = row
        near = [
            (int(start), int(end)) for chrom, start, end, _, _, strand in peaks[row["dataset"]]
            if (chrom, strand.strip()) == (row["chrom"], row["strand"])
        ]  # fmt: skip
        if row["chrom"] is None:
            continue
        distance = min(max(row["start"] - end, start - row["end"]) for start, end in near or [(-(10**9), -(10**9))])
        assert distance < 0 if row["label"] else distance >= 200
    gaps: dict[str, list[float]] = {}
    for (_, arm, _), pair in pairs.items():
        values = composition([pair[0]["sequence"], pair[1]["sequence"]])
        gaps.setdefault(f"{arm} gc", []).append(abs(float(np.diff(gc_of(values))[0])))
        gaps.setdefault(arm, []).append(float(np.abs(values[0, 4:] - values[1, 4:]).sum()))
    assert max(gaps["gc-region gc"]) <= 0.02 + 1e-9
    assert max(gaps["shuffled"]) < 1e-12
    assert np.median(gaps["dinucleotide"]) < 0.9 * np.median(gaps["other-sites"])
