"""What folds share is counted, kind by kind."""

import random

import numpy as np

from bindtune.data.dna.negatives import Sites
from bindtune.io.genome import reverse_complement
from bindtune.probing.leak_check import check_leaks

DRAWN = random.Random(3)
WINDOWS = ["".join(DRAWN.choices("ACGT", k=60)) for _ in range(6)]
FOLDS = np.array([0, 0, 1, 1, 2, 2])
NAMES = [f"w{number}" for number in range(6)]


def places(*rows: tuple[int, int]) -> Sites:
    start = np.array([start for _, start in rows])
    chrom = np.array([chrom for chrom, _ in rows])
    return Sites(chrom, start, np.where(chrom < 0, -1, start + 60), np.ones(len(rows), np.int64))


def counts(windows: list[str], sites: Sites | None = None) -> dict[str, int]:
    return check_leaks(NAMES, windows, FOLDS, sites=sites).counts


def test_random_windows_share_nothing() -> None:
    leaks = check_leaks(NAMES, WINDOWS, FOLDS, sites=places(*((0, 60 * number) for number in range(6))))
    assert leaks.total == 0
    assert not leaks.surplus.any()


def test_an_equal_window_of_another_fold_is_counted() -> None:
    found = counts([*WINDOWS[:5], WINDOWS[0]])
    assert found == {
        "equal_sequences": 2, "reverse_complements": 0, "overlapping_coordinates": 0, "shared_32mers": 2,
    }  # fmt: skip
    assert counts([WINDOWS[1], *WINDOWS[1:]]) == dict.fromkeys(found, 0)  # in one fold


def test_a_reverse_complement_is_counted() -> None:
    turned = reverse_complement(WINDOWS[0].encode()).decode()
    counts_found = counts([*WINDOWS[:5], turned])
    assert (counts_found["equal_sequences"], counts_found["reverse_complements"], counts_found["shared_32mers"]) == (
        0,
        2,
        2,
    )


def test_overlapping_places_are_counted_on_both_strands() -> None:
    sites = places((0, 0), (0, 500), (0, 59), (0, 1000), (1, 0), (-1, -1))
    assert counts(WINDOWS, sites)["overlapping_coordinates"] == 2
    apart = places((0, 0), (0, 500), (0, 60), (0, 1000), (1, 0), (-1, -1))
    assert counts(WINDOWS, apart)["overlapping_coordinates"] == 0


def test_a_word_of_32_letters_is_counted_and_one_side_is_surplus() -> None:
    windows = [*WINDOWS]
    windows[4] = WINDOWS[0][10:42] + WINDOWS[4][32:]
    windows[1] = WINDOWS[0][10:42] + WINDOWS[1][32:]
    leaks = check_leaks(NAMES, windows, FOLDS, sites=None)
    assert leaks.counts["shared_32mers"] == 3
    assert leaks.surplus.tolist() == [False, False, False, False, True, False]
    assert leaks.examples["shared_32mers"] == [("w0", "w4")]
    windows[4] = WINDOWS[0][10:41] + WINDOWS[4][31:]
    if windows[4][31] != WINDOWS[0][41]:
        assert check_leaks(NAMES, windows, FOLDS, sites=None).total == 0
