"""Vectors of windows from a frozen encoder: batches sorted by length, both strands, kept on disk by content."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from bindtune.data.dna.tokens import encode, spelled_for
from bindtune.errors import BindtuneError, ConfigError
from bindtune.io.genome import reverse_complement
from bindtune.models.loading import layer_number, layers_of, usable_positions
from bindtune.probing.array_files import read_array
from bindtune.probing.encoders import Encoder
from bindtune.runs.writing import atomic_stream

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
Pooling = Literal["mean", "cls", "max"]
SHARD = 2048
"""Windows in one file. A killed command loses at most this many."""
_VERSION = 1
_MANY_TOKENS = 1 << 20


class Embeddings:
    """Vectors of distinct sequences, computed when they are first needed.

    Args:
        folder: folder of the files of vectors.
        encoder: loads the model; it is called only if a vector is missing.
        identity: of the model's content.
        sequences: U distinct sequences.
        layer: layer of the hidden states; None for the last.
        pooling: how a vector is computed from the states of the tokens.
        batch_tokens: tokens that are computed at once.
    """

    def __init__(
        self,
        folder: Path,
        *,
        encoder: Callable[[], Encoder],
        identity: str,
        sequences: Sequence[str],
        layer: int | None,
        pooling: Pooling,
        batch_tokens: int,
    ) -> None:
        self.identity = identity
        self._encoder, self._sequences = encoder, sequences
        self._layer, self._pooling, self._batch_tokens = layer, pooling, batch_tokens
        self._folder = folder / content_hash(_VERSION, identity, layer, pooling)

    def _shard(self, number: int) -> tuple[list[str], Path]:
        some = list(self._sequences[number * SHARD : (number + 1) * SHARD])
        return some, self._folder / f"{content_hash(*some)}.npy"

    def compute(self, *, done: Callable[[int], None] = lambda count: None) -> None:
        """Compute the missing vectors.

        Args:
            done: gets the number of windows that were finished.
        """
        for number in range(-(-len(self._sequences) // SHARD)):
            some, path = self._shard(number)
            if not path.is_file():
                encoder = self._encoder()
                vectors = embed(
                    encoder, some, layer=self._layer, pooling=self._pooling, batch_tokens=self._batch_tokens, done=done
                )
                with atomic_stream(path) as stream:
                    np.save(stream, vectors, allow_pickle=False)
            else:
                done(len(some))

    def rows(self, places: Ints) -> Floats:
        """(R, D) vectors of some of the sequences, which were computed before.

        Args:
            places: (R,) which.

        Raises:
            InputError: a file of vectors is damaged.
        """
        shards = places // SHARD
        parts: Floats | None = None
        for number in np.unique(shards).tolist():
            here = np.flatnonzero(shards == number)
            some, path = self._shard(number)
            vectors = read_array(path, shape=(len(some), None if parts is None else parts.shape[1]))
            if parts is None:
                parts = np.empty((len(places), vectors.shape[1]), np.float32)
            parts[here] = vectors[places[here] - number * SHARD]
        return np.empty((0, 0), np.float32) if parts is None else parts


def content_hash(*parts: object) -> str:
    """The identity of vectors on disk: a hash of everything that they depend on."""
    content = hashlib.sha256()
    for part in parts:
        content.update(str(part).encode() + b"\x1f")
    return content.hexdigest()[:32]


@torch.inference_mode()
def embed(
    encoder: Encoder,
    sequences: Sequence[str],
    *,
    layer: int | None,
    pooling: Pooling,
    batch_tokens: int,
    done: Callable[[int], None] = lambda count: None,
) -> Floats:
    """Embed windows: hidden states pooled over the tokens of their letters, both strands averaged.

    Args:
        encoder: the model.
        sequences: N, upper case.
        layer: whose hidden states, from 0 for the embeddings, below 0 from the end; None for the last.
        pooling: the mean or the maximum over the tokens that stand for letters, or the first token.
        batch_tokens: tokens that are computed at once.
        done: gets the number of windows that were finished, about once a batch.

    Returns:
        (N, D) in fp32.

    Raises:
        BindtuneError: an output is not finite.
        ConfigError: a window has more tokens than the model has positions for, or there is no such layer.
    """
    depth = depth_of(encoder, layer)
    ids, letters = tokenise(encoder, sequences)
    sums = np.zeros((len(sequences), int(encoder.model.config.hidden_size)), np.float32)
    halves = 0
    device, padding = encoder.model.device, encoder.tokenizer.pad_token_id or 0
    for rows in similar_lengths(ids, batch_tokens):
        tokens, attended = padded_rows([ids[row] for row in rows], padding)
        mask = pad_sequence([torch.from_numpy(letters[row]) for row in rows], batch_first=True).to(device)
        states = hidden_states(encoder, tokens.to(device), depth, attended.to(device))
        vectors = pool(states, mask, pooling).cpu()
        if not bool(vectors.isfinite().all()):
            raise BindtuneError(f"{encoder.name}: the model's output is not finite")
        np.add.at(sums, np.asarray(rows) % len(sequences), vectors.numpy() / 2)
        halves += len(rows)
        done(halves // 2 - (halves - len(rows)) // 2)
    return sums


def depth_of(encoder: Encoder, layer: int | None) -> int | None:
    """The layer from 0, or None for the last."""
    return layer_number(encoder.name, layers_of(encoder.model), layer)


def tokenise(encoder: Encoder, sequences: Sequence[str]) -> tuple[list[list[int]], list[NDArray[np.bool_]]]:
    """Token ids of N sequences and then of their N reverse complements, and which tokens stand for letters.

    Raises:
        ConfigError: a sequence has more tokens than the model has positions for.
    """
    ids, spans = tokens_of_strands(encoder, sequences)
    return ids, [np.array([end > start for start, end in own], bool) for own in spans]


def tokens_of_strands(
    encoder: Encoder, sequences: Sequence[str]
) -> tuple[list[list[int]], list[list[tuple[int, int]]]]:
    """Token ids of N sequences and then of their N reverse complements, and the letters (start, end) of each token.

    Raises:
        ConfigError: a sequence has more tokens than the model has positions for.
    """
    both = [*sequences, *(reverse_complement(each.encode("ascii")).decode("ascii") for each in sequences)]
    tokenizer = encoder.tokenizer
    ids, offsets = encode(tokenizer, spelled_for(tokenizer, both), _MANY_TOKENS)
    most, longest = usable_positions(encoder.model), max(map(len, ids), default=0)
    if most is not None and longest > most:
        raise ConfigError(f"{encoder.name}: a window has {longest} tokens, and the model has positions for {most}")
    return ids, offsets


def equal_lengths(ids: Sequence[Sequence[int]], batch_tokens: int) -> Iterator[list[int]]:
    """Rows with equally many tokens, as many at a time as make up `batch_tokens`: nothing is padded."""
    lengths = np.array([len(row) for row in ids], np.int64)
    order = np.argsort(lengths, kind="stable")
    for group in np.split(order, np.flatnonzero(np.diff(lengths[order])) + 1):
        step = max(1, batch_tokens // max(1, int(lengths[group[0]]))) if len(group) else 1
        for first in range(0, len(group), step):
            yield group[first : first + step].tolist()


def similar_lengths(ids: Sequence[Sequence[int]], batch_tokens: int) -> Iterator[list[int]]:
    """Rows from the shortest to the longest, as many at a time as have `batch_tokens` tokens with their padding.

    Products of few tokens are slow, so rows of different lengths share a batch. Sorted rows hardly have any padding.
    """
    lengths = np.array([len(row) for row in ids], np.int64)
    batch: list[int] = []
    for row in np.argsort(lengths, kind="stable").tolist():
        if batch and (len(batch) + 1) * lengths[row] > batch_tokens:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def padded_rows(rows: Sequence[Sequence[int]], padding: int) -> tuple[Tensor, Tensor]:
    """Rows of token ids as one tensor (B, T), and 1 at their tokens and 0 at padding (B, T).

    Args:
        rows: of any lengths.
        padding: id of the padding.
    """
    tokens = pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=padding)
    attended = pad_sequence([torch.ones(len(row), dtype=torch.int64) for row in rows], batch_first=True)
    return tokens, attended


def hidden_states(encoder: Encoder, tokens: Tensor, depth: int | None, attended: Tensor | None = None) -> Tensor:
    """(B, T, D) hidden states of rows (B, T), in fp32.

    Args:
        encoder: the model.
        tokens: token ids.
        depth: the layer from 0; None for the last.
        attended: (B, T) 0 at padding; None where there is none.
    """
    with torch.autocast(tokens.device.type, torch.bfloat16, enabled=encoder.bf16):
        output = encoder.model(input_ids=tokens, attention_mask=attended, output_hidden_states=depth is not None)
    states: Tensor = output.last_hidden_state if depth is None else output.hidden_states[depth]
    return states.float()


def pool(states: Tensor, letters: Tensor, pooling: Pooling) -> Tensor:
    """(B, D) of states (B, T, D); `letters` (B, T) says which tokens stand for letters."""
    if pooling == "cls":
        return states[:, 0]
    if pooling == "max":
        return states.masked_fill(~letters.unsqueeze(-1), -torch.inf).amax(dim=1)
    weights = letters.unsqueeze(-1).to(states.dtype)
    return (states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)
