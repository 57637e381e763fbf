"""Windows embedded a second by the probe, beside plain loops over `model(**tokenizer(...))`.

    python benchmarks/probe_embedding.py [--windows 128] [--repeats 3] [--layers 12]

A random model of DNABERT-2-117M's shape (its 12 layers, or fewer, for ratios on a slow machine), a BPE tokenizer of
4096 words that is trained on random DNA, windows of 101 nt, both strands of each in every case, on as many threads as
torch takes. Rates are of processor time, so other work on the machine counts little.

The plain loops take 32 windows at a time, in their order, and pad them to the longest or to 128 or 512 tokens; or one
window at a time, as the model card on the hub does. Their model skips padding in linear layers and computes attention
on it, as the hub's code does; BERT of transformers has the same shape and computes all padding. A probe with three
kinds of negatives has six rows for each positive, of which four differ. A loop over its table embeds all six.
"""

import argparse
import random
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from torch import nn
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from bindtune import DNABert2Config
from bindtune.io.genome import reverse_complement
from bindtune.models.dnabert2 import DNABert2Model
from bindtune.probing.embeddings import embed
from bindtune.probing.encoders import Encoder
from rows import Row, add_json_option, write_rows

SPECIAL = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
WIDTH, WORDS = 101, 4096
GOAL = "at least 3"
PADDED = ("loop, padded to the longest", "loop, padded to 128", "loop, padded to 512")


def dna(count: int, length: int, drawn: random.Random) -> list[str]:
    """Random sequences."""
    return ["".join(drawn.choices("ACGT", k=length)) for _ in range(count)]


def trained_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer with as many words as DNABERT-2's, about five letters each."""
    backend = Tokenizer(models.BPE(unk_token=SPECIAL[0]))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(vocab_size=WORDS, special_tokens=SPECIAL, show_progress=False)
    backend.train_from_iterator(dna(20_000, 200, random.Random(2)), trainer)
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    names = dict(zip(("unk_token", "cls_token", "sep_token", "pad_token", "mask_token"), SPECIAL, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=backend, **names)


@torch.inference_mode()
def plain_loop(
    model: nn.Module, tokenizer: PreTrainedTokenizerFast, windows: list[str], batch: int, tokens: int | None = None
) -> None:
    """What one would write first.

    Args:
        model: an encoder.
        tokenizer: its tokenizer.
        windows: DNA.
        batch: rows at a time.
        tokens: how many a row has with its padding; None for as many as the longest of the batch.
    """
    padding: dict[str, Any] = {"padding": True} if tokens is None else {"padding": "max_length", "max_length": tokens}
    both = [*windows, *(reverse_complement(window.encode()).decode() for window in windows)]
    for first in range(0, len(both), batch):
        rows = tokenizer(both[first : first + batch], return_tensors="pt", return_token_type_ids=False, **padding)
        states = model(**rows).last_hidden_state
        weights = rows["attention_mask"].unsqueeze(-1)
        _ = (states * weights).sum(dim=1) / weights.sum(dim=1)


def operations(model: nn.Module) -> int:
    """Floating-point operations of a token in linear layers."""
    return 2 * sum(part.weight.numel() for part in model.modules() if isinstance(part, nn.Linear))


def main() -> None:
    """Measure all of them in turn; the best of the repeats counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--layers", type=int, default=12)
    add_json_option(parser)
    chosen = parser.parse_args()
    count, repeats, layers = chosen.windows, chosen.repeats, chosen.layers
    windows, tokenizer = dna(count, WIDTH, random.Random(1)), trained_tokenizer()
    torch.manual_seed(1)
    model = DNABert2Model(DNABert2Config(num_hidden_layers=layers)).eval()
    lengths = [len(row) for row in tokenizer(windows)["input_ids"]]
    widest = [max(lengths[first : first + 32]) for first in range(0, count, 32) for _ in lengths[first : first + 32]]
    print(f"{sum(lengths) / count:.1f} tokens a window, {sum(widest) / sum(lengths):.2f} times as many with padding")
    rates = [product_rate(kind) for kind in (torch.float32, torch.bfloat16)]
    print(f"products of 1024 tokens: {rates[0]:.0f} GFLOP/s in fp32, {rates[1]:.0f} in bf16")
    of_window = operations(model) * 2 * sum(lengths) / count
    print(f"{of_window / 1e9:.1f} GFLOP for both strands of a window in linear layers")
    run = partial(embed, sequences=windows, layer=None, pooling="mean", batch_tokens=8192)
    hub = DNABert2Model(DNABert2Config(num_hidden_layers=layers, attn_implementation="eager")).eval()
    bert = BertModel(BertConfig(vocab_size=WORDS, num_hidden_layers=layers, max_position_embeddings=512)).eval()
    half = Encoder(
        "bf16", DNABert2Model(DNABert2Config(num_hidden_layers=layers)).eval(), tokenizer, "benchmark bf16", bf16=True
    )
    for part in half.model.modules():
        if isinstance(part, nn.Linear):
            part.to(torch.bfloat16)
    cases: dict[str, Callable[[], object]] = {
        "loop, padded to the longest": lambda: plain_loop(hub, tokenizer, windows, 32),
        "loop, padded to 128": lambda: plain_loop(hub, tokenizer, windows, 32, 128),
        "loop, padded to 512": lambda: plain_loop(hub, tokenizer, windows, 32, 512),
        "loop, one at a time": lambda: plain_loop(hub, tokenizer, windows, 1),
        "BERT, padded to the longest": lambda: plain_loop(bert, tokenizer, windows, 32),
        "BERT, padded to 128": lambda: plain_loop(bert, tokenizer, windows, 32, 128),
        "probe": lambda: run(Encoder("fp32", model, tokenizer, "benchmark")),
        "probe --bf16": lambda: run(half),
    }
    best = dict.fromkeys(cases, float("inf"))
    for _ in range(repeats):
        for name, case in cases.items():
            start = time.process_time()
            case()
            best[name] = min(best[name], time.process_time() - start)
    ours, halved = best["probe"], best["probe --bf16"]
    for name, seconds in best.items():
        print(
            f"{name:28} {count / seconds:6.1f} windows/s, probe {seconds / ours:5.2f} times as fast, with --bf16 "
            f"{seconds / halved:5.2f}; over a table of three arms {1.5 * seconds / ours:5.2f} and "
            f"{1.5 * seconds / halved:5.2f}",
            flush=True,
        )
    rows = []
    for probe in ("probe", "probe --bf16"):
        name, rate = f"{probe}: windows of {WIDTH} nt, both strands, 117M", count / best[probe]
        rows += [
            Row(name, rate, "windows/s", case, seconds / best[probe], GOAL if case in PADDED else "")
            for case, seconds in best.items()
            if not case.startswith("probe")
        ]
    write_rows(chosen.json, rows)


def product_rate(kind: torch.dtype) -> float:
    """GFLOP a second of the largest product of a layer."""
    tokens, weights = torch.randn(1024, 768, dtype=kind), torch.randn(6144, 768, dtype=kind)
    best = float("inf")
    for _ in range(8):
        start = time.perf_counter()
        nn.functional.linear(tokens, weights)
        best = min(best, time.perf_counter() - start)
    return 2 * 1024 * 768 * 6144 / best / 1e9


if __name__ == "__main__":
    main()
