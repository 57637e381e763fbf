"""The table of `bindtune scan`: a Parquet part for some variants, joined at the end, and the same as text."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bindtune.errors import InputError
from bindtune.runs.cells import tsv_name
from bindtune.runs.parquet import read_parquet, read_row_groups
from bindtune.runs.writing import atomic_path, atomic_stream

SCAN_SCHEMA = pa.schema(
    [
        ("protein", pa.string()),
        ("position", pa.int32()),  # this and the next two are empty where a variant has several substitutions
        ("residue", pa.string()),
        ("mutant", pa.string()),
        ("ion", pa.string()),
        ("site_position", pa.int32()),
        ("probability_wildtype", pa.float32()),
        ("probability_mutant", pa.float32()),
        ("change", pa.float32()),
        ("variant", pa.string()),
    ]
)
_COLUMNS = tuple(SCAN_SCHEMA.names)


def write_scan_part(path: Path, columns: dict[str, Any]) -> None:
    """Write the rows of some variants.

    Args:
        path: Parquet file.
        columns: equally many values of each column of `SCAN_SCHEMA`.
    """
    with atomic_stream(path) as stream:
        pq.write_table(pa.table(columns, schema=SCAN_SCHEMA), stream)


def join_scan(parts: Iterable[Path], path: Path) -> None:
    """Write one table of the parts, in order; a part is held at a time."""
    with ExitStack() as files:
        table = files.enter_context(atomic_stream(path))
        writer = files.enter_context(pq.ParquetWriter(table, SCAN_SCHEMA))
        for part in parts:
            writer.write_table(_checked(read_parquet(part), part))


def read_scan(path: Path) -> Iterator[pa.Table]:
    """The rows of a joined table, those of a part at a time.

    Raises:
        InputError: the file is missing, damaged or of another kind.
    """
    for rows in read_row_groups(path, "no table of a scan"):
        yield _checked(rows, path)


def write_scan_tsv(path: Path, text: Path) -> None:
    """Write the joined table as text, with numbers as they are read back."""
    with atomic_path(text) as temporary, temporary.open("w", encoding="utf-8") as stream:
        stream.write("\t".join(_COLUMNS) + "\n")
        for rows in read_scan(path):
            for batch in rows.to_batches(max_chunksize=10_000):
                cells = [batch.column(name).cast(pa.string()).to_pylist() for name in _COLUMNS]
                for row in zip(*cells, strict=True):
                    stream.write(
                        "\t".join([tsv_name(row[0]), *("" if cell is None else cell for cell in row[1:])]) + "\n"
                    )


def _checked(rows: pa.Table, path: Path) -> pa.Table:
    if rows.schema.names != list(_COLUMNS) or rows.schema.types != SCAN_SCHEMA.types:
        raise InputError(path, None, f"no table of a scan: expected the columns {', '.join(_COLUMNS)}")
    needed = [name for name in _COLUMNS if name not in ("position", "residue", "mutant") and rows[name].null_count]
    if needed:
        raise InputError(path, None, f"no table of a scan: empty fields in {', '.join(needed)}")
    return rows
