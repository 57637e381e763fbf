"""Sites from residues: linked by sequence or by structure, counted as found, missed and invented."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bindtune.data.protein.residue_contacts import Contacts, Linking
from bindtune.evaluation.binding_sites import SiteCounts, SitePair, cluster, count_sites, find_sites, pair_sites


def linking(**contacts: Contacts) -> Linking:
    return Linking(5, 5.0, contacts)


def sites(labels: str, calls: str, name: str = "p", **contacts: Contacts) -> list[tuple[str, tuple[int, ...], int]]:
    columns = [np.array([int(each) for each in text]) for text in (labels, calls)]
    own = find_sites(
        np.full(len(labels), name), np.arange(len(labels)), columns[0], columns[1] == 1, linking=linking(**contacts)
    )
    return [(site.kind, site.positions, site.called) for site in own]


def test_half_of_the_residues_make_a_site_found() -> None:
    labels = "1100000000" + "1000000000" + "1110000000" + "0000000000"
    calls_ = "1000000000" + "0000000000" + "1000000000" + "0000011000"
    assert sites(labels, calls_) == [
        ("found", (1, 2), 1), ("missed", (11,), 0), ("missed", (21, 22, 23), 1), ("invented", (36, 37), 2),
    ]  # fmt: skip


def test_called_neighbours_of_a_site_are_not_invented() -> None:
    assert sites("1000", "1110") == [("found", (1,), 1)]
    assert sites("1000000000", "0000000111") == [("missed", (1,), 0), ("invented", (8, 9, 10), 3)]


def test_a_structure_wins_over_the_sequence() -> None:
    labels = "1010000001"
    near = Contacts(np.array([0]), np.array([9]), np.ones(10, bool))
    assert sites(labels, "0" * 10) == [("missed", (1, 3), 0), ("missed", (10,), 0)]
    assert sites(labels, "0" * 10, p=near) == [("missed", (1, 10), 0), ("missed", (3,), 0)]
    # A residue without coordinates is linked by its place in the sequence.
    partly = near._replace(placed=np.arange(10) != 2)
    assert sites(labels, "0" * 10, p=partly) == [("missed", (1, 3, 10), 0)]


def test_counts_and_pairs() -> None:
    proteins = np.array(["a"] * 12 + ["b"] * 12)
    positions, labels = np.tile(np.arange(12), 2), np.array([int(each) for each in "100000000010" + "000010000000"])
    first, second = (np.array([each == "1" for each in text]) for text in
                     ("100000000000" + "000010000000", "000000000010" + "000010000001"))  # fmt: skip
    ones, others = (find_sites(proteins, positions, labels, calls, linking=linking()) for calls in (first, second))
    assert count_sites(ones) == SiteCounts(3, 2, 1, 0, 0)
    assert count_sites(others) == SiteCounts(3, 2, 1, 1, 0)
    assert pair_sites(ones, others) == SitePair(1, 1, 1, 0, 0, 1)
    assert count_sites(ones).as_text() == "3 sites, 2 found, 1 missed, 0 invented"


@given(positions=st.lists(st.integers(0, 200), max_size=30), gap=st.integers(1, 40))
def test_sites_hold_each_residue_once_and_lie_apart(positions: list[int], gap: int) -> None:
    found = cluster(positions, gap=gap)
    assert sorted(place for site in found for place in site.tolist()) == sorted(set(positions))
    for first, second in itertools.pairwise(found):
        assert second[0] - first[-1] > gap
    assert all((np.diff(site) <= gap).all() for site in found)
