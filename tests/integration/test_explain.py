"""`bindtune explain`: letters, motifs and tracks of models that a probe has trained."""

import csv
import random
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pybigtools
import pytest
import yaml
from typer.testing import CliRunner

import tiny_dnabert2
from bindtune.cli import app
from bindtune.config import ExplainConfig, ProbeConfig, build
from bindtune.errors import ConfigError, InputError
from bindtune.io.genome import reverse_complement
from bindtune.probing.binding_model import binding_model, open_probe
from bindtune.probing.explain import explain
from bindtune.probing.run import probe
from bindtune.publishing.push import push
from bindtune.reports.compare import compare_runs
from bindtune.reports.report import write_report

MOTIF = "TGTAAATA"


def dna(length: int, drawn: random.Random) -> str:
    return "".join(drawn.choices("ACGT", k=length))


def quiet(text: str) -> None:
    pass


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five chromosomes with sites on both strands, and windows of 40 nt about them and elsewhere as FASTA."""
    folder, drawn = tmp_path_factory.mktemp("genome"), random.Random(7)
    letters = {f"chr{number}": list(dna(4000, drawn)) for number in range(1, 6)}
    windows: dict[str, list[str]] = {"bound": [], "unbound": []}
    for name, own in letters.items():
        for position, start in enumerate(range(50, 3800, 160)):
            strand = "+-"[position % 2]
            at = start + drawn.randrange(5, 27)
            own[at : at + 8] = list(MOTIF if strand == "+" else reverse_complement(MOTIF.encode()).decode())
            for kind, first in (("bound", start), ("unbound", start + 80)):
                text = "".join(own[first : first + 40])
                text = text if strand == "+" else reverse_complement(text.encode()).decode()
                windows[kind].append(f">{name}:{first}-{first + 40}({strand})\n{text}\n")
    for kind, records in windows.items():
        (folder / f"{kind}.fa").write_text("".join(records))
    (folder / "g.fa").write_text("".join(f">{name}\n{''.join(own)}\n" for name, own in letters.items()))
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    folder = tmp_path_factory.mktemp("model")
    tiny_dnabert2.build(initializer_range=0.3).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def probe_of(genome: Path, out: Path, **values: Any) -> Path:
    files = {"positives": str(genome / "bound.fa"), "negatives": str(genome / "unbound.fa")}
    probe(build(ProbeConfig, files | {"out": str(out), "draws": 1} | values), notify=quiet)
    return out


@pytest.fixture(scope="module")
def probed(genome: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return probe_of(genome, tmp_path_factory.mktemp("probe") / "out", model=[f"tiny={model}"])


def run(probed: Path, out: Path, **values: Any) -> str:
    return explain(build(ExplainConfig, {"probe": str(probed), "out": str(out)} | values), notify=quiet)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def bed(path: Path, rows: list[tuple[str, int, int, str]]) -> Path:
    path.write_text("".join(f"{chrom}\t{start}\t{end}\tr\t0\t{strand}\n" for chrom, start, end, strand in rows))
    return path


@pytest.fixture(scope="module")
def mutated(probed: Path, genome: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mutated") / "out"
    run(probed, out, fasta=str(genome / "bound.fa"), model=["cnn", "4-mer", "composition"])
    return out


def test_a_row_for_each_nucleotide_with_every_substitution(mutated: Path, probed: Path) -> None:
    rows = table(mutated / "nucleotides.tsv")
    there = open_probe(probed, "explain")
    by_sequence: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in rows:
        by_sequence.setdefault((row["model"], row["sequence"]), []).append(row)
    assert len(by_sequence) == 3 * 120 and all(len(own) == 40 for own in by_sequence.values())
    fold_of = dict(zip(there.windows["window"].to_pylist(), there.windows["fold"].to_pylist(), strict=True))
    for (name, sequence), own in list(by_sequence.items())[::40]:
        letters = "".join(row["letter"] for row in own)
        scorer = binding_model(there, name)
        assert [row["position"] for row in own] == [str(index) for index in range(1, 41)]
        for index in (0, 17, 39):
            variants = [letters[:index] + letter + letters[index + 1 :] for letter in "ACGT"]
            logits = scorer.logits([letters, *variants], np.full(5, fold_of[sequence]))
            shown = [float(own[index][f"change_{letter}"]) for letter in "ACGT"]
            np.testing.assert_allclose(shown, logits[1:] - logits[0], atol=1e-4)  # six digits are written
            assert float(own[index]["importance"]) == pytest.approx(-sum(shown) / 3, abs=1e-4)


def test_places_follow_the_strand(mutated: Path, genome: Path) -> None:
    letters = {
        part.split("\n")[0]: part.split("\n")[1] for part in (genome / "g.fa").read_text().split(">")[1:]
    }  # fmt: skip
    for row in table(mutated / "nucleotides.tsv")[:400]:
        letter = letters[row["chrom"]][int(row["start"])]
        assert int(row["end"]) == int(row["start"]) + 1
        assert row["letter"] == (letter if row["strand"] == "+" else reverse_complement(letter.encode()).decode())


def test_held_out_models_explain_windows_of_the_probe(mutated: Path, probed: Path) -> None:
    windows = open_probe(probed, "explain").windows.to_pylist()
    fold_of = {row["window"]: str(row["fold"]) for row in windows}
    rows = table(mutated / "sequences.tsv")
    assert all(row["fold"] == fold_of[row["sequence"]] for row in rows)
    summary = yaml.safe_load((mutated / "summary.yaml").read_text())
    assert (summary["sequences"], summary["held_out_in_a_fold"], summary["new_to_the_probe"]) == (120, 120, 0)


def test_the_planted_motif_comes_out(mutated: Path) -> None:
    summary = yaml.safe_load((mutated / "summary.yaml").read_text())
    best = summary["models"]["cnn"]["motifs"][0]
    assert best["consensus"] == MOTIF and best["sites"] > 60
    text = (mutated / "motifs.meme").read_text()
    head = f"MOTIF cnn.1_{MOTIF}\nletter-probability matrix: alength= 4 w= 8 nsites= {best['sites']}\n"
    matrix = text.partition(head)[2].split("\n\n")[0].splitlines()
    counts = np.array([line.split() for line in matrix], float) * best["sites"]
    np.testing.assert_allclose(counts, best["counts"], atol=1e-3)
    sites = [row for row in table(mutated / "motif_sites.tsv") if row["model"] == "cnn" and row["motif"] == "1"]
    assert len(sites) == best["sites"]
    for letter, column in zip("ACGT", np.array(best["counts"]).T, strict=True):
        assert column.tolist() == [sum(row["letters"][position] == letter for row in sites) for position in range(8)]


def test_the_report_shows_logos_and_is_written_anew(mutated: Path) -> None:
    page = write_report(mutated).read_text()
    for text in (
        f"Motif 1: {MOTIF}",
        "Model cnn",
        "Which letters make the models",
        "Sequence chr",
        "position in the motif",
    ):
        assert text in page
    assert page.count("<svg") >= 4


def test_other_commands_name_an_explanation(mutated: Path, probed: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is an explanation: it holds figures, and no model to push"):
        push(mutated, "me/x", private=False, revision=None, commit_message=None, base_model=None, overwrite=False,
             dry_run=True, notify=quiet)  # fmt: skip
    again = shutil.copytree(mutated, tmp_path / "copy")
    with pytest.raises(ConfigError, match="is an explanation; compare takes runs and probes"):
        compare_runs([mutated, again], tmp_path / "page.html")
    with pytest.raises(ConfigError, match="is an explanation; explain needs a probe"):
        run(mutated, tmp_path / "x", fasta="x.fa")


def test_a_folder_of_another_run_is_not_overwritten(mutated: Path, probed: Path, genome: Path) -> None:
    before = {path: path.read_bytes() for folder in (probed, mutated) for path in folder.glob("*.*")}
    values = {"fasta": str(genome / "bound.fa"), "model": ["4-mer"], "overwrite": True}
    with pytest.raises(ConfigError, match="out is a probe; explain --out needs an explanation"):
        run(probed, probed, **values)
    files = {"positives": str(genome / "bound.fa"), "negatives": str(genome / "unbound.fa")}
    with pytest.raises(ConfigError, match="out is an explanation; probe --out needs a probe"):
        probe(build(ProbeConfig, files | {"out": str(mutated), "overwrite": True}), notify=quiet)
    assert {path: path.read_bytes() for path in before} == before


def test_regions_give_tracks(probed: Path, genome: Path, tmp_path: Path) -> None:
    regions = bed(
        tmp_path / "r.bed",
        [("chr2", 50, 90, "+"), ("chr2", 70, 110, "+"), ("chr1", 210, 250, "-"), ("chr5", 3960, 4000, "+")],
    )
    out = tmp_path / "out"
    run(probed, out, regions=str(regions), genome=str(genome / "g.fa"), model=["cnn"], bigwig=True, motifs=0)
    values: dict[str, dict[tuple[str, int], list[float]]] = {}
    for row in table(out / "nucleotides.tsv"):
        strand = {"+": "plus", "-": "minus"}[row["strand"]]
        values.setdefault(strand, {}).setdefault((row["chrom"], int(row["start"])), []).append(float(row["importance"]))
    assert sorted(path.name for path in (out / "tracks").iterdir()) == ["1-cnn.minus.bedGraph", "1-cnn.plus.bedGraph"]
    for strand, expected in values.items():
        lines = (out / "tracks" / f"1-cnn.{strand}.bedGraph").read_text().splitlines()
        assert lines[0] == f'track type=bedGraph name="cnn {strand}"'
        cells = [line.split("\t") for line in lines[1:]]
        places = [(chrom, int(start)) for chrom, start, _, _ in cells]
        assert places == sorted(expected)
        shown = [float(cell[3]) for cell in cells]
        np.testing.assert_allclose(shown, [np.mean(expected[position]) for position in places], rtol=1e-4, atol=1e-6)
        with pybigtools.open(str(out / "bigwig" / f"1-cnn.{strand}.bw")) as track:
            assert set(track.chroms().values()) == {4000}
            records = [(chrom, *row) for chrom in sorted({each for each, _ in places}) for row in track.records(chrom)]
        assert [(chrom, start) for chrom, start, _, _ in records] == places
        np.testing.assert_allclose([row[3] for row in records], shown, rtol=1e-4, atol=1e-6)
    folds = {row["sequence"]: row["fold"] for row in table(out / "sequences.tsv")}
    windows = {row["window"]: row["fold"] for row in open_probe(probed, "explain").windows.to_pylist()}
    assert folds["chr2:50-90(+)"] == str(windows["chr2:50-90(+)"])
    assert folds["chr2:70-110(+)"] == folds["chr2:50-90(+)"]  # it overlaps a window, so it is held out with it
    assert folds["chr5:3960-4000(+)"] == "mean"


def test_gradients_add_up_and_agree_with_mutations(probed: Path, genome: Path, tmp_path: Path) -> None:
    some = tmp_path / "some.fa"
    some.write_text("".join((genome / "bound.fa").read_text().splitlines(keepends=True)[:24]))
    messages: list[str] = []
    settings = {"probe": str(probed), "out": str(tmp_path / "out"), "fasta": str(some), "method": "gradients"}
    explain(build(ExplainConfig, settings), notify=messages.append)
    assert "left out, because they count words and have no gradients: composition, 4-mer" in messages
    summary = yaml.safe_load((tmp_path / "out" / "summary.yaml").read_text())
    assert list(summary["models"]) == ["cnn", "random", "tiny"]
    rows = table(tmp_path / "out" / "sequences.tsv")
    totals: dict[tuple[str, str], float] = {}
    for row in table(tmp_path / "out" / "nucleotides.tsv"):
        key = row["model"], row["sequence"]
        totals[key] = totals.get(key, 0.0) + float(row["importance"])
    there = open_probe(probed, "explain")
    for row in rows:
        difference = float(row["logit"]) - float(row["empty_logit"])
        total = totals[row["model"], row["sequence"]]
        assert total == pytest.approx(float(row["sum"]), abs=1e-3)
        assert abs(total - difference) <= 0.01 * max(1, abs(difference)) + 1e-3
        window = there.windows.filter(np.array(there.windows["window"].to_pylist()) == row["sequence"])
        logit = binding_model(there, row["model"]).logits(window["sequence"].to_pylist())[0]
        assert float(row["logit"]) == pytest.approx(logit, abs=1e-4)
    with pytest.raises(ConfigError, match="4-mer counts words, so it has no gradients: use --method mutate"):
        run(probed, tmp_path / "x", fasta=str(some), method="gradients", model=["4-mer"])


def test_a_stopped_command_goes_on_and_gives_the_same_files(
    probed: Path, genome: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bindtune.probing import explain as module

    monkeypatch.setattr(module, "_PART_LETTERS", 3 * 40 * 40 * 30)
    values = {"fasta": str(genome / "bound.fa"), "model": ["4-mer", "composition"]}
    run(probed, tmp_path / "whole", **values)
    computed: list[int] = []
    original = module.logit_changes

    def stopping(scorer: Any, sequences: Any, folds: Any) -> Any:
        if len(computed) == 3:
            raise KeyboardInterrupt
        computed.append(len(sequences))
        return original(scorer, sequences, folds)

    monkeypatch.setattr(module, "logit_changes", stopping)
    with pytest.raises(KeyboardInterrupt):
        run(probed, tmp_path / "stopped", **values)
    assert not (tmp_path / "stopped" / "nucleotides.tsv").exists()
    monkeypatch.setattr(module, "logit_changes", lambda *three: computed.append(0) or original(*three))
    run(probed, tmp_path / "stopped", **values)
    assert len(computed) == 2 * 4
    for name in ("nucleotides.tsv", "sequences.tsv", "motifs.meme", "motif_sites.tsv", "summary.yaml"):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    with pytest.raises(ConfigError, match=r"holds an explanation with other settings \(motifs\)"):
        run(probed, tmp_path / "stopped", **values, motifs=1)
    run(probed, tmp_path / "stopped", **values, motifs=1, overwrite=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chr1\t100\t140\n chr9\t5\t45\n", "r.bed:2"),
        ("chr1\t100\t140\nchr9\t5\t45\n", "r.bed:2: the chromosome is not in .*g.fa"),
        ("chr1\t100\t140\nchr5\t3990\t4030\n", "r.bed:2: chr5:3990-4030 ends past chr5, which has 4,000 nucleotides"),
        ("", "holds no regions"),
    ],
)
def test_regions_outside_are_named(probed: Path, genome: Path, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "r.bed").write_text(text)
    with pytest.raises(InputError, match=message):
        run(probed, tmp_path / "out", regions=str(tmp_path / "r.bed"), genome=str(genome / "g.fa"), model=["4-mer"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (">a\nACGTJACGT\n", "s.fa:1: a, position 5: 'J' is not a nucleotide letter"),
        (
            f">a\n{'ACGT' * 2501}\n",
            "s.fa:1: a has 10,004 letters, and 10,000 can be explained at once: give shorter windows",
        ),
    ],
)
def test_sequences_that_cannot_be_explained_are_named(probed: Path, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "s.fa").write_text(text)
    with pytest.raises(InputError, match=re.escape(message)):
        run(probed, tmp_path / "out", fasta=str(tmp_path / "s.fa"), model=["4-mer"])


def test_other_letters_are_not_substituted(probed: Path, tmp_path: Path) -> None:
    (tmp_path / "s.fa").write_text(">rna\nACGUNACGUA\n")
    run(probed, tmp_path / "out", fasta=str(tmp_path / "s.fa"), model=["cnn", "4-mer"])
    rows = table(tmp_path / "out" / "nucleotides.tsv")
    assert "".join(row["letter"] for row in rows[:10]) == "ACGTNACGTA"
    assert [row["importance"] == "" for row in rows[:10]] == [letter == "N" for letter in "ACGTNACGTA"]


@pytest.mark.parametrize(
    ("values", "message", "missing"),
    [
        ({"method": "gradients"}, 'gradients needs Captum: pip install "bindtune[explain]"', "captum"),
        ({"bigwig": True}, 'bigwig needs pybigtools: pip install "bindtune[explain]"', "pybigtools"),
    ],
)
def test_a_missing_extra_is_named(
    probed: Path, genome: Path, tmp_path: Path, values: dict[str, Any], message: str, missing: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    import importlib.util

    original = importlib.util.find_spec
    for module in ("bindtune.probing.gradients", "bindtune.io.tracks"):
        monkeypatch.setattr(f"{module}.find_spec", lambda name: None if name == missing else original(name))
    regions = bed(tmp_path / "r.bed", [("chr1", 50, 90, "+")])
    with pytest.raises(ConfigError, match=re.escape(message)):
        run(probed, tmp_path / "out", regions=str(regions), genome=str(genome / "g.fa"), **values)
    assert not (tmp_path / "out").exists()


def test_a_probe_that_is_not_finished_or_older_is_named(probed: Path, genome: Path, tmp_path: Path) -> None:
    older = shutil.copytree(probed, tmp_path / "older")
    shutil.rmtree(older / "heads")
    values = {"fasta": str(genome / "bound.fa"), "model": ["cnn"]}
    with pytest.raises(InputError, match="older: lacks trained heads of cnn: an older version made it; run the same"):
        run(older, tmp_path / "out", **values)
    (older / "predictions.parquet").unlink()
    with pytest.raises(InputError, match=r"the probe is not finished: it has no predictions.parquet"):
        run(older, tmp_path / "out", **values)
    with pytest.raises(InputError, match=r"holds no config.yaml, so it is not the folder of a run"):
        run(genome, tmp_path / "out", **values)
    with pytest.raises(ConfigError, match="give either --fasta, or --regions and --genome"):
        run(probed, tmp_path / "out")


def test_the_documented_commands_work(
    probed: Path, genome: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "explain.md").read_text()
    commands = [shlex.split(block) for block in re.findall(r"```bash\n(.*?)```", page, re.DOTALL)]
    assert len(commands) == 3
    (tmp_path / "probe").symlink_to(probed)
    records = (genome / "bound.fa").read_text().splitlines(keepends=True)
    (tmp_path / "bound.fa").write_text("".join(records[:40]))
    (tmp_path / "hg38.fa").write_text((genome / "g.fa").read_text())
    bed(tmp_path / "regions.bed", [("chr1", 50, 90, "+")])
    monkeypatch.chdir(tmp_path)
    for words in commands:
        result = CliRunner().invoke(app, words[1:])
        assert result.exit_code == 0, result.output
    for written in (*FILES, "tracks/tracks", "tracks/bigwig"):
        assert (tmp_path / written).exists(), written


FILES = [f"explanation/{name}" for name in ("nucleotides.tsv", "sequences.tsv", "motifs.meme", "motif_sites.tsv",
                                            "summary.yaml", "report.html")]  # fmt: skip
