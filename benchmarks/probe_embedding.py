"""Windows embedded a second by the probe, beside a plain loop over padded batches of the masked language model.

    python benchmarks/probe_embedding.py [WINDOWS] [BATCH]

A random model of DNABERT-2-117M's shape, a tokenizer of short words, both strands of each window in both cases, on
as many threads as torch takes. The plain loop takes windows in their order, and pads each batch to its longest row.
"""

import random
import sys
import time

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from bindtune import DNABert2Config, DNABert2ForMaskedLM
from bindtune.io.genome import reverse_complement
from bindtune.probing.embeddings import embed
from bindtune.probing.encoders import Encoder

SPECIAL = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]


def small_tokenizer() -> PreTrainedTokenizerFast:
    """Letters and pairs, as the tests have them."""
    merges = [(a, b) for a in "ACGT" for b in "ACGT"] + [
        (a + b, c + d) for a in "AT" for b in "CG" for c in "AT" for d in "CG"
    ]
    words = [*SPECIAL, *"ACGT", *("".join(pair) for pair in merges)]
    backend = Tokenizer(models.BPE({word: place for place, word in enumerate(words)}, merges, unk_token=SPECIAL[0]))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    names = dict(zip(("unk_token", "cls_token", "sep_token", "pad_token", "mask_token"), SPECIAL, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=backend, **names)


@torch.inference_mode()
def plain_loop(model: DNABert2ForMaskedLM, tokenizer: PreTrainedTokenizerFast, windows: list[str], batch: int) -> None:
    """What one would write first."""
    both = [*windows, *(reverse_complement(window.encode()).decode() for window in windows)]
    for first in range(0, len(both), batch):
        rows = tokenizer(both[first : first + batch], return_tensors="pt", padding=True, return_token_type_ids=False)
        states = model(**rows, output_hidden_states=True).hidden_states[-1]
        states.mean(dim=1)


def main() -> None:
    """Measure both, one after the other, twice."""
    count, batch = (int(word) for word in [*sys.argv[1:], *("64", "32")[len(sys.argv) - 1 :]])
    drawn = random.Random(1)
    windows = ["".join(drawn.choices("ACGT", k=101)) for _ in range(count)]
    model, tokenizer = DNABert2ForMaskedLM(DNABert2Config()).eval(), small_tokenizer()
    encoder = Encoder("shape of 117M", model.bert, tokenizer, "benchmark")
    for _ in range(2):
        start = time.perf_counter()
        plain_loop(model, tokenizer, windows, batch)
        plain = time.perf_counter() - start
        start = time.perf_counter()
        embed(encoder, windows, layer=None, pooling="mean", batch_tokens=8192)
        own = time.perf_counter() - start
        print(f"plain loop {count / plain:.1f} windows/s, probe {count / own:.1f} windows/s, ratio {plain / own:.2f}")


if __name__ == "__main__":
    main()
