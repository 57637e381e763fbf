"""Motifs come out of planted ones, and nothing comes out of noise."""

import random

import numpy as np
import pytest

from bindtune.data.dna.motifs import Motif, find_motifs, highest_stretches


def dna(length: int, drawn: random.Random) -> str:
    return "".join(drawn.choices("ACGT", k=length))


def planted(words: dict[str, int], drawn: random.Random) -> tuple[list[str], list[np.ndarray], list[tuple[int, int]]]:
    """Sequences of 60 letters that hold one of the words each; letters of the word have a value of about 1."""
    noise = np.random.default_rng(3)
    sequences, values, places = [], [], []
    for word, count in words.items():
        for _ in range(count):
            at = drawn.randrange(60 - len(word))
            sequences.append(dna(at, drawn) + word + dna(60 - at - len(word), drawn))
            own = noise.normal(0, 0.1, 60)
            own[at : at + len(word)] += 1
            values.append(own)
            places.append((at, len(word)))
    return sequences, values, places


def test_two_planted_motifs_come_out_by_value() -> None:
    sequences, values, places = planted({"TGTAAATA": 60, "GCACGCAC": 30}, random.Random(1))
    motifs = find_motifs(sequences, values, count=5, length=8, seed=1)
    assert [motif.consensus for motif in motifs] == ["TGTAAATA", "GCACGCAC"]
    sites = {(site.row, site.start) for motif in motifs for site in motif.sites}
    assert sites == {(row, at) for row, (at, _) in enumerate(places)}
    for motif in motifs:
        assert (motif.counts.sum(axis=1) == len(motif.sites)).all()
        assert motif.value == pytest.approx(sum(values[site.row][site.start :][:8].sum() for site in motif.sites))


def test_a_letter_that_varies_is_n() -> None:
    drawn = random.Random(2)
    sequences, values, _ = planted({f"TGTA{letter}AT": 20 for letter in "ACGT"}, drawn)
    (motif, *_) = find_motifs(sequences, values, count=1, length=7, seed=1)
    assert motif.consensus == "TGTANAT"
    assert motif.bits[4] < 0.2 < 1.8 < min(motif.bits[[0, 1, 2, 3, 5, 6]])


def test_noise_has_no_motif() -> None:
    drawn, noise = random.Random(3), np.random.default_rng(4)
    sequences = [dna(60, drawn) for _ in range(200)]
    values = [noise.normal(size=60) for _ in sequences]
    stretches = highest_stretches(values, length=8, seed=1)
    assert len(stretches) < 30  # about 5 % of 200
    assert all(len(motif.sites) < 15 for motif in find_motifs(sequences, values, count=3, length=8, seed=1))


def test_odd_sequences_are_passed_over() -> None:
    drawn = random.Random(5)
    sequences, values, _ = planted({"TGTAAATA": 30}, drawn)
    sequences += ["ACG", "NNNNNNNNNNNN", "TGTAAATN"]
    values += [np.ones(3), np.full(12, np.nan), np.ones(8)]
    (motif,) = find_motifs(sequences, values, count=1, length=8, seed=1)
    assert motif.consensus == "TGTAAATA"
    assert find_motifs([], [], count=1, length=8, seed=1) == []
    assert find_motifs(["ACGTACGTACGT"], [np.zeros(12)], count=1, length=8, seed=1) == []


def test_bits_are_those_of_the_shares() -> None:
    motif = Motif(np.array([[8, 0, 0, 0], [4, 4, 0, 0], [2, 2, 2, 2]]), ())
    np.testing.assert_allclose(motif.bits, [2, 1, 0], atol=1e-9)
    assert motif.consensus == "ANN"
