"""Both training steps on one GPU, in bfloat16: speed over dense, padded versions, and peak memory over its prediction.

    python benchmarks/gpu.py [--repeats 10] [--show 12]

DNABERT-2 at 117M shape and E1 at 150M shape, random weights, under autocast as `bindtune pretrain` and `bindtune train`
compute. The baselines are those of `pretraining_step.py` and `e1.py`, which hold the same weights. A time is the median
of alternated repeats, from one synchronisation of the device to the next. Memory is what torch has allocated at most in
a step after the first. What is measured is kept in benchmarks/gpu.json; the table in benchmarks/README.md is made from
it. `--show` lists the operations that take most of the device's time.
"""

import argparse
import datetime
import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from unittest.mock import patch

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

import e1
import memory
import pretraining_step
from bindtune import E1BatchPreparer
from bindtune.models.activation_bytes import Arithmetic
from bindtune.models.adapters import add_lora
from bindtune.models.dnabert2 import DNABert2Config, DNABert2ForMaskedLM
from bindtune.models.memory import predict_memory
from rows import README, Row, three_digits, write_table

Step = Callable[[], object]
GPU = torch.device("cuda")
FIGURES = Path(__file__).with_name("gpu.json")
MIB = 1024**2


@contextmanager
def as_trained() -> Iterator[None]:
    """Tensors on the GPU, products in bfloat16."""
    with GPU, torch.autocast("cuda", torch.bfloat16):
        yield


def optimised(model: nn.Module, loss: Callable[[], Tensor]) -> Step:
    """Forward, backward, AdamW."""
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=1e-5, fused=True)

    def step() -> None:
        with as_trained():
            value = loss()
        value.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def pretraining(windows: int) -> dict[str, Step]:
    """Steps of DNABERT-2 on windows of 512 nt."""
    torch.manual_seed(0)
    model = DNABert2ForMaskedLM(DNABert2Config()).train().to(GPU)
    ids = pretraining_step.batch_of_windows(None, None, windows)
    short, long = (
        {name: part.to(GPU) for name, part in pretraining_step.collate(ids, length).items()}
        for length in (max(map(len, ids)), pretraining_step.LENGTH)
    )
    return {
        "all padded to 512, eager attention": optimised(
            model, lambda: pretraining_step.baseline_loss(model, long, unpad=False)
        ),
        "linears unpadded, dense attention": optimised(
            model, lambda: pretraining_step.baseline_loss(model, long, unpad=True)
        ),
        "bindtune": optimised(model, lambda: model(**short, logits_at=short["labels"] != -100).loss),
    }


def proteins(rows: list[str], *, lora: bool) -> dict[str, Step]:
    """Steps of E1 on rows of sequences: all weights, or adapters."""
    inner = e1.build().train()
    if lora:
        add_lora(inner, r=16, alpha=32, dropout=0.05, target_modules=memory.TARGETS)
    model = inner.to(GPU)
    made = E1BatchPreparer().get_batch_kwargs(rows)
    batch = {name: part.to(GPU) for name, part in made.items() if isinstance(part, Tensor)}

    def loss(logits: Callable[..., Tensor]) -> Tensor:
        flat_logits = logits(model, batch).flatten(0, 1)
        return nn.functional.cross_entropy(flat_logits, batch["labels"].flatten(), ignore_index=0)

    own = optimised(model, lambda: loss(e1.packed))
    steps = {"dense, padded": optimised(model, lambda: loss(e1.dense)), "bindtune": own}
    if lora:
        steps["adapters' inputs widened, as in PEFT"] = widened(model, own)
    if any("," in row for row in rows):
        steps["attention pair by pair"] = pair_by_pair(own)
    return steps


def speeds(*, repeats: int, show: int) -> Iterator[Row]:
    """Each workload against its baselines."""
    alone = [e1.protein(length, seed=length + 1000 * copy) for copy in range(12) for length in e1.LENGTHS]
    context = [",".join(e1.protein(252, seed=n + 100 * row) for n in range(8)) for row in range(16)]
    workloads: dict[str, Callable[[], dict[str, Step]]] = {
        "DNABERT-2 117M, 64 windows": lambda: pretraining(64),
        "DNABERT-2 117M, 128 windows": lambda: pretraining(128),
        "E1-150M, 32 proteins": lambda: proteins(alone[:32], lora=False),
        "E1-150M, adapters, 32 proteins": lambda: proteins(alone[:32], lora=True),
        "E1-150M, adapters, 96 proteins": lambda: proteins(alone[:96], lora=True),
        "E1-150M, adapters, 16 rows of 8 sequences": lambda: proteins(context, lora=True),
    }
    for name, make in workloads.items():
        steps = make()
        began = time.perf_counter()
        steps["bindtune"]()
        torch.cuda.synchronize()
        print(f"{name}: the first step took {time.perf_counter() - began:.1f} s, compiling included", flush=True)
        times, peaks = timed(steps, repeats)
        own, held = times.pop("bindtune"), peaks.pop("bindtune")
        for baseline, seconds in times.items():
            yield Row(f"{name}, a step", 1e3 * own, "ms", baseline, seconds / own)
        for baseline, peak in peaks.items():
            yield Row(f"{name}, peak memory", held, "MiB", baseline, held / peak)
        if show:
            print_operations(steps["bindtune"], show)
        steps.clear()
        torch.cuda.empty_cache()


