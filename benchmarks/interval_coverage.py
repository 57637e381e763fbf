"""How often 95 % intervals of an AUPRC hold the true one: percentiles, BCa, and the studentised interval of bindtune.

    python benchmarks/interval_coverage.py [--sets 300] [--proteins 12 30 100]

Sets of proteins are drawn from a population. Proteins differ in how many of their residues bind, and in how clearly
these score. A second score is the first one with noise. The true AUPRC is that of 60,000 proteins. Each line states the
share of the sets whose interval holds it, and the shares whose interval lies above and below it.
"""

import argparse
import math
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from bindtune.evaluation.auprc_interval import auprc_difference_ends, auprc_ends, auprc_influence
from bindtune.evaluation.bootstrap import _draws, _weighted
from bindtune.evaluation.ranking import average_precision, sort
from rows import Row, add_json_option, write_rows

_DIFFERENCE = "difference of two AUPRC, "
_LENGTH, _POPULATION, _DRAWS, _TAIL = 60, 20_000, 500, 0.025
POPULATIONS = {
    "one residue in 80, weak": (1 / 80, 2.0),
    "one in 33, weak": (0.03, 1.5),
    "one in 33, clear": (0.03, 3.0),
}
Ends = tuple[float, float]
Scores = NDArray[np.float64]
Residues = tuple[NDArray[np.bool_], tuple[Scores, Scores], NDArray[np.int64]]


def draw_proteins(seed: int, *, proteins: int, rate: float, signal: float) -> Residues:
    """Labels, two scores and protein numbers of residues; the second score is worse.

    Args:
        seed: of the draw.
        proteins: how many.
        rate: mean share of residues that bind.
        signal: by how many standard deviations sites score higher than other residues.
    """
    generator = np.random.default_rng(seed)
    rates = rate * generator.lognormal(-0.32, 0.8, (proteins, 1))
    labels = generator.random((proteins, _LENGTH)) < np.minimum(rates, 0.5)
    scores = generator.normal(size=labels.shape) + labels * (signal + generator.normal(0, 1.0, (proteins, 1)))
    worse = scores + generator.normal(0, 0.5, scores.shape)
    return labels.ravel(), (scores.ravel(), worse.ravel()), np.repeat(np.arange(proteins), _LENGTH)


def intervals(residues: Residues, *, proteins: int, seed: int) -> Iterator[tuple[str, Ends]]:
    """The interval of each method: of the first score's AUPRC, and of the difference from the second."""
    labels, scores, codes = residues
    influence, other = (auprc_influence(sort(labels, each), codes, proteins) for each in scores)
    weighted = [_weighted("auprc", labels, each, codes=codes, count=proteins, threshold=None) for each in scores]
    draws = list(_draws(proteins, draws=_DRAWS, seed=seed))
    both = np.array([np.concatenate([each(weights) for weights in draws]) for each in weighted])
    both = both[:, ~np.isnan(both[0])]
    drawn = both[0]
    yield "percentiles of 500 draws", _quantiles(drawn, _TAIL, 1 - _TAIL)
    below = (np.count_nonzero(drawn < influence.value) + np.count_nonzero(drawn == influence.value) / 2) / len(drawn)
    shift = float(ndtri(np.clip(below, 0.001, 0.999)))
    by_protein = influence.by_protein
    acceleration = float((by_protein**3).sum() / (6 * (by_protein**2).sum() ** 1.5))
    shifted = [shift + float(ndtri(tail)) for tail in (_TAIL, 1 - _TAIL)]
    yield "BCa of 500 draws", _quantiles(drawn, *(float(ndtr(shift + z / (1 - acceleration * z))) for z in shifted))
    yield "studentised, as bindtune does", auprc_ends(influence, 0.95)
    yield f"{_DIFFERENCE}percentiles", _quantiles(both[0] - both[1], _TAIL, 1 - _TAIL)
    yield f"{_DIFFERENCE}studentised", auprc_difference_ends(influence, other, 0.95)


def _quantiles(drawn: NDArray[np.float64], low: float, high: float) -> Ends:
    first, last = np.quantile(drawn, [low, high])
    return float(first), float(last)


def cover(rate: float, signal: float, *, proteins: int, sets: int) -> dict[str, tuple[float, float, float]]:
    """By method, the share of sets whose interval holds the true AUPRC, lies above it, and lies below it."""
    populations = (draw_proteins(seed, proteins=_POPULATION, rate=rate, signal=signal) for seed in range(3))
    areas = np.mean(
        [[average_precision(sort(labels, each).ranking()) for each in scores] for labels, scores, _ in populations],
        axis=0,
    )
    outcomes: dict[str, list[tuple[bool, bool, bool]]] = defaultdict(list)
    for seed in range(3, 3 + sets):
        residues = draw_proteins(seed, proteins=proteins, rate=rate, signal=signal)
        if len(np.unique(residues[2][residues[0]])) < 2:
            continue  # no interval is defined
        for method, (low, high) in intervals(residues, proteins=proteins, seed=seed):
            truth = areas[0] - areas[1] if method.startswith(_DIFFERENCE) else areas[0]
            outcomes[method].append((low <= truth <= high, low > truth, high < truth))
    return {method: tuple(np.mean(each, axis=0).tolist()) for method, each in outcomes.items()}  # type: ignore[misc]


def main() -> None:
    """Simulate each population and size, and print a line for each method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=300)
    parser.add_argument("--proteins", nargs="+", type=int, default=[12, 30, 100])
    add_json_option(parser)
    arguments = parser.parse_args()
    rows: list[Row] = []
    shares: dict[str, list[float]] = defaultdict(list)
    for proteins in arguments.proteins:
        for name, (rate, signal) in POPULATIONS.items():
            print(f"{proteins} proteins, {name}")
            for method, (held, above, below) in cover(rate, signal, proteins=proteins, sets=arguments.sets).items():
                print(f"  {method:38} covers {held:.3f}, above {above:.3f}, below {below:.3f}", flush=True)
                shares[method].append(held)
    error = math.sqrt(0.95 * 0.05 / arguments.sets)
    print(f"standard error of one share: {error:.3f}")
    for method, held_shares in shares.items():
        low, high = min(held_shares), max(held_shares)
        print(f"{method}: mean {np.mean(held_shares):.3f}, {low:.3f} to {high:.3f}")
        rows.append(Row(f"coverage of 95 % AUPRC intervals: {method}", float(np.mean(held_shares)), "of sets"))
    write_rows(arguments.json, rows)


if __name__ == "__main__":
    main()
