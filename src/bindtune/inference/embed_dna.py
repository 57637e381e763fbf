"""Vectors of DNA from a masked language model: one for each sequence, token or nucleotide."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from bindtune.data.chunks import Chunk, chunks
from bindtune.data.dna.tokens import encode, spelled_for
from bindtune.errors import BindtuneError, ConfigError
from bindtune.inference.embedding_files import EmbeddingFile
from bindtune.io.genome import reverse_complement
from bindtune.models.loading import usable_positions
from bindtune.probing.embeddings import Pooling, depth_of, hidden_states, padded_rows, similar_lengths
from bindtune.probing.encoders import Encoder

Per = Literal["sequence", "token", "nucleotide"]
Floats = NDArray[np.float32]
_MANY_TOKENS = 1 << 30


class NamedDna(NamedTuple):
    """A sequence of DNA.

    Args:
        name: its name.
        letters: upper case, T for U.
    """

    name: str
    letters: str


@dataclass(frozen=True)
class TokenVectors:
    """The T tokens of a sequence that stand for letters.

    Args:
        ids: (T,) tokens.
        start: (T,) first letter, from 0.
        end: (T,) one past the last.
        vectors: (T, D).
        first: (D,) of the token before them.
    """

    ids: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    vectors: Floats
    first: Floats

    def pooled(self, pooling: Pooling) -> Floats:
        """(D,) one vector of all tokens."""
        if pooling == "cls":
            return self.first
        vectors: Floats = self.vectors.mean(axis=0) if pooling == "mean" else self.vectors.max(axis=0)
        return vectors

    def spread(self, name: str, length: int) -> Floats:
        """(L, D) for each letter the vector of its token.

        Raises:
            ConfigError: tokens do not stand for each letter once.
        """
        if [0, *self.end.tolist()] != [*self.start.tolist(), length]:
            raise ConfigError(
                f"{name}: the model's tokens do not stand for each letter once, so nucleotides have no vectors of "
                "their own: choose --per token"
            )
        return np.repeat(self.vectors, self.end - self.start, axis=0)


@dataclass
class DnaEmbedder:
    """A model of DNA that gives vectors.

    Args:
        encoder: the model without its head.
        layer: whose hidden states, from 0 for the embeddings, below 0 from the end; None for the last.
        pooling: how the vector of a sequence is computed.
        both_strands: average with the reverse complement.
        stretch_tokens: most tokens of a row.
        overlap: tokens that neighbouring stretches of a long sequence share.
        batch_tokens: tokens that are computed at once.
        cut: number of sequences that were read in several stretches so far.
    """

    encoder: Encoder
    layer: int | None
    pooling: Pooling
    both_strands: bool
    stretch_tokens: int
    overlap: int
    batch_tokens: int
    cut: int = 0

    def token_vectors(self, sequences: Sequence[str]) -> list[TokenVectors]:
        """Vectors of the tokens of some sequences, one strand.

        Args:
            sequences: upper-case DNA.

        Raises:
            BindtuneError: an output is not finite.
            ConfigError: there is no such layer.
        """
        vectors, cut = self._computed(sequences)
        self.cut += cut
        return vectors

    def _computed(self, sequences: Sequence[str]) -> tuple[list[TokenVectors], int]:
        """Vectors of the tokens of some sequences, and how many of these were cut."""
        tokenizer = self.encoder.tokenizer
        ids, offsets = encode(tokenizer, spelled_for(tokenizer, list(sequences)), _MANY_TOKENS)
        rows = [_Row.of(*row) for row in zip(ids, offsets, strict=True)]
        cut = [(owner, chunk) for owner, row in enumerate(rows) for chunk in self._chunks(row)]
        inputs = [rows[owner].stretch(chunk) for owner, chunk in cut]
        states = self._states(inputs, [len(rows[owner].before) for owner, _ in cut], [chunk for _, chunk in cut])
        parts_of: list[list[tuple[Floats, Floats]]] = [[] for _ in rows]
        for (owner, _), part in zip(cut, states, strict=True):
            parts_of[owner].append(part)
        vectors = [
            TokenVectors(row.ids, row.start, row.end, np.concatenate([part[1] for part in parts]), parts[0][0])
            for row, parts in zip(rows, parts_of, strict=True)
        ]
        return vectors, sum(len(parts) > 1 for parts in parts_of)

    def sequence_vectors(self, sequences: Sequence[str]) -> list[Floats]:
        """(D,) for each sequence."""
        return self._averaged(sequences, lambda tokens, _: tokens.pooled(self.pooling), mirrored=False)

    def nucleotide_vectors(self, sequences: Sequence[str]) -> list[Floats]:
        """(L, D) for each sequence: each letter has the vector of its token."""
        name = self.encoder.name
        return self._averaged(sequences, lambda tokens, length: tokens.spread(name, length), mirrored=True)

    def _averaged(self, sequences: Sequence[str], vectors: Any, *, mirrored: bool) -> list[Floats]:
        lengths = [len(sequence) for sequence in sequences]
        own_vectors = [vectors(*pair) for pair in zip(self.token_vectors(sequences), lengths, strict=True)]
        if not self.both_strands:
            return own_vectors
        turned = [reverse_complement(sequence.encode("ascii")).decode("ascii") for sequence in sequences]
        others = [vectors(*pair) for pair in zip(self._computed(turned)[0], lengths, strict=True)]
        return [
            (own + (turned_vectors[::-1] if mirrored else turned_vectors)) / 2
            for own, turned_vectors in zip(own_vectors, others, strict=True)
        ]

    def _chunks(self, row: "_Row") -> list[Chunk]:
        positions = usable_positions(self.encoder.model)
        most = self.stretch_tokens if positions is None else min(self.stretch_tokens, positions)
        room = most - len(row.before) - len(row.behind)
        return chunks(len(row.ids), size=max(1, room), overlap=self.overlap)

    @torch.inference_mode()
    def _states(
        self, rows: list[list[int]], before: list[int], token_chunks: list[Chunk]
    ) -> list[tuple[Floats, Floats]]:
        """Of each row the state of its first token (D,), and those of the letters' tokens in its chunk (t, D)."""
        encoder, depth = self.encoder, depth_of(self.encoder, self.layer)
        row_states: list[tuple[Floats, Floats]] = [(np.empty(0, np.float32),) * 2 for _ in rows]
        device, padding = encoder.model.device, encoder.tokenizer.pad_token_id or 0
        for batch in similar_lengths(rows, self.batch_tokens):
            tokens, attended = padded_rows([rows[row] for row in batch], padding)
            states = hidden_states(encoder, tokens.to(device), depth, attended.to(device)).cpu()
            if not bool(states[attended.bool()].isfinite().all()):
                raise BindtuneError(f"{encoder.name}: the model's output is not finite")
            for row, values in zip(batch, states.numpy(), strict=True):
                chunk, skip = token_chunks[row], before[row]
                first, last = chunk.first - chunk.start + skip, chunk.last - chunk.start + skip
                row_states[row] = values[0].copy(), values[first:last].copy()
        return row_states


