"""Positions that a model has for tokens."""

from typing import Any

import pytest
import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    DistilBertConfig,
    DistilBertForMaskedLM,
    EsmConfig,
    EsmForMaskedLM,
    ModernBertConfig,
    ModernBertForMaskedLM,
    RobertaConfig,
    RobertaForMaskedLM,
)

import tiny_dnabert2
from bindtune.models.loading import usable_positions

_SHAPE: dict[str, Any] = {
    "vocab_size": 27, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
}  # fmt: skip
_DISTIL: dict[str, Any] = {
    "vocab_size": 27, "max_position_embeddings": 40, "dim": 16, "n_heads": 2, "n_layers": 1, "hidden_dim": 16,
}  # fmt: skip
_ESM = {**_SHAPE, "pad_token_id": 1, "mask_token_id": 4, "max_position_embeddings": 60}


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (lambda: BertForMaskedLM(BertConfig(**_SHAPE, max_position_embeddings=32)), 32),
        (lambda: RobertaForMaskedLM(RobertaConfig(**_SHAPE, max_position_embeddings=60, pad_token_id=1)), 58),
        (lambda: RobertaForMaskedLM(RobertaConfig(**_SHAPE, max_position_embeddings=60, pad_token_id=3)), 56),
        (lambda: DistilBertForMaskedLM(DistilBertConfig(**_DISTIL)), 40),
        (lambda: EsmForMaskedLM(EsmConfig(**_ESM, position_embedding_type="absolute")), 58),
        (lambda: EsmForMaskedLM(EsmConfig(**_ESM, position_embedding_type="rotary")), None),
        (lambda: ModernBertForMaskedLM(ModernBertConfig(**_SHAPE, max_position_embeddings=40, pad_token_id=0)), None),
        (lambda: tiny_dnabert2.build(**_SHAPE), None),
    ],
    ids=["bert", "roberta", "roberta with padding 3", "distilbert", "esm", "rotary", "modernbert", "dnabert2"],
)
def test_positions_that_tokens_can_have(model: Any, expected: int | None) -> None:
    made = model().eval()
    assert usable_positions(made) == expected
    length = expected or 80
    with torch.no_grad():
        made(input_ids=torch.full((1, length), 5), attention_mask=torch.ones(1, length, dtype=torch.long))
    if expected is not None:
        with pytest.raises((IndexError, RuntimeError)), torch.no_grad():
            made(input_ids=torch.full((1, length + 1), 5), attention_mask=torch.ones(1, length + 1, dtype=torch.long))
