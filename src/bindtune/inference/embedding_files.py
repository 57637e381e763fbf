"""Files of vectors: safetensors with one tensor for each sequence, or Parquet with one row for each vector.

Vectors are written while they are computed, so that memory does not grow with their number.
"""

import json
import shutil
import struct
import tempfile
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Literal, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bindtune.errors import ConfigError
from bindtune.outputs import output_file
from bindtune.runs.writing import atomic_stream, make_folder

Floats = NDArray[np.float32]
_ROW_GROUP_VALUES = 1 << 24
"""Numbers in memory before they are written."""
_ROW_GROUP_SEQUENCES = 8192
"""Sequences that are held before they are written. A small table takes about 5 KB more than its numbers."""
SPANS = "/spans"
"""End of the name of the tensor with the positions of tokens."""
_LONGEST_HEADER = 100_000_000
"""Most bytes of a safetensors header that the library reads."""
_MOST_OFFSETS = 36
"""Bytes of two offsets in the header, with their brackets and a comma."""
_TYPES = {"I64": "<i8", "F32": "<f4"}
"""By name in safetensors; wider numbers first, so that each tensor begins where its type may."""


class EmbeddingFile(Protocol):
    """A file of vectors that is being written."""

    def add(self, name: str, vectors: Floats, columns: Mapping[str, Sequence[Any] | NDArray[Any]]) -> None:
        """Add the vectors of a sequence.

        Args:
            name: of the sequence.
            vectors: (D,), or (R, D).
            columns: values of a table for each of the R vectors, by column.
        """


@contextmanager
def embedding_file(path: Path, *, named: str, metadata: Mapping[str, str]) -> Iterator[EmbeddingFile]:
    """Open a file for vectors. It gets its name when the block ends.

    The header of a safetensors file comes first, so its numbers are written into a temporary file before.

    Args:
        path: ends in .safetensors or .parquet.
        named: the column of names: "protein" or "sequence".
        metadata: what the file says about itself.

    Raises:
        ConfigError: a safetensors file gets more tensors than its header has room for.
    """
    target = output_file(path)
    make_folder(target.parent)
    with ExitStack() as stack:
        if path.suffix == ".safetensors":
            waiting = {kind: stack.enter_context(tempfile.TemporaryFile(dir=target.parent)) for kind in _TYPES}
            tensors = _Tensors(target, waiting, metadata)
            yield tensors
            with atomic_stream(target) as stream:
                tensors.write(stream)
            return
        stream = stack.enter_context(atomic_stream(target))
        table = _Table(stream, named=named, metadata=metadata)
        yield table
        table.close()


class _Tensors:
    """Safetensors (https://github.com/huggingface/safetensors). Its library only writes tensors in memory."""

    def __init__(self, path: Path, waiting: Mapping[str, IO[bytes]], metadata: Mapping[str, str]) -> None:
        self._path, self._waiting = path, waiting
        self._entries: dict[str, list[bytes]] = {kind: [] for kind in waiting}
        self._ends = {kind: array("q", [0]) for kind in waiting}
        self._about = f'{{"__metadata__":{json.dumps(dict(metadata))}'.encode()
        self._header = len(self._about)

    def add(self, name: str, vectors: Floats, columns: Mapping[str, Sequence[Any] | NDArray[Any]]) -> None:
        self._put("F32", name, vectors)
        if "start" in columns:
            self._put("I64", name + SPANS, np.stack([columns["start"], columns["end"]], axis=1))

    def _put(self, kind: Literal["I64", "F32"], name: str, values: NDArray[Any]) -> None:
        content = values.astype(_TYPES[kind]).tobytes()
        entry = f'{json.dumps(name)}:{{"dtype":"{kind}","shape":{list(values.shape)},"data_offsets":'.encode()
        self._header += len(entry) + _MOST_OFFSETS
        if self._header > _LONGEST_HEADER:
            count = sum(map(len, self._entries.values()))
            raise ConfigError(
                f"{self._path}: safetensors has no room for more than {count:,} tensors with such names: choose a name "
                "that ends in .parquet"
            )
        self._entries[kind].append(entry)
        self._waiting[kind].write(content)
        self._ends[kind].append(self._ends[kind][-1] + len(content))

    def write(self, stream: IO[bytes]) -> None:
        """Write the header and then the numbers."""
        header, first = [self._about], 0
        for kind, entries in self._entries.items():
            ends = self._ends[kind]
            header += [b"%b[%d,%d]}" % (entry, first + start, first + end)
                       for entry, start, end in zip(entries, ends, ends[1:], strict=False)]  # fmt: skip
            first += ends[-1]
        content = b",".join(header) + b"}"
        content += b" " * (-len(content) % 8)  # the format's way to let the numbers begin at a multiple of 8
        stream.write(struct.pack("<Q", len(content)))
        stream.write(content)
        for waiting in self._waiting.values():
            waiting.seek(0)
            shutil.copyfileobj(waiting, stream)


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
        if self._values >= _ROW_GROUP_VALUES or len(self._waiting) >= _ROW_GROUP_SEQUENCES:
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
        """Write the remaining vectors."""
        self._write()
        if self._writer is not None:
            self._writer.close()
