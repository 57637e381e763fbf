"""Cross-validate a tiny E1 on every protein of the four metal_ions files, with and without alignments.

    python benchmarks/binding_folds.py --data ../shared/data/metal_ions [--proteins 100] [--work FOLDER]

One epoch a fold, three folds: what is shown is that all of it runs, how fast, in how much memory, and that every
labelled residue is predicted exactly once in a fold that its sequence was not trained in. The alignments are made here,
by changing letters: their content means nothing.
"""

import argparse
import csv
import random
import resource
import tempfile
import time
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

from bindtune.config import BindingConfig, build
from bindtune.data.protein.input_files import label_files
from bindtune.data.protein.proteins import UNKNOWN, Proteins, load_proteins
from bindtune.io.labels import read_labels
from bindtune.models.e1 import E1Config, E1ForMaskedLM
from bindtune.training.binding.run import cross_validate
from rows import Row, add_json_option, write_rows

IONS = ("CA", "ZN", "MG", "MN")
LETTERS = "ACDEFGHIKLMNPQRSTVWY"


def prepare(data: Path, work: Path, *, most: int | None) -> Proteins:
    """Write the encoder, the labelled files and an alignment for each protein."""
    config = E1Config(
        hidden_size=32,
        intermediate_size=96,
        gated_mlp=True,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=2,
        global_attention_every_n_layers=3,
        clip_qkv=8.0,
        max_num_sequences=16,
    )
    torch.manual_seed(0)
    E1ForMaskedLM(config).save_pretrained(work / "encoder")
    for ion in IONS:
        chosen = read_labels(data / f"{ion}_train.fa")[:most]
        text = (f">{p.name}\n{p.sequence}\n{''.join(map(str, p.labels.tolist()))}\n" for p in chosen)
        (work / f"{ion}_train.fa").write_text("".join(text), encoding="ascii")
    files = label_files(work, ions=IONS, groups={})
    proteins = load_proteins(files, ions=IONS, groups={})
    (work / "msa").mkdir(exist_ok=True)
    drawn = random.Random(0)
    for name, sequence in zip(proteins.names, proteins.sequences, strict=True):
        rows = ["".join(drawn.choice(LETTERS) if drawn.random() < 0.3 else x for x in sequence) for _ in range(4)]
        text = f">{name}\n{sequence}\n" + "".join(f">h{number}\n{row}\n" for number, row in enumerate(rows))
        (work / "msa" / f"{name}.a3m").write_text(text, encoding="ascii")
    return proteins


def check(run: Path, proteins: Proteins) -> None:
    """Every labelled residue once; no sequence on both sides of a fold."""
    table = pq.read_table(run / "oof.parquet")
    expected = sum(int((labels != UNKNOWN).sum()) for labels in proteins.labels)
    distinct = len(table.group_by(["protein", "ion", "position"]).aggregate([]))
    assert len(table) == distinct == expected, (len(table), distinct, expected)
    assert not pc.any(pc.is_nan(table["probability"])).as_py()
    with (run / "folds.csv").open() as handle:
        folds = {row["protein"]: row["fold"] for row in csv.DictReader(handle)}
    sides: dict[str, set[str]] = {}
    for name, sequence in zip(proteins.names, proteins.sequences, strict=True):
        sides.setdefault(sequence, set()).add(folds[name])
    assert all(len(fold_set) == 1 for fold_set in sides.values())
    print(f"{expected:,} labelled residues of {len(proteins):,} proteins, each once;", end=" ")
    print(f"{len(sides):,} sequences, each in one fold")


def main() -> None:
    """Run both and print what they took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--proteins", type=int, help="of each ion; all by default")
    parser.add_argument("--work", type=Path)
    add_json_option(parser)
    args = parser.parse_args()
    work = args.work or Path(tempfile.mkdtemp(prefix="bindtune-benchmark-"))
    proteins = prepare(args.data, work, most=args.proteins)
    rows = []
    for name, extra in {"alone": {}, "with alignments": {"msa_dir": str(work / "msa")}}.items():
        run = work / name.replace(" ", "-")
        training = {
            "ions": list(IONS), "num_folds": 3, "epochs": 1, "warmup_epochs": 0, "batch_size": 32, "accum_steps": 1,
            "learning_rate": 1e-3, "mlm_weight": 0.1, "num_workers": 0, "output_dir": run,
            "msa_sampling": {"max_num_samples": 2, "max_token_length": 1024, "max_query_length": 1024},
        }  # fmt: skip
        data = {"fasta_path": str(work), **extra}
        values = {"data": data, "training": training, "model": {"checkpoint": str(work / "encoder")}}
        started = time.perf_counter()
        cross_validate(build(BindingConfig, values))
        seconds, memory = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{name}: 3 folds in {seconds:.0f} s, peak memory {memory:.0f} MiB", flush=True)
        check(run, proteins)
        what = f"3 folds of 4 ions, {len(proteins):,} proteins {name}, tiny E1, one epoch"
        rows += [Row(what, seconds, "s"), Row(f"{what}, peak memory", memory, "MiB")]
    write_rows(args.json, rows)


if __name__ == "__main__":
    main()
