"""Reports of both jobs: figures that agree with the run's files, missing pieces said, damaged folders refused."""

import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from sklearn.metrics import average_precision_score

from bindtune.cli import main
from bindtune.errors import InputError
from bindtune.reports import report_binding, report_pretraining
from bindtune.reports.page import Block, Collapsed, Notice, Page, Table, Text
from bindtune.reports.report import write_report

Writer = Callable[..., Path]


def blocks(page: Page) -> list[Block]:
    blocks: list[Block] = []
    waiting = [block for section in page.sections for block in section.blocks]
    while waiting:
        block = waiting.pop(0)
        blocks.append(block)
        waiting = [*(block.blocks if isinstance(block, Collapsed) else ()), *waiting]
    return blocks


def table(page: Page, caption: str) -> Table:
    return next(block for block in blocks(page) if isinstance(block, Table) and block.caption == caption)


def notices(page: Page) -> str:
    return "\n".join([*page.notices, *(block.text for block in blocks(page) if isinstance(block, Notice))])


def config(run: Path) -> dict[str, object]:
    return dict(yaml.safe_load((run / "config.yaml").read_text()))


@pytest.fixture(scope="module")
def binding(write_binding_run: Writer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_binding_run(tmp_path_factory.mktemp("binding") / "run")


def test_pretraining_shows_what_the_run_wrote(pretraining_run: Path, tmp_path: Path) -> None:
    page = report_pretraining.build(pretraining_run, config(pretraining_run))
    results = json.loads((pretraining_run / "all_results.json").read_text())
    tiles = {tile.name: tile.value for tile in page.tiles}
    assert tiles["Evaluation loss"] == f"{results['eval_loss']:.3f}"
    assert tiles["Loss in peaks"] == f"{results['eval_peak_loss']:.3f}"
    assert tiles["Masked in all"] == f"{100 * results['train_masked_rate']:.2f} %"
    rates = {row[0]: row for row in table(page, "Masked tokens against their targets").rows}
    assert rates["peaks"][1:3] == ("20 % to 25 %", f"{100 * results['train_peak_masked_rate']:.2f} %")
    origin = json.loads((pretraining_run / "provenance.json").read_text())
    assert table(page, "Input files").rows[0][2] == origin["inputs"]["train_file"]["sha256"]
    assert dict(page.facts)["Steps"] == "8 of 8"
    counts = pq.read_table(pretraining_run / "eval_records.parquet")
    peaks, flanks = (int(np.sum(counts[f"{kind}_masked"].to_numpy())) for kind in ("peak", "flank"))
    assert peaks < 100 <= flanks
    assert notices(page) == f"Evaluation figures of peaks come from only {peaks} masked tokens, so they are uncertain."
    assert f"of {peaks} masked tokens predicted right" in next(t.note for t in page.tiles if t.name == "Loss in peaks")
    settings = dict(table(page, "Every setting").rows)
    assert settings["use_adaptive_masking"] == "on"
    assert settings["learning_rate"] == "3e-05"
    html = write_report(pretraining_run, tmp_path / "r.html").read_text()
    assert not re.search(r"(?:src|href)=\"(?!#|data:)", html)


@pytest.mark.parametrize(("lowest", "message"), [(1.5, "lowest, at step 19"), (1.25, "lowest of the checkpoints")])
def test_the_lowest_loss_that_was_seen_may_have_no_checkpoint(lowest: float, message: str) -> None:
    tiles = report_pretraining._tiles(
        {"eval_loss": 1.5}, [{"step": 24, "eval_loss": 1.75}, {"step": 19, "eval_loss": lowest}], {}, {}
    )
    assert (tiles[0].value, tiles[0].note) == ("1.500", message)


@pytest.mark.parametrize(
    ("masking", "in_peaks", "rule"),
    [
        (
            "adaptive",
            "20 % to 25 %",
            "Tokens in binding regions were masked at 20 % to 25 %, more often than those in the flanks. The",
        ),
        ("uniform", "15 %", "Tokens in binding regions and flanks were masked alike. The total"),
        ("peak-only", "the whole total, if they hold it", "Tokens in binding regions were masked, and flanks only"),
    ],
)
def test_pretraining_says_how_it_masked(pretraining_run: Path, masking: str, in_peaks: str, rule: str) -> None:
    page = report_pretraining.build(pretraining_run, {**config(pretraining_run), "masking": masking})
    assert dict(page.facts)["Masking"] == masking
    rates = {row[0]: row for row in table(page, "Masked tokens against their targets").rows}
    assert rates["peaks"][1] == in_peaks
    assert any(isinstance(block, Text) and block.text.startswith(rule) for block in blocks(page))


def test_pretraining_in_progress_says_so(pretraining_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(pretraining_run, tmp_path / "run"))
    for name in ("trainer_state.json", "all_results.json"):
        (run / name).unlink()
    page = report_pretraining.build(run, config(run))
    assert "newest checkpoint is of step 8 of 8" in notices(page)
    for checkpoint in run.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)
    page = report_pretraining.build(run, config(run))
    assert "written no checkpoint yet" in notices(page)
    assert "No losses have been logged yet" in notices(page)
    assert write_report(run).read_text().startswith("<!doctype html>")


