"""The audit counts every pair across a split and nothing within a part."""

import json
from pathlib import Path

import numpy as np
import pytest

from bindtune.data.protein import protein_leaks
from bindtune.data.protein.folds import read_folds
from bindtune.data.protein.protein_leaks import (
    LeakedPair,
    PartLeaks,
    SplitGroup,
    audit_folds,
    audit_test_set,
    shortened,
)
from bindtune.data.protein.proteins import Proteins, load_proteins

GENERATOR = np.random.default_rng(0)
ONE, OTHER = ("".join(GENERATOR.choice(list("ACDEFGHIKLMNPQRSTVWY"), 120)) for _ in range(2))
NEAR = ONE[:60] + "".join("W" if letter == "A" else "A" for letter in ONE[60:72]) + ONE[72:]


def table(**sequences: str) -> Proteins:
    labels = tuple(np.zeros((len(sequence), 1), np.int8) for sequence in sequences.values())
    return Proteins(names=tuple(sequences), sequences=tuple(sequences.values()), ions=("ZN",), labels=labels)


def test_pairs_across_folds_are_counted() -> None:
    proteins = table(a=ONE, b=ONE, c=ONE, d=NEAR, e=OTHER, f=NEAR, g=OTHER)
    folds = np.array([1, 1, 2, 2, 2, 3, 2])
    leaks = audit_folds(proteins, folds, identity=0.8)
    # a-c, b-c, d-f have one sequence; a-d, b-d, a-f, b-f, c-f are near; c-d and e-g lie within one fold.
    assert (leaks.identical_pairs, leaks.similar_pairs, leaks.total) == (3, 5, 8)
    assert leaks.parts == (
        PartLeaks("1", 2, 2, 0, ("a", "b")),
        PartLeaks("2", 4, 2, 0, ("c", "d")),
        PartLeaks("3", 1, 1, 0, ("f",)),
    )
    assert leaks.examples[0].identity == leaks.examples[1].identity == 1.0
    near = LeakedPair("a", "1", "d", "2", identity=0.9, coverage=1.0)
    assert near in leaks.examples or LeakedPair("d", "2", "a", "1", identity=0.9, coverage=1.0) in leaks.examples
    assert json.loads(json.dumps(leaks.as_dict()))["parts"][0]["identical"] == 2


def test_names_are_shortened_when_there_are_many() -> None:
    assert shortened(["a", "b", "c", "d", "e"]) == "a, b, c, d, e"
    assert shortened([f"p{number}" for number in range(8)]) == "p0, p1, p2, p3, p4 and 3 more"


def test_the_identity_and_its_absence_are_honoured() -> None:
    proteins = table(a=ONE, d=NEAR, e=OTHER)
    folds = np.array([1, 2, 2])
    strict = audit_folds(proteins, folds, identity=0.95)
    assert (strict.total, strict.similar_pairs) == (0, 0)
    loose = audit_folds(proteins, folds, identity=0.85)
    assert loose.parts == (PartLeaks("1", 1, 0, 1, ("a",)), PartLeaks("2", 2, 0, 1, ("d",)))
    nothing = audit_folds(proteins, folds, identity=None)
    assert (nothing.identical_pairs, nothing.similar_pairs, nothing.total) == (0, None, 0)
    assert nothing.parts[0].similar is None


def test_groups_across_folds_are_counted_but_no_pair_twice() -> None:
    proteins = table(a=ONE, b=ONE, c=NEAR, d=OTHER, e=ONE[::-1], f=ONE[::-1], g=OTHER[::-1], h=NEAR[::-1])
    folds, groups = np.array([2, 10, 2, 10, 1, 2, 1, 1]), np.array([0, 0, 0, 0, 1, 1, 2, 2])
    # Of the first group's pairs a-b is identical and b-c is near; the second has one pair, an identical one.
    alone = audit_folds(proteins, folds, groups=groups, identity=None)
    assert (alone.identical_pairs, alone.similar_pairs, alone.grouped_pairs, alone.split_groups) == (2, None, 3, 1)
    assert alone.group_examples == (SplitGroup(("2", "10"), ("a", "b"), proteins=4, pairs=3),)
    near = audit_folds(proteins, folds, groups=groups, identity=0.8)
    # f-h is near too, and in no group.
    assert (near.identical_pairs, near.similar_pairs, near.grouped_pairs, near.split_groups) == (2, 2, 2, 1)
    assert (alone.total, near.total) == (5, 6)
    whole = audit_folds(proteins, np.array([1, 1, 1, 1, 2, 2, 3, 3]), groups=groups, identity=None)
    assert (whole.total, whole.split_groups, whole.group_examples) == (0, 0, ())
    assert audit_folds(proteins, folds, identity=None).grouped_pairs is None


def test_a_test_set_is_held_against_training() -> None:
    leaks = audit_test_set(table(a=ONE, b=OTHER), table(a=ONE, x=NEAR[:110]), identity=0.5)
    assert (leaks.same_names, leaks.identical_pairs, leaks.similar_pairs) == (1, 1, 1)
    assert leaks.parts == (
        PartLeaks("test", 2, 1, 1, ("a", "x")),
        PartLeaks("train", 2, 1, 0, ("a",)),
    )
    assert leaks.examples[0] == LeakedPair("a", "test", "a", "train", 1.0, 1.0)


def test_examples_are_capped_and_counts_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protein_leaks, "_EXAMPLES", 2)
    proteins = table(**{f"p{number}": ONE[number:] for number in range(6)})
    leaks = audit_folds(proteins, np.arange(1, 7), identity=0.9)
    assert leaks.similar_pairs == 15
    assert len(leaks.examples) == 2


def test_too_many_sequences_leave_the_similar_ones_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protein_leaks, "MOST_SEQUENCES", 1)
    leaks = audit_folds(table(a=ONE, d=NEAR), np.array([1, 2]), identity=0.5)
    assert (leaks.identity, leaks.similar_pairs) == (None, None)


def test_published_folds(shared: Path) -> None:
    folder = shared / "data/metal_any_bindembed21"
    train = load_proteins({"METAL": folder / "METAL_train.fa"}, ions=["METAL"], groups={})
    test = load_proteins({"METAL": folder / "METAL_test300.fa"}, ions=["METAL"], groups={})
    leaks = audit_folds(train, read_folds(folder / "cv_folds.tsv", names=train.names), identity=0.5)
    assert leaks.identical_pairs == 0
    assert [part.proteins for part in leaks.parts] == [88, 85, 94, 99, 89]
    against = audit_test_set(train, test, identity=0.5)
    assert (against.same_names, against.identical_pairs) == (0, 0)
    assert (leaks.similar_pairs, against.similar_pairs) == (0, 3)
