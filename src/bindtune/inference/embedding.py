"""Embeddings of proteins, and the files they are written to."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import save_file
from torch import Tensor

from bindtune.data.protein.step_batches import budgeted
from bindtune.errors import BindtuneError
from bindtune.inference.batches import ids_of
from bindtune.models.e1 import E1ForMaskedLM
from bindtune.models.e1_tokens import FRAME, E1BatchPreparer, query_residue_mask
from bindtune.outputs import output_file
from bindtune.runs.writing import atomic_path, atomic_stream

Per = Literal["protein", "residue"]


@torch.no_grad()
def embed_proteins(
    model: E1ForMaskedLM,
    proteins: Mapping[str, str],
    *,
    contexts: Mapping[str, Sequence[str]],
    per: Per,
    max_batch_tokens: int,
) -> dict[str, Tensor]:
    """Embed proteins, the longest first.

    Args:
        model: in evaluation mode.
        proteins: sequences by name.
        contexts: homologs by the same names; a name may be missing.
        per: "protein" for the mean over the residues (D,), "residue" for each residue (L, D).
        max_batch_tokens: tokens computed at a time, contexts included.

    Returns:
        Post-norm hidden states in fp32 on the CPU, by name, in the order of `proteins`.

    Raises:
        BindtuneError: an output is not finite.
    """
    preparer, names = E1BatchPreparer.for_model(model.config), list(proteins)
    sequences = [[*contexts.get(name, ()), proteins[name]] for name in names]
    lengths = [sum(len(sequence) + FRAME for sequence in row) for row in sequences]
    found: dict[str, Tensor] = {}
    for batch in budgeted(lengths, max_tokens=max_batch_tokens):
        rows = preparer.get_batch_kwargs(
            [sequences[index] for index in batch], model.device, names=[names[index] for index in batch]
        )
        inputs = ids_of(rows)
        hidden = model.model(**inputs, query_only=True).last_hidden_state
        residues = query_residue_mask(inputs["input_ids"], inputs["sequence_ids"])
        for index, states, kept in zip(batch, hidden, residues, strict=True):
            vectors = states[kept].float().cpu()
            if not bool(vectors.isfinite().all()):
                raise BindtuneError(f"{names[index]}: the model's output is not finite")
            found[names[index]] = vectors if per == "residue" else vectors.mean(dim=0)
    return {name: found[name] for name in names}


def write_embeddings(
    path: Path, embeddings: Mapping[str, Tensor], *, proteins: Mapping[str, str], metadata: Mapping[str, str]
) -> None:
    """Write embeddings as safetensors (one tensor a protein, by name) or Parquet (one row a vector), by the suffix.

    Parquet columns: protein, embedding; where there is a vector for each residue also position (1-based) and residue.

    Args:
        path: ends in .safetensors or .parquet.
        embeddings: (D,) or (L, D) by name.
        proteins: sequences by name.
        metadata: what the file says about itself.
    """
    target = output_file(path)
    if path.suffix == ".safetensors":
        with atomic_path(target) as temporary:
            save_file(dict(embeddings), temporary, metadata=dict(metadata))
        return
    with atomic_stream(target) as stream:
        tables = _tables(embeddings, proteins)
        first = next(tables)
        schema = first.schema.with_metadata({**metadata, "positions": "1-based"})
        with pq.ParquetWriter(stream, schema) as writer:
            for table in (first, *tables):
                writer.write_table(table.cast(schema))


def _tables(embeddings: Mapping[str, Tensor], proteins: Mapping[str, str]) -> Iterator[pa.Table]:
    """A table for each protein."""
    for name, vectors in embeddings.items():
        rows = vectors.reshape(-1, vectors.shape[-1])
        columns = {"protein": pa.array([name] * len(rows))}
        if vectors.ndim == 2:
            columns["position"] = pa.array(range(1, len(rows) + 1), pa.int32())
            columns["residue"] = pa.array(list(proteins[name]))
        flat = pa.array(rows.flatten().numpy())
        columns["embedding"] = pa.FixedSizeListArray.from_arrays(flat, rows.shape[1])
        yield pa.table(columns)
