"""Embeddings of proteins, by any encoder of `models.backbones`."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from bindtune.data.chunks import Chunk, chunks
from bindtune.data.protein.step_batches import budgeted
from bindtune.errors import BindtuneError
from bindtune.inference.batches import ids_of
from bindtune.inference.embedding_files import EmbeddingFile
from bindtune.models.backbones import BatchPreparer
from bindtune.models.e1_tokens import E1BatchPreparer

Per = Literal["sequence", "residue"]
Pooling = Literal["mean", "cls", "max"]


class _Row(NamedTuple):
    """A stretch of a protein with its context."""

    name: str
    chunk: Chunk
    sequences: list[str]


@torch.no_grad()
def embed_proteins(
    model: Any,
    proteins: Mapping[str, str],
    *,
    contexts: Mapping[str, Sequence[str]],
    per: Per,
    max_batch_tokens: int,
    preparer: BatchPreparer | None = None,
    pooling: Pooling = "mean",
    layer: int | None = None,
    overlap: int = 0,
) -> dict[str, Tensor]:
    """Embed proteins, the longest first. Proteins that are too long for the model are read in overlapping stretches.

    Args:
        model: an encoder, in evaluation mode.
        proteins: sequences by name.
        contexts: homologs by the same names; a name may be missing.
        per: "sequence" for one vector (D,), "residue" for a vector of each residue (L, D).
        max_batch_tokens: tokens computed at a time, contexts included.
        preparer: of the encoder; that of E1 by default.
        pooling: how the vector of a protein is computed: mean or maximum over the residues, or the token before them.
        layer: whose hidden states, from 0 for the embeddings; None for the last.
        overlap: residues that neighbouring stretches share.

    Returns:
        Hidden states in fp32 on the CPU (the last ones after the final norm), by name, in the order of `proteins`.

    Raises:
        BindtuneError: an output is not finite.
    """
    reader = E1BatchPreparer.for_model(model.config) if preparer is None else preparer
    rows = [
        _Row(name, chunk, [*contexts.get(name, ()), sequence[chunk.start : chunk.end]])
        for name, sequence in proteins.items()
        for chunk in chunks(len(sequence), size=reader.max_residues, overlap=overlap)
    ]
    lengths = [sum(len(sequence) + reader.frame for sequence in row.sequences) for row in rows]
    parts: dict[str, list[tuple[int, Tensor, Tensor]]] = {name: [] for name in proteins}
    for batch in budgeted(lengths, max_tokens=max_batch_tokens):
        some = [rows[index] for index in batch]
        inputs = ids_of(
            reader.get_batch_kwargs([row.sequences for row in some], model.device, names=[row.name for row in some])
        )
        hidden = model.encode(**inputs) if layer is None else model.encode(**inputs, layer=layer)
        residues = reader.residue_mask(inputs["input_ids"], inputs["sequence_ids"])
        for row, states, mask in zip(some, hidden, residues, strict=True):
            before = int(mask.int().argmax()) - reader.frame // 2
            vectors = states[mask].float().cpu()
            if not bool(vectors.isfinite().all()):
                raise BindtuneError(f"{row.name}: the model's output is not finite")
            first, last = row.chunk.first - row.chunk.start, row.chunk.last - row.chunk.start
            parts[row.name].append((row.chunk.start, vectors[first:last], states[before].float().cpu()))
    return {name: _whole(pieces, per=per, pooling=pooling) for name, pieces in parts.items()}


def _whole(parts: list[tuple[int, Tensor, Tensor]], *, per: Per, pooling: Pooling) -> Tensor:
    """The vectors of a protein, from the vectors of its stretches."""
    parts = sorted(parts, key=lambda part: part[0])
    if per == "sequence" and pooling == "cls":
        return parts[0][2]
    vectors = torch.cat([part[1] for part in parts])
    if per == "residue":
        return vectors
    return vectors.mean(dim=0) if pooling == "mean" else vectors.amax(dim=0)


def add_embeddings(file: EmbeddingFile, embeddings: Mapping[str, Tensor], *, proteins: Mapping[str, str]) -> None:
    """Add embeddings to a file. Vectors of residues have the columns position (1-based) and residue.

    Args:
        file: the file.
        embeddings: (D,) or (L, D) by name.
        proteins: sequences by name.
    """
    for name, vectors in embeddings.items():
        columns: dict[str, Any] = {}
        if vectors.ndim == 2:
            columns["position"] = np.arange(1, len(vectors) + 1, dtype=np.int32)
            columns["residue"] = list(proteins[name])
        file.add(name, vectors.numpy(), columns)