@dataclass(frozen=True)
class _Row:
    """The tokens of a sequence: the tokens of its letters, and the tokens before and after them."""

    before: list[int]
    behind: list[int]
    ids: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]

    @classmethod
    def of(cls, ids: list[int], offsets: Any) -> "_Row":
        spans = np.array(offsets, np.int64).reshape(-1, 2)
        letters = np.flatnonzero(spans[:, 1] > spans[:, 0])
        first, last = (int(letters[0]), int(letters[-1]) + 1) if len(letters) else (len(ids), len(ids))
        letter_ids, spans = np.array(ids[first:last], np.int64), spans[first:last]
        return cls(ids[:first], ids[last:], letter_ids, spans[:, 0], spans[:, 1])

    def stretch(self, chunk: Chunk) -> list[int]:
        return [*self.before, *self.ids[chunk.start : chunk.end].tolist(), *self.behind]


def add_vectors(file: EmbeddingFile, embedder: DnaEmbedder, block: Sequence[NamedDna], *, per: Per) -> int:
    """Add the vectors of some sequences to a file, and return their number."""
    letters = [sequence.letters for sequence in block]
    if per == "token":
        token_vectors = embedder.token_vectors(letters)
        for sequence, tokens in zip(block, token_vectors, strict=True):
            names = embedder.encoder.tokenizer.convert_ids_to_tokens(tokens.ids.tolist())
            positions = np.arange(1, len(tokens.ids) + 1)
            file.add(
                sequence.name, tokens.vectors,
                {"position": positions, "start": tokens.start, "end": tokens.end, "token": names},
            )  # fmt: skip
        return sum(len(tokens.ids) for tokens in token_vectors)
    if per == "nucleotide":
        for sequence, vectors in zip(block, embedder.nucleotide_vectors(letters), strict=True):
            positions = np.arange(1, len(vectors) + 1)
            file.add(sequence.name, vectors, {"position": positions, "nucleotide": list(sequence.letters)})
        return list(accumulate(map(len, letters)))[-1]
    for sequence, vector in zip(block, embedder.sequence_vectors(letters), strict=True):
        file.add(sequence.name, vector, {})
    return len(block)
