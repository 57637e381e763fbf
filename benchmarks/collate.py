"""Time the collator against transformers' DataCollatorForLanguageModeling on the same records.

    python benchmarks/collate.py [--tokenizer FOLDER] [--batch 32] [--repeats 200]

Records are windows of about 100 tokens, as Python lists with two peaks each. Repeats are alternated, and the best of
each is compared; the other quantiles show how much the machine was disturbed.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models
from transformers import (
    AutoTokenizer,
    DataCollatorForLanguageModeling,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from bindtune import EclipAdaptiveMLMCollator
from rows import Row, add_json_option, write_rows

TARGET = 0.25


def generated_tokenizer() -> PreTrainedTokenizerBase:
    """A vocabulary of DNABERT-2's size and special ids; nothing is tokenised with it."""
    special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    words = {word: index for index, word in enumerate([*special, *(f"w{n}" for n in range(4091))])}
    names = ("unk_token", "cls_token", "sep_token", "pad_token", "mask_token")
    backend = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))  # noqa: S106
    return PreTrainedTokenizerFast(tokenizer_object=backend, **dict(zip(names, special, strict=True)))


def records(number: int) -> list[dict[str, Any]]:
    """Examples as both collators take them, with token spans of two peaks."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(number):
        length = int(rng.integers(92, 112))
        starts = sorted(rng.integers(1, length - 15, 2).tolist())
        made.append(
            {
                "input_ids": [1, *rng.integers(5, 4096, length - 2).tolist(), 2],
                "attention_mask": [1] * length,
                "eclip_token_starts": starts,
                "eclip_token_ends": [start + 9 for start in starts],
            }
        )
    return made


def alternate(collators: dict[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """Seconds of every repeat, sorted, after ten that do not count."""
    seconds: dict[str, list[float]] = {name: [] for name in collators}
    for repeat in range(repeats + 10):
        for name, collate in collators.items():
            start = time.perf_counter()
            collate()
            if repeat >= 10:
                seconds[name].append(time.perf_counter() - start)
    return {name: sorted(values) for name, values in seconds.items()}


def main() -> None:
    """Print the times and their ratio; exit with 1 where it is above the target."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokenizer")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=200)
    add_json_option(parser)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(chosen.tokenizer) if chosen.tokenizer else generated_tokenizer()
    with_peaks = records(chosen.batch)
    plain = [{name: row[name] for name in ("input_ids", "attention_mask")} for row in with_peaks]
    theirs = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15)
    adaptive, uniform = EclipAdaptiveMLMCollator(tokenizer), EclipAdaptiveMLMCollator(tokenizer, adaptive=False)
    seconds = alternate(
        {
            "transformers": lambda: theirs(plain),
            "adaptive": lambda: adaptive(with_peaks),
            "uniform": lambda: uniform(plain),
        },
        chosen.repeats,
    )
    best = {name: values[0] for name, values in seconds.items()}
    for name, values in seconds.items():
        median, last = values[len(values) // 2], values[int(0.95 * len(values))]
        print(
            f"{name:<13} best {values[0] * 1e3:6.3f} ms  median {median * 1e3:6.3f} ms  95 % {last * 1e3:6.3f} ms  "
            f"ratio {values[0] / best['transformers']:.3f}"
        )
    ratio = max(best["adaptive"], best["uniform"]) / best["transformers"]
    print(f"batch of {chosen.batch}: {ratio:.3f} of transformers' time (target: at most {TARGET})")
    what, baseline = f"masking a batch of {chosen.batch}", "transformers' DataCollatorForLanguageModeling"
    slowest = 1000 * max(best["adaptive"], best["uniform"])
    write_rows(chosen.json, [Row(what, slowest, "ms", baseline, ratio, f"at most {TARGET}")])
    raise SystemExit(ratio > TARGET)


if __name__ == "__main__":
    main()
