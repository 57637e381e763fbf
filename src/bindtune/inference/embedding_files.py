"""Files of vectors: safetensors with one tensor for each sequence, or Parquet with one row for each vector."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from bindtune.outputs import output_file
from bindtune.runs.writing import atomic_path, atomic_stream

Floats = NDArray[np.float32]
_ROW_GROUP_VALUES = 1 << 24
"""Numbers that are held before they are written."""
SPANS = "/spans"
"""How the name of the tensor ends that says where tokens stand."""


class EmbeddingFile(Protocol):
    """A file of vectors that is being written."""

    def add(self, name: str, vectors: Floats, columns: Mapping[str, Sequence[Any] | NDArray[Any]]) -> None:
        """Add the vectors of a sequence.

        Args:
            name: of the sequence.
            vectors: (D,), or (R, D).
            columns: what a table says of each of the R vectors, by column.
        """


@contextmanager
def embedding_file(path: Path, *, named: str, metadata: Mapping[str, str]) -> Iterator[EmbeddingFile]:
    """Open a file for vectors, which is in its place when the block ends.

    Safetensors files are held in memory until then; Parquet is written on the way.

    Args:
        path: ends in .safetensors or .parquet.
        named: the column of names: "protein" or "sequence".
        metadata: what the file says about itself.
    """
    target = output_file(path)
    if path.suffix == ".safetensors":
        tensors = _Tensors()
        yield tensors
        with atomic_path(target) as temporary:
            save_file(tensors.tensors, temporary, metadata=dict(metadata))
        return
    with atomic_stream(target) as stream:
        table = _Table(stream, named=named, metadata=metadata)
        yield table
        table.close()


class _Tensors:
    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}

    def add(self, name: str, vectors: Floats, columns: Mapping[str, Sequence[Any] | NDArray[Any]]) -> None:
        self.tensors[name] = torch.from_numpy(vectors)
        if "start" in columns:
            spans = np.stack([np.asarray(columns["start"]), np.asarray(columns["end"])], axis=1)
            self.tensors[name + SPANS] = torch.from_numpy(spans.astype(np.int64))


class _Table:
    def __init__(self, stream: Any, *, named: str, metadata: Mapping[str, str]) -> None:
        self._stream, self._named, self._metadata = stream, named, dict(metadata)
        self._waiting: list[pa.Table] = []
        self._values = 0
        self._writer: pq.ParquetWriter | None = None

    def add(self, name: str, vectors: Floats, columns: Mapping[str, Sequence[Any] | NDArray[Any]]) -> None:
        rows = vectors.reshape(-1, vectors.shape[-1])
        flat = pa.array(np.ascontiguousarray(rows).reshape(-1))
        self._waiting.append(
            pa.table(
                {
                    self._named: pa.array([name] * len(rows), pa.string()),
                    **{key: pa.array(values) for key, values in columns.items()},
                    "embedding": pa.FixedSizeListArray.from_arrays(flat, rows.shape[1]),
                }
            )
        )
        self._values += rows.size
        if self._values >= _ROW_GROUP_VALUES:
            self._write()

    def _write(self) -> None:
        if not self._waiting:
            return
        table = pa.concat_tables(self._waiting)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._stream, table.schema.with_metadata(self._metadata))
        self._writer.write_table(table.cast(self._writer.schema))
        self._waiting, self._values = [], 0

    def close(self) -> None:
        """Write what is left."""
        self._write()
        if self._writer is not None:
            self._writer.close()
