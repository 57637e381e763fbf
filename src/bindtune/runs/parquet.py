"""Read Parquet tables within bounds, because a small file can hold any number of rows, or the same text in each.

A table of a run has a probability or a loss in each row, which no encoding packs into less than some bytes. So what is
unpacked is compared with the size of the file.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bindtune.errors import InputError, library_text
from bindtune.wrong_files import refuse_wrong_file

_BYTES_A_BYTE = 64  # unpacked; tables of runs have 5 to 20
_ALWAYS = 1 << 26  # bytes that any file may unpack to
_BATCH = 1 << 16
_MOST_IN_LISTS = 1 << 20  # values, beside two for each byte of the file


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a table, and check what Arrow itself takes on trust: that texts are UTF-8 and offsets lie in their column.

    Args:
        path: the file.
        columns: those to read, as far as they are there; all of them by default.

    Raises:
        InputError: the file is missing or damaged, or unpacks to far more than its size.
    """
    refuse_wrong_file(path)
    try:
        with path.open("rb") as stream, _opened(stream, path) as file:
            return _unpacked(file, path, list(range(file.num_row_groups)), columns)
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise InputError(path, None, f"is not a readable Parquet file: {library_text(error)}") from error


def read_row_groups(path: Path, what: str) -> Iterator[pa.Table]:
    """Read a table, one row group at a time, with the checks of `read_parquet`.

    Args:
        path: the file.
        what: begins the message about a damaged file, such as "no table of predictions".

    Raises:
        InputError: the file is missing or damaged, or unpacks to far more than its size.
    """
    refuse_wrong_file(path)
    try:
        with path.open("rb") as stream, _opened(stream, path) as file:
            for group in range(file.num_row_groups):
                yield _unpacked(file, path, [group], None)
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise InputError(path, None, f"{what}: {library_text(error)}") from error


