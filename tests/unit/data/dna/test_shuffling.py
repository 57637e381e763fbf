"""Shuffles keep letters and pairs of letters, and every order is equally likely."""

from collections import Counter
from itertools import pairwise, permutations

from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from bindtune.data.dna.shuffling import shuffle_pairs


def pairs(sequence: str) -> Counter[tuple[str, str]]:
    return Counter(pairwise(sequence))


@given(st.text("ACGTN", max_size=150), st.integers(0, 2**64 - 1))
def test_pairs_and_letters_stay(sequence: str, key: int) -> None:
    shuffled = shuffle_pairs(sequence, key)
    if shuffled is None:
        return
    assert pairs(shuffled) == pairs(sequence)
    assert Counter(shuffled) == Counter(sequence)
    assert (shuffled[0], shuffled[-1]) == (sequence[0], sequence[-1])
    assert shuffled != sequence
    assert shuffled == shuffle_pairs(sequence, key)


def test_every_order_is_equally_likely() -> None:
    sequence = "ACGATCAGTA"
    orders = {"".join(order) for order in permutations(sequence)}
    possible = sorted(order for order in orders if pairs(order) == pairs(sequence) and order != sequence)
    drawn = Counter(shuffle_pairs(sequence, key) for key in range(200 * len(possible)))
    assert sorted(drawn) == possible
    assert chisquare([drawn[order] for order in possible]).pvalue > 0.001


def test_what_has_one_order_gives_none() -> None:
    assert [shuffle_pairs(sequence, 1) for sequence in ("", "A", "AC", "ACG", "AAAAAA", "AACC")] == [None] * 6
