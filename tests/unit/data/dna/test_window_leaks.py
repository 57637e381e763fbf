"""The audit sees shared places, equal sequences and reverse complements, and nothing else."""

import numpy as np
import pytest

from bindtune.data.dna.window_leaks import HeldOutKeys, LeakAudit, Leaks
from bindtune.data.dna.windows import sequence_keys

COMPLEMENT = str.maketrans("ACGT", "TGCA")


def keys(*sequences: str) -> np.ndarray:
    twins = [sequence[::-1].translate(COMPLEMENT) for sequence in sequences]
    return np.array(sequence_keys(list(sequences), twins), np.int64).view(np.uint64)


def test_sequences_and_reverse_complements_are_told_apart() -> None:
    held_out = HeldOutKeys(keys("ACCA", "GGGA", "TTTG", "CATG", "AAAA"))
    held_out.meet(keys("ACCA", "CCCC"))
    held_out.meet(keys("TCCC", "CATG"))
    asked = keys("ACCA", "GGGA", "TTTG", "CATG", "AAAA")
    # CATG is its own reverse complement: it counts as the same sequence.
    assert held_out.identical(asked).tolist() == [True, False, False, True, False]
    assert held_out.complementary(asked).tolist() == [False, True, False, False, False]


def test_no_held_out_sequences() -> None:
    nothing = HeldOutKeys(keys())
    nothing.meet(keys("ACGT"))
    assert nothing.identical(keys("ACGT")).tolist() == [False]


@pytest.mark.parametrize(
    ("start", "end", "distance", "shared"),
    [
        (150, 160, 0, 0),
        (199, 250, 0, 0),
        (200, 250, 0, 0),
        (249, 251, 0, 1),
        (260, 270, 0, 1),
        (300, 310, 0, 0),
        (300, 310, 1, 1),
        (309, 320, 10, 1),
        (310, 320, 10, 0),
        (239, 241, 10, 1),
        (230, 240, 10, 0),
    ],
)
def test_places_are_compared_on_one_chromosome_with_the_distance(
    start: int, end: int, distance: int, shared: int
) -> None:
    audit = LeakAudit(distance)
    chrom = np.array([0, 0, 1], np.int32)
    audit.add_places(0, chrom=chrom, start=np.array([250, 280, 150]), end=np.array([290, 300, 160]))
    audit.add_places(1, chrom=np.array([0], np.int32), start=np.array([start]), end=np.array([end]))
    assert audit.findings() == Leaks(shared, 0, 0)