def test_binding_figures_are_those_of_the_predictions(binding: Path) -> None:
    page = report_binding.build(binding, config(binding))
    rows = pq.read_table(binding / "oof.parquet")
    ion, label, probability, fold = (rows[name].to_numpy() for name in ("ion", "label", "probability", "fold"))
    whole = {row[0]: row for row in table(page, "Each ion, all folds").rows}
    for name in ("ZN", "CA", "MG"):
        here = ion == name
        expected = average_precision_score(label[here], probability[here])
        assert whole[name][1].split()[0] == f"{expected:.3f}"
        assert whole[name][2] == f"{100 * label[here].mean():.2f} %"
    by_fold = {row[:2]: row for row in table(page, "Each ion and fold").rows}
    here = (ion == "CA") & (fold == 4)
    assert by_fold["CA", "4"][2].split()[0] == f"{average_precision_score(label[here], probability[here]):.3f}"
    low, high = (float(end) for end in re.findall(r"\d\.\d+", whole["CA"][1])[1:])
    assert low < float(whole["CA"][1].split()[0]) < high
    assert float(whole["CA"][3]) > label[ion == "CA"].mean()  # sites of the generated run prefer some letters
    assert set(whole["LREE"][1:]) == {"\u2013"}
    counts = {name: len(set(rows["protein"].to_numpy()[ion == name])) for name in ("ZN", "CA", "MG")}
    assert min(counts.values()) >= 30 and "fewer than 30 proteins" not in notices(page)
    assert "Intervals from fewer than 30 proteins are often too narrow." in table(page, "Each ion and fold").note


def test_intervals_from_few_proteins_have_a_warning(write_binding_run: Writer, tmp_path: Path) -> None:
    run = write_binding_run(tmp_path / "run", proteins=40)
    page = report_binding.build(run, config(run))
    rows = pq.read_table(run / "oof.parquet").to_pandas()
    counts = {name: rows[rows.ion == name].protein.nunique() for name in ("ZN", "CA", "MG")}
    few = ", ".join(f"{name} ({count})" for name, count in counts.items() if count < 30)
    assert few and f"Intervals from fewer than 30 proteins are often too narrow: {few}." in notices(page)
    assert "LREE: not defined" in notices(page)


