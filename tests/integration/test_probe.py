"""`bindtune probe` on a small genome: windows, arms, folds, leaks, figures, files, and a run that is killed."""

import json
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bindtune.config import ProbeConfig, build
from bindtune.data.dna.composition import composition, gc_of
from bindtune.demo.tiny_e1 import make_tiny_e1
from bindtune.errors import CheckError, CheckpointError, ConfigError, InputError
from bindtune.io.genome import reverse_complement
from bindtune.probing.linear import STRENGTHS, best_strength
from bindtune.probing.run import probe
from bindtune.publishing.push import push
from bindtune.reports.compare import compare_runs
from bindtune.reports.report import write_report

LETTERS = "ACGT"
CHROMOSOMES, LENGTH = 5, 40_000
WIDTH, FOLDS = 51, 3  # less to train on than with 101 letters and five folds


def dna(length: int, drawn: random.Random) -> str:
    return "".join(drawn.choices(LETTERS, k=length))


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five chromosomes, genes with exons and UTRs, peaks of two proteins with a motif."""
    folder = tmp_path_factory.mktemp("genome")
    drawn = random.Random(1)
    sequences = {f"chr{number + 1}": list(dna(LENGTH, drawn)) for number in range(CHROMOSOMES)}
    genes, peaks = [], {"A": [], "B": []}
    for name, letters in sequences.items():
        for start in range(1000, LENGTH - 4500, 4000):
            strand = drawn.choice("+-")
            rows = [("gene", start, start + 3000), ("exon", start, start + 1000), ("exon", start + 2000, start + 3000)]
            rows.append(("three_prime_utr", start + 2500, start + 3000))
            genes += [f'{name}\tx\t{kind}\t{low + 1}\t{high}\t.\t{strand}\t.\tgene_id "g";' for kind, low, high in rows]
            for protein, offset in (("A", 300), ("A", 1500), ("B", 2250), ("A", 2700), ("B", 700)):
                middle = start + offset + drawn.randrange(40)
                site = "TGTAAATA" if protein == "A" else "GCATGCAT"
                site = site if strand == "+" else reverse_complement(site.encode()).decode()
                letters[middle - 4 : middle + 4] = list(site)
                peaks[protein].append(f"{name}\t{middle - 15}\t{middle + 15}\tp\t5\t{strand}")
    peaks["A"].append("chr1\t0\t20\tedge\t5\t+")
    peaks["A"].append("chrUn\t5\t40\tunknown\t5\t+")
    peaks["A"].append(peaks["A"][0].replace("\tp\t", "\tagain\t"))
    fasta = "".join(f">{name}\n{''.join(letters)}\n" for name, letters in sequences.items())
    (folder / "g.fa").write_text(fasta)
    (folder / "genes.gtf").write_text("\n".join(genes) + "\n")
    for protein, rows in peaks.items():
        (folder / f"{protein}.bed").write_text("\n".join(rows) + "\n")
    return folder


def settings(genome: Path, out: Path, **changes: Any) -> ProbeConfig:
    values: dict[str, Any] = {
        "peaks": [f"{name}={genome / name}.bed" for name in "AB"], "genome": str(genome / "g.fa"),
        "genes": str(genome / "genes.gtf"), "out": str(out), "width": WIDTH, "folds": FOLDS, "draws": 50,
        "distance": 100,
    }  # fmt: skip
    return build(ProbeConfig, {name: value for name, value in (values | changes).items() if value is not None})


def quiet(text: str) -> None:
    pass


@pytest.fixture(scope="module")
def done(genome: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    out = tmp_path_factory.mktemp("probe") / "out"
    return out, probe(settings(genome, out), notify=quiet)


def rows(out: Path) -> list[dict[str, Any]]:
    windows: list[dict[str, Any]] = pq.read_table(out / "windows.parquet").to_pylist()
    return windows


def test_files_have_their_columns(done: tuple[Path, str]) -> None:
    out, text = done
    names = ["dataset", "arm", "window", "label", "sequence", "chrom", "start", "end", "strand", "fold"]
    assert pq.read_schema(out / "windows.parquet").names[:10] == names
    assert pq.read_schema(out / "predictions.parquet").names == [
        "dataset", "arm", "model", "window", "label", "score", "fold",
    ]  # fmt: skip
    head = (out / "metrics.csv").read_text().split("\n")[0]
    assert head == "dataset,arm,model,figure,value,low,high,n,positives,base_rate,against"
    summary = yaml.safe_load((out / "summary.yaml").read_text())
    assert list(summary["results"]["A"]) == ["gc-region", "dinucleotide", "other-sites", "shuffled"]
    assert json.loads((out / "leaks.json").read_text())["counts"] == {
        "equal_sequences": 0, "reverse_complements": 0, "overlapping_coordinates": 0, "shared_32mers": 0,
    }  # fmt: skip
    assert (out / "provenance.json").is_file()
    assert "easy to beat" in yaml.safe_dump(summary["arms"])
    assert "composition" in text


def test_windows_are_those_of_the_genome(done: tuple[Path, str], genome: Path) -> None:
    parts = (genome / "g.fa").read_text().split(">")[1:]
    letters = {part.split("\n")[0]: part.split("\n")[1] for part in parts}
    for row in rows(done[0]):
        if row["chrom"] is None:
            assert row["arm"] == "shuffled" and not row["label"]
            continue
        text = letters[row["chrom"]][row["start"] : row["end"]]
        assert len(text) == WIDTH
        assert row["sequence"] == (text if row["strand"] == "+" else reverse_complement(text.encode()).decode())
        assert row["window"] == f"{row['chrom']}:{row['start']}-{row['end']}({row['strand']})"


def test_positives_are_centred_and_counts_add_up(done: tuple[Path, str], genome: Path) -> None:
    lines = [line.split("\t") for line in (genome / "A.bed").read_text().splitlines()]
    middles = {(line[0], (int(line[1]) + int(line[2])) // 2) for line in lines}
    labels = {
        (row["chrom"], row["start"] + WIDTH // 2)
        for row in rows(done[0])
        if row["dataset"] == "A" and row["arm"] == "shuffled" and row["label"]
    }
    assert labels == middles - {("chr1", 10), ("chrUn", 22)}
    counts = yaml.safe_load((done[0] / "summary.yaml").read_text())["windows"]
    peaks = counts["peaks"]["A"]
    assert peaks["dropped"] == {"chromosome_not_in_genome": 1, "merged_into_another": 1, "past_chromosome_end": 1}
    assert peaks["read"] == len(lines) == peaks["windows"] + sum(peaks["dropped"].values())
    for arm in counts["arms"]["A"].values():
        assert arm["positives_available"] == peaks["windows"] == arm["positives"] + sum(arm["left_out"].values())
        assert arm["negatives"] == arm["positives"]


def test_negatives_match_and_avoid_every_peak(done: tuple[Path, str], genome: Path) -> None:
    peaks = {
        protein: [line.split("\t") for line in (genome / f"{protein}.bed").read_text().splitlines()] for protein in "AB"
    }
    by_pair: dict[tuple[str, str, int], dict[int, dict[str, Any]]] = {}
    for row in rows(done[0]):
        by_pair.setdefault((row["dataset"], row["arm"], row["pair"]), {})[row["label"]] = row
        if row["label"] or row["chrom"] is None:
            continue
        for chrom, start, end, _, _, strand in peaks[row["dataset"]]:
            if chrom == row["chrom"] and strand == row["strand"]:
                assert row["start"] - int(end) >= 100 or int(start) - row["end"] >= 100
    gaps: dict[str, list[float]] = {}
    for (_, arm, _), pair in by_pair.items():
        assert set(pair) == {0, 1}
        assert pair[0]["fold"] == pair[1]["fold"]
        values = composition([pair[1]["sequence"], pair[0]["sequence"]])
        if arm == "gc-region":  # a test of the tolerance: GC within 2 %, region the same
            gc = gc_of(values)
            assert abs(gc[0] - gc[1]) <= 0.02 + 1e-9
            assert pair[0]["region"] == pair[1]["region"]
        gaps.setdefault(arm, []).append(float(np.linalg.norm(values[0, 4:] - values[1, 4:])))
    assert np.median(gaps["dinucleotide"]) < 0.75 * np.median(gaps["other-sites"])
    assert max(gaps["shuffled"]) < 1e-12
    assert {row["region"] for row in rows(done[0]) if row["arm"] == "gc-region"} == {"exon", "intron", "UTR"}


def test_each_chromosome_is_in_one_fold_and_negatives_come_once(done: tuple[Path, str]) -> None:
    folds: dict[str, set[int]] = {}
    seen: set[tuple[str, str, str]] = set()
    for row in rows(done[0]):
        if row["chrom"] is not None:
            folds.setdefault(row["chrom"], set()).add(row["fold"])
        key = (row["dataset"], row["arm"], row["window"])
        assert key not in seen
        seen.add(key)
    assert all(len(fold_set) == 1 for fold_set in folds.values())
    assert set.union(*folds.values()) == set(range(1, FOLDS + 1))


def test_the_motif_is_found_and_composition_does_not_find_it(done: tuple[Path, str]) -> None:
    results = yaml.safe_load((done[0] / "summary.yaml").read_text())["results"]
    arm = results["A"]["dinucleotide"]
    assert arm["composition"]["auroc"]["value"] < 0.65 < 0.75 < arm["cnn"]["auroc"]["value"]
    assert results["A"]["shuffled"]["composition"]["auroc"]["value"] == 0.5
    assert arm["cnn"]["gain_over_composition"]["low"] > 0.1


def test_4_mer_agrees_with_scikit_learn(done: tuple[Path, str]) -> None:
    table = pq.read_table(
        done[0] / "windows.parquet", filters=[("dataset", "=", "A"), ("arm", "=", "gc-region")]
    ).to_pydict()
    words = [a + b + c + d for a in LETTERS for b in LETTERS for c in LETTERS for d in LETTERS]
    features = np.array(
        [[sum(text.startswith(word, at) for at in range(WIDTH - 3)) for word in words] for text in table["sequence"]],
        float,
    )
    labels, folds = np.array(table["label"]), np.array(table["fold"])
    scores = np.zeros(len(labels))
    for fold in range(1, FOLDS + 1):
        train = folds != fold
        strength = best_strength(features[train], labels[train], folds[train])
        assert strength in STRENGTHS
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000))
        scores[~train] = model.fit(features[train], labels[train]).decision_function(features[~train])
    summary = yaml.safe_load((done[0] / "summary.yaml").read_text())
    value = summary["results"]["A"]["gc-region"]["4-mer"]["auroc"]["value"]
    assert value == pytest.approx(roc_auc_score(labels, scores), abs=1e-6)


def test_another_seed_draws_other_negatives(genome: Path, tmp_path: Path) -> None:
    again = settings(genome, tmp_path / "again", arms=["gc-region"], peaks=[f"A={genome}/A.bed"], draws=1, folds=2)
    probe(again, notify=quiet)
    after = rows(tmp_path / "again")
    probe(build(ProbeConfig, again.model_dump() | {"overwrite": True, "seed": 7}), notify=quiet)
    other = rows(tmp_path / "again")
    assert {row["window"] for row in other if not row["label"]} != {row["window"] for row in after if not row["label"]}


def test_a_finished_probe_is_told_again_and_another_is_refused(done: tuple[Path, str], genome: Path) -> None:
    out, text = done
    assert probe(settings(genome, out), notify=quiet) == text
    with pytest.raises(ConfigError, match=r"holds a probe with other settings \(width\)"):
        probe(settings(genome, out, width=91), notify=quiet)


def test_a_model_of_proteins_is_refused_before_windows_are_made(random_labels: dict[str, str], tmp_path: Path) -> None:
    encoder = make_tiny_e1(tmp_path, seed=1)
    config = build(ProbeConfig, random_labels | {"model": [f"e1={encoder}"], "out": str(tmp_path / "out")})
    with pytest.raises(CheckpointError, match=r"reads proteins, expected DNABERT-2 or another masked language model"):
        probe(config, notify=quiet)
    assert not (tmp_path / "out" / "windows.parquet").exists()


def test_a_layer_that_is_not_there_is_refused_before_windows_are_made(
    random_labels: dict[str, str], tiny_model: Path, tmp_path: Path
) -> None:
    values: dict[str, Any] = {"model": [f"tiny={tiny_model}"], "layer": -4, "out": str(tmp_path / "out")}
    with pytest.raises(ConfigError, match=r"^tiny has layers 0 \(the embeddings\) to 2, and no layer -4$"):
        probe(build(ProbeConfig, random_labels | values), notify=quiet)
    assert not (tmp_path / "out" / "windows.parquet").exists()


def test_a_folder_of_something_else_is_refused(genome: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"is not empty and holds no probe: it has notes.txt"):
        probe(settings(genome, tmp_path), notify=quiet)
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.fixture
def planted(genome: Path, tmp_path: Path) -> Path:
    """The same genome, where a stretch about a peak of chr1 lies on chr2 too, under a peak of its own."""
    parts = (genome / "g.fa").read_text().split(">")[1:]
    letters = {part.split("\n")[0]: part.split("\n")[1] for part in parts}
    copy = letters["chr1"][20_300:20_360]
    letters["chr2"] = letters["chr2"][:31_000] + copy + letters["chr2"][31_060:]
    (tmp_path / "g.fa").write_text("".join(f">{name}\n{text}\n" for name, text in letters.items()))
    (tmp_path / "A.bed").write_text(
        (genome / "A.bed").read_text() + "chr1\t20320\t20340\tx\t5\t+\nchr2\t31020\t31040\tx\t5\t+\n"
    )
    (tmp_path / "genes.gtf").write_bytes((genome / "genes.gtf").read_bytes())
    return tmp_path


def test_a_planted_leak_is_refused(planted: Path) -> None:
    only: dict[str, Any] = {"peaks": [f"A={planted}/A.bed"], "arms": ["shuffled"], "draws": 1, "folds": 2}
    with pytest.raises(CheckError, match="2 windows with shared 32mers"):
        probe(settings(planted, planted / "out", **only), notify=quiet)
    assert json.loads((planted / "out" / "leaks.json").read_text())["counts"]["shared_32mers"] == 2
    assert not (planted / "out" / "windows.parquet").exists()
    probe(settings(planted, planted / "out", leaks="drop", **only), notify=quiet)
    leaks = json.loads((planted / "out" / "leaks.json").read_text())
    assert leaks["dropped"] == 2  # a positive and its negative
    probe(settings(planted, planted / "allowed", leaks="allow", **only), notify=quiet)
    assert len(rows(planted / "allowed")) == len(rows(planted / "out")) + 2


def test_summits_are_centres(genome: Path, tmp_path: Path) -> None:
    lines = [
        f"chr{number}\t{start}\t{start + 200}\tp\t0\t+\t{strength}\t3\t2\t{summit}"
        for number in range(1, 6)
        for start, strength, summit in ((5000, 5, 20), (5100, 9, 150), (9000, 2, -1))
    ]
    (tmp_path / "s.narrowPeak").write_text("\n".join(lines) + "\n")
    values: dict[str, Any] = {"peaks": [f"S={tmp_path}/s.narrowPeak"], "arms": ["shuffled"], "draws": 1, "folds": 2}
    values["width"] = None  # 101
    probe(settings(genome, tmp_path / "out", **values), notify=quiet)
    middle = {row["start"] + 50 for row in rows(tmp_path / "out") if row["label"]}
    assert middle == {5250, 9100}  # of two joined peaks the stronger one's summit
    probe(settings(genome, tmp_path / "middle", centre="middle", **values), notify=quiet)
    assert {row["start"] + 50 for row in rows(tmp_path / "middle") if row["label"]} == {5150, 9100}
    (tmp_path / "s.narrowPeak").write_text(lines[0].replace("\t20", "\t200") + "\n")
    with pytest.raises(InputError, match=r"s.narrowPeak:1: the summit 200 lies outside of the peak"):
        probe(settings(genome, tmp_path / "bad", **values), notify=quiet)


def test_the_report_has_figures_conclusions_and_leaks(probed: tuple[Path, Path]) -> None:
    page = (probed[0] / "report.html").read_text()
    for text in (
        "Conclusions",
        "Arm given",
        "Gain over composition",
        "shared 32mers",
        "No difference between tiny and",
    ):
        assert text in page
    (probed[0] / "metrics.csv").rename(probed[0] / "aside.csv")
    write_report(probed[0])
    assert "The probe is not finished" in (probed[0] / "report.html").read_text()
    (probed[0] / "aside.csv").rename(probed[0] / "metrics.csv")


def test_probes_are_compared_window_by_window(probed: tuple[Path, Path], tmp_path: Path) -> None:
    text = compare_runs(probed, tmp_path / "page.html")
    assert "B differs from A in one setting: pooling (mean in A, max in B)." in text
    values = [yaml.safe_load((run / "summary.yaml").read_text())["results"]["p"]["given"] for run in probed]
    first, second = (each["tiny"]["auroc"]["value"] for each in values)
    row = next(line for line in text.splitlines() if "/ tiny" in line and "AUROC" in line)
    assert f"B: {second:.3f}" in row and f"A: {first:.3f}" in row
    assert "Probes compared" in (tmp_path / "page.html").read_text()


def test_probes_of_other_windows_are_not_compared(
    probed: tuple[Path, Path], done: tuple[Path, str], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="has no data set, arm and model in common"):
        compare_runs([probed[0], done[0]], tmp_path / "page.html")
    with pytest.raises(ConfigError, match=r"is a probe: it holds figures, and no model to push"):
        push(probed[0], "me/probe", private=False, revision=None, commit_message=None, base_model=None,
             overwrite=False, dry_run=True, notify=quiet)  # fmt: skip


def fasta(path: Path, records: list[tuple[str, str]]) -> Path:
    path.write_text("".join(f">{name}\n{text}\n" for name, text in records))
    return path


@pytest.fixture(scope="module")
def random_labels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Windows that nothing tells apart."""
    tmp_path, drawn = tmp_path_factory.mktemp("random"), random.Random(4)
    records = [(f"w{number}", dna(60, drawn)) for number in range(400)]
    return {
        "positives": str(fasta(tmp_path / "p.fa", records[:200])),
        "negatives": str(fasta(tmp_path / "n.fa", records[200:])),
    }  # fmt: skip


