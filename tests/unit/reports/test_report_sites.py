"""Drawings of proteins: every site and call is where it belongs, however long the protein."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bindtune.evaluation.ranking import average_precision, sort
from bindtune.reports.page import Collapsed, Track
from bindtune.reports.protein_figures import average_precisions
from bindtune.reports.report_sites import examples_section, track
from bindtune.runs.out_of_fold import OutOfFold


def protein(labels: list[int], probabilities: list[float], *, start: int = 1, number: int = 0) -> OutOfFold:
    size = len(labels)
    return OutOfFold(
        proteins=("P1", "P2", "P3"),
        ions=("ZN",),
        residues=("H", "C"),
        protein=np.full(size, number, np.int32),
        position=np.arange(start, start + size),
        residue=(np.arange(size) % 2).astype(np.int32),
        ion=np.zeros(size, np.int32),
        label=np.array(labels, np.int8),
        probability=np.array(probabilities),
        fold=np.ones(size, np.int64),
    )


def test_marks_name_hits_misses_and_false_calls() -> None:
    drawn = track(protein([1, 0, 1, 0], [0.9, 0.8, 0.1, 0.2]), ion="ZN", threshold=0.5, why="typical")
    assert [(mark.name, mark.probability, mark.kind) for mark in drawn.marks] == [
        ("H1", "0.90", "hit"), ("C2", "0.80", "false"), ("H3", "0.10", "missed"),
    ]  # fmt: skip
    assert "1 of 2 sites found, 1 false" in drawn.note
    assert drawn.described.endswith("hit: H1; missed: H3; false: C2.")
    assert [bar.kind for bar in drawn.bars] == ["hit", "false", "missed", "quiet"]
    assert [bar.left for bar in drawn.bars] == [0, 0.25, 0.5, 0.75]
    assert [bar.height for bar in drawn.bars] == [0.9, 0.8, 0.1, 0.2]


def test_without_a_threshold_nothing_is_called() -> None:
    drawn = track(protein([1, 0], [0.9, 0.8]), ion="ZN", threshold=math.nan, why="typical")
    assert drawn.threshold is None
    assert drawn.calls == ()
    assert [mark.kind for mark in drawn.marks] == ["missed"]


def test_true_sites_are_listed_before_false_calls() -> None:
    labels = [0] * 40 + [1, 1]
    drawn = track(protein(labels, [*np.linspace(0.6, 0.9, 40), 0.1, 0.95]), ion="ZN", threshold=0.5, why="hard")
    assert [mark.name for mark in drawn.marks] == [*(f"{'HC'[p % 2]}{p + 1}" for p in range(18, 40)), "H41", "C42"]
    assert drawn.more == 18


@settings(deadline=None, max_examples=50)
@given(length=st.integers(1, 3000), data=st.data())
def test_drawings_stay_inside_and_show_every_site(length: int, data: st.DataObject) -> None:
    sites = data.draw(st.sets(st.integers(0, length - 1), min_size=1, max_size=5))
    labels = [int(position in sites) for position in range(length)]
    drawn = track(protein(labels, [0.5] * length), ion="ZN", threshold=0.9, why="hard")
    assert len(drawn.sites) == len(sites)
    assert len(drawn.bars) <= 400
    for bar in (*drawn.bars, *drawn.sites, *drawn.calls):
        assert 0 <= bar.left <= bar.left + bar.width <= 1 + 1e-9
        assert 0 <= bar.height <= 1
    for bar, position in zip(drawn.sites, sorted(sites), strict=True):
        assert bar.left - 1e-9 <= (position + 0.5) / length <= bar.left + bar.width + 1e-9
    labels_shown = [int(label) for _, label in drawn.ticks]
    assert labels_shown[0] == 1
    assert labels_shown[-1] == length


def test_examples_are_chosen_by_rank() -> None:
    scores = ([0.9, 0.1, 0.2], [0.5, 0.9, 0.2], [0.1, 0.9, 0.8])
    rows = [protein([1, 0, 0], list(protein_scores), number=index) for index, protein_scores in enumerate(scores)]
    columns = ("protein", "residue", "ion", "position", "label", "probability", "fold")
    joined = {name: np.concatenate([getattr(row, name) for row in rows]) for name in columns}
    section = examples_section(OutOfFold(("P1", "P2", "P3"), ("ZN",), ("H", "C"), **joined), ("ZN",), {"ZN": 0.5})
    typical, others = section.blocks[3:]
    assert isinstance(typical, Track)
    assert typical.title == "P2: ZN"
    assert "average precision 0.500" in typical.note
    assert isinstance(others, Collapsed)
    assert [one.title for one in others.blocks if isinstance(one, Track)] == ["P1: ZN", "P3: ZN"]


@pytest.mark.parametrize(("length", "ticks"), [(1, ["1", "1"]), (81, ["1", "20", "40", "60", "81"])])
def test_ticks(length: int, ticks: list[str]) -> None:
    drawn = track(protein([1] * length, [0.5] * length), ion="ZN", threshold=0.9, why="hard")
    assert [label for _, label in drawn.ticks] == ticks


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(0, 4)), max_size=30),
)
def test_proteins_are_ranked_by_their_own_average_precision(rows: list[tuple[int, int, int]]) -> None:
    number, label, quarters = (np.array(column, int) for column in zip(*(rows or [(0, 0, 0)]), strict=True))
    table = protein([0] * len(number), [0.0] * len(number))
    table = replace(table, protein=number, label=label.astype(np.int8), probability=quarters / 4)
    expected = {}
    for one in np.unique(number[label == 1]).tolist():
        own = number == one
        score = average_precision(sort(label[own], quarters[own] / 4).ranking())
        expected[one] = pytest.approx(1.0 if math.isnan(score) else score, abs=1e-12)
    assert average_precisions(table) == expected
