"""Parquet: tables of runs are read as they are, and small files that unpack to huge ones are refused at once."""

import io
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bindtune.errors import InputError
from bindtune.io.records import read_windows
from bindtune.runs.out_of_fold import read_out_of_fold, read_table
from bindtune.runs.parquet import read_parquet, read_row_groups
from bindtune.runs.prediction_table import read_predictions


def _out_of_fold(rows: int, **columns: Any) -> pa.Table:
    content: dict[str, Any] = {
        "protein": ["a"] * rows,
        "position": np.arange(1, rows + 1, dtype=np.int32),
        "residue": ["M"] * rows,
        "ion": ["ZN"] * rows,
        "label": np.zeros(rows, np.int8),
        "probability": np.random.default_rng(1).random(rows, np.float32),
        "fold": np.ones(rows, np.int16),
    }
    return pa.table(content | columns)


def _repeated(rows: int, *, copies: int, **columns: Any) -> bytes:
    """A table in which the same rows stand again and again, one row group each."""
    sink = io.BytesIO()
    table = _out_of_fold(rows, **columns)
    with pq.ParquetWriter(sink, table.schema, compression="zstd") as writer:
        for _ in range(copies):
            writer.write_table(table, row_group_size=rows)
    return sink.getvalue()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    table = _out_of_fold(200_000).append_column("more", pa.array([[1, 2], []] * 100_000))
    pq.write_table(table, path, row_group_size=70_000)
    assert read_parquet(path).equals(table)
    assert read_parquet(path, ("ion", "fold", "none")).equals(table.select(["ion", "fold"]))
    assert [len(rows) for rows in read_row_groups(path, "x")] == [70_000, 70_000, 60_000]
    empty = _out_of_fold(0)
    pq.write_table(empty, path)
    assert read_parquet(path).equals(empty)


def test_rows_beyond_what_a_file_can_hold_are_refused_before_they_are_read(run: Path) -> None:
    rows = 1_000_000
    constant = {"position": np.ones(rows, np.int32), "probability": np.zeros(rows, np.float32)}
    content = _repeated(rows, copies=20, **constant)
    assert len(content) < 1_000_000
    (run / "oof.parquet").write_bytes(content)
    began, before = time.monotonic(), pa.total_allocated_bytes()
    for read in (lambda: read_table(run / "oof.parquet"), lambda: read_out_of_fold(run)):
        with pytest.raises(InputError, match=r"oof.parquet: cannot be read: [\d,]+ bytes that hold 20,000,000 rows"):
            read()
    assert time.monotonic() - began < 5
    assert pa.total_allocated_bytes() - before < 1e6


def test_one_long_text_in_every_row_is_refused(run: Path) -> None:
    (run / "oof.parquet").write_bytes(_repeated(30_000, copies=1, protein=["A" * 10_000] * 30_000))
    assert (run / "oof.parquet").stat().st_size < 2e6
    with pytest.raises(InputError, match=r"oof.parquet: cannot be read: [\d,]+ bytes that unpack to more than"):
        read_table(run / "oof.parquet")


def test_an_id_of_10_000_letters_is_read(run: Path) -> None:
    pq.write_table(_out_of_fold(3000, protein=["A" * 10_000] * 3000), run / "oof.parquet")
    assert len(read_table(run / "oof.parquet")) == 3000


@pytest.mark.parametrize(
    ("column", "value"), [("position", 0), ("position", -1), ("position", 2**40), ("fold", -1), ("fold", 2**40)]
)
def test_positions_and_folds_that_cannot_be_are_refused(run: Path, column: str, value: int) -> None:
    numbers = np.ones(3, np.int64)
    numbers[1] = value
    pq.write_table(_out_of_fold(3, **{column: numbers}), run / "oof.parquet")
    with pytest.raises(
        InputError, match=rf"oof.parquet: {column}: expected numbers from [01] to [\d,]+, found {value}$"
    ):
        read_out_of_fold(run)


def test_predictions_that_repeat_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "predictions.parquet"
    rows = 4_000_000
    path.write_bytes(
        _repeated(rows, copies=1, position=np.ones(rows, np.int32), probability=np.zeros(rows, np.float32))
    )
    with pytest.raises(InputError, match=r"predictions.parquet: cannot be read: [\d,]+ bytes that hold 4,000,000 rows"):
        list(read_predictions(path))


def test_windows_that_are_far_too_large_are_refused_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "w.parquet"
    kind = pa.list_(pa.struct([("peak_start", pa.int64()), ("peak_end", pa.int64())]))
    windows = {"seq_id": ["w"] * 1000, "sequence": ["ACGT" * 250_000] * 1000}
    pq.write_table(pa.table({**windows, "eclip_regions": pa.array([[]] * 1000, kind)}), path)
    assert path.stat().st_size < 2e6
    tracemalloc.start()
    with pytest.raises(InputError, match="cannot be read: 256 rows have more than"):
        list(read_windows(path))
    assert tracemalloc.get_traced_memory()[1] < 100e6
    tracemalloc.stop()
    offsets, zeros = np.array([0, 20_000_000], np.int32), pa.array(np.zeros(20_000_000, np.int64))
    listed = pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays([zeros, zeros], ["peak_start", "peak_end"]))
    pq.write_table(pa.table({"seq_id": ["w"], "sequence": ["ACGT"], "eclip_regions": listed}), path)
    with pytest.raises(InputError, match=r"cannot be read: [\d,]+ bytes that hold [\d,]+ values in lists"):
        list(read_windows(path))
