"""Runs beside each other: figures against loops, scikit-learn and scipy; what differs is said or refused."""

import csv
import hashlib
import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from scipy import stats
from sklearn import metrics as sklearn_metrics

from bindtune.config import BindingConfig, CompareConfig, PretrainConfig, build, dump
from bindtune.data.protein.residue_contacts import Linking
from bindtune.data.protein.site_rules import SiteRules
from bindtune.errors import ConfigError, InputError
from bindtune.evaluation.binding_sites import find_sites, pair_sites
from bindtune.reports import compare_binding, compare_pretraining
from bindtune.reports.arm_page import write_arms
from bindtune.reports.compare import compare_runs
from bindtune.reports.compare_tools import compare_run_with_tools
from bindtune.reports.compared_runs import BINDING_APART, PRETRAINING_APART, differing_settings, read_runs
from bindtune.reports.compared_tools import ToolSources, tool_sources
from bindtune.reports.site_tables import pair_text
from bindtune.runs.eval_records import RecordLosses, write_record_losses

HASH = {"train_file": "aa" * 32, "validation_file": "bb" * 32}


def provenance(folder: Path, inputs: dict[str, str], **versions: str) -> None:
    origin = {
        "command": ["bindtune"], "started": "2026-01-02T03:04:05+00:00", "python": "3.11.7", "platform": "Linux",
        "versions": {"bindtune": "0.1.0", "torch": "2.8", **versions},
        "inputs": {name: {"path": f"{name}.x", "sha256": value} for name, value in inputs.items()},
    }  # fmt: skip
    (folder / "provenance.json").write_text(json.dumps(origin))


def windows(number: int, *, gain: float, seed: int = 0) -> RecordLosses:
    """Losses of windows with peaks and flanks; `gain` is taken off each peak token's loss."""
    rng = np.random.default_rng(seed)
    peaks, flanks = rng.integers(0, 5, number), rng.integers(1, 15, number)
    noise = np.random.default_rng((seed, int(gain * 1000))).normal(0, 0.2, (2, number))
    parts = np.stack([peaks * (2.0 - gain + noise[0]), flanks * (3.0 + noise[1])], axis=1)
    masked, loss = (
        np.concatenate([each.sum(1, keepdims=True), each], axis=1)
        for each in (np.stack([peaks, flanks], axis=1), parts)
    )
    return RecordLosses(rng.permutation(number).astype(np.int64) - 5, rng.integers(0, 2**62, number), masked, loss)


