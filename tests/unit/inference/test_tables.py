"""Parts, the joined table, and what is written from it."""

import csv
import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from bindtune.errors import InputError
from bindtune.inference.embedding_files import embedding_file
from bindtune.inference.ensemble_scores import NamedSequence, Scores
from bindtune.inference.tables import join_parts, write_part, write_texts
from bindtune.runs.parquet import read_parquet
from bindtune.runs.prediction_table import read_predictions

PROTEINS = [NamedSequence("a", "MKC"), NamedSequence('b"x', "H")]
MEAN = np.array([[0.1, 0.9], [0.5, 0.25], [0.75, 0.5], [1e-7, 1.0]])


def write(folder: Path) -> list[Path]:
    scores = Scores(MEAN, MEAN / 2)
    options = {"ions": ["ZN", "MN"], "thresholds": {"ZN": 0.5}, "about": {"ions": "ZN,MN"}}
    write_part(folder / "1.parquet", PROTEINS, scores, **options)  # type: ignore[arg-type]
    alone = Scores(MEAN[:3] / 2, MEAN[:3])
    write_part(folder / "2.parquet", [NamedSequence("c", "GGG")], alone, **options)  # type: ignore[arg-type]
    return [folder / "1.parquet", folder / "2.parquet"]


def test_rows_run_by_protein_ion_and_position(tmp_path: Path) -> None:
    join_parts(write(tmp_path), tmp_path)
    counts = write_texts(tmp_path, ions=["ZN", "MN"], tsv=True, called=["ZN"])
    with (tmp_path / "predictions.tsv").open(newline="") as text:
        lines = list(csv.reader(text, "excel-tab"))
    assert lines[0] == ["protein", "position", "residue", "ion", "probability", "spread", "call"]
    assert lines[1:9] == [
        ["a", "1", "M", "ZN", "0.1", "0.05", "0"],
        ["a", "2", "K", "ZN", "0.5", "0.25", "1"],
        ["a", "3", "C", "ZN", "0.75", "0.375", "1"],
        ["a", "1", "M", "MN", "0.9", "0.45", ""],
        ["a", "2", "K", "MN", "0.25", "0.125", ""],
        ["a", "3", "C", "MN", "0.5", "0.25", ""],
        ['b"x', "1", "H", "ZN", "1e-7", "5e-8", "0"],
        ['b"x', "1", "H", "MN", "1", "0.5", ""],
    ]
    table = pq.read_table(tmp_path / "predictions.parquet")
    assert table.schema.metadata[b"position"] == b"1-based"
    rows = [tuple(row.values()) for row in table.to_pylist()]
    assert [(row[0], str(row[1]), row[2], row[3]) for row in rows] == [tuple(line[:4]) for line in lines[1:]]
    np.testing.assert_array_equal([row[4] for row in rows], np.array([line[4] for line in lines[1:]], np.float32))
    assert [row[6] for row in rows][:6] == [0, 1, 1, None, None, None]
    assert (counts.proteins, counts.residues) == (3, 7)
    assert (counts.called_residues, counts.called_proteins) == ({"ZN": 2}, {"ZN": 1})
    assert (tmp_path / "calls_ZN.fa").read_text() == '>a\nMKC\n011\n>b"x\nH\n0\n>c\nGGG\n000\n'
    assert not (tmp_path / "calls_MN.fa").exists()


def test_no_name_is_a_formula_in_the_table(tmp_path: Path) -> None:
    proteins = [NamedSequence(name, "M") for name in ("=1+1", "-2", "@x", "+3", "a")]
    scores = Scores(np.full((5, 1), 0.5), np.zeros((5, 1)))
    write_part(tmp_path / "1.parquet", proteins, scores, ions=["ZN"], thresholds={}, about={})
    join_parts([tmp_path / "1.parquet"], tmp_path)
    write_texts(tmp_path, ions=["ZN"], tsv=True, called=[])
    cells = [line.split("\t")[0] for line in (tmp_path / "predictions.tsv").read_text().splitlines()[1:]]
    assert cells == ["'=1+1", "'-2", "'@x", "'+3", "a"]
    assert [each.protein for each in read_predictions(tmp_path / "predictions.parquet")] == [
        "=1+1",
        "-2",
        "@x",
        "+3",
        "a",
    ]


def test_predictions_are_read_back_by_protein(tmp_path: Path) -> None:
    join_parts(write(tmp_path), tmp_path)
    write_texts(tmp_path, ions=["ZN", "MN"], tsv=False, called=["ZN"])
    assert not (tmp_path / "predictions.tsv").exists()
    predictions = list(read_predictions(tmp_path / "predictions.parquet"))
    assert [(each.protein, each.sequence, each.ion) for each in predictions] == [
        ("a", "MKC", "ZN"), ("a", "MKC", "MN"), ('b"x', "H", "ZN"), ('b"x', "H", "MN"), ("c", "GGG", "ZN"),
        ("c", "GGG", "MN"),
    ]  # fmt: skip
    np.testing.assert_allclose(predictions[1].probability, [0.9, 0.25, 0.5])
    assert predictions[0].call is not None and predictions[0].call.tolist() == [0, 1, 1]
    assert predictions[1].call is None


def test_names_that_are_not_utf8_reach_arrow(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"\xfc")
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this disk takes names in UTF-8 alone")
    join_parts(write(folder), folder)
    assert [each.sequence for each in read_predictions(folder / "predictions.parquet")][::2] == ["MKC", "H", "GGG"]
    with embedding_file(folder / "e.parquet", named="protein", metadata={}) as file:
        file.add("a", np.ones(1, np.float32), {})
    assert read_parquet(folder / "e.parquet").to_pylist() == [{"protein": "a", "embedding": [1.0]}]


def test_a_table_that_is_cut_short(tmp_path: Path) -> None:
    path = write(tmp_path)[0]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="no table of predictions"):
        list(read_predictions(path))
    path.rename(tmp_path / "predictions.parquet")
    with pytest.raises(InputError, match="no table of predictions"):
        write_texts(tmp_path, ions=["ZN", "MN"], tsv=True, called=["ZN"])
    assert not (tmp_path / "predictions.tsv").exists()
