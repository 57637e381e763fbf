"""Fine-tuning an encoder on the training folds: LoRA on its linear layers, and a new classification head."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bindtune.models.adapters import add_lora
from bindtune.models.loading import load_classifier
from bindtune.probing.embeddings import tokenise
from bindtune.probing.encoders import Encoder

Ints = NDArray[np.int64]
_POOLER = "pooler"


@contextmanager
def _without_load_report() -> Iterator[None]:
    """Silence the message of transformers, for every fold, that the head is new."""
    logger = logging.getLogger("transformers.modeling_utils")

    def nothing(record: logging.LogRecord) -> bool:
        return False

    logger.addFilter(nothing)  # not its level: transformers lists the layers of no tensor parallelism at any level set
    try:
        yield
    finally:
        logger.removeFilter(nothing)


class TunedClassifier(nn.Module):
    """An encoder with adapters and a head.

    Args:
        path: hub name or folder of the encoder.
        rank: of the adapters.
        random_weights: begin with random numbers instead of the encoder's weights.
    """

    def __init__(self, path: str, *, rank: int, random_weights: bool) -> None:
        super().__init__()
        with _without_load_report():
            self.model: Any = load_classifier(path)
        if random_weights:
            self.model = type(self.model)(self.model.config)
        encoder = self.model.base_model
        layers = {
            name.rpartition(".")[2]
            for name, part in encoder.named_modules()
            if isinstance(part, nn.Linear) and _POOLER not in name
        }
        add_lora(encoder, r=rank, alpha=2 * rank, dropout=0.1, target_modules=sorted(layers))
        for name, parameter in encoder.named_parameters():
            if _POOLER in name and "lora" not in name:  # a part of the head, which lies in the encoder
                parameter.requires_grad_(True)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Map tokens and their mask (B, T) to (B,) log odds."""
        logits: Tensor = self.model(input_ids=tokens, attention_mask=mask).logits
        return logits.squeeze(-1)


def token_batches(
    encoder: Encoder, sequences: Sequence[str], device: torch.device
) -> Callable[[Ints], tuple[Tensor, ...]]:
    """How batches of tokens and masks (B, T) are made; they are padded to their longest row.

    Args:
        encoder: whose tokenizer is used, and whose positions are not to be exceeded.
        sequences: N.
        device: where batches go.
    """
    ids = tokenise(encoder, sequences)[0][: len(sequences)]
    padding = encoder.tokenizer.pad_token_id or 0

    def batch(rows: Ints) -> tuple[Tensor, ...]:
        chosen = [torch.tensor(ids[row]) for row in rows.tolist()]
        tokens = nn.utils.rnn.pad_sequence(chosen, batch_first=True, padding_value=padding)
        mask = nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in chosen], batch_first=True)
        return tokens.to(device), mask.to(device)

    return batch
