"""Similar proteins are found through words and alignments, and unrelated ones are not."""

import numpy as np
import pytest

from bindtune.data.protein.similarity import align, candidate_pairs

LETTERS = np.array(list("ACDEFGHIKLMNPQRSTVWY"))


def random_protein(generator: np.random.Generator, length: int) -> str:
    return "".join(generator.choice(LETTERS, length))


def mutated(protein: str, generator: np.random.Generator, *, identity: float) -> str:
    """The protein with exactly so many residues replaced, evenly drawn."""
    letters = np.array(list(protein))
    changed = generator.choice(len(letters), round(len(letters) * (1 - identity)), replace=False)
    for index in changed:
        letters[index] = generator.choice(LETTERS[letters[index] != LETTERS])
    return "".join(letters)


@pytest.mark.parametrize(("identity", "found_of_40"), [(0.9, 40), (0.6, 40), (0.5, 38)])
def test_mutants_are_found_and_the_unrelated_are_not(identity: float, found_of_40: int) -> None:
    generator = np.random.default_rng(1)
    proteins = [random_protein(generator, 250) for _ in range(40)]
    pairs = candidate_pairs([*proteins, *(mutated(protein, generator, identity=identity) for protein in proteins)])
    found_pairs = set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
    true = {(number, number + 40) for number in range(40)}
    assert len(found_pairs & true) >= found_of_40
    assert len(found_pairs - true) <= 5
    # Mutants have no gap: the diagonal is the main one.
    assert all(
        diagonal == 0
        for first, second, diagonal in zip(pairs.first, pairs.second, pairs.diagonal, strict=True)
        if (first, second) in true
    )


def test_fragments_insertions_and_diagonals() -> None:
    generator = np.random.default_rng(2)
    protein = random_protein(generator, 200)
    fragment, longer = protein[60:160], protein[:90] + random_protein(generator, 10) + protein[90:]
    pairs = candidate_pairs([fragment, protein, longer])
    diagonals = {(first, second): diagonal for first, second, diagonal, _ in zip(*pairs, strict=True)}
    assert diagonals[0, 1] == -60
    assert diagonals[1, 2] in (0, -10)
    whole = align(fragment, protein, diagonal=-60)
    assert (whole.identity, whole.coverage) == (1.0, 1.0)
    gapped = align(protein, longer, diagonal=int(diagonals[1, 2]))
    assert gapped.identity == pytest.approx(200 / 210, abs=0.01)
    assert gapped.coverage == 1.0


def test_identity_counts_columns() -> None:
    protein = random_protein(np.random.default_rng(3), 100)
    other = protein[:50] + ("A" if protein[50] != "A" else "C") + protein[51:]
    assert align(protein, other, diagonal=0).identity == 0.99
    assert align(protein, "W" * 100, diagonal=0).coverage < 0.1


def test_scores_are_blosum_scores_of_the_best_stretch() -> None:
    # W-W scores 11, C-C 9, D-W -4: the stretch ends where only losses follow.
    pairs = candidate_pairs(["WWWWWCDDDD", "WWWWWCWWWW"])
    assert [column.tolist() for column in pairs] == [[0], [1], [0], [5 * 11 + 9]]


def test_only_pairs_of_different_parts_are_asked_for() -> None:
    protein = random_protein(np.random.default_rng(4), 80)
    pairs = candidate_pairs([protein] * 3, parts=np.array([0, 0, 1]))
    assert list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)) == [(0, 2), (1, 2)]


@pytest.mark.parametrize("sequences", [[], ["A"], ["MK", "MK"], ["XXXXXXXXXX"] * 2, ["UOJBZ" * 10] * 2])
def test_short_and_odd_sequences(sequences: list[str]) -> None:
    pairs = candidate_pairs(sequences)
    assert len(pairs.first) == (1 if sequences and sequences[0].startswith("U") else 0)
    for first, second, diagonal, _ in zip(*pairs, strict=True):
        assert align(sequences[first], sequences[second], diagonal=int(diagonal)).identity == 1.0


def test_blocks_do_not_change_what_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(5)
    proteins = [random_protein(generator, int(length)) for length in generator.integers(5, 300, 30)]
    proteins += [mutated(protein, generator, identity=0.7) for protein in proteins]
    expected = candidate_pairs(proteins)
    monkeypatch.setattr("bindtune.data.protein.similarity._BLOCK_HITS", 50)
    monkeypatch.setattr("bindtune.data.protein.similarity._BLOCK_CELLS", 4096)
    for first, second in zip(candidate_pairs(proteins), expected, strict=True):
        np.testing.assert_array_equal(first, second)
    assert len(expected.first) >= 25