def test_binding_thresholds_and_folds(binding: Path) -> None:
    page = report_binding.build(binding, config(binding))
    entry = yaml.safe_load((binding / "global_thresholds.yaml").read_text())["thresholds"]["ZN"]
    sites = f"{entry['num_samples'] * entry['pos_ratio']:.0f}"
    assert table(page, "Threshold of each ion").rows[0] == (
        "ZN", "mcc", "0.2500", sites, "0.690", "0.680", "0.720", "0.660", "0.710", "0.700",
    )  # fmt: skip
    assert table(page, "Threshold of each ion").rows[3][2] == "not defined"
    assert [row[1] for row in table(page, "Held-out proteins of each fold").rows] == ["12"] * 5
    assert "lie in more than one fold" not in notices(page)
    assert dict(table(page, "The run's leak audit (audit.json)").rows)["pairs_compared"] == "1770"


def test_a_group_in_two_folds_is_told(binding: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(binding, tmp_path / "run"))
    rows = list(csv.DictReader((run / "folds.csv").read_text().splitlines()))
    rows[7]["group"] = rows[8]["group"]
    rows[9]["fold"] = "1"
    with (run / "folds.csv").open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    page = report_binding.build(run, config(run))
    message = "\n".join(page.notices)  # leaks stand at the top
    assert f"1 groups lie in more than one fold, so the figures leak: {rows[8]['group']}" in message
    assert f"Predictions do not fit folds.csv for 1 proteins: {rows[9]['protein']}" in message


def test_binding_in_progress_says_which_folds_are_missing(write_binding_run: Writer, tmp_path: Path) -> None:
    run = write_binding_run(tmp_path / "run", done=2)
    page = report_binding.build(run, config(run))
    message = notices(page)
    assert (
        "2 of 5 folds are done; not done: fold 3 (after epoch 3), fold 4 (not started), fold 5 (not started)" in message
    )
    assert "global_thresholds.yaml is missing" in message
    assert {row[1] for row in table(page, "Each ion and fold").rows} == {"1", "2"}
    empty = tmp_path / "empty"
    empty.mkdir()
    shutil.copy(run / "config.yaml", empty)
    page = report_binding.build(empty, config(empty))
    for missing in ("folds.csv", "audit.json", "provenance.json", "NOTICE", "No fold is done yet", "No epoch is done"):
        assert missing in notices(page)
    write_report(empty)


def test_intervals_are_those_that_the_run_wrote(binding: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(binding, tmp_path / "run"))
    written = {"auprc": {"value": 0.5, "low": 0.123, "high": 0.987}, "baseline": {"auprc": {"value": 0.045}}}
    (run / "summary.yaml").write_text(yaml.safe_dump({"out_of_fold": {"ZN": written, "CA": {"auprc": None}}}))
    computed, shown = (
        {row[0]: row for row in table(report_binding.build(one, config(one)), "Each ion, all folds").rows}
        for one in (binding, run)
    )
    assert shown["ZN"][1].endswith("(0.123 to 0.987)")
    assert shown["ZN"][3] == "0.045"
    assert shown["CA"] == computed["CA"]


def test_tiles_show_interval_baseline_and_counts(binding: Path) -> None:
    page = report_binding.build(binding, config(binding))
    rows = {row[0]: row for row in table(page, "Each ion, all folds").rows}
    tile = next(tile for tile in page.tiles if tile.name == "ZN: AUPRC")
    value, low, high = re.findall(r"\d\.\d+", rows["ZN"][1])
    assert tile.value == value
    assert f"95\u00a0% interval {low} to {high}" in tile.note
    assert f"letters alone {rows['ZN'][3]}" in tile.note
    assert f"{rows['ZN'][7]} sites in {rows['ZN'][6]} proteins" in tile.note


def test_calibration_counts_its_residues(binding: Path) -> None:
    page = report_binding.build(binding, config(binding))
    rows = pq.read_table(binding / "oof.parquet")
    zinc = rows["ion"].to_numpy() == "ZN"
    counts = np.histogram(rows["probability"].to_numpy()[zinc], np.linspace(0, 1, 11))[0]
    shown = {row[1]: row[2] for row in table(page, "Residues in each bin of the calibration").rows if row[0] == "ZN"}
    assert shown == {f"{k / 10:.1f} to {(k + 1) / 10:.1f}": f"{n:,}" for k, n in enumerate(counts.tolist()) if n}