@pytest.fixture
def pretraining(tmp_path: Path) -> Callable[..., Path]:
    """Writes the folder of a pretraining run."""

    def write(name: str, losses: RecordLosses | None = None, *, inputs: dict[str, str] = HASH, **options: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        settings = {"train_file": "t.json", "validation_file": "v.json", "output_dir": folder, **options}
        (folder / "config.yaml").write_text(dump(build(PretrainConfig, settings)))
        provenance(folder, inputs)
        state = {"global_step": 80, "max_steps": 80, "best_model_checkpoint": f"{folder}/checkpoint-40"}
        (folder / "trainer_state.json").write_text(json.dumps(state))
        if losses is not None:
            write_record_losses(folder / "eval_records.parquet", losses)
        return folder

    return write


class TestPretraining:
    def test_figures_equal_loops(self, pretraining: Callable[..., Path]) -> None:
        first, second = windows(40, gain=0.0), windows(40, gain=0.3)
        shuffled = np.random.default_rng(1).permutation(40)  # rows are paired by record, not by place
        runs, kind = read_runs(
            [pretraining("a", first, masking="uniform"), pretraining("b", second.take(shuffled), masking="adaptive")]
        )
        assert kind == "pretraining"
        comparison = compare_pretraining.compare(runs, draws=50, seed=3)
        assert [(row.pool, row.run) for row in comparison.rows] == [
            ("all", "B"), ("peaks", "B"), ("flanks", "B")
        ]  # fmt: skip
        order = np.argsort(first.record)
        masked, one, other = (each[order] for each in (first.masked, first.loss, second.loss))
        for index, row in enumerate(comparison.rows):
            means = [loss[:, index].sum() / masked[:, index].sum() for loss in (other, one)]
            assert row.compared.first.value == pytest.approx(means[0])
            assert row.compared.second.value == pytest.approx(means[1])
            assert row.compared.difference.value == pytest.approx(means[0] - means[1])
            generator, drawn = np.random.default_rng(3), []
            for _ in range(50):
                chosen = generator.integers(40, size=40)
                sums = [loss[chosen, index].sum() / masked[chosen, index].sum() for loss in (other, one)]
                drawn.append(sums[0] - sums[1])
            assert (row.compared.difference.low, row.compared.difference.high) == pytest.approx(
                tuple(np.quantile(drawn, [0.025, 0.975]))
            )
            asked = masked[:, index] > 0
            each = (other[asked, index] - one[asked, index]) / masked[asked, index]
            assert row.test.p_value == pytest.approx(stats.wilcoxon(each).pvalue)
            assert (row.test.proteins, row.test.higher) == (asked.sum(), (each > 0).sum())
            assert row.against == f"{masked[:, index].sum():,}"

    def test_a_run_beside_its_copy_differs_by_nothing(self, pretraining: Callable[..., Path], tmp_path: Path) -> None:
        losses = windows(30, gain=0.1)
        text = compare_runs([pretraining("a", losses), pretraining("b", losses)], tmp_path / "c.html")
        assert "B differs from A in no setting that can change the figures." in text
        for line in re.findall(r"^(?:all|peaks|flanks) .*$", text, re.MULTILINE):
            assert re.search(r"\+0\.0000 +\+0\.0000 to \+0\.0000 +1 +0 of \d+ +0$", line), line

    def test_a_window_that_stands_twice_counts_once(self, pretraining: Callable[..., Path]) -> None:
        losses = windows(20, gain=0.1)
        doubled = losses.take(np.array([*range(20), 3, 7]))
        runs, _ = read_runs([pretraining("a", losses), pretraining("b", doubled)])
        comparison = compare_pretraining.compare(runs, draws=10, seed=1)
        assert comparison.rows[0].test.proteins == 20

    def test_what_differs_is_said(self, pretraining: Callable[..., Path], tmp_path: Path) -> None:
        names = ("a", "b", "c")
        changed: list[dict[str, Any]] = [
            {"use_adaptive_masking": True},
            {"masking": "peak-only", "dataloader_num_workers": 0, "train_file": "/elsewhere/t.json"},
            {"masking": "uniform", "learning_rate": 1e-3},
        ]
        folders = [pretraining(name, windows(10, gain=0.1), **each) for name, each in zip(names, changed, strict=True)]
        (folders[2] / "trainer_state.json").write_text(json.dumps({"global_step": 60}))
        text = compare_runs(folders, tmp_path / "out" / "c.html")
        assert "B differs from A in one setting: masking (adaptive in A, peak-only in B)." in text
        message = (
            "C differs from A in 2 settings, so no single setting explains a difference: masking (adaptive in A, "
            "uniform in C), learning_rate (3e-05 in A, 0.001 in C)."
        )
        assert message in text
        assert "not seen the same tokens: A 80, B 80, C 60." in text
        shown = (tmp_path / "out" / "c.html").read_text()
        assert message in shown
        assert not re.findall(r"(?:src|href)=\"(?!#|data:)", shown)

    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"inputs": {**HASH, "train_file": "cc" * 32}}, "train_file differs .SHA-256 aaaaaaaaaaaa... and cccccccc"),
            ({"inputs": {**HASH, "validation_file": "cc" * 32}}, "validation_file differs"),
            ({"inputs": {"train_file": "aa" * 32}}, "validation_file differs .SHA-256 bbbbbbbbbbbb... and none"),
            ({"losses": None}, "holds no eval_records.parquet: the run is not finished"),
            ({"losses": windows(9, gain=0.1)}, r"10 and 9 windows were evaluated, \d+ of them the same"),
            (
                {"losses": windows(10, gain=0.1)._replace(masks=np.arange(10)), "seed": 7},
                r"evaluation masks of 10 of 10 windows differ; .* what differs: seed \(42 and 7\)",
            ),
        ],
    )
    def test_other_data_or_masks_are_refused(
        self, pretraining: Callable[..., Path], tmp_path: Path, changed: dict[str, Any], message: str
    ) -> None:
        losses = windows(10, gain=0.1)
        folders = [pretraining("a", losses), pretraining("b", **{"losses": losses, **changed})]
        with pytest.raises(InputError, match=message):
            compare_runs(folders, tmp_path / "c.html")
        assert not (tmp_path / "c.html").exists()

    def test_what_is_no_pair_of_runs_is_refused(self, pretraining: Callable[..., Path], tmp_path: Path) -> None:
        run = pretraining("a", windows(10, gain=0.1))
        for folders, message in (([run], "takes 2 to 26 run folders"), ([run, tmp_path / "." / "a"], "given twice")):
            with pytest.raises(ConfigError, match=message):
                compare_runs(folders, tmp_path / "c.html")
        with pytest.raises(InputError, match="does not exist"):
            compare_runs([run, tmp_path / "missing"], tmp_path / "c.html")
        with pytest.raises(InputError, match="is a folder; --out names a file"):
            compare_runs([run, run], tmp_path)
        (run / "provenance.json").unlink()
        with pytest.raises(InputError, match="names no input files"):
            compare_runs([run, pretraining("b", windows(10, gain=0.1))], tmp_path / "c.html")


