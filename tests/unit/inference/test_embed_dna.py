"""Vectors of DNA are those of plain calls, fit together, and do not hang on where a long sequence is cut."""

import random
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

import tiny_dnabert2
from bindtune import DNABert2Model
from bindtune.errors import ConfigError
from bindtune.inference.embed_dna import DnaEmbedder
from bindtune.io.genome import reverse_complement
from bindtune.probing.encoders import Encoder

DRAWN = random.Random(2)
SEQUENCES = ["".join(DRAWN.choices("ACGT", k=length)) for length in (1, 7, 40, 41, 300)] + ["ACGTNNACGT"]
DEFAULTS: dict[str, Any] = {
    "layer": None, "pooling": "mean", "both_strands": False, "stretch_tokens": 2048, "overlap": 16, "batch_tokens": 400,
}  # fmt: skip


@pytest.fixture(scope="module")
def encoder(tokenizer: Any) -> Encoder:
    return Encoder("tiny", tiny_dnabert2.build(DNABert2Model), tokenizer, "")


def embedder(encoder: Encoder, **changes: Any) -> DnaEmbedder:
    return DnaEmbedder(encoder, **(DEFAULTS | changes))


def plain_states(encoder: Encoder, text: str, layer: int = -1) -> np.ndarray:
    """(T, D) of all tokens, special ones included, by the library's own call."""
    with torch.no_grad():
        ids = encoder.tokenizer(text, return_tensors="pt")["input_ids"]
        return encoder.model(ids, output_hidden_states=True).hidden_states[layer][0].numpy()


def turned(text: str) -> str:
    return reverse_complement(text.encode()).decode()


@pytest.mark.parametrize("layer", [None, 0, 1, -2])
def test_token_vectors_are_those_of_plain_calls(encoder: Encoder, layer: int | None) -> None:
    for text, tokens in zip(SEQUENCES, embedder(encoder, layer=layer).token_vectors(SEQUENCES), strict=True):
        expected = plain_states(encoder, text, -1 if layer is None else layer)
        np.testing.assert_allclose(tokens.vectors, expected[1:-1], atol=2e-5)  # fp32, other batches
        np.testing.assert_allclose(tokens.first, expected[0], atol=2e-5)
        spelled = [text[start:end] for start, end in zip(tokens.start, tokens.end, strict=True)]
        assert "".join(spelled) == text


def test_nucleotide_vectors_cut_back_into_tokens_are_the_token_vectors(encoder: Encoder) -> None:
    own = embedder(encoder)
    pairs = zip(own.token_vectors(SEQUENCES), own.nucleotide_vectors(SEQUENCES), strict=True)
    for text, (tokens, nucleotides) in zip(SEQUENCES, pairs, strict=True):
        assert nucleotides.shape == (len(text), 24)
        for index, (start, end) in enumerate(zip(tokens.start, tokens.end, strict=True)):
            assert (nucleotides[start:end] == tokens.vectors[index]).all()


@pytest.mark.parametrize("pooling", ["mean", "max", "cls"])
@pytest.mark.parametrize("both_strands", [False, True])
def test_sequence_vectors_are_pooled(encoder: Encoder, pooling: Any, both_strands: bool) -> None:
    vectors = embedder(encoder, pooling=pooling, both_strands=both_strands).sequence_vectors(SEQUENCES)
    for text, vector in zip(SEQUENCES, vectors, strict=True):
        rows = [plain_states(encoder, each) for each in ((text, turned(text)) if both_strands else (text,))]
        pooled = [{"mean": row[1:-1].mean(0), "max": row[1:-1].max(0), "cls": row[0]}[pooling] for row in rows]
        np.testing.assert_allclose(vector, np.mean(pooled, axis=0), atol=2e-5)


def test_both_strands_are_mirrored(encoder: Encoder) -> None:
    own, both = embedder(encoder), embedder(encoder, both_strands=True)
    forward, reverse = own.nucleotide_vectors(SEQUENCES), own.nucleotide_vectors([turned(text) for text in SEQUENCES])
    averaged = both.nucleotide_vectors(SEQUENCES)
    for one, two, mean in zip(forward, reverse, averaged, strict=True):
        np.testing.assert_allclose(mean, (one + two[::-1]) / 2, atol=1e-6)
    for mean, mirrored in zip(averaged, both.nucleotide_vectors([turned(text) for text in SEQUENCES]), strict=True):
        np.testing.assert_allclose(mean, mirrored[::-1], atol=2e-5)


def test_long_sequences_are_read_in_overlapping_stretches(encoder: Encoder) -> None:
    (whole,) = embedder(encoder).token_vectors([SEQUENCES[4]])
    cutting = embedder(encoder, stretch_tokens=40, overlap=16)
    (parts,) = cutting.token_vectors([SEQUENCES[4]])
    assert cutting.cut == 1
    assert (whole.ids == parts.ids).all() and len(whole.ids) > 100
    ids = [1, *whole.ids[:38].tolist(), 2]
    with torch.no_grad():
        first = encoder.model(torch.tensor([ids])).last_hidden_state[0].numpy()
    np.testing.assert_allclose(parts.vectors[:29], first[1:30], atol=2e-5)
    assert np.abs(parts.vectors - whole.vectors).max() > 1e-4
    spread = embedder(encoder, stretch_tokens=40).nucleotide_vectors([SEQUENCES[4]])[0]
    assert spread.shape == (300, 24)


def test_a_table_of_positions_limits_the_stretch(tokenizer: Any) -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 40}
    model = BertModel(BertConfig(vocab_size=60, max_position_embeddings=32, **sizes)).eval()
    own = embedder(Encoder("bert", model, tokenizer, ""))
    (tokens,) = own.token_vectors([SEQUENCES[4]])
    assert len(tokens.vectors) == len(tokens.ids) > 100
    with pytest.raises(ConfigError, match=r"bert has layers 0 .* to 1, and no layer 2"):
        embedder(Encoder("bert", model, tokenizer, ""), layer=2).token_vectors(["ACGT"])
