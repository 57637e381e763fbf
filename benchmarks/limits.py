"""What limits both training steps and both data paths, and how far each is from it.

    OMP_NUM_THREADS=2 python benchmarks/limits.py [--show 15]

A step (forward, backward, optimiser) is profiled operation by operation: time in matrix products, in attention, in
element-wise work and copies (memory), and what is left between operations (Python and autograd). The data path of a
step is what its collator does for one batch on one core; it limits training where it takes longer than the step
divided by the number of loading workers. `--show` lists the dearest operations.
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from growth import best_of
from rows import Row, add_json_option, write_rows

PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::mv", "aten::addmv", "mkldnn", "onednn")
ATTENTION = ("flash_attention", "scaled_dot_product")


def kind_of(operation: str) -> str:
    """What an operation spends its time on."""
    if operation.startswith(PRODUCTS):
        return "matrix products"
    if any(name in operation for name in ATTENTION):
        return "attention"
    return "element-wise work and copies" if operation.startswith("aten::") else "Python and autograd"


def shares(step: Callable[[], object], *, show: int) -> tuple[dict[str, float], float]:
    """Share of each kind in a step, and the seconds of a step without the profiler."""
    seconds = best_of(step, 2)
    with profile(activities=[ProfilerActivity.CPU]) as run:
        start = time.perf_counter()
        step()
        profiled = time.perf_counter() - start
    spent: Counter[str] = Counter()
    events = run.key_averages()
    for event in events:
        spent[kind_of(event.key)] += event.self_cpu_time_total / 1e6
    named_seconds = sum(spent[kind] for kind in spent if kind != "Python and autograd")
    spent["Python and autograd"] = max(profiled - named_seconds, 0.0)
    if show:
        print(events.table(sort_by="self_cpu_time_total", row_limit=show, max_name_column_width=60))
    return {kind: value / profiled for kind, value in spent.most_common()}, seconds


def optimised(loss: Callable[[], torch.Tensor], parameters: list[torch.nn.Parameter]) -> Callable[[], None]:
    """A step: forward, backward, AdamW."""
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True)

    def step() -> None:
        loss().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def pretraining() -> tuple[Callable[[], None], Callable[[], object], int]:
    """The step of DNABERT-2 117M on 8 windows, and their collating."""
    import collate as collators
    import pretraining_step as script
    from bindtune import EclipAdaptiveMLMCollator
    from bindtune.models.dnabert2 import DNABert2Config, DNABert2ForMaskedLM

    torch.manual_seed(0)
    model = DNABert2ForMaskedLM(DNABert2Config()).train()
    ids = script.batch_of_windows(None, None, 8)
    batch = script.collate(ids, max(map(len, ids)))
    collator, records = EclipAdaptiveMLMCollator(collators.generated_tokenizer()), collators.records(8)
    step = optimised(lambda: model(**batch, logits_at=batch["labels"] != -100).loss, list(model.parameters()))
    return step, lambda: collator(records), sum(map(len, ids))


def binding() -> tuple[Callable[[], None], Callable[[], object], int]:
    """The joint step of E1-150M with adapters on 8 proteins of four ions, and drawing and collating them."""
    import e1 as script
    from bindtune import E1BatchPreparer, E1ForJointBindingMLM
    from bindtune.data.masking import Replacement
    from bindtune.data.protein.collate import JointCollator
    from bindtune.data.protein.contexts import ContextSpec
    from bindtune.data.protein.protein_rows import ResidueRows, RowSpec
    from bindtune.data.protein.proteins import Proteins
    from bindtune.models.adapters import add_lora

    ions = ("CA", "ZN", "MG", "MN")
    encoder = script.build().train()
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "w1", "w2", "w3"]
    model = E1ForJointBindingMLM(add_lora(encoder, r=16, alpha=32, dropout=0.05, target_modules=targets), ions).train()
    sequences = [script.protein(length, seed=length) for length in script.LENGTHS]
    drawn = np.random.default_rng(0)
    labels = [drawn.integers(0, 2, (len(sequence), len(ions)), np.int8) for sequence in sequences]
    names = tuple(f"p{n}" for n in range(len(sequences)))
    proteins = Proteins(names, tuple(sequences), ions, tuple(labels))
    context = ContextSpec(
        max_num_samples=64,
        max_token_length=2048,
        max_query_similarity=0.95,
        min_query_similarity=0.0,
        neighbor_similarity_lower_bound=0.8,
    )
    spec = RowSpec(max_residues=1020, max_tokens=2048, frame=4, context=context, overlap=128)
    rows = ResidueRows(proteins, spec=spec, alignments=None, seed=0)
    collator = JointCollator(E1BatchPreparer(), mlm_probability=0.15, replacement=Replacement(mask=0.8, random=0.1))

    def read() -> dict[str, torch.Tensor]:
        return collator([rows[index, 1] for index in range(len(rows))])

    batch = {name: value for name, value in read().items() if name not in ("rows", "residue_mask")}
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    return optimised(lambda: model(**batch).loss, trained), read, sum(map(len, sequences))


def main() -> None:
    """Profile both and print the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--show", type=int, default=0, metavar="N", help="list the N dearest operations")
    add_json_option(parser)
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    torch.set_flush_denormal(True)  # as every command does
    rows = []
    made = {
        "DNABERT-2 117M, step of 8 windows": pretraining,
        "E1-150M with adapters, joint step of 8 proteins": binding,
    }
    for name, make in made.items():
        step, read, tokens = make()
        share_of, seconds = shares(step, show=arguments.show)
        reading = best_of(read, 20)
        print(f"{name}: {seconds:.2f} s, {tokens / seconds:,.0f} tokens/s")
        for kind, share in share_of.items():
            print(f"    {kind:30s} {share:6.1%}")
            rows.append(Row(f"{name}: {kind}", 100 * share, "%", "the step", share))
        print(f"    reading and masking its batch takes {reading / seconds:.2%} of the step, on one core")
        rows.append(Row(f"{name}: its batch", 1000 * reading, "ms", "the step", reading / seconds))
    write_rows(arguments.json, rows)


if __name__ == "__main__":
    main()
