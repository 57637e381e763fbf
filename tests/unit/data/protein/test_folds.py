"""Folds: whole groups, every protein once, balanced, reproducible, the same in any order."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bindtune.data.protein.folds import (
    FoldCounts,
    assign_folds,
    count_folds,
    inner_validation,
    read_folds,
    read_lengths,
    write_folds,
)
from bindtune.data.protein.input_files import label_files
from bindtune.data.protein.proteins import UNKNOWN, Proteins, load_proteins
from bindtune.errors import ConfigError, InputError
from bindtune.runs.reading import read_csv


def table(lengths: list[int], seed: int, ions: int = 2) -> Proteins:
    """Proteins of these lengths, labels drawn, some ions unknown."""
    generator = np.random.default_rng(seed)
    labels = []
    for length in lengths:
        values = (generator.random((length, ions)) < 0.1).astype(np.int8)
        values[:, generator.random(ions) < 0.4] = UNKNOWN
        labels.append(values)
    return Proteins(
        names=tuple(f"p{number}" for number in range(len(lengths))),
        sequences=tuple("A" * length for length in lengths),
        ions=tuple(f"I{number}" for number in range(ions)),
        labels=tuple(labels),
    )


grouped = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 9)), min_size=2, max_size=40).filter(
    lambda pairs: len({group for _, group in pairs}) >= 2
)


@given(pairs=grouped, num_folds=st.integers(2, 5), seed=st.integers(0, 2**32), random=st.randoms(use_true_random=False))
def test_folds_keep_groups_whole_and_depend_on_names_alone(
    pairs: list[tuple[int, int]], num_folds: int, seed: int, random: object
) -> None:
    proteins = table([length for length, _ in pairs], seed)
    groups = np.array([group for _, group in pairs])
    count = len(set(groups.tolist()))
    if count < num_folds:
        with pytest.raises(ConfigError, match=f"{num_folds} folds cannot be made of {count} groups"):
            assign_folds(proteins, groups, num_folds=num_folds, seed=seed)
        return
    folds = assign_folds(proteins, groups, num_folds=num_folds, seed=seed)
    assert sorted(set(folds.tolist())) == list(range(1, num_folds + 1))
    assert len(folds) == len(proteins)
    for group in set(groups.tolist()):
        assert len(set(folds[groups == group].tolist())) == 1
    assert assign_folds(proteins, groups, num_folds=num_folds, seed=seed).tolist() == folds.tolist()
    order = list(range(len(proteins)))
    random.shuffle(order)  # type: ignore[attr-defined]
    numbers = np.array([7, 3, 9, 1, 0, 4, 8, 2, 6, 5])[groups]
    again = assign_folds(proteins.subset(order), numbers[order], num_folds=num_folds, seed=seed)
    assert again.tolist() == folds[order].tolist()


@given(pairs=grouped, fraction=st.floats(0.05, 0.5), seed=st.integers(0, 2**32))
def test_inner_validation_keeps_groups_whole(pairs: list[tuple[int, int]], fraction: float, seed: int) -> None:
    proteins = table([length for length, _ in pairs], seed)
    groups = np.array([group for _, group in pairs])
    taken = inner_validation(proteins, groups, fraction=fraction, seed=seed)
    assert 0 < taken.sum() < len(taken)
    for group in set(groups.tolist()):
        assert len(set(taken[groups == group].tolist())) == 1


def test_inner_validation_takes_its_share() -> None:
    proteins = table([100] * 400, 0)
    taken = inner_validation(proteins, np.arange(400), fraction=0.1, seed=3)
    assert 36 <= taken.sum() <= 44
    positives = proteins.positives()
    np.testing.assert_allclose(positives[taken].sum(axis=0) / positives.sum(axis=0), 0.1, atol=0.01)
    assert inner_validation(proteins, np.arange(400), fraction=0.1, seed=4).tolist() != taken.tolist()


@pytest.mark.parametrize(("fraction", "groups"), [(0.0, [0, 1]), (1.0, [0, 1]), (0.5, [3, 3])])
def test_impossible_shares(fraction: float, groups: list[int]) -> None:
    with pytest.raises(ConfigError, match="cannot be taken out of"):
        inner_validation(table([5, 5], 0), np.array(groups), fraction=fraction, seed=0)


def test_a_rare_ion_is_in_every_fold() -> None:
    labels = [np.array([[1, UNKNOWN]], np.int8)] * 95 + [np.array([[UNKNOWN, 1]], np.int8)] * 5
    names = tuple(f"p{number}" for number in range(100))
    proteins = Proteins(names=names, sequences=("A",) * 100, ions=("ZN", "LREE"), labels=tuple(labels))
    folds = assign_folds(proteins, np.arange(100), num_folds=5, seed=0)
    assert count_folds(proteins, folds) == FoldCounts(
        folds=(1, 2, 3, 4, 5),
        ions=("ZN", "LREE"),
        proteins=(20,) * 5,
        residues=(20,) * 5,
        labelled=((19, 1),) * 5,
        positives=((19, 1),) * 5,
    )


def test_folds_without_positives_are_named() -> None:
    labels = (np.array([[1, 0]], np.int8), np.array([[1, 1]], np.int8), np.array([[UNKNOWN, 1]], np.int8))
    proteins = Proteins(names=("a", "b", "c"), sequences=("A", "A", "A"), ions=("ZN", "CA"), labels=labels)
    counts = count_folds(proteins, np.array([1, 2, 3]))
    assert counts.labelled == ((1, 1), (1, 1), (0, 1))
    assert counts.without_positives() == ((1, "CA"), (3, "ZN"))


def test_folds_are_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "folds.csv"
    labels = tuple(np.array([row], np.int8) for row in ([1, UNKNOWN], [UNKNOWN, UNKNOWN], [0, 1]))
    proteins = Proteins(names=("a,b", 'q"', "c"), sequences=("A", "A", "A"), ions=("ZN", "CA"), labels=labels)
    write_folds(path, proteins, folds=np.array([2, 1, 2]), groups=np.array([0, 5, 7]))
    assert path.read_text() == 'protein,fold,group,ions,residues\n"a,b",2,0,ZN,1\n"q""",1,5,,1\nc,2,7,ZN CA,1\n'
    assert read_folds(path, names=["c", "a,b", 'q"']).tolist() == [2, 2, 1]


