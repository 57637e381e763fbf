"""`bindtune predict` on a proteome: 20,000 proteins, five folds, two ions, by one process, by two and by two shares.

    python benchmarks/proteome.py
    python benchmarks/proteome.py --proteins 2000 --json proteome.json

Lengths are drawn like those of human proteins: log-normal with a median of 415 and a mean of 557 residues (UniProt's
reference proteome), up to 35,000. The encoder is tiny, so that the work around it counts: reading, batches, writing and
joining. Every process has one thread. Commands are whole processes, imports included. A tenth of the proteins shows
whether memory grows. The outputs of all ways are compared byte by byte.
"""

import argparse
import filecmp
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import yaml

from bindtune import E1Config, E1ForMaskedLM, E1ForResidueClassification
from bindtune.config import BindingConfig, build, dump
from bindtune.models.adapters import add_lora
from bindtune.models.binding_checkpoint import save_best
from rows import Row, add_json_option, write_rows

IONS, FOLDS, LETTERS = ["ZN", "CA"], 5, np.array(list("ACDEFGHIKLMNPQRSTVWY"))
MEDIAN, MEAN, LONGEST = 415, 557, 35_000
GOAL = 1.8
TABLE = "predictions.parquet"


def write_proteome(path: Path, count: int) -> int:
    """Random proteins of drawn lengths; returns their residues."""
    drawn = np.random.default_rng(0)
    spread = math.sqrt(2 * math.log(MEAN / MEDIAN))
    lengths = np.clip(drawn.lognormal(math.log(MEDIAN), spread, count), 30, LONGEST).astype(int)
    with path.open("w", encoding="ascii") as stream:
        for number, length in enumerate(lengths):
            stream.write(f">p{number}\n{''.join(drawn.choice(LETTERS, length))}\n")
    return int(lengths.sum())


def write_run(folder: Path) -> Path:
    """A run of five folds with random adapters and heads on a tiny random E1."""
    torch.manual_seed(0)
    config = E1Config(
        hidden_size=32, intermediate_size=64, gated_mlp=True, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, global_attention_every_n_layers=2, clip_qkv=8, max_num_positions_global=65536,
    )  # fmt: skip
    E1ForMaskedLM(config).save_pretrained(folder / "encoder")
    run = folder / "run"
    run.mkdir()
    values = {
        "data": {"fasta_path": "unused_{ION}.fa"}, "model": {"checkpoint": str(folder / "encoder")},
        "training": {"ions": IONS, "num_folds": FOLDS, "output_dir": str(run)},
    }  # fmt: skip
    (run / "config.yaml").write_text(dump(build(BindingConfig, values)), encoding="utf-8")
    thresholds = {"thresholds": {ion: {"threshold": 0.5} for ion in IONS}}
    (run / "global_thresholds.yaml").write_text(yaml.safe_dump(thresholds), encoding="utf-8")
    encoder = E1ForMaskedLM.from_pretrained(folder / "encoder")
    model = E1ForResidueClassification(
        add_lora(encoder, r=4, alpha=8, dropout=0.0, target_modules=["q_proj", "v_proj"]), IONS
    )
    for fold in range(1, FOLDS + 1):
        save_best(run / f"fold_{fold}", model, base=str(folder / "encoder"), about={"fold": fold})
    return run


def measure(*commands: list[str]) -> tuple[float, float]:
    """Seconds until all of some commands that run beside each other have ended, and the most MiB of a process."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    start = time.perf_counter()
    running = [
        subprocess.Popen([sys.executable, "-m", *words], env=environment, stdout=subprocess.DEVNULL)
        for words in commands
    ]
    most = 0.0
    for process in running:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{' '.join(process.args)} ended with {process.returncode}")  # type: ignore[arg-type]
        most = max(most, usage.ru_maxrss / 1024)
    return time.perf_counter() - start, most


def main() -> None:
    """Run the ways and print their rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--proteins", type=int, default=20_000)
    add_json_option(parser)
    chosen = parser.parse_args()
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "--", "bindtune"]
    with tempfile.TemporaryDirectory(prefix="bindtune-proteome-") as made:
        work = Path(made)
        run = write_run(work)
        whole, tenth = work / "proteome.fa", work / "tenth.fa"
        residues = write_proteome(whole, chosen.proteins)
        write_proteome(tenth, chosen.proteins // 10)

        def predict(fasta: Path, out: str, *more: str) -> list[str]:
            return ["predict", "--run", str(run), "--fasta", str(fasta), "--out", str(work / out), *more]

        _, few = measure(["bindtune", *predict(tenth, "tenth")])
        one, memory = measure(["bindtune", *predict(whole, "one")])
        two, _ = measure([*launcher, *predict(whole, "two")])
        shares, _ = measure(*(["bindtune", *predict(whole, "shares", "--shard", f"{n}/2")] for n in (1, 2)))
        join, _ = measure(["bindtune", *predict(whole, "shares")])
        for other in ("two", "shares"):
            if not filecmp.cmp(work / "one" / TABLE, work / other / TABLE, shallow=False):
                raise SystemExit(f"{TABLE} of {other} differs from that of one process")
    tenth_name = f"{chosen.proteins // 10:,} proteins"
    least = f"at least {GOAL}"
    name = f"prediction of {chosen.proteins:,} proteins, {FOLDS} folds, tiny E1"
    rows = [
        Row(f"{name}, one process", chosen.proteins / one, "proteins/s"),
        Row("the same, peak memory", memory, "MiB", tenth_name, memory / few, "at most 1.1"),
        Row(f"{name}, two processes", chosen.proteins / two, "proteins/s", "one process", one / two, least),
        Row(
            f"{name}, two shares and the join", chosen.proteins / (shares + join), "proteins/s", "one process",
            one / (shares + join), least,
        ),
    ]  # fmt: skip
    print(
        f"{residues:,} residues; seconds: one {one:.1f}, two {two:.1f}, two shares {shares:.1f}, their join {join:.1f}"
    )
    for row in rows:
        print(f"{row.name}: {row.value:.1f} {row.unit}" + (f", {row.ratio:.2f} of {row.baseline}" if row.ratio else ""))
    write_rows(chosen.json, rows)


if __name__ == "__main__":
    main()
