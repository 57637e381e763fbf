"""Sequences that share words or are similar, on either strand."""

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bindtune.data.dna.shared_words import shared_across, similarity_groups
from bindtune.io.genome import reverse_complement


def dna(length: int, seed: int) -> str:
    return "".join(random.Random(seed).choices("ACGT", k=length))


def turned(sequence: str) -> str:
    return reverse_complement(sequence.encode()).decode()


def mutated(sequence: str, count: int, seed: int) -> str:
    letters, drawn = list(sequence), random.Random(seed)
    for at in drawn.sample(range(len(letters)), count):
        letters[at] = drawn.choice("ACGT".replace(letters[at], ""))
    return "".join(letters)


@given(st.lists(st.text("ACN", min_size=1, max_size=12), min_size=1, max_size=8, unique=True), st.integers(1, 5))
def test_shared_words_are_all_found(sequences: list[str], size: int) -> None:
    parts = np.arange(len(sequences)) % 2
    words = [
        {min(word, turned(word)) for at in range(len(text) - size + 1) if "N" not in (word := text[at : at + size])}
        for text in sequences
    ]
    expected = {
        index
        for index, own in enumerate(words)
        if any(own & words[other] for other in range(len(words)) if parts[other] != parts[index])
    }
    assert set(shared_across(sequences, parts, size=size)[0].tolist()) == expected


def test_a_shared_stretch_of_32_letters_is_found_on_either_strand() -> None:
    stretch = dna(32, 1)
    first, second = dna(40, 2) + stretch + dna(29, 3), dna(11, 4) + turned(stretch) + dna(58, 5)
    owner, word = shared_across([first, dna(101, 6), second], np.array([0, 0, 1]), size=32)
    assert sorted(owner.tolist()) == [0, 2]
    assert set(word.tolist()) == {0}
    shorter = dna(40, 2) + stretch[:31] + dna(30, 7)
    assert not len(shared_across([shorter, second], np.array([0, 1]), size=32)[0])


def test_similar_sequences_are_grouped() -> None:
    base = [dna(81, seed) for seed in range(40)]
    relatives = [
        mutated(base[0], 8, 1),  # nine in ten letters
        turned(mutated(base[1], 8, 2)),
        base[2][20:] + dna(20, 50),  # shifted
        dna(30, 51) + base[3][:51],
        base[4],  # equal
        dna(49, 52) + base[5][:32],  # 32 letters alone
    ]
    groups = similarity_groups([*base, *relatives], identity=0.8)
    assert groups[:40].tolist() == list(range(40))
    assert groups[40:].tolist() == [0, 1, 2, 3, 4, 5]


def test_unlike_sequences_are_not() -> None:
    far = [dna(81, 1), mutated(dna(81, 1), 24, 3)]
    assert len(set(similarity_groups(far, identity=0.8).tolist())) == 2
    assert similarity_groups(["A" * 81, "ACGT"], identity=0.8).tolist() == [0, 1]
    assert similarity_groups([], identity=0.8).tolist() == []


def test_repeats_of_one_letter_do_not_take_for_ever() -> None:
    groups = similarity_groups([dna(30, seed) + "A" * 51 for seed in range(2000)], identity=0.8)
    assert set(groups.tolist()) == {0}
