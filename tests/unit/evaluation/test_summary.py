"""The summary's figures against the functions they come from, and a table that says what they mean."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from sklearn import metrics as sklearn_metrics

from bindtune.errors import InputError
from bindtune.evaluation.bootstrap import interval
from bindtune.evaluation.metrics import residue_metrics
from bindtune.evaluation.scored_residues import ScoredResidues, by_ion
from bindtune.evaluation.summary import out_of_fold_summary, read_summary, summary_table
from bindtune.evaluation.thresholds import choose_threshold, cross_fitted
from bindtune.yaml_json import write_document


@pytest.fixture(scope="module")
def zinc() -> ScoredResidues:
    generator = np.random.default_rng(0)
    proteins = np.repeat([f"P{number}" for number in range(30)], 40)
    labels = (generator.random(1200) < 0.08).astype(np.int8)
    labels[proteins == "P7"] = 0
    probabilities = (1 / (1 + np.exp(3 - 2 * labels - generator.normal(size=1200)))).astype(np.float32)
    return ScoredResidues(proteins, labels, probabilities, np.repeat(np.arange(1, 4), 400))


@pytest.fixture(scope="module")
def summary(zinc: ScoredResidues) -> dict[str, dict]:
    nothing = ScoredResidues(np.array(["P1", "P1"]), np.zeros(2, np.int8), np.array([0.2, 0.3]), np.array([1, 1]))
    baseline = {"ZN": np.random.default_rng(1).normal(size=1200), "MN": np.zeros(2)}
    return out_of_fold_summary({"ZN": zinc, "MN": nothing}, baseline=baseline, method="mcc", draws=50, seed=3)


def test_figures_of_an_ion(zinc: ScoredResidues, summary: dict[str, dict]) -> None:
    ion_summary = summary["ZN"]
    positives = int(zinc.labels.sum())
    assert (ion_summary["proteins"], ion_summary["residues"], ion_summary["positives"]) == (30, 1200, positives)
    assert ion_summary["proteins_with_positives"] == len(set(zinc.proteins[zinc.labels == 1])) < 30
    assert ion_summary["base_rate"] == pytest.approx(positives / 1200)
    threshold = choose_threshold(zinc.labels, zinc.probabilities, "mcc")
    whole = residue_metrics(zinc.labels, zinc.probabilities, threshold=threshold)
    assert (ion_summary["auroc"], ion_summary["hra"], ion_summary["hra_raw"]) == pytest.approx(
        (whole.auroc, whole.hra, whole.hra_raw)
    )
    assert ion_summary["threshold"] == threshold
    assert ion_summary["at_threshold"] == pytest.approx(
        {name: getattr(whole, name) for name in ("f1", "mcc", "precision", "recall")}
    )
    assert ion_summary["cross_fitted"] == pytest.approx(
        cross_fitted(zinc.labels, zinc.probabilities, zinc.folds, "mcc")
    )
    drawn = interval("auprc", zinc.labels, zinc.probabilities, zinc.proteins, draws=50, seed=3)
    assert (ion_summary["auprc"]["value"], ion_summary["auprc"]["low"], ion_summary["auprc"]["high"]) == pytest.approx(
        drawn[:3]
    )


def test_spread_over_folds(zinc: ScoredResidues, summary: dict[str, dict]) -> None:
    each = [
        sklearn_metrics.average_precision_score(zinc.labels[zinc.folds == fold], zinc.probabilities[zinc.folds == fold])
        for fold in (1, 2, 3)
    ]
    ion_summary = summary["ZN"]["folds"]
    assert (ion_summary["count"], ion_summary["auprc"]["defined"]) == (3, 3)
    assert (ion_summary["auprc"]["mean"], ion_summary["auprc"]["std"]) == pytest.approx((np.mean(each), np.std(each)))


def test_a_model_beats_a_random_baseline(summary: dict[str, dict]) -> None:
    ion_summary = summary["ZN"]
    assert ion_summary["baseline"]["auprc"]["value"] < 0.2 < ion_summary["auprc"]["value"]
    assert ion_summary["gain"]["auprc"]["value"] == pytest.approx(
        ion_summary["auprc"]["value"] - ion_summary["baseline"]["auprc"]["value"]
    )
    assert ion_summary["gain"]["auprc"]["low"] > 0


def test_what_is_not_defined_is_none(summary: dict[str, dict]) -> None:
    ion_summary = summary["MN"]
    assert (ion_summary["positives"], ion_summary["base_rate"]) == (0, 0.0)
    assert ion_summary["auprc"] == {"value": None, "low": None, "high": None, "level": 0.95, "draws": 0}
    assert ion_summary["folds"] == {
        "count": 1,
        "auprc": {"mean": None, "std": None, "defined": 0},
        "hra": {"mean": None, "std": None, "defined": 0},
    }
    assert (ion_summary["threshold"], ion_summary["auroc"], ion_summary["at_threshold"]["f1"]) == (None, None, None)


def test_values_are_plain(summary: dict[str, dict]) -> None:
    assert yaml.safe_load(yaml.safe_dump(summary)) == summary


def test_without_a_baseline(zinc: ScoredResidues) -> None:
    ion_summary = out_of_fold_summary({"ZN": zinc}, baseline={}, method="f1", draws=5, seed=0)["ZN"]
    assert ion_summary["baseline"]["auprc"]["value"] is None
    assert ion_summary["auprc"]["value"] is not None


def test_table(summary: dict[str, dict]) -> None:
    lines = summary_table(summary).splitlines()
    assert lines[0].split()[:7] == ["ion", "proteins", "residues", "positives", "base", "rate", "AUPRC"]
    assert len({len(line) for line in lines[:4]}) == 1
    zinc = summary["ZN"]
    words = lines[2].split()
    assert words[:3] == ["ZN", "30", "1,200"]
    assert words[4:6] == [f"{zinc['base_rate']:.4f}", f"{zinc['auprc']['value']:.3f}"]
    assert words[9] == f"{zinc['baseline']['auprc']['value']:.3f}"
    assert lines[3].split()[4:] == ["0.0000", *["-"] * 7]
    assert "interval: 95 %, studentised" in lines[4]
    assert summary_table({}).splitlines()[0].startswith("ion")


def test_an_ion_without_rows_can_be_summarised() -> None:
    scored = by_ion(["CO"], protein=[], ion=[], label=[], probability=[], fold=[])
    ion_summary = out_of_fold_summary(scored, baseline={}, method="mcc", draws=5, seed=0)["CO"]
    assert (ion_summary["proteins"], ion_summary["residues"], ion_summary["base_rate"]) == (0, 0, None)
    assert "CO" in summary_table({"CO": ion_summary})


def test_a_written_summary_is_read_with_its_figures_checked(zinc: ScoredResidues, tmp_path: Path) -> None:
    summary = out_of_fold_summary({"ZN": zinc}, baseline={}, method="mcc", draws=20, seed=1)
    path = tmp_path / "summary.yaml"
    assert read_summary(path) == {}
    worse = out_of_fold_summary({"ZN": zinc}, baseline={"ZN": zinc.labels}, method="mcc", draws=20, seed=1)
    assert worse["ZN"]["gain"]["auprc"]["value"] < 0
    path.write_text(write_document({"out_of_fold": worse}))
    assert read_summary(path) == worse
    path.write_text(write_document({"out_of_fold": summary}))
    assert read_summary(path) == summary
    for value in (".nan", "1e+9", "-0.1", "true", "'0.5'"):
        path.write_text(f"out_of_fold: {{ZN: {{auprc: {{value: {value}}}}}}}\n")
        with pytest.raises(
            InputError, match=r"summary\.yaml: out_of_fold\.ZN\.auprc\.value: expected a number from 0 to"
        ):
            read_summary(path)
    path.write_text("out_of_fold: {ZN: {hra: .inf}}\n")
    with pytest.raises(InputError, match=r"out_of_fold\.ZN\.hra: expected a number, found inf"):
        read_summary(path)
    path.write_text("out_of_fold: {ZN: 1}\n")
    with pytest.raises(InputError, match="'out_of_fold' does not hold a mapping"):
        read_summary(path)