@pytest.fixture(scope="module")
def probed(
    random_labels: dict[str, str], tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """Two probes of windows with random labels, which differ in their pooling."""
    folder = tmp_path_factory.mktemp("random-labels")
    for pooling in ("mean", "max"):
        values: dict[str, Any] = {
            "model": [f"tiny={tiny_model}"],
            "out": str(folder / pooling),
            "draws": 300,
            "folds": 3,
        }
        probe(build(ProbeConfig, random_labels | values | {"pooling": pooling}), notify=quiet)
    return folder / "mean", folder / "max"


def test_random_labels_give_one_half_for_every_model(probed: tuple[Path, Path]) -> None:
    models = yaml.safe_load((probed[0] / "summary.yaml").read_text())["results"]["p"]["given"]
    assert list(models) == ["composition", "4-mer", "cnn", "random", "tiny"]
    for figures in models.values():
        assert figures["auroc"]["low"] < 0.5 < figures["auroc"]["high"]


@pytest.mark.slow
def test_random_labels_give_one_half_for_tuned_encoders(
    random_labels: dict[str, str], tiny_model: Path, tmp_path: Path
) -> None:
    values: dict[str, Any] = {"model": [f"tiny={tiny_model}"], "out": str(tmp_path / "out"), "draws": 300, "folds": 2}
    probe(build(ProbeConfig, random_labels | values | {"tune": "lora", "tune_epochs": 2}), notify=quiet)
    models = yaml.safe_load((tmp_path / "out" / "summary.yaml").read_text())["results"]["p"]["given"]
    for name in ("random", "tiny"):
        assert models[name]["auroc"]["low"] < 0.5 < models[name]["auroc"]["high"], models[name]


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    import tiny_dnabert2

    folder = tmp_path_factory.mktemp("model")
    tiny_dnabert2.build(initializer_range=0.1).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_similar_windows_stay_in_one_fold(tmp_path: Path) -> None:
    drawn = random.Random(5)
    base = [dna(60, drawn) for _ in range(60)]
    near = [text[:30] + ("A" if text[30] != "A" else "C") + text[31:] for text in base]
    positives = fasta(tmp_path / "p.fa", [(f"a{index}", text) for index, text in enumerate(base)])
    negatives = fasta(tmp_path / "n.fa", [(f"a{index}", text) for index, text in enumerate(near)])
    values = {"positives": str(positives), "negatives": str(negatives), "out": str(tmp_path / "out"), "draws": 1}
    probe(build(ProbeConfig, values), notify=quiet)
    fold = {row["window"]: row["fold"] for row in rows(tmp_path / "out")}
    assert all(fold[f"positives/a{position}"] == fold[f"negatives/a{position}"] for position in range(60))


def test_headers_with_coordinates_are_split_by_chromosome(tmp_path: Path) -> None:
    drawn = random.Random(6)
    records = [
        (f"chr{1 + position % 6}:{100 * position}-{100 * position + 60}(+)", dna(60, drawn)) for position in range(120)
    ]
    values = {
        "positives": str(fasta(tmp_path / "p.fa", records[:60])),
        "negatives": str(fasta(tmp_path / "n.fa", records[60:])),
        "out": str(tmp_path / "out"), "draws": 1, "folds": 3, "arms": ["shuffled"],
    }  # fmt: skip
    probe(build(ProbeConfig, values), notify=quiet)
    folds: dict[str, set[int]] = {}
    for row in rows(tmp_path / "out"):
        if row["chrom"]:
            folds.setdefault(row["chrom"], set()).add(row["fold"])
    assert all(len(fold_set) == 1 for fold_set in folds.values()) and len(folds) == 6


@pytest.mark.slow
def test_a_killed_probe_goes_on_and_gives_the_same_files(
    genome: Path, tmp_path: Path, tiny_model: Path, warm_python: Path
) -> None:
    def command(out: Path) -> list[str]:
        words = [
            str(warm_python),
            "-m",
            "bindtune",
            "probe",
            "--peaks",
            f"A={genome}/A.bed",
            "--genome",
            f"{genome}/g.fa",
        ]
        words += [
            "--genes",
            f"{genome}/genes.gtf",
            "--model",
            f"tiny={tiny_model}",
            "--draws",
            "20",
            "--distance",
            "100",
            "--width",
            str(WIDTH),
        ]
        return [*words, "--folds", "3", "--arms", "gc-region", "--arms", "shuffled", "--seeds", "2", "--out", str(out)]

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(command(whole), check=True, capture_output=True)
    for enough in (1, 5):
        process = subprocess.Popen(command(killed), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda at_least=enough: len(list((killed / "scores").glob("*.npy"))) >= at_least, process)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (killed / "metrics.csv").exists()
    subprocess.run(command(killed), check=True, capture_output=True)
    names = ("windows", "predictions", "predictions_by_seed")
    for name in (*(f"{each}.parquet" for each in names), "metrics.csv", "summary.yaml", "leaks.json"):
        assert (whole / name).read_bytes() == (killed / name).read_bytes(), name
    assert not (killed / "unfinished").exists()
    by_seed = pq.read_table(whole / "predictions_by_seed.parquet")
    assert set(by_seed["seed"].to_pylist()) == {42, 43}
    assert set(by_seed["model"].to_pylist()) == {"cnn", "random"}  # what begins with random numbers
    first = pq.read_table(whole / "predictions.parquet").to_pylist()
    columns = ("dataset", "arm", "model", "window", "label", "score", "fold")
    rows_of_seeds = by_seed.to_pylist()
    assert {tuple(row[name] for name in columns) for row in rows_of_seeds if row["seed"] == 42} == {
        tuple(row[name] for name in columns) for row in first if row["model"] in ("cnn", "random")
    }
    assert len(rows_of_seeds) == 2 * len([row for row in first if row["model"] in ("cnn", "random")])


def wait_for(condition: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + 300
    while not condition():
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < end
        time.sleep(0.02)
