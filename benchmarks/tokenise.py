"""Tokenise a training file as `bindtune pretrain` does, against the tokenizer's own `encode_batch` on its sequences.

    python benchmarks/tokenise.py [--tokenizer FOLDER] [--windows 20000]

Processor time of this process, with one thread. Reading the file, hashing it, the spans of peaks and writing the cache
are included on one side and not on the other.
"""

import argparse
import json
import os
import random
import tempfile
import time
from pathlib import Path

import datasets
from tokenizers import Tokenizer, models, trainers
from transformers import PreTrainedTokenizerFast

from bindtune.data.dna.tokens import load_tokenizer
from bindtune.data.dna.window_tokens import tokenise_file
from rows import Row, add_json_option, write_rows

GOAL, LETTERS = 1.7, 512


def _train_tokenizer(sequences: list[str]) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))  # noqa: S106
    special = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    trainer = trainers.BpeTrainer(vocab_size=4096, special_tokens=list(special.values()), show_progress=False)
    tokenizer.train_from_iterator(sequences, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


def main() -> None:
    """Print the processor times and their ratio; exit with 1 where it is above the goal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", help="folder; without it, one is trained on the sequences")
    parser.add_argument("--windows", type=int, default=20_000)
    add_json_option(parser)
    chosen = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    datasets.disable_progress_bars()
    drawn = random.Random(0)
    sequences = ["".join(drawn.choices("ACGT", k=LETTERS)) for _ in range(chosen.windows)]
    with tempfile.TemporaryDirectory(prefix="bindtune-benchmark-") as made:
        folder = Path(made)
        if chosen.tokenizer is None:
            _train_tokenizer(sequences[:2000]).save_pretrained(folder / "tokenizer")
        tokenizer = load_tokenizer(chosen.tokenizer or str(folder / "tokenizer"))
        with (folder / "train.jsonl").open("w", encoding="utf-8") as stream:
            for number, sequence in enumerate(sequences):
                peaks = [{"peak_start": 100, "peak_end": 140}] if number % 2 else []
                stream.write(json.dumps({"seq_id": f"w{number}", "sequence": sequence, "eclip_regions": peaks}) + "\n")
        ours, theirs = [], []
        for repeat in range(3):
            datasets.config.HF_DATASETS_CACHE = folder / str(repeat)
            start = time.process_time()
            tokenizer.backend_tokenizer.encode_batch(sequences)
            theirs.append(time.process_time() - start)
            start = time.process_time()
            tokenise_file(folder / "train.jsonl", tokenizer, max_length=LETTERS, overlap="any", processes=1)
            ours.append(time.process_time() - start)
    ratio = min(ours) / min(theirs)
    name = f"tokenising {chosen.windows:,} windows of {LETTERS} nt, processor time"
    print(f"{name}: {min(ours):.2f} s, encode_batch {min(theirs):.2f} s, ratio {ratio:.2f} (goal: at most {GOAL})")
    write_rows(chosen.json, [Row(name, min(ours), "s", "the tokenizer's encode_batch", ratio, f"at most {GOAL}")])
    raise SystemExit(ratio > GOAL)


if __name__ == "__main__":
    main()
