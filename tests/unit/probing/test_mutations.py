"""Every letter is substituted once by each other letter, whatever is computed together."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bindtune.probing import mutations
from bindtune.probing.mutations import changes_at_once, importance, logit_changes


class Weights:
    """A model whose logit is a sum of a weight for each place and letter, plus the fold."""

    def __init__(self) -> None:
        self.most = 0

    def logits(self, sequences: Sequence[str], folds: Any) -> np.ndarray:
        self.most = max(self.most, sum(map(len, sequences)))
        table = {letter: number for number, letter in enumerate("NACGT")}
        values = [sum((at + 1) * table[letter] for at, letter in enumerate(sequence)) for sequence in sequences]
        return np.array(values, float) + 1000 * np.asarray(folds)


@pytest.mark.parametrize("at_once", [1, 50, 1000, 1 << 21])
def test_changes_are_those_of_the_model(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutations, "_LETTERS_AT_ONCE", at_once)
    sequences, folds = ["ACGT", "NTTNA", "G", "ACGTACGTACGTA"], np.array([0, 3, -1, 2])
    model: Any = Weights()
    logits, changes = logit_changes(model, sequences, folds)
    np.testing.assert_array_equal(logits, model.logits(sequences, folds))
    for sequence, own in zip(sequences, changes, strict=True):
        for at, letter in enumerate(sequence):
            if letter == "N":
                assert np.isnan(own[at]).all() and np.isnan(importance(own)[at])
            else:
                there = "ACGT".index(letter)
                assert own[at].tolist() == [(at + 1) * (number - there) for number in range(4)]
    assert model.most <= max(at_once, 3 * 13, sum(map(len, sequences)))


@given(st.lists(st.integers(1, 3000), max_size=30), st.sampled_from([1, 10_000, 1 << 21]))
def test_every_place_is_substituted_once(lengths: list[int], at_once: int) -> None:
    before = mutations._LETTERS_AT_ONCE
    mutations._LETTERS_AT_ONCE = at_once
    try:
        parts = list(changes_at_once(lengths))
    finally:
        mutations._LETTERS_AT_ONCE = before
    covered: dict[int, list[int]] = {row: [] for row in range(len(lengths))}
    for part in parts:
        assert sum(3 * lengths[row] * (end - start) for row, start, end in part) <= max(at_once, 3 * max(lengths))
        for row, start, end in part:
            covered[row] += range(start, end)
    assert all(places == list(range(lengths[row])) for row, places in covered.items())
