"""Letters and words are counted as by hand."""

from itertools import product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bindtune.data.dna.composition import composition, gc_of, letter_codes, odd_share, word_counts


@given(st.lists(st.text("ACGTN", max_size=30), max_size=6), st.integers(1, 4))
def test_words_are_counted(sequences: list[str], size: int) -> None:
    words = ["".join(word) for word in product("ACGT", repeat=size)]
    expected = [
        [sum(sequence[at : at + size] == word for at in range(len(sequence))) for word in words]
        for sequence in sequences
    ]
    assert word_counts(sequences, size).tolist() == expected


def test_many_sequences_are_counted_in_blocks() -> None:
    sequences = ["ACGT"[: 1 + number % 4] for number in range(10_000)]
    assert word_counts(sequences, 1).sum(axis=1).tolist() == [1 + number % 4 for number in range(10_000)]


def test_composition_leaves_odd_letters_out() -> None:
    row = composition(["GGCN"])[0]
    assert row[:4].tolist() == [0, 1 / 3, 2 / 3, 0]
    assert row[4:].sum() == 1
    assert gc_of(composition(["GGCN", "ATAT"])).tolist() == [1, 0]
    assert odd_share("GGCN") == 0.25
    assert not np.isnan(composition(["NN"])).any()


def test_case_does_not_count() -> None:
    assert letter_codes("acgtu").tolist() == [0, 1, 2, 3, 4]
