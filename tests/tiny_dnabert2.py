"""A small random DNABERT-2 of any class, with weights large enough for every part to matter."""

from typing import Any

import torch

from bindtune import DNABert2Config, DNABert2ForMaskedLM

SIZES: dict[str, Any] = {
    "vocab_size": 60, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 6, "intermediate_size": 40,
    "initializer_range": 0.3,
}  # fmt: skip


def build(kind: type[Any] = DNABert2ForMaskedLM, *, seed: int = 0, **changes: Any) -> Any:
    """The same model for the same arguments, in evaluation mode."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return kind(DNABert2Config(**{**SIZES, **changes})).eval()
