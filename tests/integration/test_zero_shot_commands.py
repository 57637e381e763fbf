"""`bindtune embed` and `bindtune score` as a user runs them."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

import tiny_e1
from bindtune import E1BatchPreparer, E1ForMaskedLM

PROTEIN = "MKTAYIAKQR"
ALIGNMENT = f">p1\n{PROTEIN}\n>copy\n{PROTEIN}\n>near\nMKTAYIAKQW\n>far\nMK-AWWWWaaQW\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    torch.manual_seed(0)
    config = tiny_e1.config(
        hidden_size=32,
        intermediate_size=48,
        gated_mlp=False,
        num_attention_heads=4,
        num_key_value_heads=4,
        clip_qkv=None,
        initializer_range=0.3,
        max_num_sequences=8,
        max_num_positions_within_seq=30,
    )
    E1ForMaskedLM(config).save_pretrained(tmp_path / "model")
    (tmp_path / "p.fa").write_text(f">p1 first\n{PROTEIN}\n>p2\nACD\n")
    (tmp_path / "parent.fa").write_text(f">p1\n{PROTEIN}\n")
    (tmp_path / "variants.txt").write_text("# single and double\nM1A\nK2R:T3S\n")
    (tmp_path / "msa").mkdir()
    (tmp_path / "msa/p1.a3m").write_text(ALIGNMENT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run_line(run: Callable[..., int], folder: Path) -> Callable[[str], int]:
    return lambda line: run(*line.split())


def test_embed_writes_means_and_residues(run_line: Callable[[str], int], folder: Path) -> None:
    assert run_line("embed --model model --fasta p.fa --out e.safetensors") == 0
    assert (
        run_line("embed --model model --fasta p.fa --out e.parquet --per residue --msa-dir msa --cache-dir cache") == 0
    )
    model = E1ForMaskedLM.from_pretrained(folder / "model")
    with torch.no_grad():
        expected = model(**E1BatchPreparer().get_batch_kwargs(["ACD"])).embeddings[0, 2:5]
    torch.testing.assert_close(load_file("e.safetensors")["p2"], expected.mean(0), atol=1e-5, rtol=1e-5)
    table = pq.read_table("e.parquet")
    assert table["protein"].to_pylist() == ["p1"] * 10 + ["p2"] * 3
    vectors = torch.tensor(table["embedding"].to_pylist())
    torch.testing.assert_close(vectors[10:], expected, atol=1e-5, rtol=1e-5)
    # The homologs are those below the similarity limit, and they change the protein's vectors.
    with torch.no_grad():
        rows = [f"{one},{two},{PROTEIN}" for one, two in (("MKTAYIAKQW", "MKAWWWWAAQW"), ("MKAWWWWAAQW", "MKTAYIAKQW"))]
        contexts = [model(**E1BatchPreparer().get_batch_kwargs([row])).embeddings[0, 31:41] for row in rows]
    assert any(torch.allclose(vectors[:10], context, atol=1e-4) for context in contexts)
    assert len(list(Path("cache").iterdir())) == 1


def test_alignments_are_counted(
    run_line: Callable[[str], int], capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    Path("p.fa").write_text(f">sp|P1|A_X\n{PROTEIN}\n>barren\n{PROTEIN}\n>alone\nACD\n")
    Path("msa/p1.a3m").rename("msa/P1.a3m")
    Path("msa/barren.a3m").write_text(f">Consensus\n{PROTEIN}\n>q\n{PROTEIN}\n>sa_pred\n0123456789\n>copy\n{PROTEIN}\n")
    for more in ("", " --max-query-similarity 1"):
        assert run_line(f"embed --model model --fasta p.fa --msa-dir msa --out e.parquet{more}") == 0
        line = "2 of 3 proteins have an alignment, 1 give no homolog; rows left out: 1 annotate, 1 are a consensus\n"
        assert line in capsys.readouterr().out
    held = pq.read_schema("e.parquet").metadata[b"alignments"]
    assert json.loads(held) == {
        "proteins": 3, "with_alignment": 2, "without_homolog": 1, "annotation_rows": 1, "consensus_rows": 1,
        "other_query_rows": 0, "estimated": 0,
    }  # fmt: skip
    Path("empty").mkdir()
    assert run_line("embed --model model --fasta p.fa --msa-dir empty --out e.parquet") == 0
    assert "0 of 3 proteins have an alignment, 0 give no homolog" in capsys.readouterr().out
    assert "empty: none of 3 proteins has an alignment" in caplog.text and "P1.a3m" in caplog.text
    score = "score --model model --parent parent.fa --variants variants.txt --out s.tsv --max-query-similarity 1 --msa "
    assert run_line(f"{score}msa/P1.a3m") == 0
    assert "1 of 1 proteins have an alignment, 0 give no homolog" in capsys.readouterr().out
    assert run_line(f"{score}msa/barren.a3m") == 0
    assert "1 of 1 proteins have an alignment, 1 give no homolog" in capsys.readouterr().out
    told = "msa/barren.a3m: no context: it holds no homolog beside the protein itself; the parent is scored alone"
    assert told in caplog.text
    alone = Path("s.tsv").read_text()
    assert run_line("score --model model --parent parent.fa --variants variants.txt --out s.tsv") == 0
    assert Path("s.tsv").read_text() == alone
    assert run_line(f"{score}msa/P1.a3m --max-token-length 3") == 0
    assert "msa/P1.a3m: no context: at most 3 residues fit" in caplog.text


def test_annotation_rows_are_no_homologs(run_line: Callable[[str], int], folder: Path) -> None:
    embed = "embed --model model --fasta parent.fa --msa-dir msa --max-num-samples 2 --per residue --out"
    assert run_line(f"{embed} plain.parquet") == 0
    annotated = f">ss_pred PSIPRED\nCCHHHHEEEC\n>ss_conf PSIPRED\n9876543210\n{ALIGNMENT}>sa_dssp\nABCDEABCDE\n"
    (folder / "msa/p1.a3m").write_text(annotated)
    assert run_line(f"{embed} annotated.parquet") == 0
    assert pq.read_table("annotated.parquet") == pq.read_table("plain.parquet")


def test_the_rows_that_mmseqs2_rewrites_are_read(run_line: Callable[[str], int], folder: Path) -> None:
    (folder / "parent.fa").write_text(">p1\nMUTXYIBKQZ\n")
    (folder / "msa/p1.a3m").write_text(">p1\nMXT-YIDKQE\n>far\nMK-AWWWWaaQW\n")
    assert run_line("embed --model model --fasta parent.fa --out e.parquet --per residue --msa-dir msa") == 0
    assert "".join(pq.read_table("e.parquet")["residue"].to_pylist()) == "MUTXYIBKQZ"
    (folder / "variants.txt").write_text("M1A\n")
    (folder / "parent.fa").write_text(">p1\nMKTAYIBKQZ\n")
    (folder / "msa/p1.a3m").write_text(">p1\nMKTAYIDKQE\n>far\nMK-AWWWWaaQW\n")
    score = "score --model model --parent parent.fa --variants variants.txt --out s.tsv --msa msa/p1.a3m"
    assert run_line(score) == 0


def test_score_writes_a_table(run_line: Callable[[str], int]) -> None:
    assert run_line("score --model model --parent parent.fa --variants variants.txt --out s.tsv") == 0
    lines = [line.split("\t") for line in Path("s.tsv").read_text().splitlines()]
    assert lines[0] == ["variant", "context", "score"]
    assert [line[:2] for line in lines[1:]] == [["M1A", "mean"], ["K2R:T3S", "mean"]]
    options = "--msa msa/p1.a3m --num-contexts 2 --reduction none --method wildtype_marginal"
    assert run_line(f"score --model model --parent parent.fa --variants variants.txt --out t.tsv {options}") == 0
    lines = [line.split("\t") for line in Path("t.tsv").read_text().splitlines()]
    assert [line[1] for line in lines[1:]] == ["seed 0", "seed 1"] * 2


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("embed --model none/at-all --fasta p.fa --out e.parquet", "none/at-all: "),
        ("embed --model model --fasta p.fa --out e.txt", "must end in .safetensors or .parquet"),
        ("embed --model model --fasta none.fa --out e.parquet", "none.fa: cannot be read"),
        ("embed --model model --fasta p.fa --out e.parquet --device gpu", "'gpu' is none"),
        ("embed --model model --fasta p.fa --out e.parquet --msa-dir none", "none: is no folder"),
        ("score --model model --parent long.fa --variants variants.txt --out s.tsv", "40 residues, at most 26 fit"),
        ("embed --model model --fasta gap.fa --out e.parquet", "gap.fa:2: 'p1': '-' at residue 3, expected A-Z"),
        ("embed --model model --fasta twice.fa --out e.parquet", "twice.fa:3: 'p1' comes twice"),
        ("embed --model model --fasta nameless.fa --out e.parquet", "nameless.fa:1: the header holds no name"),
        (
            "embed --model model --fasta other.fa --out e.parquet --msa-dir msa",
            "the first row is not 'p1', for which the alignment is: at position 10 the row has R",
        ),
        ("score --model model --parent p.fa --variants variants.txt --out s.tsv", "p.fa: holds 2 proteins"),
        ("score --model model --parent parent.fa --variants wrong.txt --out s.tsv", "wrong.txt:2: 'K1A': residue 1"),
        (
            "score --model model --parent parent.fa --variants far.txt --out s.tsv",
            "far.txt:1: 'M11A': the parent has 10",
        ),
        ("score --model model --parent parent.fa --variants odd.txt --out s.tsv", "odd.txt:1: 'M1X', expected"),
        ("score --model model --parent parent.fa --variants empty.txt --out s.tsv", "empty.txt: holds no variant"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    run_line: Callable[[str], int], capsys: pytest.CaptureFixture[str], line: str, problem: str
) -> None:
    for name, text in {
        "long.fa": f">p1\nMKT{'A' * 37}\n",
        "gap.fa": ">p1\nMK-A\n",
        "twice.fa": ">p1\nMK\n>p1 again\nMK\n",
        "nameless.fa": ">\nMK\n",
        "other.fa": ">p1\nMKTAYIAKQW\n",
        "wrong.txt": "M1A\nK1A\n",
        "far.txt": "M11A\n",
        "odd.txt": "M1X\n",
        "empty.txt": "# nothing\n",
    }.items():
        Path(name).write_text(text)
    assert run_line(line) == 2
    said = [text for text in capsys.readouterr().err.splitlines() if text.startswith("bindtune:")]
    assert len(said) == 1
    assert problem in said[0]
    assert not Path("e.parquet").exists()


def test_a_protein_that_is_too_long_is_read_in_stretches(
    run_line: Callable[[str], int], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("long.fa").write_text(f">long\n{PROTEIN * 4}\n>start\n{(PROTEIN * 4)[:26]}\n")
    assert run_line("embed --model model --fasta long.fa --out e.safetensors --per residue --overlap 6") == 0
    assert "1 proteins of more than 26 residues were read in overlapping stretches" in capsys.readouterr().out
    vectors = load_file("e.safetensors")
    assert vectors["long"].shape == (40, 32)
    torch.testing.assert_close(vectors["long"][:20], vectors["start"][:20], atol=1e-5, rtol=1e-5)
