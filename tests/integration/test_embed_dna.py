"""`bindtune embed` with models of DNA and with ESM-2, as a user runs it."""

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import EsmConfig, EsmForMaskedLM, EsmTokenizer

import tiny_dnabert2
from bindtune.io.genome import reverse_complement

CHR1 = "".join(random.Random(5).choices("ACGT", k=200))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny"
    tiny_dnabert2.build().save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def esm2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "esm2"
    path.mkdir()
    letters = "LAGVSERTIDPKQNFYMHWCXBUZO"
    words = ["<cls>", "<pad>", "<eos>", "<unk>", *letters, ".", "-", "<null_1>", "<mask>"]
    (path / "vocab.txt").write_text("\n".join(words))
    EsmTokenizer(str(path / "vocab.txt")).save_pretrained(path)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 20}
    config = EsmConfig(
        vocab_size=33, mask_token_id=32, pad_token_id=1, position_embedding_type="rotary", token_dropout=True,
        initializer_range=0.3, **sizes,
    )  # fmt: skip
    EsmForMaskedLM(config).eval().save_pretrained(path)
    return path


@pytest.fixture
def embed(run: Callable[..., int], tmp_path: Path, model: Path) -> Callable[..., int]:
    (tmp_path / "g.fa").write_text(f">chr1\n{CHR1}\n")
    (tmp_path / "r.bed").write_text("chr1\t10\t60\ta\t0\t+\nchr1\t10\t60\tb\t0\t-\nchr1\t10\t60\tc\t0\t+\n")
    minus = reverse_complement(CHR1[10:60].encode()).decode()
    (tmp_path / "s.fa").write_text(f">one x\n{CHR1[10:60].lower()}\n>two\n{minus}\n")
    return lambda *words: run("embed", "--model", model, *words)


