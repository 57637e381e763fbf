"""How time and memory grow: windows, length of sequences, depth of alignments, ions, folds.

    OMP_NUM_THREADS=2 python benchmarks/growth.py [--only windows length protein depth ions folds]

Every size runs in a process of its own, so that peak memory is that of this size; libraries and weights are included.
Each row is compared with the smallest size of its series: the ratio is how many times as long a unit of work takes.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from rows import Row, add_json_option, peak_resident, write_rows

TOKENS = 2048
# Series: sizes, what a size is, and the unit of work.
SERIES: dict[str, tuple[tuple[int, ...], str, str]] = {
    "windows": ((30, 100, 300), "windows of a genome of {:,} million nt", "windows"),
    "length": ((64, 256, 1024, 2048), "DNABERT-2 117M, forward + backward, sequences of {:,} tokens", "tokens"),
    "protein": ((128, 512, 2048, 5000), "E1-150M, forward, proteins of {:,} residues", "residues"),
    "depth": ((1000, 10_000, 20_000, 30_000, 100_000), "reading an alignment of {:,} rows of 1,000 columns", "rows"),
    "ions": ((1, 4, 16), "small E1 with adapters, forward + backward, {:,} ions", "residues"),
    "folds": ((1, 5, 10), "small E1, prediction by {:,} folds of 6 ions", "residues"),
}

GOALS = {"length": "at most 1.7", "protein": "at most 2.1"}
"""How many times as long a unit of the largest size may take."""


def best_of(function: Callable[[], object], repeats: int = 3) -> float:
    """Least seconds of some calls, after one that does not count."""
    function()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def windows(megabases: int, folder: Path) -> tuple[float, int, float]:
    """`bindtune windows` to Parquet, with as many peaks and genes a base at every size."""
    import windows as script

    script.generate(folder, megabases=megabases, peaks=megabases * 3333, genes=megabases * 66)
    seconds, memory = script.bindtune(folder, form="parquet")
    written = json.loads((folder / "ours-parquet" / "summary.json").read_text())["windows"]["written"]
    return seconds, written, memory


def length(tokens: int, folder: Path) -> tuple[float, int, float]:
    """One pass of the same number of tokens, in sequences of one length."""
    import pretraining_step as script
    from bindtune.models.dnabert2 import DNABert2Config, DNABert2ForMaskedLM

    del folder
    torch.manual_seed(0)
    model = DNABert2ForMaskedLM(DNABert2Config()).train()
    rows = max(1, TOKENS // tokens)
    drawn = torch.randint(5, 4096, (rows, tokens), generator=torch.Generator().manual_seed(0))
    batch = script.collate(drawn.tolist(), tokens)
    return (
        best_of(lambda: model(**batch, logits_at=batch["labels"] != -100).loss.backward()),
        rows * tokens,
        peak_resident(),
    )


def protein(residues: int, folder: Path) -> tuple[float, int, float]:
    """Logits of proteins of one length."""
    import e1 as script

    del folder
    model = script.build()
    rows = max(1, TOKENS // residues)
    batch = script.E1BatchPreparer().get_batch_kwargs([script.protein(residues, seed=n) for n in range(rows)])
    with torch.no_grad():
        return best_of(lambda: script.packed(model, batch), 2), rows * residues, peak_resident()


def depth(rows: int, folder: Path) -> tuple[float, int, float]:
    """An alignment from a file to neighbour weights; more than 20,000 rows have estimated ones."""
    import neighbours as script
    from bindtune.data.protein.contexts import read_homologs

    with (folder / "a.a3m").open("wb") as file:
        for number, row in enumerate(script.family(rows, 1000)):
            file.write(b">row %d\n%b\n" % (number, row.tobytes()))
    start = time.perf_counter()
    read_homologs(folder / "a.a3m", neighbor_similarity_lower_bound=0.8)
    return time.perf_counter() - start, rows, peak_resident()


def ions(number: int, folder: Path) -> tuple[float, int, float]:
    """A training pass over 16 proteins with so many heads."""
    import predict_ensemble as script
    from bindtune import E1BatchPreparer

    model = script.make_model(folder, "small", ions=tuple(f"I{n}" for n in range(number))).train()
    proteins = script.make_proteins(16)
    batch = E1BatchPreparer().get_batch_kwargs([each.sequence for each in proteins])
    tensors = {name: batch[name] for name in script.NAMES}
    inside = E1BatchPreparer().residue_mask(tensors["input_ids"], tensors["sequence_ids"])
    labels = torch.randint(2, (*inside.shape, number), generator=torch.Generator().manual_seed(0))
    labels = labels.masked_fill(~inside[..., None], -100)

    def step() -> None:
        model(**tensors, labels=labels).loss.backward()

    return best_of(step), int(inside.sum()), peak_resident()


def folds(number: int, folder: Path) -> tuple[float, int, float]:
    """What `bindtune predict` computes of 100 proteins."""
    import predict_ensemble as script

    script.make_run(folder, "small", folds=number)
    proteins = script.make_proteins(100)
    ensemble = script.load_ensemble_models(folder, number)

    def predict() -> object:
        return script.predict_shard(proteins, ensemble=ensemble, preparer=ensemble.preparer(), spec=script.spec())

    return best_of(predict, 1), sum(len(each.sequence) for each in proteins), peak_resident()


KINDS: dict[str, Callable[[int, Path], tuple[float, int, float]]] = {
    "windows": windows,
    "length": length,
    "protein": protein,
    "depth": depth,
    "ions": ions,
    "folds": folds,
}


def point(kind: str, size: int) -> tuple[float, int, float]:
    """Seconds, units of work and peak MiB of one size, in a fresh process."""
    command = [sys.executable, __file__, "--point", kind, str(size)]
    out: Any = json.loads(
        subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1]
    )
    return out["seconds"], out["work"], out["peak_mib"]


def main() -> None:
    """Run the series and print a line a size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=SERIES)
    parser.add_argument("--point", nargs=2, help=argparse.SUPPRESS)
    add_json_option(parser)
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    torch.set_flush_denormal(True)  # as every command does
    if arguments.point:
        kind, size = arguments.point
        with tempfile.TemporaryDirectory(prefix="bindtune-growth-") as folder:
            seconds, work, memory = KINDS[kind](int(size), Path(folder))
        print(json.dumps({"seconds": seconds, "work": work, "peak_mib": memory}))
        return
    rows = []
    for kind in arguments.only or SERIES:
        sizes, what, unit = SERIES[kind]
        first = None
        for size in sizes:
            seconds, work, memory = point(kind, size)
            each = seconds / work
            first = first or each
            name = what.format(size)
            print(
                f"{name:68s} {work / seconds:12,.0f} {unit}/s  {each / first:6.2f} times as long a unit  "
                f"peak {memory:6.0f} MiB",
                flush=True,
            )
            baseline = "" if size == sizes[0] else f"time of a unit at {sizes[0]:,}"
            goal = GOALS.get(kind, "") if size == sizes[-1] else ""
            rows += [
                Row(name, work / seconds, f"{unit}/s", baseline, each / first if baseline else None, goal),
                Row("the same, peak memory", memory, "MiB"),
            ]
    write_rows(arguments.json, rows)


if __name__ == "__main__":
    main()
