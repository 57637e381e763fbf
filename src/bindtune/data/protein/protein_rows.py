"""Make a row of a batch from a protein: a stretch of its sequence with its labels, and homologs before it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np
from torch.utils.data import Dataset

from bindtune.data.chunks import Chunk, chunks
from bindtune.data.keyed_random import digest
from bindtune.data.protein.alignments import AlignmentCounts, Alignments
from bindtune.data.protein.contexts import ContextSpec
from bindtune.data.protein.proteins import Labels, Proteins


@dataclass(frozen=True, kw_only=True)
class RowSpec:
    """The settings that turn a protein into a row.

    Args:
        max_residues: longest stretch of a protein in a row.
        max_tokens: most tokens of a row, homologs and frames included.
        frame: number of special tokens of a sequence.
        context: how homologs are drawn. Each row sets its own budget and seed.
        overlap: residues that neighbouring chunks of a long protein share.
    """

    max_residues: int
    max_tokens: int
    frame: int
    context: ContextSpec
    overlap: int


class Reader(Protocol):
    """The part of `models.backbones.BatchPreparer` that rows need."""

    frame: int
    max_num_sequences: int

    @property
    def max_residues(self) -> int:
        """The longest sequence that the encoder reads."""


def row_spec(
    reader: Reader,
    *,
    max_num_samples: int,
    max_token_length: int,
    max_query_length: int,
    overlap: int,
    **context: float,
) -> RowSpec:
    """Settings of rows for an encoder, limited to the lengths that it reads.

    Args:
        reader: the preparer of the encoder's batches.
        max_num_samples: most homologs.
        max_token_length: most tokens of a row.
        max_query_length: most tokens of a query, including its frame.
        overlap: see `RowSpec`.
        **context: further fields of `ContextSpec`: the range of similarities, and the threshold of neighbours.
    """
    return RowSpec(
        max_residues=min(max_query_length - reader.frame, reader.max_residues),
        max_tokens=max_token_length,
        frame=reader.frame,
        context=ContextSpec(
            max_num_samples=min(max_num_samples, reader.max_num_sequences - 1),
            max_token_length=max_token_length,
            max_residues=reader.max_residues,
            **context,  # type: ignore[arg-type]
        ),
        overlap=overlap,
    )


def with_context(query: str, name: str, *, spec: RowSpec, alignments: Alignments | None, key: int) -> list[str]:
    """The homologs that a key draws, and then the query; only the query if there are no homologs."""
    budget = spec.max_tokens - len(query) - spec.frame
    if alignments is None or budget <= 0:
        return [query]
    draw = replace(spec.context, max_token_length=budget, frame=spec.frame, seed=key)
    return [*alignments.draw(name, draw).sequences, query]


def count_aligned(proteins: Iterable[tuple[str, str]], *, spec: RowSpec, alignments: Alignments) -> AlignmentCounts:
    """Count the alignments of proteins, given as (name, sequence), and their rows that are not used."""
    counts = AlignmentCounts()
    for name, sequence in proteins:
        budget = max(spec.max_tokens - min(len(sequence), spec.max_residues) - spec.frame, 0)
        counts += alignments.count(name, replace(spec.context, max_token_length=budget, frame=spec.frame))
    return counts


def most_tokens(length: int, name: str, *, spec: RowSpec, alignments: Alignments | None) -> int:
    """Most tokens of a row whose query has `length` residues."""
    own = length + spec.frame
    if alignments is None or name not in alignments:
        return own
    homologs = alignments.residues[name] + spec.frame * spec.context.max_num_samples
    return min(own + homologs, max(spec.max_tokens, own))


class ResidueRow(NamedTuple):
    """One row.

    Args:
        name: the protein.
        sequences: homologs, then the query.
        chunk: the stretch of the protein that is the query.
        labels: (chunk, K): 1, 0 or UNKNOWN.
        key: 64 random bits that belong to the row.
    """

    name: str
    sequences: list[str]
    chunk: Chunk
    labels: Labels
    key: int

    @property
    def query(self) -> str:
        """The stretch of the protein."""
        return self.sequences[-1]


class ResidueRows(Dataset[ResidueRow]):
    """Rows of proteins. Each row depends only on (seed, epoch, protein).

    An index is (protein, epoch). In training, epochs count from 1; each epoch draws contexts, and a random stretch of a
    long protein. Validation uses (protein, -chunk): `fixed` lists the indices of all chunks.

    Args:
        proteins: names, sequences, labels.
        spec: the settings of rows.
        alignments: the homologs of the proteins, or None for single sequences.
        seed: seed of all random draws.
    """

    def __init__(self, proteins: Proteins, *, spec: RowSpec, alignments: Alignments | None, seed: int) -> None:
        self.proteins, self.spec, self.alignments, self.seed = proteins, spec, alignments, seed

    def __len__(self) -> int:
        return len(self.proteins)

    def __getitem__(self, index: tuple[int, int]) -> ResidueRow:
        protein_index, epoch = index
        name, sequence = self.proteins.names[protein_index], self.proteins.sequences[protein_index]
        purpose = ("training", epoch) if epoch > 0 else ("validation",)
        key = digest(self.seed, *purpose, name)
        if epoch > 0:
            chunk = self._drawn_chunk(len(sequence), key)
        else:
            chunk = self._chunks(protein_index)[-epoch]
            key = digest(key, chunk.start)
        query = sequence[chunk.start : chunk.end]
        sequences = with_context(query, name, spec=self.spec, alignments=self.alignments, key=key)
        return ResidueRow(name, sequences, chunk, self.proteins.labels[protein_index][chunk.start : chunk.end], key)

    def fixed(self) -> list[tuple[int, int]]:
        """Indices of every chunk of every protein, for validation."""
        return [
            (protein_index, -number)
            for protein_index in range(len(self))
            for number in range(len(self._chunks(protein_index)))
        ]

    def cost(self, index: tuple[int, int]) -> int:
        """Most tokens of a row."""
        protein_index, epoch = index
        length = len(self.proteins.sequences[protein_index])
        if epoch > 0:
            query = min(length, self.spec.max_residues)
        else:
            chunk = self._chunks(protein_index)[-epoch]
            query = chunk.end - chunk.start
        return most_tokens(query, self.proteins.names[protein_index], spec=self.spec, alignments=self.alignments)

    def cropped(self) -> int:
        """Number of proteins that do not fit into a row."""
        return int((self.proteins.residues() > self.spec.max_residues).sum())

    def _chunks(self, protein_index: int) -> list[Chunk]:
        length = len(self.proteins.sequences[protein_index])
        return chunks(length, size=self.spec.max_residues, overlap=self.spec.overlap)

    def _drawn_chunk(self, length: int, key: int) -> Chunk:
        size = self.spec.max_residues
        if length <= size:
            return Chunk(0, length, 0, length)
        start = int(np.random.default_rng(digest(key, "stretch")).integers(0, length - size + 1))
        return Chunk(start, start + size, start, start + size)


class FixedBatches:
    """Batches of indices for a DataLoader, in the order given."""

    def __init__(self, batches: Sequence[Sequence[tuple[int, int]]]) -> None:
        self._batches = [list(batch) for batch in batches]

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        return iter(self._batches)
