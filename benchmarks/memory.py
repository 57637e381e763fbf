"""Peak memory of a training step: predicted by `bindtune.models.memory`, and measured in fresh processes.

    OMP_NUM_THREADS=1 python benchmarks/memory.py [--only e1] [--tokens 512 2048] [--json FILE]

DNABERT-2 at 117M shape, all weights trained as `bindtune pretrain` does, and E1 at 150M shape, all weights or adapters
of rank 16 on every linear layer; random weights, fp32. Measured is the high-water mark of a process that takes a small
step, so that the optimiser has its state, and one with the batch, less that of a process that only builds the model.
The prediction is of the same: everything but weights and adapters, which both processes hold. Both have taken a step of
a tiny model before: what libraries load at first use is no tensor. Both have a fixed MALLOC_MMAP_THRESHOLD_, as
`bindtune doctor` advises, or the one that is given: else the heap's pieces are measured, not the tensors.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bindtune import E1BatchPreparer, E1Config, E1ForJointBindingMLM, E1ForMaskedLM
from bindtune.doctor.memory_fit import HEAP, THRESHOLD
from bindtune.models.activation_bytes import Arithmetic, BatchShape
from bindtune.models.adapters import add_lora
from bindtune.models.dnabert2 import DNABert2Config, DNABert2ForMaskedLM
from bindtune.models.memory import Memory, predict_memory
from e1 import shape_150m
from rows import Row, add_json_option, peak_resident, write_rows

IONS = ("ZN", "CA", "MG")
LETTERS = "ACDEFGHIKLMNPQRSTVWY"
ROW = {"dnabert2": 100, "e1": 300}
"""Tokens of the longest row; the others are a little shorter, so that there is padding."""
LEARNED = (("dnabert2", False), ("e1", False), ("e1", True))
"""Models, and whether adapters alone are trained."""
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "w1", "w2", "w3"]
MIB = 1024**2
Loss = Callable[[int], Tensor]


def lengths(name: str, tokens: int) -> list[int]:
    """Rows that hold so many tokens together."""
    longest = min(ROW[name], tokens)
    rows = -(-tokens // longest)
    return [longest, *(tokens // rows - 5 for _ in range(rows - 1))]


def build(name: str, *, lora: bool, checkpointing: bool, tiny: bool = False) -> nn.Module:
    """The model as its job trains it, or a tiny one of its kind."""
    torch.manual_seed(0)
    narrow = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3, "num_attention_heads": 2}
    encoder: nn.Module
    if name == "dnabert2":
        encoder = DNABert2ForMaskedLM(DNABert2Config(**narrow if tiny else {}))
    else:
        config = shape_150m()
        encoder = E1ForMaskedLM(
            E1Config(**config.to_diff_dict() | narrow | {"num_key_value_heads": 2}) if tiny else config
        )
    if lora:
        encoder = add_lora(encoder, r=16, alpha=32, dropout=0.05, target_modules=TARGETS)
    if checkpointing:
        encoder.activation_checkpointing_enable()
    return (encoder if name == "dnabert2" else E1ForJointBindingMLM(encoder, IONS)).train()


def dnabert2_batch(tokens: int) -> dict[str, Tensor]:
    """Random windows, 15 % of their tokens masked."""
    rows, draws = lengths("dnabert2", tokens), torch.Generator().manual_seed(1)
    attended = torch.arange(max(rows)) < torch.tensor(rows)[:, None]
    ids = torch.randint(5, 4096, attended.shape, generator=draws)
    chosen = attended & (torch.rand(attended.shape, generator=draws) < 0.15)
    return {"input_ids": ids, "attention_mask": attended.long(), "labels": ids.masked_fill(~chosen, -100)}


def e1_batch(tokens: int) -> dict[str, Tensor]:
    """Random proteins with random labels, 15 % of their residues masked."""
    draws = torch.Generator().manual_seed(1)
    letters = [torch.randint(len(LETTERS), (length - 4,), generator=draws) for length in lengths("e1", tokens)]
    made = E1BatchPreparer().get_batch_kwargs(["".join(LETTERS[letter] for letter in protein) for protein in letters])
    batch = {key: made[key] for key in made if key.endswith("ids")}
    real = batch["sequence_ids"] >= 0
    chosen = real & (torch.rand(real.shape, generator=draws) < 0.15)
    labels = torch.randint(2, (*real.shape, len(IONS)), generator=draws).masked_fill(~real[..., None], -100)
    return {**batch, "labels": labels, "mlm_labels": batch["input_ids"].masked_fill(~chosen, -100)}


def shape(name: str, tokens: int) -> BatchShape:
    """What the prediction is told of a batch."""
    batch = dnabert2_batch(tokens) if name == "dnabert2" else e1_batch(tokens)
    ids, labels = batch["input_ids"], batch["labels" if name == "dnabert2" else "mlm_labels"]
    masked = int((labels != -100).sum())
    return BatchShape(rows=ids.shape[0], columns=ids.shape[1], tokens=sum(lengths(name, tokens)), masked=masked)


def loss_of(name: str, model: nn.Module) -> Loss:
    """The loss that the job's trainer computes, for so many tokens."""

    def pretraining(tokens: int) -> Tensor:
        batch = dnabert2_batch(tokens)
        labels = batch.pop("labels")
        chosen = labels != -100
        losses = F.cross_entropy(model(**batch, logits_at=chosen).logits.float(), labels[chosen], reduction="none")
        return losses.sum() / len(losses)

    def binding(tokens: int) -> Tensor:
        loss: Tensor = model(**e1_batch(tokens)).loss
        return loss

    return pretraining if name == "dnabert2" else binding