INPUTS = {"labels of ZN": "aa" * 32, "labels of CA": "bb" * 32, "base model.safetensors": "cc" * 32}
EVIL = "<script>alert(1)</script>"


def rows(*, signal: float, ions: tuple[str, ...] = ("ZN", "CA")) -> list[dict[str, Any]]:
    """Residues of 24 proteins in 3 folds; labels are the same whatever the signal."""
    rng, own = np.random.default_rng(5), np.random.default_rng(int(signal * 10))
    made = []
    for number in range(24):
        name = EVIL if number == 5 else f"p{number}"
        for ion in ions:
            label = (np.random.default_rng((number, len(ion), ord(ion[0]))).random(30) < 0.15).astype(int)
            score = 1 / (1 + np.exp(-(own.normal(-2, 1, 30) + signal * label)))
            made += [
                {"protein": name, "position": position + 1, "residue": "C", "ion": ion, "label": int(label[position]),
                 "probability": float(score[position]), "fold": 1 + number % 3}
                for position in range(30)
            ]  # fmt: skip
    return [made[position] for position in rng.permutation(len(made))] if signal > 1 else made


@pytest.fixture
def binding(tmp_path: Path) -> Callable[..., Path]:
    """Writes the folder of a binding run."""

    def write(
        name: str, table: list[dict[str, Any]] | None, *, inputs: dict[str, str] = INPUTS, **options: Any
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        training = {"ions": ["ZN", "CA"], "output_dir": folder, **options.pop("training", {})}
        settings = {"data": {"fasta_path": f"{name}/{{ION}}.fa"}, "training": training, **options}
        (folder / "config.yaml").write_text(dump(build(BindingConfig, settings)))
        provenance(folder, inputs)
        if table is not None:
            pq.write_table(pa.Table.from_pylist(table), folder / "oof.parquet")
            folds = sorted({(row["protein"], row["fold"]) for row in table})
            lines = ["protein,fold,group", *(f"{protein},{fold},0" for protein, fold in folds)]
            (folder / "folds.csv").write_text("\n".join(lines) + "\n")
        return folder

    return write


class TestBinding:
    def test_figures_equal_scikit_learn_and_scipy(self, binding: Callable[..., Path]) -> None:
        tables = [rows(signal=1.0), rows(signal=2.5)]
        runs, job = read_runs([binding("a", tables[0]), binding("b", tables[1])])
        assert job
        comparison = compare_binding.compare(runs, draws=20, seed=1)
        assert [(row.pool, row.figure) for row in comparison.rows] == [
            (ion, figure) for ion in ("ZN", "CA") for figure in ("AUPRC", "AUROC", "HRA")
        ]
        by_ion = {row.pool: row for row in comparison.rows if row.figure == "AUPRC"}
        for ion, row in by_ion.items():
            keyed = [
                {(each["protein"], each["position"]): each for each in table if each["ion"] == ion} for table in tables
            ]
            keys = sorted(keyed[0])
            label = np.array([keyed[0][key]["label"] for key in keys])
            scores = [np.array([table[key]["probability"] for key in keys]) for table in keyed]
            values = [sklearn_metrics.average_precision_score(label, score) for score in scores]
            assert row.compared.second.value == pytest.approx(values[0])
            assert row.compared.first.value == pytest.approx(values[1])
            assert row.compared.difference.value == pytest.approx(values[1] - values[0])
            assert row.compared.difference.low < values[1] - values[0] < row.compared.difference.high
            assert row.against == f"{label.mean():.4f}"
            each = []
            for protein in sorted({key[0] for key in keys}):
                inside = np.array([key[0] == protein for key in keys])
                if 0 < label[inside].sum() < inside.sum():
                    pair = [sklearn_metrics.average_precision_score(label[inside], score[inside]) for score in scores]
                    each.append(pair[1] - pair[0])
            assert row.test.p_value == pytest.approx(stats.wilcoxon(each).pvalue)
            assert (row.test.proteins, row.test.higher) == (len(each), sum(gap > 0 for gap in each))

    def test_the_page_shows_names_as_text_and_makes_no_claim(
        self, binding: Callable[..., Path], tmp_path: Path
    ) -> None:
        folders = [binding(EVIL.replace("/", "-"), rows(signal=1.0)), binding("b", rows(signal=2.0), lora=None)]
        text = compare_runs(folders, tmp_path / "c.html")
        shown = (tmp_path / "c.html").read_text()
        assert set(re.findall(r"<script[^>]*>", shown)) <= {'<script type="application/json">', "<script>"}
        assert EVIL not in shown
        assert "B differs from A in one setting: lora (r=16, alpha=32.0, dropout=0.05, bias=none" in text
        for words in (text, re.sub(r"<style>.*?</style>|<[^>]+>", " ", shown, flags=re.DOTALL)):
            assert not re.search(r"\b(gain|better|worse|improve\w*|outperform\w*|significant\w*|win\w*)\b", words)
        assert f"{CompareConfig.model_fields['draws'].default} draws of proteins" in text

    def test_runs_with_other_ions_are_compared_on_those_they_share(self, binding: Callable[..., Path]) -> None:
        inputs = {name: value for name, value in INPUTS.items() if "CA" not in name}
        alone = binding("b", rows(signal=2.0, ions=("ZN",)), inputs=inputs, training={"ions": ["ZN"]})
        runs, _ = read_runs([binding("a", rows(signal=1.0)), alone])
        comparison = compare_binding.compare(runs, draws=10, seed=1)
        assert {row.pool for row in comparison.rows} == {"ZN"}
        assert comparison.doubts == (
            "A also has CA, which not all runs have.",
            "Intervals from fewer than 30 proteins are often too narrow: ZN (24).",
        )
        assert differing_settings(*runs)[0] == ("training.ions", "ZN, CA", "ZN")

    def test_other_data_folds_or_residues_are_refused(self, binding: Callable[..., Path], tmp_path: Path) -> None:
        reference, table = binding("a", rows(signal=1.0)), rows(signal=2.0)
        moved = [{**row, "fold": 1 + row["fold"] % 3} if row["protein"] == "p1" else row for row in table]
        other_labels = [{**row, "label": 1} if row["protein"] == "p1" else row for row in table]
        cases: list[tuple[list[dict[str, Any]] | None, dict[str, Any], str]] = [
            (table, {"inputs": {**INPUTS, "labels of CA": "dd" * 32}}, "labels of CA differs"),
            (moved, {}, "1 proteins are in other folds than in .*, such as 'p1'; train with data.folds="),
            (other_labels, {}, "ZN: other labels than in"),
            (table[:-1], {}, r"other residues than in .* \(7\d\d and 720 rows\)"),
            (None, {}, "holds no oof.parquet: its folds are not done, or not merged yet"),
        ]
        for number, (rows_, changed, message) in enumerate(cases):
            with pytest.raises(InputError, match=message):
                compare_runs([reference, binding(f"b{number}", rows_, **changed)], tmp_path / "c.html")

    def test_sites_that_one_run_finds_and_the_other_misses(self, binding: Callable[..., Path], tmp_path: Path) -> None:
        table = pd.DataFrame(rows(signal=1.0, ions=("ZN",)))
        table["label"] = (table.protein.isin(["p1", "p2", "p3"]) & table.position.isin([4, 6])).astype(int)
        folders = []
        for name, calls in (("a", [("p1", 4), ("p2", 6)]), ("b", [("p2", 4), ("p3", 4), ("p3", 6), ("p7", 30)])):
            called = [pair in calls for pair in zip(table.protein, table.position, strict=True)]
            own = table.assign(probability=np.where(called, 0.75, 0.25))
            folder = binding(name, own.to_dict("records"), training={"ions": ["ZN"]})
            document = {"threshold_method": "mcc", "thresholds": {"ZN": {"threshold": 0.5}}}
            (folder / "global_thresholds.yaml").write_text(yaml.safe_dump(document))
            folders.append(folder)
        text = compare_runs(folders, tmp_path / "c.html", draws=5)
        line = "3 sites: 1 found by both, 1 by B alone, 1 by A alone, 0 by neither; B invents 1, A invents 0"
        assert f"ZN, B and A: {line}" in text
        pair = json.loads((tmp_path / "c.json").read_text())["sites"]["B"]["ZN"]
        assert pair == {"both": 1, "first": 1, "second": 1, "neither": 0, "invented_first": 1, "invented_second": 0}
        assert "residues at most 15 positions apart in the sequence" in text
        assert "Found by both" in (tmp_path / "c.html").read_text()
        apart = compare_runs(folders, tmp_path / "c.html", draws=5, rules=SiteRules(gap=1))
        assert "ZN, B and A: 6 sites: 0 found by both, 3 by B alone, 2 by A alone, 1 by neither" in apart

    def test_a_job_of_another_kind_is_refused(
        self, binding: Callable[..., Path], pretraining: Callable[..., Path], tmp_path: Path
    ) -> None:
        with pytest.raises(ConfigError, match=r"different jobs .*a \(binding\), .*b \(pretraining\)"):
            compare_runs([binding("a", rows(signal=1.0)), pretraining("b", windows(5, gain=0.0))], tmp_path / "c.html")

    def test_a_step_is_told_by_its_proteins(self, binding: Callable[..., Path]) -> None:
        table = rows(signal=1.0)
        sizes = [{"batch_size": 2, "accum_steps": 4}, {"batch_size": 8, "accum_steps": 1}, {"batch_size": 4}]
        runs, _ = read_runs([binding(name, table, training=size) for name, size in zip("abc", sizes, strict=True)])
        assert differing_settings(runs[0], runs[1]) == []
        assert differing_settings(runs[0], runs[2]) == [("training.proteins per step", "8", "16")]
        message = json.loads((runs[2].folder / "provenance.json").read_text())
        alike = runs[2]._replace(origin={**message, "proteins_per_step": 8})  # as two processes with half of it each
        assert differing_settings(runs[0], alike) == []

    def test_the_encoder_is_told_by_its_files(self, binding: Callable[..., Path]) -> None:
        table = rows(signal=1.0)
        models: list[dict[str, Any]] = [{"checkpoint": name} for name in ("E1", "moved/E1", "E1")]
        reference, moved = (binding(name, table, model=model) for name, model in zip("ab", models[:2], strict=True))
        changed = binding("c", table, model=models[2], inputs={**INPUTS, "base model.safetensors": "ee" * 32})
        runs, _ = read_runs([reference, moved, changed])
        assert differing_settings(runs[0], runs[1]) == []
        assert differing_settings(runs[0], runs[2]) == [
            ("model.checkpoint", *(f"base model.safetensors with SHA-256 {each * 6}..." for each in ("cc", "ee")))
        ]

    def test_a_file_of_another_place_is_no_difference(self, binding: Callable[..., Path]) -> None:
        table, inputs = rows(signal=1.0), {**INPUTS, "unlabelled proteins": "aa" * 32, "alignments": "bb" * 32}
        data = [
            {"fasta_path": "x", "unlabelled_fasta": f"{index}/u.fa", "msa_dir": f"{index}/msa"} for index in ("a", "b")
        ]
        folders = [binding(name, table, data=each, inputs=inputs) for name, each in zip("ab", data, strict=True)]
        other = binding("c", table, data=data[1], inputs={**inputs, "alignments": "cc" * 32})
        runs, _ = read_runs([*folders, other])
        assert differing_settings(runs[0], runs[1]) == []
        assert [each.name for each in differing_settings(runs[0], runs[2])] == ["data.msa_dir"]


class TestArms:
    """Runs of several seeds in each arm."""

    @pytest.fixture
    def seeds(self, binding: Callable[..., Path]) -> Callable[..., str]:
        """Writes the runs of an arm, and gives the arm as it is typed."""

        def write(name: str, count: int, *, signal: float, first: int = 1, **options: Any) -> str:
            folders = [
                binding(f"{name}{seed}", rows(signal=signal + 0.05 * seed), training={"seed": seed}, **options)
                for seed in range(first, first + count)
            ]
            return f"{name}={','.join(map(str, folders))}"

        return write

    def figures_of(self, arm: str, ion: str) -> list[float]:
        values = []
        for folder in arm.partition("=")[2].split(","):
            table = pq.read_table(f"{folder}/oof.parquet").to_pandas()
            own = table[table.ion == ion]
            values.append(float(sklearn_metrics.average_precision_score(own.label, own.probability)))
        return values

    def test_three_seeds_give_a_paired_t_interval(self, seeds: Callable[..., str], tmp_path: Path) -> None:
        arms = [seeds("base", 3, signal=1.0), seeds("adapted", 3, signal=2.5)]
        text = write_arms(arms, tmp_path / "c.html")
        table = {(row["pool"], row["figure"]): row for row in json.loads((tmp_path / "c.json").read_text())["rows"]}
        row = table["ZN", "AUPRC"]
        first, second = (self.figures_of(arm, "ZN") for arm in arms)
        ends = stats.ttest_rel(second, first).confidence_interval(0.95)
        assert row["first_values"] == pytest.approx(first) and row["values"] == pytest.approx(second)
        assert (row["low"], row["high"]) == pytest.approx((ends.low, ends.high))
        assert (row["method"], row["paired"], row["seeds"]) == ("t", True, 3)
        assert "AUPRC of ZN is higher with adapted than with base: " in text and row["conclusion"] in text
        assert "The interval covers training seeds. It does not cover other data: the 24 proteins are the same" in text
        page_text = (tmp_path / "c.html").read_text()
        assert row["conclusion"] in page_text and "seeds 1, 2, 3" in page_text
        with (tmp_path / "c.csv").open() as handle:
            cells = {(each["pool"], each["figure"]): each for each in csv.DictReader(handle)}
        assert float(cells["ZN", "AUPRC"]["low"]) == pytest.approx(ends.low)

    def test_two_seeds_give_no_interval_and_no_conclusion(self, seeds: Callable[..., str], tmp_path: Path) -> None:
        text = write_arms([seeds("base", 2, signal=1.0), seeds("adapted", 3, signal=2.5)], tmp_path / "c.html")
        rows_ = json.loads((tmp_path / "c.json").read_text())["rows"]
        assert {row["method"] for row in rows_} == {"none"} and all(row["low"] is None for row in rows_)
        assert "With fewer than 3 seeds in an arm there is no interval, so nothing follows for other seeds." in text
        assert "The arms have different seeds, so their runs are not paired (base: 1, 2; adapted: 1, 2, 3)." in text

    def test_equal_arms_are_not_told_apart(self, seeds: Callable[..., str], tmp_path: Path) -> None:
        text = write_arms([seeds("one", 3, signal=1.0), seeds("two", 3, signal=1.0)], tmp_path / "c.html")
        assert "AUPRC of ZN: the seeds do not tell two from one: +0.0000 (+0.0000 to +0.0000)." in text

    def test_what_differs_within_an_arm_is_said(
        self, seeds: Callable[..., str], binding: Callable[..., Path], tmp_path: Path
    ) -> None:
        odd = binding("odd", rows(signal=1.0), training={"seed": 9, "epochs": 99})
        text = write_arms([f"{seeds('base', 2, signal=1.0)},{odd}", seeds("b", 3, signal=1.0)], tmp_path / "c.html")
        assert "The runs of base differ in more than their seed: training.epochs." in text

    def test_losses_of_several_seeds(self, pretraining: Callable[..., Path], tmp_path: Path) -> None:
        arms = []
        for name, gain in (("uniform", 0.0), ("adaptive", 0.4)):
            losses = [windows(30, gain=gain + seed / 100) for seed in range(1, 4)]
            folders = [pretraining(f"{name}{seed}", each, seed=seed) for seed, each in enumerate(losses, start=1)]
            arms.append(f"{name}={','.join(map(str, folders))}")
        text = write_arms(arms, tmp_path / "c.html")
        assert "loss of peaks is lower with adaptive than with uniform: " in text
        row = {each["pool"]: each for each in json.loads((tmp_path / "c.json").read_text())["rows"]}["peaks"]
        first = windows(30, gain=0.01)
        assert row["first_values"][0] == pytest.approx(first.loss[:, 1].sum() / first.masked[:, 1].sum())

    @pytest.mark.parametrize(
        ("arms", "message"),
        [
            (["a=r1,r2"], "two or more arms, found 1"),
            (["a", "b=r"], "expected NAME=RUN,RUN,..., found 'a'"),
            (["a=", "b=r"], "expected NAME=RUN,RUN,..., found 'a='"),
            (["a=r1", "a=r2"], "the name 'a' is given twice"),
            (["a=r1", "b=r1"], "r1 is given twice"),
        ],
    )
    def test_malformed_arms_are_refused(self, arms: list[str], message: str, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=re.escape(message)):
            write_arms(arms, tmp_path / "c.html")

    def test_runs_of_one_seed_in_an_arm_are_refused(self, binding: Callable[..., Path], tmp_path: Path) -> None:
        table = rows(signal=1.0)
        one, same, other = (binding(name, table, training={"seed": 1 + (name == "c")}) for name in "abc")
        with pytest.raises(ConfigError, match=r"arm x: .*/a and .*/b have the same seed 1"):
            write_arms([f"x={one},{same}", f"y={other}"], tmp_path / "c.html")

    def test_other_labels_are_refused(self, seeds: Callable[..., str], tmp_path: Path) -> None:
        inputs = {**INPUTS, "labels of ZN": "dd" * 32}
        with pytest.raises(InputError, match="labels of ZN differs"):
            write_arms([seeds("a", 1, signal=1.0), seeds("b", 1, signal=1.0, inputs=inputs)], tmp_path / "c.html")

    def test_a_page_does_not_have_the_name_of_its_table(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"expected the name of a page, such as .*c\.html"):
            write_arms(["a=x", "b=y"], tmp_path / "c.csv")


class TestTools:
    """A run beside another tool."""

    @pytest.fixture
    def run(self, binding: Callable[..., Path]) -> tuple[Path, Any]:
        """A run, and its zinc rows by protein and position."""
        folder = binding("a", rows(signal=1.0))
        table = pq.read_table(folder / "oof.parquet").to_pandas()
        return folder, table[table.ion == "ZN"].sort_values(["protein", "position"]).reset_index(drop=True)

    def sources(self, path: Path, **options: Any) -> ToolSources:
        training = {"other": options.pop("training")} if "training" in options else {}
        return ToolSources({"other": path}, training, **{"position_base": 1, "identity": None, **options})

    def test_figures_are_paired_on_the_proteins_that_both_predict(self, run: tuple[Path, Any], tmp_path: Path) -> None:
        folder, own = run
        tool_rows = own[~own.protein.isin(["p1", "p2"])].copy()
        tool_rows["probability"] = np.random.default_rng(0).random(len(tool_rows)).round(4)
        tool_rows["call"] = (tool_rows.probability > 0.9).astype(int)
        tool_rows[["protein", "position", "ion", "probability", "call"]].to_csv(tmp_path / "t.csv", index=False)
        document = {"threshold_method": "mcc", "thresholds": {"ZN": {"threshold": 0.5}}}
        (folder / "global_thresholds.yaml").write_text(yaml.safe_dump(document))
        tool_names = sorted(set(tool_rows.protein))
        (tmp_path / "train.txt").write_text("\n".join(name for name in tool_names if name.startswith("p1")) + "\n")
        sources = self.sources(tmp_path / "t.csv", training=tmp_path / "train.txt")
        text = compare_run_with_tools(folder, sources, tmp_path / "c.html", draws=20, seed=1)
        unseen = tool_rows[~tool_rows.protein.str.startswith("p1")]
        table = {(row["subset"], row["figure"]): row for row in json.loads((tmp_path / "c.json").read_text())["rows"]}
        for subset, part in (("all proteins", tool_rows), ("in nobody's training set", unseen)):
            row = table[subset, "AUPRC"]
            model = own.loc[part.index]
            assert row["run"] == pytest.approx(sklearn_metrics.average_precision_score(model.label, model.probability))
            assert row["tool_value"] == pytest.approx(
                sklearn_metrics.average_precision_score(part.label, part.probability), abs=1e-6
            )
            assert (row["proteins"], row["positives"]) == (part.protein.nunique(), part.label.sum())
            assert row["low"] < row["difference"] < row["high"]
        assert "ZN: 22 of 24 proteins are predicted by both, " in text
        assert f"{unseen.protein.nunique()} of them are in nobody's training set (by equal names)" in text
        assert "CA: other has no predictions." in text
        model = own.loc[tool_rows.index]
        columns = (tool_rows.protein.to_numpy(str), tool_rows.position.to_numpy() - 1, tool_rows.label.to_numpy())
        ones, others = (
            find_sites(*columns, called, linking=Linking(15, 5.0, {}))
            for called in (model.probability.to_numpy() >= 0.5, tool_rows.call.to_numpy() == 1)
        )
        assert f"ZN: {pair_text(pair_sites(ones, others), ('the run', 'other'))}" in text
        row = table["all proteins", "AUPRC"]
        assert f"AUPRC of ZN, all proteins is higher with the run than with other: {row['difference']:+.3f}" in text
        page_text = (tmp_path / "c.html").read_text()
        assert row["conclusion"] in text and "AUPRC of ZN, all proteins is higher" in page_text
        few = f"ZN, all proteins (22), ZN, in nobody's training set ({unseen.protein.nunique()})"
        assert f"Intervals from fewer than 30 proteins are often too narrow: {few}." in text
        assert "Intervals from fewer than 30 proteins are often too narrow: ZN, all proteins (22)" in page_text
        inputs = json.loads((tmp_path / "c.json").read_text())["provenance"]["inputs"]
        files = {"out-of-fold predictions": folder / "oof.parquet", "predictions of other": tmp_path / "t.csv",
                 "training proteins of other": tmp_path / "train.txt"}  # fmt: skip
        assert {name: Path(each["path"]) for name, each in inputs.items()} == files
        for name, path in files.items():
            assert inputs[name]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
            assert inputs[name]["sha256"] in page_text

    def test_similar_training_proteins_count_as_seen(self, run: tuple[Path, Any], tmp_path: Path) -> None:
        folder, own = run
        own[["protein", "position", "ion", "probability"]].to_csv(tmp_path / "t.csv", index=False)
        (tmp_path / "train.fa").write_text(f">elsewhere\n{'C' * 30}\n")  # the sequence of all proteins
        text = compare_run_with_tools(
            folder,
            self.sources(tmp_path / "t.csv", training=tmp_path / "train.fa"),
            tmp_path / "c.html",
            draws=5,
            seed=1,
        )
        assert "0 of them are in nobody's training set (by equal names or equal sequences)" in text
        assert "AUPRC of ZN, in nobody's training set: not defined, with 0 binding residues of 0 proteins." in text

    def test_a_protein_that_is_predicted_in_part_is_refused(self, run: tuple[Path, Any], tmp_path: Path) -> None:
        folder, own = run
        part = own[~((own.protein == "p3") & (own.position > 28))]
        part[["protein", "position", "ion", "probability"]].to_csv(tmp_path / "t.csv", index=False)
        message = r"t\.csv:\d+: 'p3': no prediction for ZN of residue 29 \(counted from 1\), one of 2 that lack one"
        with pytest.raises(InputError, match=message):
            compare_run_with_tools(folder, self.sources(tmp_path / "t.csv"), tmp_path / "c.html", draws=5, seed=1)
        assert not (tmp_path / "c.html").exists()

    @pytest.mark.parametrize(
        ("tools", "training", "message"),
        [
            (["t.csv"], [], "tool: expected NAME=PATH, found 't.csv'"),
            (["a=x", "a=y"], [], "tool: 'a' is given twice"),
            (["a=x"], ["b=y"], "tool_training: no predictions of 'b' are given, only of: a"),
        ],
    )
    def test_malformed_tools_are_refused(self, tools: list[str], training: list[str], message: str) -> None:
        with pytest.raises(ConfigError, match=re.escape(message)):
            tool_sources(tools, training, position_base=1, identity=None)


def test_draws_and_seed_have_the_defaults_of_the_settings() -> None:
    fields, parameters = CompareConfig.model_fields, inspect.signature(compare_runs).parameters
    assert {name: parameters[name].default for name in ("draws", "seed")} == {
        name: fields[name].default for name in ("draws", "seed")
    }
    assert inspect.signature(write_arms).parameters["seed"].default == fields["seed"].default


def test_settings_that_are_left_out_are_those_that_a_resume_may_change() -> None:
    from bindtune.training.binding.run_folder import MAY_CHANGE_ON_RESUME as BINDING
    from bindtune.training.pretraining.run_folder import MAY_CHANGE_ON_RESUME as PRETRAINING

    assert PRETRAINING | {"train_file", "validation_file"} == PRETRAINING_APART
    # The two that a step's number of proteins comes from are compared by their product.
    free = {".".join(pair) for pair in BINDING} - {"training.batch_size", "training.accum_steps"}
    assert free <= BINDING_APART
    names = {f"{section}.{name}" for section, values in BindingConfig(data={"fasta_path": "x"}).model_dump().items()
             if isinstance(values, dict) for name in values}  # fmt: skip
    assert BINDING_APART.issubset(names | {"ignored_keys"})
    assert PRETRAINING_APART.issubset(PretrainConfig.model_fields)
