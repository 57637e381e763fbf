"""Variants scored a second by a model of DNABERT-2-117M's shape, and the memory that a long VCF takes.

    python benchmarks/score_variants.py [--variants 128] [--repeats 2] [--records 0]

The variants are nine substitutions for each insertion or deletion, in 512 nt of random DNA. One strand is read, by a
BPE tokenizer of 4096 words that is trained on random DNA. The baseline takes one variant at a time: a pass over the
reference, a pass over the other allele, logits of all tokens. Its rows are padded to 512 tokens (the model's limit), to
128 (a quarter of the letters, as DNABERT-2's authors advise), or not at all. Its padding is computed, as in most code.

With --records the whole command scores a VCF of so many records with a small model, and its peak memory is printed.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from bindtune import DNABert2Config, DNABert2ForMaskedLM
from bindtune.data.dna.alleles import trim
from bindtune.inference.variant_scores import Reading, VariantScorer, readings
from probe_embedding import dna, trained_tokenizer
from rows import Row, add_json_option, three_digits, write_rows

WIDTH = 512
PADDED = {"padded to 512 tokens": 512, "padded to 128 tokens": 128, "not padded": 0}


def variant(letters: str, position: int, drawn: random.Random) -> tuple[str, str]:
    """REF and ALT of a substitution, or of an insertion or a deletion in one case of ten."""
    ref = letters[position]
    kind = drawn.random()
    if kind < 0.9:
        return ref, drawn.choice([letter for letter in "ACGT" if letter != ref])
    if kind < 0.95:
        return ref, ref + "".join(drawn.choices("ACGT", k=drawn.randint(1, 20)))
    return letters[position : position + 1 + drawn.randint(1, 20)], ref


def drawn_readings(count: int) -> list[Reading]:
    """Both alleles of each variant in their stretch, on one strand."""
    drawn = random.Random(1)
    rows = []
    for owner, letters in enumerate(dna(count, 2000, drawn)):
        change = trim(1001, *variant(letters, 1000, drawn))
        rows += readings(
            owner, change, fetch=lambda start, end, text=letters: text[start:end], size=2000, width=WIDTH, strand=1,
            phases=1,
        )  # fmt: skip
    return rows


@torch.inference_mode()
def one_at_a_time(scorer: VariantScorer, rows: list[Reading], padded: int) -> None:
    """What one would write first: two passes for each variant."""
    for row in rows:
        for text in (row.ref, row.alt):
            ids = scorer.tokenizer(text, return_tensors="pt")["input_ids"]
            padding = torch.full((1, max(0, padded - ids.shape[1])), 3)
            _ = scorer.model(input_ids=torch.cat([ids, padding], dim=1)).logits.log_softmax(-1)


def seconds_of(function: Callable[[], object], repeats: int) -> float:
    """Least seconds of some calls."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
    return best


def speed(count: int, repeats: int) -> list[Row]:
    """Variants a second, beside the baselines."""
    torch.manual_seed(1)
    scorer = VariantScorer("117M", DNABert2ForMaskedLM(DNABert2Config()).eval(), trained_tokenizer(), 8192)
    rows = drawn_readings(count)
    one_at_a_time(scorer, rows[:1], 0)
    own = seconds_of(lambda: scorer.score(rows, count=count), repeats) / count
    rates = []
    for name, padded in PADDED.items():
        some = rows[: max(2, count // 16)]
        plain = seconds_of(lambda some=some, padded=padded: one_at_a_time(scorer, some, padded), repeats) / len(some)
        goal = "at least 5" if padded == 512 else ""
        rates.append(
            Row("variants scored, 117M, 512 nt", 1 / own, "variants/s", f"one at a time, {name}", plain / own, goal)
        )
    return rates


def long_vcf(records: int, folder: Path) -> list[Row]:
    """Seconds and peak memory of the command on a VCF of so many records, with a small model."""
    drawn = random.Random(3)
    (letters,) = dna(1, 5_000_000, drawn)
    lines = "\n".join(letters[at : at + 60] for at in range(0, len(letters), 60))
    (folder / "g.fa").write_text(f">chr1\n{lines}\n")
    with (folder / "v.vcf").open("w") as text:
        text.write("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
        for position in sorted(drawn.choices(range(1000, 4_999_000), k=records)):
            ref, alt = variant(letters, position, drawn)
            text.write(f"chr1\t{position + 1}\t.\t{ref}\t{alt}\t.\t.\t.\n")
    small = DNABert2Config(hidden_size=24, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24)
    DNABert2ForMaskedLM(small).save_pretrained(folder / "model")
    trained_tokenizer().save_pretrained(folder / "model")
    words = ["--vcf", "v.vcf", "--genome", "g.fa", "--model", "model", "--strand", "+", "--width", "64"]
    start = time.perf_counter()
    done = subprocess.Popen([sys.executable, "-m", "bindtune", "score", *words, "--out", "s.vcf.gz"], cwd=folder)
    _, status, usage = os.wait4(done.pid, 0)
    if status:
        raise SystemExit(f"bindtune score ended with {status}")
    seconds = time.perf_counter() - start
    name = f"a VCF of {records:,} records, small model"
    return [
        Row(name, seconds, "s"),
        Row(f"{name}, peak memory", usage.ru_maxrss / 1024, "MiB", goal="at most 1500"),
    ]


def main() -> None:
    """Measure what the options ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--records", type=int, default=0)
    add_json_option(parser)
    options = parser.parse_args()
    rows = speed(options.variants, options.repeats) if options.variants else []
    if options.records:
        with tempfile.TemporaryDirectory() as folder:
            rows += long_vcf(options.records, Path(folder))
    for row in rows:
        ratio = "" if row.ratio is None else f"   {row.ratio:.2f} times: {row.baseline}"
        print(f"{row.name}: {three_digits(row.value)} {row.unit}{ratio}")
    write_rows(options.json, rows)


if __name__ == "__main__":
    main()