def measure(name: str, *, tokens: int, lora: bool, checkpointing: bool) -> float:
    """Peak MiB of this process after building and, if there are tokens, two steps; see above for what comes before."""
    torch.set_num_threads(1)
    train(name, build(name, lora=lora, checkpointing=checkpointing, tiny=True), sizes=[32])
    model = build(name, lora=lora, checkpointing=checkpointing)
    if tokens:
        train(name, model, sizes=[32, tokens])
    return peak_resident()


def train(name: str, model: nn.Module, *, sizes: list[int]) -> None:
    """A step for each number of tokens."""
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=1e-5, fused=name == "dnabert2" or None)
    loss = loss_of(name, model)
    for size in sizes:
        loss(size).backward()
        optimizer.step()
        optimizer.zero_grad()


def predict(name: str, *, tokens: int, lora: bool, checkpointing: bool) -> Memory:
    """The same from shapes alone."""
    with torch.device("meta"):
        model = build(name, lora=lora, checkpointing=checkpointing)
    prediction = predict_memory(model, shape(name, tokens), Arithmetic(checkpointing=checkpointing))
    assert prediction is not None
    return prediction


def main() -> None:
    """Compare, and say what gradient checkpointing saves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=sorted(ROW))
    parser.add_argument("--tokens", type=int, nargs="+", default=[1000, 3000])
    add_json_option(parser)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(measure_told(arguments.measure))
        return
    rows = []
    for name, lora in LEARNED:
        if arguments.only in (None, name):
            rows += compare(name, lora=lora, sizes=arguments.tokens)
    write_rows(arguments.json, rows)


def measure_told(words: str) -> str:
    """What a fresh process prints."""
    answer = json.loads(words)
    return json.dumps({"peak_mib": measure(answer.pop("name"), **answer)})


def compare(name: str, *, lora: bool, sizes: list[int]) -> list[Row]:
    """Print and return the comparisons of one model and way of learning."""
    predictions, measured, layer_bytes = [], {}, {}
    what = f"{name}, {'adapters' if lora else 'all weights'}"
    for checkpointing in (False, True):
        how = f"{what}, checkpointing" if checkpointing else what
        base = peak(name, tokens=0, lora=lora, checkpointing=checkpointing)
        for tokens in sizes:
            memory = predict(name, tokens=tokens, lora=lora, checkpointing=checkpointing)
            predicted = (memory.total - memory.weights - memory.adapters) / MIB
            at_peak = peak(name, tokens=tokens, lora=lora, checkpointing=checkpointing) - base
            measured[tokens, checkpointing], layer_bytes[tokens, checkpointing] = at_peak, memory.activations / MIB
            case = f"{how}, {sum(lengths(name, tokens))} tokens, predicted"
            predictions.append(Row(case, predicted, "MiB", "measured", predicted / at_peak))
            print(f"{case:62s} {predicted:6.0f} MiB, measured {at_peak:6.0f}: {predicted / at_peak:.3f}", flush=True)
    for tokens in sizes:
        case = f"{what}, {sum(lengths(name, tokens))} tokens, saved by checkpointing"
        saved = measured[tokens, False] - measured[tokens, True]
        predictions.append(Row(case, saved, "MiB", "predicted activations", saved / layer_bytes[tokens, False]))
        print(
            f"{case:62s} {saved:6.0f} MiB, {saved / layer_bytes[tokens, False]:.0%} of the predicted activations",
            flush=True,
        )
    return predictions


def peak(name: str, **words: object) -> float:
    """Peak MiB of a fresh process."""
    command = [sys.executable, __file__, "--measure", json.dumps({"name": name, **words})]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env={HEAP: THRESHOLD} | os.environ)
    return float(json.loads(done.stdout.splitlines()[-1])["peak_mib"])


if __name__ == "__main__":
    main()