def test_names_that_begin_like_formulas_are_quoted_and_read_back(tmp_path: Path) -> None:
    path, names = tmp_path / "folds.csv", ("=1+1", "'=1", '-2"x', "@a", "+3,4")
    labels = tuple(np.array([[1]], np.int8) for _ in names)
    proteins = Proteins(names=names, sequences=("A",) * 5, ions=("ZN",), labels=labels)
    write_folds(path, proteins, folds=np.array([1, 2, 1, 2, 2]), groups=np.arange(5))
    rows = path.read_text().splitlines()[1:]
    assert rows == ["'=1+1,1,0,ZN,1", "''=1,2,1,ZN,1", '"\'-2""x",1,2,ZN,1', "'@a,2,3,ZN,1", '"\'+3,4",2,4,ZN,1']
    assert read_folds(path, names=names).tolist() == [1, 2, 1, 2, 2]
    assert [row["protein"] for row in read_csv(path, ("protein", "fold")) or ()] == list(names)


def test_a_published_table_is_read(shared: Path) -> None:
    folder = shared / "data/metal_any_bindembed21"
    proteins = load_proteins({"METAL": folder / "METAL_train.fa"}, ions=["METAL"], groups={})
    folds = read_folds(folder / "cv_folds.tsv", names=proteins.names)
    assert np.bincount(folds).tolist() == [0, 88, 85, 94, 99, 89]
    assert folds[proteins.index("A0A384LKY8")] == 1


@pytest.mark.parametrize(
    ("content", "problems"),
    [
        ("a,1\nb,2\n", [":1: expected a header with the columns protein and fold, found 'a,1'"]),
        (
            "protein,fold\na,0\nb,x\nb\na,1\na,2\n",
            [
                ":2: fold '0' of protein 'a', expected a number from 1",
                ":3: fold 'x' of protein 'b', expected a number from 1",
                ":4: expected a protein and a fold, found 'b'",
                ":6: protein 'a' is in fold 2, and in fold 1 before",
            ],
        ),
        ("protein,fold\na,1\n", [": protein 'b' has no fold"]),
        ("protein,fold\na,1\nb,3\n", [": the proteins lie in the folds [1, 3], expected 1, 2 and so on without a gap"]),
        ("protein,fold\na,1\nb,1\n", [": the proteins lie in the folds [1], expected 1, 2 and so on without a gap"]),
    ],
)
def test_tables_with_mistakes(tmp_path: Path, content: str, problems: list[str]) -> None:
    path = tmp_path / "f.csv"
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        read_folds(path, names=["a", "b"])
    lines = [line.removeprefix(str(path)) for line in str(caught.value).splitlines()]
    messages = sorted(lines[1:] if len(problems) > 1 else lines)
    assert messages == sorted(problems)


def test_real_ions_are_spread_evenly(shared: Path) -> None:
    ions = ["CA", "MG", "MN", "ZN"]
    proteins = load_proteins(label_files(shared / "data/metal_ions", ions=ions, groups={}), ions=ions, groups={})
    groups = np.unique(proteins.sequences, return_inverse=True)[1]
    counts = count_folds(proteins, assign_folds(proteins, groups, num_folds=5, seed=0))
    assert sum(counts.proteins) == 5335
    for row in (counts.proteins, counts.residues):
        assert max(row) / min(row) < 1.02
    positives = np.array(counts.positives)
    assert positives.sum(axis=0).tolist() == [8442, 6317, 2556, 7727]
    assert (positives.max(axis=0) / positives.min(axis=0) < 1.05).all()


def test_lengths_are_read_with_their_names(tmp_path: Path) -> None:
    path = tmp_path / "folds.csv"
    assert read_lengths(path) == {}
    path.write_text("protein,fold\na,1\n")
    assert read_lengths(path) == {}
    path.write_text("protein,fold,residues\na,1,87\n'=b,2,9\nc,1,\n")
    assert read_lengths(path) == {"a": 87, "=b": 9}


@pytest.mark.parametrize("length", ["0", "-3", "8.5", "many", "99999999999"])
def test_a_length_that_no_protein_has_is_refused(tmp_path: Path, length: str) -> None:
    path = tmp_path / "folds.csv"
    path.write_text(f"protein,fold,residues\na,1,{length}\n")
    with pytest.raises(InputError, match=rf"folds\.csv: 'a': expected a number of residues, found '{length}'"):
        read_lengths(path)
