"""`bindtune score` with models of DNA, as a user runs it."""

import gzip
import io
import json
import os
import random
import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import tiny_dnabert2
from bindtune.config import ProbeConfig, build
from bindtune.errors import BindtuneError
from bindtune.inference import score_dna
from bindtune.inference.variant_scores import VariantScorer
from bindtune.io.genome import reverse_complement
from bindtune.probing.binding_model import binding_model, open_probe
from bindtune.probing.run import probe

DRAWN = random.Random(5)
CHR1 = "".join(DRAWN.choices("ACGT", k=600))
GENOME = f">chr1 first\n{CHR1}\n>chr2\nACGTNNACGT{CHR1[:80].lower()}\n"
HEADER = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
SCORED = ["chrom", "pos", "ref", "alt", "strand", "score", "tokens_ref", "tokens_alt", "method"]


def other(letter: str) -> str:
    return "ACGT"[("ACGT".index(letter) + 1) % 4]


def record(position: int, ref: str | None = None, alt: str | None = None, chrom: str = "chr1", info: str = ".") -> str:
    ref = ref or CHR1[position - 1]
    return f"{chrom}\t{position}\t.\t{ref}\t{alt or other(ref)}\t.\t.\t{info}\n"


RECORDS = (
    record(300)
    + record(1)
    + record(600)
    + record(310, alt=f"{other(CHR1[309])},{CHR1[309]}ACGT,*,<DEL>,.")
    + record(320, ref=CHR1[319:330], alt=CHR1[319])
    + record(340, ref=CHR1[339:370], alt=CHR1[339])
    + record(350, alt="N")
    + record(351, alt=CHR1[350])
    + record(352, alt="]chr2:9]A")
    + record(4, ref="t", alt="C", chrom="chr2")
    + record(9, ref="A", chrom="chrX")
    + record(0, ref="N", alt="A,<DUP>")
    + record(360, ref="N", alt="<DEL>,*,C")
)
REASONS = {
    "spanning_deletion": 2, "symbolic": 3, "no_alternative": 1, "change_over_20_nt": 1, "ambiguous_letters": 2,
    "same_as_reference": 1, "breakend": 1, "chromosome_not_in_genome": 1, "telomere": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny"
    tiny_dnabert2.build().save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture
def score(run: Callable[..., int], tmp_path: Path, model: Path) -> Callable[..., int]:
    """Runs `bindtune score` with the small model in a folder that has a genome."""
    (tmp_path / "g.fa").write_text(GENOME)

    def score(*words: object) -> int:
        return run("score", "--model", model, "--width", 80, *words)

    return score


def table(path: str) -> list[dict[str, str]]:
    header, *lines = [line.split("\t") for line in Path(path).read_text().splitlines()]
    return [dict(zip(header, line, strict=True)) for line in lines]


def test_a_vcf_is_scored_and_what_is_not_is_listed(
    score: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("v.vcf").write_text(HEADER + RECORDS)
    assert score("--vcf", "v.vcf", "--genome", "g.fa", "--out", "s.tsv") == 0
    assert "7 of 20 alleles of 13 records scored: s.tsv" in capsys.readouterr().out
    rows = table("s.tsv")
    assert list(rows[0]) == SCORED
    assert [(row["chrom"], row["pos"]) for row in rows] == [
        ("chr1", "300"), ("chr1", "1"), ("chr1", "600"), ("chr1", "310"), ("chr1", "310"), ("chr1", "320"),
        ("chr2", "4"),
    ]  # fmt: skip
    assert {row["strand"] for row in rows} == {"."} and {row["method"] for row in rows} == {"masked_marginal"}
    assert all(abs(float(row["score"])) > 0 for row in rows)
    unscored = table("s.tsv.unscored.tsv")
    counts = [row["reason"] for row in unscored]
    assert {reason: counts.count(reason) for reason in counts} == REASONS
    assert [row["line"] for row in unscored if row["reason"] == "change_over_20_nt"] == ["8"]
    assert not list(Path().glob(".*"))  # nothing is left of the parts


def test_every_output_says_the_same(score: Callable[..., int]) -> None:
    content = (HEADER + RECORDS).encode()
    Path("v.vcf.gz").write_bytes(gzip.compress(content))
    for out in ("s.tsv", "s.parquet", "s.vcf", "s.vcf.gz"):
        assert score("--vcf", "v.vcf.gz", "--genome", "g.fa", "--out", out) == 0
    scores = [float(row["score"]) for row in table("s.tsv")]
    held = pq.read_table("s.parquet")
    assert held.column_names == SCORED
    assert held["score"].to_pylist() == pytest.approx(scores, abs=1e-6)
    assert json.loads(held.schema.metadata[b"settings"])["width"] == 80
    lines = Path("s.vcf").read_text().splitlines()
    assert gzip.decompress(Path("s.vcf.gz").read_bytes()).decode().splitlines() == lines
    assert lines[1].startswith("##INFO=<ID=BINDTUNE,Number=A,Type=Float,Description=")
    assert [line.rpartition("\t")[0] for line in lines[3:]] == [row.rpartition("\t")[0] for row in RECORDS.splitlines()]
    values = [value for line in lines[3:] for value in line.rpartition("BINDTUNE=")[2].split(",")]
    assert [float(value) for value in values if value != "."] == pytest.approx(scores, abs=1e-6)
    assert values.count(".") == sum(REASONS.values())
    assert score("--vcf", "s.vcf", "--genome", "g.fa", "--out", "t.vcf") == 2
    assert score("--vcf", "s.vcf", "--genome", "g.fa", "--out", "t.vcf", "--info-field", "AGAIN") == 0


def test_tables_parents_and_strands(score: Callable[..., int]) -> None:
    letter, new = CHR1[299], other(CHR1[299])
    Path("t.tsv").write_text(f"chrom\tpos\tref\talt\nchr1\t300\t{letter}\t{new}\n")
    Path("p.fa").write_text(f">chr1\n{CHR1}\n")
    Path("v.txt").write_text(f"{letter}300{new}\n")
    turned = reverse_complement(CHR1.encode()).decode()
    Path("turned.fa").write_text(f">chr1\n{turned}\n")
    complement = {"A": "T", "C": "G", "G": "C", "T": "A"}
    Path("turned.txt").write_text(f"{complement[letter]}301{complement[new]}\n")
    Path("g.gtf").write_text('chr1\tx\tgene\t250\t350\t.\t-\t.\tgene_id "a";\n')
    sources = {
        "table": ("--table", "t.tsv", "--genome", "g.fa"),
        "parent": ("--parent", "p.fa", "--variants", "v.txt"),
        "plus": ("--table", "t.tsv", "--genome", "g.fa", "--strand", "+"),
        "minus": ("--table", "t.tsv", "--genome", "g.fa", "--strand", "-"),
        "genes": ("--table", "t.tsv", "--genome", "g.fa", "--genes", "g.gtf"),
        "turned": ("--parent", "turned.fa", "--variants", "turned.txt", "--strand", "+"),
    }
    scores = {}
    for name, words in sources.items():
        assert score(*words, "--out", f"{name}.tsv") == 0
        (scores[name],) = table(f"{name}.tsv")
    assert scores["table"] == scores["parent"] and scores["table"]["strand"] == "."
    assert [scores[name]["strand"] for name in ("plus", "minus", "genes")] == ["+", "-", "-"]
    assert scores["genes"] == scores["minus"] and scores["turned"]["score"] == scores["minus"]["score"]
    plus, minus, both = (float(scores[name]["score"]) for name in ("plus", "minus", "table"))
    assert plus != minus and both == pytest.approx((plus + minus) / 2, abs=1e-6)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("--vcf v.vcf", "--vcf needs --genome"),
        ("--vcf v.vcf --table t.tsv --genome g.fa", "give one of --vcf, --table, and --parent"),
        ("--parent p.fa", "--parent and --variants go together"),
        ("--parent p.fa --variants v.txt --genome g.fa", "--parent brings its own sequence: leave out --genome"),
        ("--vcf v.vcf --genome g.fa --genes g.gtf --strand +", "give either --genes or --strand"),
        ("--table t.tsv --genome g.fa --out s.vcf", "only --vcf can be written as VCF"),
        ("--vcf v.vcf --genome g.fa --out s.xls", "the name must end in .tsv, .parquet, .vcf or .vcf.gz"),
        ("--vcf v.vcf --genome g.fa --method wildtype_marginal", "method: 'wildtype_marginal' is for proteins"),
        ("--vcf v.vcf --genome g.fa --msa a.a3m", "tiny reads DNA: leave out --msa"),
        ("--vcf v.vcf --genome g.fa --width 10", "width: .* greater than or equal to 64"),
        ("--vcf none.vcf --genome g.fa", "none.vcf: cannot be read"),
        ("--vcf - --genome g.fa", "/stdin:1: not VCF: expected ##fileformat=VCF, found 'pos"),
        ("--vcf folder --genome g.fa", "folder: is a folder, expected a file"),
        ("--vcf g.fa --genome g.fa", "g.fa:1: not VCF: expected ##fileformat=VCF, found '>chr1"),
        ("--vcf ref.vcf --genome g.fa", r"ref\.vcf:3: REF is '[ACGT]', and g\.fa has '[ACGT]' at chr1:300; .*--mism"),
        ("--vcf far.vcf --genome g.fa", r"far\.vcf:3: REF is 'A', and g\.fa has none, ending at 600, at chr1:900"),
        ("--vcf bare.vcf --genome g.fa", r"bare\.vcf:3: chromosome '1' is not in g\.fa, which has 'chr1'"),
        ("--vcf lost.vcf --genome g.fa", r"lost\.vcf: no variant lies on a sequence of g\.fa \(which has chr1, chr2\)"),
        ("--vcf empty.vcf --genome g.fa", "empty.vcf: holds no variant"),
        ("--parent p.fa --variants protein.txt", "protein.txt:1: 'K1A': nucleotide 1 of the parent is"),
        ("--parent protein.fa --variants protein.txt", "protein.fa: p, position 1: 'Q' is not a nucleotide letter"),
        ("--parent two.fa --variants v.txt", "two.fa: holds 2 sequences, expected the parent alone"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    score: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: str,
    problem: str,
) -> None:
    for name, text in {
        "v.vcf": HEADER + record(300),
        "ref.vcf": HEADER + record(300, ref=other(CHR1[299])),
        "far.vcf": HEADER + record(900, ref="A"),
        "bare.vcf": HEADER + record(300, chrom="1"),
        "lost.vcf": HEADER + record(300, chrom="scaffold"),
        "empty.vcf": HEADER,
        "t.tsv": f"chr1\t300\t{CHR1[299]}\t{other(CHR1[299])}\n",
        "p.fa": f">chr1\n{CHR1}\n",
        "protein.fa": ">p\nQKTAY\n",
        "two.fa": ">a\nACGT\n>b\nACGT\n",
        "v.txt": f"{CHR1[299]}300{other(CHR1[299])}\n",
        "protein.txt": "K1A\n",
    }.items():
        Path(name).write_text(text)
    Path("folder").mkdir()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"pos ref\n")))
    more = () if "--out" in words else ("--out", "s.tsv")
    assert score(*words.split(), *more) == 2
    (said,) = [text for text in capsys.readouterr().err.splitlines() if text.startswith("bindtune:")]
    assert re.search(problem, said), said
    assert not Path("s.tsv").exists() and not list(Path().glob(".*"))


