"""Two processes of one thread each over one: steps of both jobs, and residues predicted, a second.

    python benchmarks/scaling.py                        all three
    python benchmarks/scaling.py --only pretrain --json scaling.json

Every command is started as a user starts it, under torchrun, with OMP_NUM_THREADS=1 and equal optimiser steps: one
process adds up twice as many batches. Start-up is left out: of each job a short and a long run are timed, and their
difference counts. Processes and repeats alternate, and the best repeat counts. Two processes can be at most twice as
fast, where there are two free cores.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import yaml

from bindtune import E1Config, E1ForMaskedLM, E1ForResidueClassification
from bindtune.config import BindingConfig, build, dump
from bindtune.demo.pretraining import make_windows_and_model
from bindtune.models.adapters import add_lora
from bindtune.models.binding_checkpoint import save_best
from bindtune.models.dnabert2 import DNABert2Config, DNABert2ForMaskedLM
from rows import Row, add_json_option, write_rows

LETTERS = list("ACDEFGHIKLMNPQRSTVWY")
SHAPE = {"hidden_size": 256, "intermediate_size": 768, "num_attention_heads": 4}


class Job(NamedTuple):
    """What is timed: the words of a command for (processes, amount, folder), and two amounts."""

    words: Callable[[int, int, Path], list[str]]
    amounts: tuple[int, int]
    each: float
    unit: str


def seconds(words: list[str], processes: int) -> float:
    """How long a command takes, under torchrun."""
    launcher = ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m", "--"]
    environment = {
        **os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }  # fmt: skip
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", *launcher, "bindtune", *words], capture_output=True, text=True, env=environment
    )
    if done.returncode:
        raise SystemExit(done.stdout[-3000:] + done.stderr[-6000:])
    return time.perf_counter() - started


def pretraining(work: Path, amounts: tuple[int, int]) -> Job:
    """Steps of a small DNABERT-2."""
    train, _, made = make_windows_and_model(work, small=False, notify=lambda _: None)
    vocabulary = json.loads((made / "config.json").read_text())["vocab_size"]
    torch.manual_seed(0)
    DNABert2ForMaskedLM(DNABert2Config(vocab_size=vocabulary, num_hidden_layers=4, **SHAPE)).save_pretrained(made)

    def words(processes: int, amount: int, out: Path) -> list[str]:
        settings = {
            "model_name_or_path": made, "train_file": train, "output_dir": out, "max_steps": amount,
            "per_device_train_batch_size": 8, "gradient_accumulation_steps": 4 // processes, "save_steps": 10**6,
            "logging_steps": 10**6, "dataloader_num_workers": 0, "preprocessing_num_workers": 1, "report_to": "none",
        }  # fmt: skip
        return ["pretrain", *(word for name, value in settings.items() for word in (f"--{name}", str(value)))]

    return Job(words, amounts, 1.0, "steps/s")


def make_encoder(folder: Path) -> Path:
    """A small random E1."""
    config = E1Config(
        **SHAPE, gated_mlp=True, num_hidden_layers=6, num_key_value_heads=4, global_attention_every_n_layers=3,
        clip_qkv=8, max_num_sequences=64,
    )  # fmt: skip
    torch.manual_seed(0)
    E1ForMaskedLM(config).save_pretrained(folder)
    return folder


def write_proteins(path: Path, count: int, *, labelled: bool) -> None:
    """Random proteins of 150 to 350 residues; cysteines bind."""
    drawn = np.random.default_rng(1)
    sequences = ["".join(drawn.choice(LETTERS, int(drawn.integers(150, 350)))) for _ in range(count)]
    lines = [
        f">p{number}\n{text}\n" + ("".join("01"[letter == "C"] for letter in text) + "\n" if labelled else "")
        for number, text in enumerate(sequences)
    ]
    path.write_text("".join(lines), encoding="ascii")


def binding(work: Path, amounts: tuple[int, int]) -> Job:
    """Epochs of one fold: 12 training steps of 8 proteins, and a validation."""
    encoder = make_encoder(work / "encoder")
    write_proteins(work / "ZN.fa", 128, labelled=True)

    def words(processes: int, amount: int, out: Path) -> list[str]:
        training = {
            "ions": ["ZN"], "num_folds": 4, "epochs": amount, "patience": 0, "warmup_epochs": 0, "batch_size": 2,
            "accum_steps": 4 // processes, "num_workers": 0, "save_steps": 0, "output_dir": str(out),
        }  # fmt: skip
        data, model = {"fasta_path": str(work / "ZN.fa")}, {"checkpoint": str(encoder)}
        values = {"data": data, "training": training, "model": model}
        config = out.with_suffix(".yaml")
        config.write_text(yaml.safe_dump(values), encoding="utf-8")
        return ["train", "--config", str(config), "--fold", "1"]

    return Job(words, amounts, 12.0, "steps/s")


def prediction(work: Path, amounts: tuple[int, int]) -> Job:
    """Proteins through the adapters of two folds."""
    encoder, run = make_encoder(work / "encoder"), work / "run"
    run.mkdir()
    values = {
        "data": {"fasta_path": "unused_{ION}.fa"}, "model": {"checkpoint": str(encoder)},
        "training": {"ions": ["ZN"], "num_folds": 2, "output_dir": str(run)},
    }  # fmt: skip
    (run / "config.yaml").write_text(dump(build(BindingConfig, values)), encoding="utf-8")
    thresholds = {"thresholds": {"ZN": {"threshold": 0.5}}}
    (run / "global_thresholds.yaml").write_text(yaml.safe_dump(thresholds), encoding="utf-8")
    wrapped = add_lora(
        E1ForMaskedLM.from_pretrained(encoder), r=16, alpha=32, dropout=0.0, target_modules=["q_proj", "v_proj"]
    )
    model = E1ForResidueClassification(wrapped, ["ZN"])
    for fold in (1, 2):
        save_best(run / f"fold_{fold}", model, base=str(encoder), about={"fold": fold})
    for amount in amounts:
        write_proteins(work / f"{amount}.fa", amount, labelled=False)

    def words(processes: int, amount: int, out: Path) -> list[str]:
        settings = {"run": run, "fasta": work / f"{amount}.fa", "out": out, "shard_proteins": 16}
        return ["predict", *(word for name, value in settings.items() for word in (f"--{name}", str(value)))]

    return Job(words, amounts, 1.0, "proteins/s")


JOBS = {"pretrain": (pretraining, (4, 44)), "train": (binding, (1, 6)), "predict": (prediction, (16, 528))}


def rates(job: Job, work: Path, repeats: int) -> dict[int, float]:
    """Units a second with one process and with two, start-up left out."""
    few, many = job.amounts
    best = {(processes, amount): float("inf") for processes in (1, 2) for amount in job.amounts}
    for repeat in range(repeats):
        for processes, amount in best:
            out = work / f"out-{repeat}-{processes}-{amount}"
            took = seconds(job.words(processes, amount, out), processes)
            best[processes, amount] = min(best[processes, amount], took)
    return {n: job.each * (many - few) / max(best[n, many] - best[n, few], 1e-9) for n in (1, 2)}


def main() -> None:
    """Time the jobs and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=JOBS, help="one of the jobs")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="longer or shorter runs than usual")
    add_json_option(parser)
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as made:
        os.environ["HF_DATASETS_CACHE"] = str(Path(made) / "cache")
        for name, (prepare, (few, many)) in JOBS.items():
            if arguments.only not in (None, name):
                continue
            work = Path(made) / name
            work.mkdir()
            job = prepare(work, (few, few + max(1, round((many - few) * arguments.scale))))
            measured = rates(job, work, arguments.repeats)
            ratio = measured[2] / measured[1]
            print(
                f"{name:9s} one process {measured[1]:8.2f} {job.unit}, two {measured[2]:8.2f}: {ratio:.2f} times",
                flush=True,
            )
            rows.append(
                Row(f"{name}, two processes of one thread", measured[2], job.unit, "one process of one thread", ratio)
            )
    write_rows(arguments.json, rows)


if __name__ == "__main__":
    main()
