"""Proteins packed for a page come out as they went in, and calls at the run's threshold are exact."""

import base64
import math
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bindtune.reports import protein_browser as packing
from bindtune.reports.page import Page, ProteinBrowser, Section, render
from bindtune.reports.protein_browser import COARSE, FINE, UNKNOWN, level_edges, protein_browser
from bindtune.reports.protein_figures import average_precisions
from bindtune.runs.out_of_fold import OutOfFold

LETTERS = "ACDEFGHIKLMNPQRSTVWY"


def predictions(seed: int, lengths: list[int], *, unknown: float = 0.2) -> OutOfFold:
    """Rows of two ions, from the highest probability to the lowest; some residues have no label."""
    generator = np.random.default_rng(seed)
    columns: dict[str, list[Any]] = {
        name: [] for name in ("protein", "position", "residue", "ion", "label", "probability", "fold")
    }
    for protein, length in enumerate(lengths):
        letters = generator.integers(0, len(LETTERS), length)
        for ion in range(2):
            labelled = np.flatnonzero(generator.random(length) >= unknown)
            columns["protein"].append(np.full(len(labelled), protein))
            columns["position"].append(labelled + 1)
            columns["residue"].append(letters[labelled])
            columns["ion"].append(np.full(len(labelled), ion))
            columns["label"].append((generator.random(len(labelled)) < 0.2).astype(np.int8))
            columns["probability"].append(generator.random(len(labelled)).astype(np.float32))
            columns["fold"].append(np.full(len(labelled), 1 + protein % 3))
    whole = {name: np.concatenate(parts) for name, parts in columns.items()}
    order = np.lexsort((-whole["probability"], whole["ion"]))
    names = tuple(f"P{number}" for number in range(len(lengths)))
    return OutOfFold(names, ("ZN", "CA"), tuple(LETTERS), **{name: values[order] for name, values in whole.items()})


def packed(rows: OutOfFold, thresholds: dict[str, float]) -> ProteinBrowser:
    return protein_browser(rows, {ion: average_precisions(rows.of(ion)) for ion in rows.ions}, thresholds)


def unpacked(browser: ProteinBrowser, protein: int, ion: int) -> tuple[str, np.ndarray]:
    """Letters and bytes of a protein, as the page's script finds them."""
    data = browser.data
    chunk = max(index for index, first in enumerate(data["first"]) if first <= protein)
    end = data["first"][chunk + 1] if chunk + 1 < len(data["first"]) else data["shown"]
    raw = zlib.decompress(base64.b64decode(data["chunks"][chunk]))
    lengths = data["lengths"][data["first"][chunk] : end]
    total, before = sum(lengths), sum(lengths[: protein - data["first"][chunk]])
    parts = [raw[block * total + before :][: data["lengths"][protein]] for block in (0, 1 + ion)]
    return parts[0].decode(), np.frombuffer(parts[1], np.uint8)


@settings(deadline=None, max_examples=30)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    seed=st.integers(0, 99),
    threshold=st.floats(0, 1),
    coarse=st.booleans(),
)
def test_residues_come_out_as_they_went_in(lengths: list[int], seed: int, threshold: float, coarse: bool) -> None:
    rows = predictions(seed, lengths)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "_CHUNK", 50)
        patch.setattr(packing, "_MOST_FINE", 0 if coarse else 10**6)
        browser = packed(rows, {"ZN": threshold})
    levels = COARSE if coarse else FINE
    assert browser.with_residues == browser.rows == browser.proteins == len(lengths)
    for protein in range(len(lengths)):
        for number, ion in enumerate(rows.ions):
            own = rows.of(ion).of_protein(protein)
            letters, values = unpacked(browser, protein, number)
            at = own.position - 1
            assert [letters[position] for position in at] == own.letters().astype(str).tolist()
            labelled = np.zeros(len(values), bool)
            labelled[at] = True
            assert (values[~labelled] == UNKNOWN).all()
            assert ((values[at] >= levels) == (own.label == 1)).all()
            level = values[at] % levels
            assert np.abs(level / (levels - 1) - own.probability).max(initial=0) <= 1.01 / (levels - 1)
            table = browser.data["ions"][number]
            called = own.probability >= threshold if ion == "ZN" else np.zeros(len(own), bool)
            if ion == "ZN":  # a call on the page is a call of the run, also where rounding would move it
                assert ((level >= table["level"]) == called).all()
            else:
                assert table["level"] is None
            assert table["table"]["residues"][protein] == len(own)
            assert table["table"]["hits"][protein] == int((called & (own.label == 1)).sum())
            assert table["table"]["false"][protein] == int((called & (own.label == 0)).sum())


@given(st.floats(0, 1), st.sampled_from([FINE, COARSE]))
def test_edges_rise_and_one_is_the_threshold(threshold: float, count: int) -> None:
    edges, level = level_edges(threshold, count)
    assert len(edges) == count
    assert level is not None
    assert edges[level] == threshold
    assert (np.diff(edges) >= 0).all()
    assert level_edges(math.nan, count)[1] is None


def test_what_has_no_room_is_counted_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = predictions(1, [40] * 20)
    monkeypatch.setattr(packing, "_CHUNK", 80)
    monkeypatch.setattr(packing, "_MOST_ROWS", 15)
    whole = packed(rows, {})
    assert (whole.proteins, whole.rows, whole.with_residues) == (20, 15, 15)
    sizes = [len(chunk) for chunk in whole.data["chunks"]]
    monkeypatch.setattr(packing, "_MOST_BYTES", sum(sizes[:3]))
    fewer = packed(rows, {})
    assert fewer.with_residues < 6  # the table takes its part of the room
    assert fewer.data["names"] == whole.data["names"]
    html = render(Page("a", "b", sections=(Section("s", "S", (ProteinBrowser(whole.data, 20, 15, 4),)),)))
    assert "The table has the first 15 of 20 proteins." in html
    assert "Residues of 11 of 15 proteins are left out" in html


def test_rows_at_huge_positions_take_no_memory() -> None:
    rows = predictions(3, [30, 30, 30])
    position = rows.position.astype(np.int64)
    position[(rows.protein == 1) & (rows.position == rows.position[rows.protein == 1].max())] = 1 << 24
    columns = {name: getattr(rows, name) for name in ("protein", "residue", "ion", "label", "probability", "fold")}
    browser = packed(OutOfFold(rows.proteins, rows.ions, rows.residues, position=position, **columns), {"ZN": 0.5})
    assert (browser.rows, browser.with_residues) == (3, 1)
    assert browser.data["lengths"][1] == 1 << 24
    assert browser.data["ions"][0]["table"]["residues"][1] > 10
    assert unpacked(browser, 0, 0)[0]


def test_names_end_no_script() -> None:
    rows = predictions(2, [10])
    hostile = OutOfFold(("</script><img src=x>",), rows.ions, rows.residues, *(getattr(rows, name) for name in (
        "protein", "position", "residue", "ion", "label", "probability", "fold")))  # fmt: skip
    browser = packed(hostile, {"ZN": 0.5})
    html = render(Page("a", "b", sections=(Section("s", "S", (browser,)),)))
    assert html.count("</script>") == 2  # the data and the page's own script
    assert "<img" not in html
