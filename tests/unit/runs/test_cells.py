"""Names in tables: no spreadsheet runs one, and each is read back as it was."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bindtune.runs.cells import name_cell, read_cell, tsv_name

FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1", "\uff0b1", "\uff0d1", "\uff201")
names = st.text(st.sampled_from("'=+-@\t\r\n\uff1d\"ab1, ") | st.characters(), max_size=8)


@pytest.mark.parametrize("name", [*FORMULAS, '=cmd|" /C calc"!A0', "''=1"])
def test_what_begins_like_a_formula_gets_an_apostrophe(name: str) -> None:
    assert name_cell(name) == f"'{name}"


@pytest.mark.parametrize("name", ["P00918", "sp|P00918|CAH2_HUMAN", "a=b", "'tis", "", "5", "a-1"])
def test_other_names_stay(name: str) -> None:
    assert name_cell(name) == tsv_name(name) == read_cell(name) == name


@given(name=names)
def test_a_name_is_read_back(name: str) -> None:
    assert read_cell(name_cell(name)) == name


@given(name=names)
def test_no_cell_is_a_formula(name: str) -> None:
    assert not name_cell(name).startswith(tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"))


@given(names=st.lists(names, min_size=2, max_size=3))
def test_cells_between_tabs_are_read_by_others(names: list[str]) -> None:
    # newline="" as the csv module asks for.
    text = io.StringIO("\t".join(map(tsv_name, names)) + "\n", newline="")
    (row,) = csv.reader(text, "excel-tab") if any(names) else [names]
    assert [read_cell(cell) for cell in row] == names
