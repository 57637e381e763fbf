"""When a fold stops, and which tables are read."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bindtune.errors import InputError
from bindtune.training.binding.fold_files import FoldState, read_out_of_fold


@pytest.mark.parametrize(
    ("epoch", "best", "patience", "expected"),
    [(9, 2, 7, True), (8, 2, 7, False), (9, 2, 0, False), (3, 1, 2, False), (4, 1, 2, True)],
)
def test_a_fold_stops_after_the_warm_up_and_enough_epochs(epoch: int, best: int, patience: int, expected: bool) -> None:
    assert FoldState(epoch=epoch, best_epoch=best).is_stale(warmup=3, patience=patience) == expected


def test_a_table_with_another_type_is_refused_with_both_types(tmp_path: Path) -> None:
    pq.write_table(pa.table({"protein": ["a"], "position": pa.array([1], pa.int64())}), tmp_path / "oof.parquet")
    with pytest.raises(InputError, match=r"position \(int32\), .*, found protein \(string\), position \(int64\)$"):
        read_out_of_fold(tmp_path / "oof.parquet")