def test_regions_are_the_sequences_that_they_stand_for(
    embed: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert embed("--genome", "g.fa", "--regions", "r.bed", "--out", "r.safetensors") == 0
    assert "1 regions come again and were embedded once: chr1:10-60(+)" in capsys.readouterr().out
    assert embed("--fasta", "s.fa", "--out", "s.safetensors") == 0
    regions, sequences = load_file("r.safetensors"), load_file("s.safetensors")
    assert list(regions) == ["chr1:10-60(+)", "chr1:10-60(-)"] and list(sequences) == ["one", "two"]
    assert torch.equal(regions["chr1:10-60(+)"], sequences["one"])
    assert torch.equal(regions["chr1:10-60(-)"], sequences["two"])
    assert embed("--fasta", "s.fa", "--out", "b.safetensors", "--both-strands") == 0
    both = load_file("b.safetensors")
    torch.testing.assert_close(both["one"], (sequences["one"] + sequences["two"]) / 2)


def test_tables_say_what_each_vector_is_of(embed: Callable[..., int]) -> None:
    for per in ("sequence", "token", "nucleotide"):
        for ending in ("parquet", "safetensors"):
            assert embed("--fasta", "s.fa", "--per", per, "--out", f"{per}.{ending}") == 0
    tokens, nucleotides, sequences = (pq.read_table(f"{per}.parquet") for per in ("token", "nucleotide", "sequence"))
    assert tokens.column_names == ["sequence", "position", "start", "end", "token", "embedding"]
    assert nucleotides.column_names == ["sequence", "position", "nucleotide", "embedding"]
    assert sequences.column_names == ["sequence", "embedding"]
    own = tokens.filter(np.array(tokens["sequence"].to_pylist()) == "one")
    vectors = np.array(own["embedding"].to_pylist(), np.float32)
    assert "".join(own["token"].to_pylist()) == CHR1[10:60]
    letters = nucleotides.slice(0, 50)
    assert "".join(letters["nucleotide"].to_pylist()) == CHR1[10:60]
    assert letters["position"].to_pylist() == list(range(1, 51))
    spread = np.array(letters["embedding"].to_pylist(), np.float32)
    spans = list(zip(own["start"].to_pylist(), own["end"].to_pylist(), strict=True))
    assert all((spread[start:end] == vectors[position]).all() for position, (start, end) in enumerate(spans))
    assert b"the nucleotides of a token have equal vectors" in nucleotides.schema.metadata[b"vectors"]
    held = load_file("token.safetensors")
    assert held["one/spans"].tolist() == [list(span) for span in spans]
    np.testing.assert_array_equal(held["one"].numpy(), vectors)
    with safe_open("nucleotide.safetensors", "pt") as file:
        assert "equal vectors" in file.metadata()["vectors"]
    np.testing.assert_allclose(sequences["embedding"].to_pylist()[0], vectors.mean(axis=0), atol=1e-6)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("--fasta s.fa --genome g.fa", "give either --fasta, or --genome with --regions"),
        ("--genome g.fa", "--genome and --regions go together"),
        ("--fasta s.fa --per residue", "tiny reads DNA: --per is sequence, token or nucleotide"),
        ("--fasta s.fa --per token --both-strands", "the tokens of two strands differ"),
        ("--fasta s.fa --per token --pooling max", "--pooling makes one vector of a sequence"),
        ("--fasta s.fa --msa-dir m", "tiny reads DNA: leave out --msa-dir"),
        ("--fasta s.fa --layer 3", r"tiny has layers 0 \(the embeddings\) to 2, and no layer 3"),
        ("--fasta protein.fa", "protein.fa: p, position 1: 'Q' is not a nucleotide letter"),
        ("--genome g.fa --regions far.bed", "far.bed:1: end 300 is beyond the end of chr1, which has 200 nucleotides"),
        ("--genome g.fa --regions bare.bed", r"bare.bed:1: chromosome '1' is not in g\.fa, which has 'chr1'"),
        ("--genome g.fa --regions lost.bed", r"lost.bed:1: chromosome 'x' is not in g\.fa \(which has chr1\)"),
        ("--fasta spans.fa --per token", "spans.fa:1: a name may not end in /spans"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    embed: Callable[..., int], capsys: pytest.CaptureFixture[str], words: str, problem: str
) -> None:
    for name, text in {
        "protein.fa": ">p\nQKTAY\n", "far.bed": "chr1\t10\t300\n", "bare.bed": "1\t10\t30\n", "lost.bed": "x\t10\t30\n",
        "spans.fa": ">a/spans\nACGT\n",
    }.items():  # fmt: skip
        Path(name).write_text(text)
    assert embed(*words.split(), "--out", "e.parquet") == 2
    (said,) = [text for text in capsys.readouterr().err.splitlines() if text.startswith("bindtune:")]
    assert re.search(problem, said), said
    assert not Path("e.parquet").exists()


def test_esm2_embeds_and_scores(run: Callable[..., int], esm2: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parent = "MKTAYIAKQR"
    long = parent * 150
    Path("p.fa").write_text(f">a\n{parent}\n>b\nACD\n>long\n{long}\n")
    assert run("embed", "--model", esm2, "--fasta", "p.fa", "--out", "e.safetensors", "--per", "residue") == 0
    assert "1 proteins of more than 1022 residues were read in overlapping stretches" in capsys.readouterr().out
    assert run("embed", "--model", esm2, "--fasta", "p.fa", "--out", "c.safetensors", "--pooling", "cls") == 0
    assert run("embed", "--model", esm2, "--fasta", "p.fa", "--out", "l.safetensors", "--layer", "1") == 0
    model, tokenizer = EsmForMaskedLM.from_pretrained(esm2).eval(), EsmTokenizer.from_pretrained(esm2)
    with torch.no_grad():
        states = model.esm(**tokenizer(parent, return_tensors="pt"), output_hidden_states=True).hidden_states
        start = model.esm(**tokenizer(long[:1022], return_tensors="pt")).last_hidden_state[0, 1:-1]
    vectors = load_file("e.safetensors")
    torch.testing.assert_close(vectors["a"], states[-1][0, 1:-1], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(load_file("c.safetensors")["a"], states[-1][0, 0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(load_file("l.safetensors")["a"], states[1][0, 1:-1].mean(0), atol=1e-5, rtol=1e-5)
    assert vectors["long"].shape == (1500, 16)
    torch.testing.assert_close(vectors["long"][:700], start[:700], atol=1e-5, rtol=1e-5)

    Path("parent.fa").write_text(f">a\n{parent}\n")
    Path("v.txt").write_text("M1A\nK2R:T3S\n")
    words = ("score", "--model", esm2, "--parent", "parent.fa", "--variants", "v.txt")
    assert run(*words, "--out", "m.tsv") == 0
    assert run(*words, "--out", "w.tsv", "--method", "wildtype_marginal") == 0
    ids = tokenizer(parent, return_tensors="pt")["input_ids"]

    def difference(position: int, new: str, masked: bool) -> float:
        row = ids.clone()
        if masked:
            row[0, position] = 32
        with torch.no_grad():
            table = model(row, attention_mask=torch.ones_like(row)).logits[0, position].log_softmax(-1)
        return float(table[tokenizer.convert_tokens_to_ids(new)] - table[ids[0, position]])

    for name, masked in (("m.tsv", True), ("w.tsv", False)):
        scores = [float(line.split("\t")[2]) for line in Path(name).read_text().splitlines()[1:]]
        expected = [difference(1, "A", masked), difference(2, "R", masked) + difference(3, "S", masked)]
        assert scores == pytest.approx(expected, abs=1e-5)
    capsys.readouterr()
    assert run(*words, "--out", "m.tsv", "--msa", "x.a3m") == 2
    assert run("score", "--model", esm2, "--vcf", "v.vcf", "--genome", "g.fa", "--out", "m.tsv") == 2
    assert run("embed", "--model", esm2, "--fasta", "p.fa", "--out", "e.parquet", "--per", "nucleotide") == 2
    said = capsys.readouterr().err
    assert "reads proteins: leave out --genome" in said and "--per is sequence or residue" in said
