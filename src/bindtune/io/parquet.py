"""Parquet tables that a run left, read whole."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bindtune.errors import InputError, library_text
from bindtune.wrong_files import refuse_wrong_file


def read_parquet(path: Path) -> pa.Table:
    """Read a table, and check what Arrow itself takes on trust: that texts are UTF-8 and offsets lie in their column.

    Raises:
        InputError: the file is missing or damaged.
    """
    refuse_wrong_file(path)
    try:
        with path.open("rb") as stream, pq.ParquetFile(stream) as file:
            table = file.read()
        table.validate(full=True)
        _ = table.schema.names  # decoded here
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise InputError(path, None, f"is not a readable Parquet file: {library_text(error)}") from error
    return table