def read_batches(path: Path, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Read a table as `read_parquet` does, some rows at a time, with texts as dictionaries.

    The first batch has no rows, so that there is one.

    Args:
        path: the file.
        columns: those to read, as far as they are there.

    Raises:
        InputError: the file is missing or damaged, or unpacks to far more than its size.
    """
    refuse_wrong_file(path)
    try:
        with path.open("rb") as stream, _opened(stream, path) as file:
            schema = file.schema_arrow
            yield pa.schema([schema.field(name) for name in _present(file, columns)]).empty_table()
            for batch in _bounded(file, path, list(range(file.num_row_groups)), columns):
                table = pa.Table.from_batches([batch])
                table.validate(full=True)
                yield table
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise InputError(path, None, f"is not a readable Parquet file: {library_text(error)}") from error


def count_rows(path: Path, columns: Sequence[str]) -> int:
    """How many rows `read_batches` gives.

    Raises:
        InputError: the file is missing or damaged, or has more rows than it can hold.
    """
    refuse_wrong_file(path)
    try:
        with path.open("rb") as stream, _opened(stream, path) as file:
            _most_bytes(file, path, list(range(file.num_row_groups)), columns)
            return int(file.metadata.num_rows)
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise InputError(path, None, f"is not a readable Parquet file: {library_text(error)}") from error


def small_batches(stream: IO[bytes], path: Path, *, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
    """Read some columns of a table of any size, some rows at a time, each of which has a bounded size.

    Args:
        stream: the file, from its start.
        path: the file, for messages.
        columns: those to read, as far as they are there.
        rows: of a batch.

    Raises:
        InputError: rows are far larger than those of any table.
    """
    with _opened(stream, path) as file:
        for batch in file.iter_batches(batch_size=rows, columns=_present(file, columns)):
            if _unpacked_size(batch) > _ALWAYS:
                raise InputError(path, None, f"cannot be read: {rows} rows have more than {_ALWAYS:,} bytes")
            yield batch


def _opened(stream: IO[bytes], path: Path) -> pq.ParquetFile:
    """A table whose texts stay as they are packed: each once, with numbers that say where it stands.

    Raises:
        InputError: its own description says that more values stand in lists than the file can hold.
    """
    plain = pq.ParquetFile(stream)
    metadata, schema = plain.metadata, plain.schema_arrow
    texts = [field.name for field in schema if _is_text(field.type)]
    listed = _count_listed(metadata)
    size = stream.seek(0, 2)
    if listed > _MOST_IN_LISTS + 2 * size:
        raise InputError(path, None, f"cannot be read: {size:,} bytes that hold {listed:,} values in lists")
    # Without a buffer, which would hold the whole file.
    return pq.ParquetFile(stream, metadata=metadata, read_dictionary=texts, pre_buffer=False)


def _count_listed(metadata: pq.FileMetaData) -> int:
    """The values in lists of the column that has most of them, beside one for each row."""
    counts = [
        sum(metadata.row_group(group).column(column).num_values for group in range(metadata.num_row_groups))
        for column in range(metadata.num_columns)
    ]
    return int(max(counts, default=0) - metadata.num_rows)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _present(file: pq.ParquetFile, columns: Sequence[str] | None) -> list[str]:
    names: list[str] = file.schema_arrow.names
    return [name for name in names if columns is None or name in columns]


def _unpacked(file: pq.ParquetFile, path: Path, groups: list[int], columns: Sequence[str] | None) -> pa.Table:
    names = _present(file, columns)
    fields = [field for field in file.schema_arrow if field.name in names]
    schema = pa.schema([_plain(field) for field in fields], metadata=file.schema_arrow.metadata)
    batches = [
        pa.RecordBatch.from_arrays([_decoded(column) for column in batch.columns], schema=schema)
        for batch in _bounded(file, path, groups, columns)
    ]
    table = pa.Table.from_batches(batches, schema=schema)
    table.validate(full=True)
    return table


def _bounded(
    file: pq.ParquetFile, path: Path, groups: list[int], columns: Sequence[str] | None
) -> Iterator[pa.RecordBatch]:
    """Some rows at a time, as long as all of them together are not far larger than the file.

    Raises:
        InputError: they are.
    """
    most, names = _most_bytes(file, path, groups, columns), _present(file, columns)
    size = path.stat().st_size
    count = 0
    for batch in file.iter_batches(batch_size=_BATCH, row_groups=groups, columns=names) if names else ():
        count += _unpacked_size(batch)
        if count > most:
            raise InputError(path, None, f"cannot be read: {size:,} bytes that unpack to more than {most:,}")
        yield batch


def _most_bytes(file: pq.ParquetFile, path: Path, groups: list[int], columns: Sequence[str] | None) -> int:
    """Bytes that some row groups may unpack to.

    Raises:
        InputError: they say themselves that they have more.
    """
    size = path.stat().st_size
    most = _ALWAYS + _BYTES_A_BYTE * size
    names = _present(file, columns)
    fields = [field for field in file.schema_arrow if field.name in names]
    rows = sum(file.metadata.row_group(group).num_rows for group in groups)
    stored = sum(file.metadata.row_group(group).total_byte_size for group in groups)
    if rows * max(1, sum(map(_least_width, fields))) > most or stored > most:
        raise InputError(path, None, f"cannot be read: {size:,} bytes that hold {rows:,} rows")
    return most


def _least_width(field: pa.Field) -> int:
    """Bytes that a value takes at least."""
    try:
        return max(1, int(field.type.bit_width) // 8)
    except ValueError:  # texts and lists have an offset
        return 4


def _unpacked_size(batch: pa.RecordBatch) -> int:
    """Bytes of a batch with each text written out."""
    size = 0
    for column in batch.columns:
        size += column.nbytes
        if pa.types.is_dictionary(column.type) and _is_text(column.type.value_type):
            size += pc.sum(pc.binary_length(column.dictionary).take(column.indices)).as_py() or 0
    return size


def _plain(field: pa.Field) -> pa.Field:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    return pa.field(field.name, kind, field.nullable, field.metadata)


def _decoded(column: pa.Array) -> pa.Array:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
