"""Train a small E1 from scratch on all metal_ions training files, and score a held-out test set.

    python benchmarks/binding_test_set.py --data ../shared/data/metal_ions [--epochs 4] [--work FOLDER]

Nothing is pretrained: this shows that the whole path learns binding sites, not how well E1 does. Proteins of the test
set that stand in a training file are taken out of training. One tenth of the training proteins picks the epoch. AUPRC
is printed beside the test set's base rate and the residue-composition baseline; the floors that the data's README gives
for MN are .0110 (chance) and .133 (logistic regression on residues in a window of +-10).
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from bindtune.config import BindingConfig, build
from bindtune.data.protein.proteins import Proteins, load_proteins
from bindtune.evaluation import residue_baseline
from bindtune.evaluation.bootstrap import interval
from bindtune.io.labels import read_labels
from bindtune.models.binding_checkpoint import restore_best
from bindtune.models.e1 import E1Config, E1ForMaskedLM
from bindtune.training.binding.fold_files import fold_folder
from bindtune.training.binding.inputs import divide, read_run
from bindtune.training.binding.model import build_model
from bindtune.training.binding.run import cross_validate
from bindtune.training.binding.trainer import E1BindingTrainer
from rows import Row, add_json_option, write_rows

IONS = ("CA", "ZN", "MG", "MN")


def make_encoder(folder: Path, *, width: int, layers: int) -> None:
    """Write a random E1."""
    config = E1Config(
        hidden_size=width,
        intermediate_size=3 * width,
        gated_mlp=True,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        global_attention_every_n_layers=3,
        clip_qkv=8.0,
        initializer_range=0.05,
        max_num_sequences=8,
    )
    torch.manual_seed(0)
    E1ForMaskedLM(config).save_pretrained(folder)


def without(path: Path, sequences: set[str], target: Path) -> int:
    """Copy a labelled file without some sequences, and say how many there were."""
    proteins = [protein for protein in read_labels(path) if protein.sequence not in sequences]
    text = (f">{p.name}\n{p.sequence}\n{''.join(map(str, p.labels.tolist()))}\n" for p in proteins)
    target.write_text("".join(text), encoding="ascii")
    return len(read_labels(path)) - len(proteins)


def settings(work: Path, args: argparse.Namespace) -> BindingConfig:
    """The run's settings: every weight is trained, with a little masked-LM loss beside."""
    training = {
        "ions": list(IONS), "output_dir": work / "run", "num_folds": 10, "epochs": args.epochs, "patience": 4,
        "batch_size": 16, "accum_steps": 1, "learning_rate": args.learning_rate, "warmup_epochs": 1,
        "mlm_weight": args.mlm_weight, "pos_weight_mode": "sqrt", "num_workers": 1, "min_lr": 1e-5,
        "weight_decay": 0.05,
    }  # fmt: skip
    values = {
        "data": {"fasta_path": str(work / "{ION}.fa"), "leaks": "fail"},
        "training": training,
        "model": {"checkpoint": str(work / "encoder"), "dropout": 0.1},
        "lora": None,
    }
    return build(BindingConfig, values)


def score(work: Path, config: BindingConfig, test: Proteins) -> list[np.ndarray]:
    """Logits (L, K) of the test proteins from the best epoch."""
    inputs = read_run(config, work / "run")
    proteins = divide(inputs, config, 1)
    built = build_model(config, fold=1)
    trainer = E1BindingTrainer(
        built.model, config, "cpu", fold=1, proteins=proteins, preparer=built.preparer, run=work / "run"
    )
    restore_best(fold_folder(work / "run", 1), built.model)
    logits = trainer.predict_logits(trainer.batches.rows(test, config.training.validation_context))
    return [logits[name] for name in test.names]


def main() -> None:
    """Train, then print one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--ion", default="MN")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--mlm-weight", type=float, default=0.05)
    parser.add_argument("--work", type=Path)
    add_json_option(parser)
    args = parser.parse_args()
    started = time.perf_counter()
    work = args.work or Path(tempfile.mkdtemp(prefix="bindtune-benchmark-"))
    test_file = args.data / f"{args.ion}_test.fa"
    test = load_proteins({args.ion: test_file}, ions=[args.ion], groups={})
    if not (work / "encoder").exists():
        make_encoder(work / "encoder", width=args.width, layers=args.layers)
    for ion in IONS:
        dropped = without(args.data / f"{ion}_train.fa", set(test.sequences), work / f"{ion}.fa")
        print(f"{ion}: {dropped} training proteins are in the test set and left out", flush=True)
    config = settings(work, args)
    begun = (work / "run" / "config.yaml").exists()
    if not (work / "run" / "fold_1" / "oof.parquet").exists():
        cross_validate(config, fold=1, resume=work / "run" if begun else None)
    logits = score(work, config, test)
    labels = np.concatenate([each[:, 0] for each in test.labels])
    scores = np.concatenate([each[:, IONS.index(args.ion)] for each in logits])
    names = np.repeat(test.names, test.residues())
    train = load_proteins({args.ion: work / f"{args.ion}.fa"}, ions=[args.ion], groups={})
    odds = residue_baseline.fit(train.sequences, train.labels)
    letters = np.concatenate([residue_baseline.score(odds, sequence)[:, 0] for sequence in test.sequences])
    area = interval("auprc", labels, scores, names, draws=500, seed=0)
    floor = interval("auprc", labels, letters, names, draws=500, seed=0)
    print(
        f"{args.ion}_test: AUPRC {area.value:.3f} ({area.low:.3f} to {area.high:.3f}), composition baseline "
        f"{floor.value:.3f}, base rate {labels.mean():.4f}; {time.perf_counter() - started:.0f} s"
    )
    what = f"AUPRC of {args.ion}_test, {args.epochs} epochs from scratch ({area.low:.3f} to {area.high:.3f})"
    rows = [
        Row(what, area.value, "", f"residue composition, {floor.value:.3f}", area.value / floor.value),
        Row("the same", area.value, "", f"base rate, {labels.mean():.4f}", area.value / labels.mean()),
    ]
    write_rows(args.json, rows)


if __name__ == "__main__":
    main()
