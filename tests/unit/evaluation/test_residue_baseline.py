"""Letters' log odds by hand, and scores that never saw their own fold."""

import math

import numpy as np
import pytest

from bindtune.evaluation.residue_baseline import fit, out_of_fold_baseline, out_of_fold_residues, score


def column(*labels: int) -> np.ndarray:
    return np.array(labels, np.int8)[:, None]


def test_log_odds_by_hand() -> None:
    table = fit(["CCA", "CAA"], [column(1, 0, 0), column(1, 0, 0)], pseudocount=2.0)
    # 2 of 6 bind; with one of each class beforehand the rate is 3/8. C: 2 and 1, A: 0 and 3.
    expected = {"C": (2 + 0.75) / (1 + 1.25), "A": 0.75 / (3 + 1.25), "W": 0.75 / 1.25}
    for letter, odds in expected.items():
        assert score(table, letter)[0, 0] == pytest.approx(math.log(odds))


def test_unknown_labels_are_not_counted() -> None:
    fitted = fit(["CA"], [column(1, 0)])
    assert np.allclose(fit(["CAC"], [column(1, 0, -1)]), fitted)


def test_ions_are_fitted_apart() -> None:
    labels = np.array([[1, 0], [0, 1]], np.int8)
    scores = score(fit(["CD"], [labels]), "CDG")
    assert scores.shape == (3, 2)
    assert scores[0, 0] > scores[2, 0] > scores[1, 0]
    assert scores[1, 1] > scores[2, 1] > scores[0, 1]


def test_an_ion_without_sites_has_small_odds() -> None:
    scores = score(fit(["CA" * 50], [np.zeros((100, 1), np.int8)]), "CAW")
    assert np.isfinite(scores).all()
    assert (scores < -3).all()


def test_scores_come_from_the_other_folds() -> None:
    sequences = ["CCAA", "DDAA", "CA"]
    labels = [column(1, 1, 0, 0), column(1, 1, 0, 0), column(1, 0)]
    baseline_scores = out_of_fold_baseline(sequences, labels, [1, 2, 1])
    only_second = fit(sequences[1:2], labels[1:2])
    others = fit([sequences[0], sequences[2]], [labels[0], labels[2]])
    assert np.allclose(baseline_scores[0], score(only_second, "CCAA"))
    assert np.allclose(baseline_scores[1], score(others, "DDAA"))
    assert np.allclose(baseline_scores[2], score(only_second, "CA"))


def test_a_protein_s_own_labels_change_nothing_for_it() -> None:
    sequences = ["CCAA", "CDAA", "CA"]
    labels = [column(1, 1, 0, 0), column(1, 0, 0, 0), column(1, 0)]
    before = out_of_fold_baseline(sequences, labels, [1, 2, 3])
    after = out_of_fold_baseline(sequences, [1 - labels[0], *labels[1:]], [1, 2, 3])
    assert np.allclose(before[0], after[0])
    assert not np.allclose(before[1], after[1])


def test_one_fold_has_nothing_to_fit() -> None:
    assert (out_of_fold_baseline(["CA"], [column(1, 0)], [1])[0] == 0).all()


@pytest.mark.parametrize(
    ("sequences", "labels"),
    [([], []), (["CA"], [column(1)]), (["CA"], []), (["CA"], [np.zeros(2, np.int8)]), (["CÄ"], [column(1, 0)])],
)
def test_labels_must_fit(sequences: list[str], labels: list[np.ndarray]) -> None:
    with pytest.raises(ValueError, match=r"labels|ascii"):
        fit(sequences, labels)


def test_a_fold_for_each_protein() -> None:
    with pytest.raises(ValueError, match="each of 1 proteins"):
        out_of_fold_baseline(["CA"], [column(1, 0)], [1, 2])


def test_residues_in_any_order_score_as_their_proteins_do() -> None:
    sequences, folds = ["ACCH", "CHA", "HHAC", "AAC"], [1, 2, 3, 1]
    bound = ["0101", "100", "1100", "001"]
    labels = [np.array([[int(label)] for label in each]) for each in bound]
    whole = np.concatenate(out_of_fold_baseline(sequences, labels, folds))[:, 0]
    order = np.random.default_rng(0).permutation(len(whole))
    letters = np.array(list("".join(sequences)))
    fold = np.repeat(folds, [len(sequence) for sequence in sequences])
    baseline_scores = out_of_fold_residues(letters[order], np.concatenate(labels)[:, 0][order], fold[order])
    np.testing.assert_allclose(baseline_scores, whole[order], rtol=1e-12)
    assert len(set(np.round(whole, 6))) > 4  # there is something to confuse
    assert len(out_of_fold_residues([], [], [])) == 0
