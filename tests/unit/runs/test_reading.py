"""What a run left is read as it is; what is damaged is named."""

import math
from pathlib import Path

import pytest

from bindtune.errors import InputError
from bindtune.reports.run_settings import flatten
from bindtune.runs.reading import as_number, read_csv, read_json, read_yaml


def test_missing_files_are_none(tmp_path: Path) -> None:
    assert read_json(tmp_path / "a.json") is None
    assert read_yaml(tmp_path / "a.yaml") is None
    assert read_csv(tmp_path / "a.csv", ("x",)) is None


def test_values_come_back(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": 1}')
    (tmp_path / "a.csv").write_text('x,y\n1,"a,b"\n2,\n')
    assert read_json(tmp_path / "a.json") == {"a": 1}
    assert read_csv(tmp_path / "a.csv", ("x",)) == [{"x": "1", "y": "a,b"}, {"x": "2", "y": ""}]


@pytest.mark.parametrize(
    ("text", "message"),
    [("x,y\n1\n", "a.csv:2: has not 2 fields"), ("x,y\n1,2,3\n", "a.csv:2: has not 2 fields"), ("y\n1\n", "lacks x"),
     ("", "lacks x"), ('x\n"1\n', "is not CSV")],
)  # fmt: skip
def test_damaged_tables_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_csv(tmp_path / "a.csv", ("x",))


def test_other_bytes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="cannot be read"):
        read_json(tmp_path / "a.json")


def test_numbers() -> None:
    assert as_number("0.5") == 0.5
    assert all(math.isnan(as_number(value)) for value in ("", None, "inf", "nan", {}, "x", 10**400))


def test_settings_are_flattened() -> None:
    values = {"a": {"b": 1, "c": {"d": True}}, "e": [1, None], "f": {}, "g": None}
    assert flatten(values) == [("a.b", "1"), ("a.c.d", "on"), ("e", "1, \u2013"), ("f", "\u2013"), ("g", "\u2013")]