def test_variants_come_through_pipes(score: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> None:
    content = gzip.compress((HEADER + record(300) + record(301)).encode())
    Path("v.vcf").write_bytes(content)
    words = ("--genome", "g.fa", "--out")
    assert score("--vcf", "v.vcf", *words, "file.vcf") == 0
    os.mkfifo("pipe")
    writer = threading.Thread(target=Path("pipe").write_bytes, args=(content,))
    writer.start()
    assert score("--vcf", "pipe", *words, "pipe.vcf") == 0
    writer.join()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert score("--vcf", "-", *words, "stdin.vcf") == 0
    assert Path("pipe.vcf").read_bytes() == Path("stdin.vcf").read_bytes() == Path("file.vcf").read_bytes()


def test_mismatches_may_be_left_out(score: Callable[..., int]) -> None:
    Path("v.vcf").write_text(HEADER + record(300, ref=other(CHR1[299]), alt="A,C") + record(301))
    assert score("--vcf", "v.vcf", "--genome", "g.fa", "--out", "s.tsv", "--mismatches", "skip") == 0
    assert [row["pos"] for row in table("s.tsv")] == ["301"]
    assert [row["reason"] for row in table("s.tsv.unscored.tsv")] == ["ref_mismatch"] * 2
    Path("v.vcf").write_text(HEADER + record(301, chrom="1"))
    assert score("--vcf", "v.vcf", "--genome", "g.fa", "--out", "s.tsv", "--chromosome-names", "match") == 0
    assert [row["chrom"] for row in table("s.tsv")] == ["1"]


def test_a_stopped_command_goes_on(score: Callable[..., int], monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    Path("v.vcf").write_text(HEADER + "".join(record(position) for position in range(100, 112)))
    words = ("--vcf", "v.vcf", "--genome", "g.fa", "--part-variants", "3", "--out")
    assert score(*words, "whole.tsv") == 0
    calls: list[int] = []
    plain = VariantScorer.score

    def dies(self: VariantScorer, rows: Any, **more: Any) -> Any:
        calls.append(len(rows))
        if len(calls) == 3:
            raise BindtuneError("stopped")
        return plain(self, rows, **more)

    monkeypatch.setattr(score_dna.VariantScorer, "score", dies)
    assert score(*words, "s.tsv") == 2
    assert not Path("s.tsv").exists()
    assert score(*words, "s.tsv", "--phases", "2") == 2  # another command may not go on from these parts
    assert score(*words, "s.tsv") == 0
    assert len(calls) == 5  # four parts, one of them twice
    assert Path("s.tsv").read_text() == Path("whole.tsv").read_text()
    assert not list(Path().glob(".*"))


@pytest.mark.slow
def test_all_small_variants_of_real_exons_get_a_score(
    run: Callable[..., int], shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A sample of all substitutions, insertions and deletions of up to 20 letters, with the real tokenizer."""
    tiny_dnabert2.build(vocab_size=4096).save_pretrained(tmp_path / "model")
    for path in (shared / "tokenizer/dnabert2").glob("*.json"):
        shutil.copy(path, tmp_path / "model")
    exons = shared / "data/eclip_hg38_peakhood/exon_blocks.hg38.fa.gz"
    drawn = random.Random(1)
    rows = ["chrom\tpos\tref\talt"]
    for block in gzip.decompress(exons.read_bytes()).decode().split(">")[1:]:
        name, *lines = block.split("\n")
        letters = "".join(lines).upper()
        position = drawn.randrange(len(letters))
        size = drawn.randint(1, 20)
        ref = letters[position]
        alleles = [(ref, letter) for letter in "ACGT" if letter != ref]
        alleles.append((ref, ref + "".join(drawn.choices("ACGT", k=size))))
        alleles.append((letters[position : position + 1 + size], ref))
        rows += [f"{name}\t{position + 1}\t{ref}\t{alt}" for ref, alt in alleles if ref != alt]
    Path("t.tsv").write_text("\n".join(rows) + "\n")
    words = ("--table", "t.tsv", "--genome", exons, "--strand", "+", "--width", 128)
    assert run("score", "--model", "model", *words, "--out", "s.tsv") == 0
    scored = table("s.tsv")
    assert len(scored) == len(rows) - 1 > 2500
    assert f"{len(rows) - 1:,} of {len(rows) - 1:,} alleles" in capsys.readouterr().out
    substitutions = [row for row in scored if len(row["ref"]) == len(row["alt"]) == 1]
    single = sum(row["tokens_ref"] == row["tokens_alt"] == "1" for row in substitutions) / len(substitutions)
    other_number = sum(row["tokens_ref"] != row["tokens_alt"] for row in substitutions) / len(substitutions)
    assert 0.35 < single < 0.5 and 0.2 < other_number < 0.35  # 42 % and 25 % were counted on other substitutions


@pytest.fixture(scope="module")
def trained_probe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A probe without encoders; bound windows have a motif."""
    folder, drawn = tmp_path_factory.mktemp("probe"), random.Random(3)
    for name, motif in (("bound", "TGTAAATA"), ("unbound", "")):
        texts = ["".join(drawn.choices("ACGT", k=41)) for _ in range(90)]
        texts = [text[:16] + motif + text[16 + len(motif) :] for text in texts]
        (folder / f"{name}.fa").write_text("".join(f">{name}{n}\n{text}\n" for n, text in enumerate(texts)))
    files = {"positives": folder / "bound.fa", "negatives": folder / "unbound.fa"}
    probe(build(ProbeConfig, files | {"out": folder / "probe", "draws": 1, "folds": 3}), notify=lambda text: None)
    return folder / "probe"


def test_effects_are_changes_of_the_binding_logit(
    run: Callable[..., int], trained_probe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = 296  # the motif stands in the middle of windows about 300
    letters = CHR1[:site] + "TGTAAATA" + CHR1[site + 8 :]
    (tmp_path / "g.fa").write_text(f">chr1\n{letters}\n")
    rows = [
        (position + 1, letters[position], other(letters[position])) for position in (*range(296, 304), *range(400, 430))
    ]
    (tmp_path / "t.tsv").write_text("".join(f"chr1\t{position}\t{ref}\t{alt}\n" for position, ref, alt in rows))
    words = ("score", "--table", "t.tsv", "--genome", "g.fa", "--strand", "+", "--effect", trained_probe)
    assert run(*words, "--model", "cnn", "--out", "s.tsv") == 0
    scored = table("s.tsv")
    assert {row["method"] for row in scored} == {"effect"} and {row["tokens_ref"] for row in scored} == {""}
    model = binding_model(open_probe(trained_probe, "test"), "cnn")
    for (position, _, alt), row in zip(rows, scored, strict=True):
        window = letters[position - 21 : position + 20]
        logits = model.logits([window, window[:20] + alt + window[21:]])
        assert float(row["score"]) == pytest.approx(logits[1] - logits[0], abs=1e-5)
    effects = [float(row["score"]) for row in scored]
    assert sum(effects[:8]) / 8 < min(0, sum(effects[8:]) / 30)  # what breaks the motif lowers the logit
    swapped = "".join(f"chr1\t{index}\t{alt}\t{ref}\n" for index, ref, alt in rows[:1])
    (tmp_path / "g.fa").write_text(f">chr1\n{letters[:296]}{rows[0][2]}{letters[297:]}\n")
    (tmp_path / "t.tsv").write_text(swapped)
    assert run(*words, "--model", "cnn", "--out", "b.tsv") == 0
    assert float(table("b.tsv")[0]["score"]) == -effects[0]
    capsys.readouterr()
    for more, problem in {
        "--model dnabert2": "has no model dnabert2; it has composition, 4-mer, cnn",
        "--model cnn --arm x": "has no arm x of bound",
        "--model cnn --method masked_marginal": "--effect is a method of its own",
    }.items():
        assert run(*words, *more.split(), "--out", "x.tsv") == 2
        assert problem in capsys.readouterr().err
    assert run("score", "--table", "t.tsv", "--genome", "g.fa", "--out", "x.tsv", "--model", "m", "--arm", "x") == 2
    assert "--dataset and --arm need --effect" in capsys.readouterr().err


@pytest.mark.parametrize("ending", [".tsv", ".parquet", ".vcf", ".vcf.gz"])
def test_long_and_foreign_names(score: Callable[..., int], ending: str) -> None:
    Path("ü v.vcf").write_text(HEADER + record(300) + record(301, alt="*"))
    for stem in ("é s", "s" * (255 - len(ending))):
        out = Path("ö") / f"{stem}{ending}"
        assert score("--vcf", "ü v.vcf", "--genome", "g.fa", "--out", out) == 0
        assert out.is_file()
    assert len(list(Path("ö").iterdir())) == 4  # two outputs and two lists of what has no score
