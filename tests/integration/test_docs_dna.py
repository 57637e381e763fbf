"""The documented commands for models of DNA work as they stand, on real exons."""

import gzip
import random
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import tiny_dnabert2

PAGES = Path(__file__).parents[2] / "docs/how-to"


def commands(page: str, section: str = "") -> list[list[str]]:
    """The commands of a page, or of one of its sections."""
    text = (PAGES / page).read_text()
    if section:
        text = text.partition(f"## {section}\n")[2].partition("\n## ")[0]
    blocks = "\n".join(re.findall(r"```\n(.*?)```", text, re.DOTALL)).replace("\\\n", " ")
    return [shlex.split(line) for line in blocks.splitlines() if line.startswith("bindtune ")]


@pytest.fixture
def exons(tmp_path: Path, shared: Path) -> Path:
    """A folder with the files that the pages name, made of real exons, and a small model with the real tokenizer."""
    model = tmp_path / "models/dnabert2_tapt_eclip"
    tiny_dnabert2.build(vocab_size=4096).save_pretrained(model)
    for path in (shared / "tokenizer/dnabert2").glob("*.json"):
        shutil.copy(path, model)
    text = gzip.decompress((shared / "data/eclip_hg38_peakhood/exon_blocks.hg38.fa.gz").read_bytes()).decode()
    blocks = [block.split("\n", 1) for block in text.split(">")[1:41]]
    sequences = {name: letters.replace("\n", "").upper() for name, letters in blocks}
    drawn, records, regions, genes = random.Random(1), [], [], []
    for name, letters in sequences.items():
        position = drawn.randrange(len(letters) - 1)
        others = ",".join(letter for letter in "ACGT" if letter != letters[position])
        records.append(f"{name}\t{position + 1}\t.\t{letters[position]}\t{others},{letters[position]}GC\t.\t.\t.\n")
        regions.append(f"{name}\t0\t{len(letters)}\tx\t0\t-\n")
        genes.append(f'{name}\tx\tgene\t1\t{len(letters)}\t.\t-\t.\tgene_id "g";\n')
    header = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    (tmp_path / "hg38.fa").write_text("".join(f">{name}\n{letters}\n" for name, letters in sequences.items()))
    (tmp_path / "calls.vcf.gz").write_bytes(gzip.compress((header + "".join(records)).encode()))
    (tmp_path / "peaks.bed").write_text("".join(regions))
    (tmp_path / "gencode.gtf.gz").write_bytes(gzip.compress("".join(genes).encode()))
    shutil.copy(tmp_path / "hg38.fa", tmp_path / "windows.fa")
    return tmp_path


def test_variants_are_scored_as_documented(run: Callable[..., int], exons: Path) -> None:
    command, effects = commands("variants.md")
    assert run(*command[1:]) == 0
    header, *rows = [line.split("\t") for line in (exons / "scores.tsv").read_text().splitlines()]
    columns = re.search(r"`(chrom pos ref [^`]*)`", (PAGES / "variants.md").read_text())
    assert columns is not None and header == columns[1].split()
    assert len(rows) == 160 and {row[4] for row in rows} == {"-"}
    drawn = random.Random(2)
    for name, motif in (("bound", "TGTAAATA"), ("unbound", "")):
        texts = ["".join(drawn.choices("ACGT", k=20)) + motif.ljust(8, "C") + "ACGTTGCA" for _ in range(60)]
        (exons / f"{name}.fa").write_text("".join(f">{name}{n}\n{text}\n" for n, text in enumerate(texts)))
    words = ["--positives", "bound.fa", "--negatives", "unbound.fa", "--draws", "1", "--folds", "3", "--out", "probe"]
    assert run("probe", *words, "--leaks", "allow") == 0
    assert run(*effects[1:]) == 0
    assert gzip.decompress((exons / "effects.vcf.gz").read_bytes()).count(b"BINDTUNE=") == 40


def test_dna_is_embedded_as_documented(run: Callable[..., int], exons: Path) -> None:
    documented = commands("embeddings-and-variant-scores.md", "Embed DNA")
    assert len(documented) == 3
    for command in documented:
        assert run(*command[1:]) == 0
    assert pq.read_table("windows.parquet").num_rows == 40
    letters = sum(len(line) for line in (exons / "windows.fa").read_text().splitlines() if line[0] != ">")
    assert pq.read_table("letters.parquet").num_rows == letters


def test_every_reason_is_documented() -> None:
    from bindtune.data.dna.peak_files import NOT_IN_GENOME
    from bindtune.inference import variant_scores, variant_source
    from bindtune.io import vcf

    text = (PAGES / "variants.md").read_text()
    sources = "".join(Path(str(module.__file__)).read_text() for module in (variant_source, vcf))
    returned = set(re.findall(r'return "([a-z_]{3,})"', sources)) - {"ascii"}
    named = {variant_source.OVER_LIMIT, variant_source.AMBIGUOUS, variant_source.TELOMERE}
    reasons = returned | named | {NOT_IN_GENOME, variant_scores.UNKNOWN_NEARBY}
    assert len(reasons) >= 11
    assert {reason for reason in reasons if f"`{reason}`" not in text} == set()