def test_an_ion_below_the_baseline_is_told(binding: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(binding, tmp_path / "run"))
    rows = pq.read_table(run / "oof.parquet")
    upside_down = 1 - rows["probability"].to_numpy()
    column = rows.column_names.index("probability")
    pq.write_table(rows.set_column(column, "probability", [upside_down]), run / "oof.parquet")
    assert "ZN, CA, MG are below the composition baseline" in notices(report_binding.build(run, config(run)))
    assert "composition baseline" not in notices(report_binding.build(binding, config(binding)))


def test_a_run_without_ions(binding: Path, tmp_path: Path) -> None:
    settings = config(binding)
    settings["training"] = {"ions": [], "num_folds": 5}
    page = report_binding.build(tmp_path, settings)
    assert page.lead == "E1-150m adapted with LoRA as a language model of proteins, without labels."
    assert "there are no sites to score" in notices(page)
    assert "folds are done" not in notices(page)
    assert [section.key for section in page.sections] == ["learning", "folds", "inputs", "settings", "notice"]
    assert page.kind == "report of a language-model run"


def break_oof(run: Path) -> None:
    (run / "oof.parquet").write_bytes(b"PAR1 no more")


def break_label(run: Path) -> None:
    rows = pq.read_table(run / "oof.parquet")
    column = rows.column_names.index("label")
    pq.write_table(rows.set_column(column, "label", [np.full(len(rows), 7, np.int8)]), run / "oof.parquet")


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (shutil.rmtree, "does not exist"),
    "foreign": (lambda run: (run / "config.yaml").unlink(), "holds no config.yaml"),
    "other settings": (lambda run: (run / "config.yaml").write_text("a: 1"), "not the settings of a pretraining or a"),
    "no yaml": (lambda run: (run / "config.yaml").write_text("a: ["), "not YAML"),
    "a list": (lambda run: (run / "config.yaml").write_text("[1]"), "expected names and values, found list"),
    "ions": (lambda run: (run / "config.yaml").write_text("training: {ions: 3, num_folds: 5}"), "ions is not a list"),
    "json": (lambda run: (run / "provenance.json").write_text("{"), "not JSON"),
    "parquet": (break_oof, "is not a readable Parquet file"),
    "labels": (break_label, "labels that are neither 0 nor 1"),
    "metrics": (lambda run: (run / "metrics.csv").write_text("fold,epoch\n1,1\n"), "metrics.csv:1: the header lacks"),
    "folds": (lambda run: (run / "folds.csv").write_text("protein,fold,group\na,1\n"), "folds.csv:2: has not 3 fields"),
    "thresholds": (lambda run: (run / "global_thresholds.yaml").write_text("thresholds: 3"), "a mapping for each ion"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_folders_are_refused(binding: Path, tmp_path: Path, name: str) -> None:
    run = Path(shutil.copytree(binding, tmp_path / "run"))
    damage, message = DAMAGES[name]
    damage(run)
    with pytest.raises(InputError, match=re.escape(message)):
        write_report(run, tmp_path / "out.html")
    assert not (tmp_path / "out.html").exists()


def test_command(
    binding: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["bindtune", "report", str(binding), "--out", str(tmp_path / "page.html")])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 0
    printed = capsys.readouterr()
    assert printed.out == f"{tmp_path / 'page.html'}\n"
    expected = f"next: bindtune predict --run {binding} --fasta PROTEINS.fa --out predictions"
    assert printed.err.splitlines()[-1] == expected
    monkeypatch.setattr("sys.argv", ["bindtune", "report", str(tmp_path)])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert "holds no config.yaml" in capsys.readouterr().err
