"""Near neighbours: exact by the definition, and estimated with a bounded error."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bindtune.data.protein import neighbours
from bindtune.data.protein.neighbours import neighbour_counts, query_similarity

LETTERS = np.frombuffer(b"ACDEFGHIKLMNPQRSTVWY", np.uint8)


def counted_one_by_one(aligned: np.ndarray, bound: float) -> list[int]:
    counts = []
    for one in aligned:
        near = 0
        for two in aligned:
            length = int((two != ord("-")).sum())
            equal = int(((one == two) & (one != ord("-"))).sum())
            near += length > 0 and np.float32(equal) / np.float32(length) >= np.float32(bound)
        counts.append(max(near, 1))
    return counts


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.text("ACDX-", min_size=7, max_size=7), min_size=1, max_size=12),
    bound=st.sampled_from([0.0, 0.3, 0.5, 0.6, 0.8, 0.9, 1.0]),
)
def test_neighbours_are_those_of_the_definition(rows: list[str], bound: float) -> None:
    aligned = np.array([list(row.encode()) for row in rows], dtype=np.uint8)
    assert neighbour_counts(aligned, lower_bound=bound).tolist() == counted_one_by_one(aligned, bound)


@pytest.mark.parametrize("few", [0.0, 0.08, 1.0])
def test_neighbours_in_blocks(monkeypatch: pytest.MonkeyPatch, few: float) -> None:
    generator = np.random.default_rng(0)
    query = generator.choice(LETTERS, 40)
    changed = generator.random((150, 40)) < generator.random((150, 1)) * 0.4
    letters = np.frombuffer(b"ACDEFGHIKLMNPQRSTVWYX-", np.uint8)
    aligned = np.where(changed, generator.choice(letters, (150, 40)), query)
    monkeypatch.setattr(neighbours, "_BLOCK_BYTES", 1)  # blocks of 64 rows, pairs one by one
    monkeypatch.setattr(neighbours, "_FEW", few)
    counts = neighbour_counts(aligned, lower_bound=0.8).tolist()
    assert counts == counted_one_by_one(aligned, 0.8)
    assert max(counts) > 10


def test_similarity_counts_a_gap_as_equal_to_a_gap() -> None:
    aligned = np.array([list(b"AC-D"), list(b"AC-E"), list(b"A--D")], dtype=np.uint8)
    assert query_similarity(aligned).tolist() == [1.0, 0.75, 0.75]


def mutated(query: np.ndarray, rates: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    changed = generator.random((len(rates), query.shape[-1])) < rates[:, None]
    return np.where(changed, generator.choice(LETTERS, changed.shape), query)


def family(rows: int, *, fragments: float) -> np.ndarray:
    """Clusters of all sizes around relatives of one protein, some rows of which are stretches of a protein."""
    generator = np.random.default_rng(1)
    relatives = mutated(generator.choice(LETTERS, 200), generator.uniform(0.3, 0.9, 100), generator)
    sizes = generator.pareto(1.0, 100) + 1
    aligned = mutated(
        relatives[generator.choice(100, rows, p=sizes / sizes.sum())], generator.uniform(0, 0.3, rows), generator
    )
    aligned[generator.random(aligned.shape) < 0.05] = ord("-")
    columns = np.arange(200)
    start, length = generator.integers(0, 140, rows), generator.integers(30, 200, rows)
    outside = (columns < start[:, None]) | (columns >= (start + length)[:, None])
    aligned[outside & (generator.random(rows) < fragments)[:, None]] = ord("-")
    return aligned


@pytest.mark.parametrize(
    ("fragments", "bound", "few", "many"),
    [(0.0, 0.8, 0.12, 0.12), (0.2, 0.8, 0.25, 0.15), (1.0, 0.8, 0.5, 0.2), (0.2, 0.9, 0.25, 0.2)],
)
def test_the_error_of_an_estimate(
    monkeypatch: pytest.MonkeyPatch, fragments: float, bound: float, few: float, many: float
) -> None:
    """Blocks and sampled pairs are as many in proportion as those of 100,000 rows."""
    aligned = family(2500, fragments=fragments)
    exact = neighbour_counts(aligned, lower_bound=bound)
    monkeypatch.setattr(neighbours, "_BLOCK_ROWS", 100)
    monkeypatch.setattr(neighbours, "_COMPARED_PAIRS", 12 * 25 * len(aligned))
    estimated = neighbour_counts(aligned, lower_bound=bound, exact_rows=1000)
    ratio = estimated / exact
    lonely, small, large = exact == 1, (exact > 1) & (exact <= 20), exact > 20
    assert min(lonely.sum(), small.sum(), large.sum()) > 100
    assert (ratio[lonely] == 1).all()
    for rows, error in ((small, few), (large, many)):
        assert ratio[rows].mean() == pytest.approx(1, abs=0.03)
        assert 0 < np.sqrt(np.mean((ratio[rows] - 1) ** 2)) < error


def relatives_at_the_bound(rows: int, *, between: float, within: float) -> np.ndarray:
    """Clusters of all sizes; rows of two clusters are nearly neighbours."""
    generator = np.random.default_rng(1)
    parents = mutated(generator.choice(LETTERS, 300), np.full(50, 1 - np.sqrt(between / within)), generator)
    sizes = generator.pareto(1.0, 50) + 1
    return mutated(
        parents[generator.choice(50, rows, p=sizes / sizes.sum())], np.full(rows, 1 - np.sqrt(within)), generator
    )


@pytest.mark.parametrize(
    ("between", "within", "error", "one_screen"),
    [(0.72, 0.9, 1.1, 10), (0.72, 0.85, 1.4, 10), (0.74, 0.74, 1.9, 2.2), (0.77, 0.77, 3, 5)],
)
def test_summed_weights_where_nearly_all_pairs_are_near_the_bound(
    monkeypatch: pytest.MonkeyPatch, between: float, within: float, error: float, one_screen: float
) -> None:
    """Fewer pairs are sampled than of 100,000 rows. The error lies on the side of equal weights."""
    aligned = relatives_at_the_bound(4000, between=between, within=within)
    exact = neighbour_counts(aligned, lower_bound=0.8)
    sums = []
    for deviations in (neighbours._DEVIATIONS, neighbours._DEVIATIONS[:1]):
        monkeypatch.setattr(neighbours, "_DEVIATIONS", deviations)
        monkeypatch.setattr(neighbours, "_BLOCK_ROWS", 160)
        monkeypatch.setattr(neighbours, "_COMPARED_PAIRS", 2 * 25 * len(aligned))
        estimated = neighbour_counts(aligned, lower_bound=0.8, exact_rows=1000)
        assert estimated.mean() == pytest.approx(exact.mean(), rel=0.1)
        sums.append((1 / estimated).sum() / (1 / exact).sum())
    assert 1 <= sums[0] < error
    assert sums[1] > one_screen  # as without the closer screens


def test_a_crowd_of_near_rows_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    aligned = mutated(generator.choice(LETTERS, 80), generator.uniform(0, 0.08, 2500), generator)
    monkeypatch.setattr(neighbours, "_BLOCK_ROWS", 100)
    monkeypatch.setattr(neighbours, "_COMPARED_PAIRS", 12 * 25 * len(aligned))
    compared = 0
    counted = neighbours._near_of_pairs

    def count(*arguments: object) -> object:
        nonlocal compared
        compared += len(arguments[2].left)  # type: ignore[attr-defined]
        return counted(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(neighbours, "_near_of_pairs", count)
    estimated = neighbour_counts(aligned, lower_bound=0.7, exact_rows=1000)
    assert compared < 0.25 * len(aligned) ** 2 / 2
    np.testing.assert_allclose(estimated, len(aligned), rtol=0.1)


def test_an_estimate_repeats_and_bears_rows_without_letters() -> None:
    aligned = family(600, fragments=0.3)
    aligned[::50] = ord("-")
    first = neighbour_counts(aligned, lower_bound=0.8, exact_rows=100)
    np.testing.assert_array_equal(first, neighbour_counts(aligned, lower_bound=0.8, exact_rows=100))
    assert (first[::50] == 1).all()
    gaps = np.full((300, 5), ord("-"), dtype=np.uint8)
    assert neighbour_counts(gaps, lower_bound=0.8, exact_rows=100).tolist() == [1] * 300
