"""Out-of-fold tables as columns: by ion, from the highest probability down, in few bytes."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bindtune.runs import parquet
from bindtune.runs.out_of_fold import read_out_of_fold

ROWS = [
    # protein, position, residue, ion, label, probability, fold
    ("b", 1, "H", "ZN", 1, 0.25, 1),
    ("b", 2, "C", "ZN", 0, 0.75, 1),
    ("b", 1, "H", "CA", 0, 0.5, 1),
    ("a", 1, "D", "ZN", 0, 0.5, 2),
    ("a", 40_000, "E", "CA", 1, 0.875, 2),
]
NAMES = ("protein", "position", "residue", "ion", "label", "probability", "fold")


def write(path: Path, rows: list[tuple[object, ...]]) -> None:
    path.parent.mkdir(exist_ok=True)
    columns = dict(zip(NAMES, map(list, zip(*rows, strict=True)), strict=True))
    pq.write_table(pa.table(columns), path, row_group_size=2)


@pytest.mark.parametrize("batch_rows", [1, 2, 1000])
@pytest.mark.parametrize("parts", [1, 2])
def test_rows_come_by_ion_and_falling_probability(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_rows: int, parts: int
) -> None:
    monkeypatch.setattr(parquet, "_BATCH", batch_rows)
    if parts == 1:
        write(tmp_path / "oof.parquet", ROWS)
    else:
        write(tmp_path / "fold_1/oof.parquet", ROWS[:3])
        write(tmp_path / "fold_2/oof.parquet", ROWS[3:])
    table = read_out_of_fold(tmp_path)
    assert table is not None
    assert (table.proteins, table.ions, table.residues) == (("b", "a"), ("ZN", "CA"), ("H", "C", "D", "E"))
    residues = [
        (table.proteins[p], position, table.residues[r], table.ions[i], label, probability, fold)
        for p, position, r, i, label, probability, fold in zip(
            *(getattr(table, name).tolist() for name in NAMES), strict=True
        )
    ]
    assert residues == [ROWS[1], ROWS[3], ROWS[0], ROWS[4], ROWS[2]]
    zinc = table.of("ZN")
    assert np.shares_memory(zinc.probability, table.probability)
    assert (len(zinc), zinc.count_proteins(), zinc.fold_numbers()) == (3, 2, [1, 2])
    assert zinc.of_protein(0).position.tolist() == [1, 2]
    assert "".join(zinc.letters().astype(str)) == "CDH"
    assert len(table.of("MG")) == 0
    assert table.label.itemsize == table.ion.itemsize == 1


def test_a_table_without_rows_is_read(tmp_path: Path) -> None:
    write(tmp_path / "oof.parquet", ROWS)
    pq.write_table(pq.read_table(tmp_path / "oof.parquet").slice(0, 0), tmp_path / "oof.parquet")
    table = read_out_of_fold(tmp_path)
    assert table is not None
    assert len(table) == 0
    assert table.fold_numbers() == []