def widened(model: nn.Module, step: Step) -> Step:
    """The step with the inputs of adapters cast to the adapters' type, as PEFT does by itself."""

    def run() -> None:
        adapted = [part for part in model.modules() if isinstance(part, LoraLayer)]
        for part in adapted:
            part.cast_input_dtype_enabled = True
        step()
        for part in adapted:
            part.cast_input_dtype_enabled = False

    return run


def pair_by_pair(step: Step) -> Step:
    """The step as it is where nothing can be compiled."""

    def run() -> None:
        with patch("bindtune.models.attention.can_compile", lambda: False):
            step()

    return run


def timed(steps: dict[str, Step], repeats: int) -> tuple[dict[str, float], dict[str, float]]:
    """Median seconds and peak MiB of each."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    peaks = {}
    for number in range(repeats + 2):
        for name, step in steps.items():
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            began = time.perf_counter()
            step()
            torch.cuda.synchronize()
            if number > 1:  # what comes before warms up
                times[name].append(time.perf_counter() - began)
                peaks[name] = torch.cuda.max_memory_allocated() / MIB
    return {name: statistics.median(each) for name, each in times.items()}, peaks


def print_operations(step: Step, most: int) -> None:
    """The dearest operations of a step."""
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as run:
        step()
        torch.cuda.synchronize()
    events = run.key_averages()
    print(events.table(sort_by="self_cuda_time_total", row_limit=most, max_name_column_width=55))


def memories() -> Iterator[Row]:
    """Predicted peak over the measured one."""
    for name, lora in memory.LEARNED:
        for checkpointing in (False, True):
            for tokens in (8000, 32000):
                torch.cuda.empty_cache()
                model = memory.build(name, lora=lora, checkpointing=checkpointing).to(GPU)
                shape = memory.shape(name, tokens)
                how = Arithmetic(checkpointing=checkpointing, half=True, on_gpu=True)
                prediction = predict_memory(model, shape, how)
                assert prediction is not None
                batch = memory.dnabert2_batch(tokens) if name == "dnabert2" else memory.e1_batch(tokens)
                batch = {key: part.to(GPU) for key, part in batch.items()}
                step = optimised(model, loss_of(name, model, batch))
                step()
                torch.cuda.synchronize()
                torch.cuda.reset_peak_memory_stats()
                step()
                measured = torch.cuda.max_memory_allocated() / MIB
                what = f"{name}, {'adapters' if lora else 'all weights'}{', checkpointing' if checkpointing else ''}"
                case = f"{what}, {shape.tokens} tokens, predicted"
                yield Row(case, prediction.total / MIB, "MiB", "allocated", prediction.total / MIB / measured)
                del model, step, batch


def loss_of(name: str, model: nn.Module, batch: dict[str, Tensor]) -> Callable[[], Tensor]:
    """The loss that the job's trainer computes."""
    if name == "e1":
        return lambda: model(**batch).loss
    labels, inputs = batch["labels"], {name: tensor for name, tensor in batch.items() if name != "labels"}
    chosen = labels != -100
    return lambda: nn.functional.cross_entropy(model(**inputs, logits_at=chosen).logits.float(), labels[chosen])


def tell() -> None:
    """Write the table of the README from what was measured last."""
    document = json.loads(FIGURES.read_text(encoding="utf-8"))
    rows = [Row(**values) for values in document["rows"]]
    cells = [[row.name, f"{three_digits(row.value)} {row.unit}", row.baseline, f"{row.ratio:.2f}"] for row in rows]
    below = f"Measured {document['date']} on one {document['device']} with torch {document['torch']}."
    write_table(README, "gpu", ["what", "figure:", "compared with", "ratio:"], cells, below)


def main() -> None:
    """Measure, keep, and make the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--show", type=int, default=0, metavar="N", help="list the N dearest operations")
    parser.add_argument("--table", action="store_true", help="only make the table again")
    arguments = parser.parse_args()
    if not arguments.table:
        rows = []
        for row in chain(speeds(repeats=arguments.repeats, show=arguments.show), memories()):
            rows.append(row._asdict())
            print(f"{row.name:60s} {row.value:8.1f} {row.unit:4s} {row.baseline:36s} {row.ratio:.3f}", flush=True)
        where = {"device": torch.cuda.get_device_name(0), "torch": torch.__version__}
        document = {**where, "date": datetime.date.today().isoformat(), "rows": rows}
        FIGURES.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    tell()


if __name__ == "__main__":
    main()
