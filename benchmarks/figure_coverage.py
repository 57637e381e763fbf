"""How often 95 % intervals of the figures that are drawn hold the true ones: AUROC, HRA, figures of calls, differences.

    python benchmarks/figure_coverage.py [--sets 200] [--proteins 12 30 100]

Sets and populations are those of `interval_coverage.py`. The threshold of the calls is the one with the best MCC in the
population. The true figures are means over three populations of 20,000 proteins. Each line states the share of the sets
whose interval holds the true figure.
"""

import argparse
import math
from collections import defaultdict
from collections.abc import Iterator
from typing import get_args

import numpy as np

from bindtune.evaluation.bootstrap import Interval, Statistic, interval, paired_interval
from bindtune.evaluation.metrics import residue_metrics
from bindtune.evaluation.thresholds import choose_threshold
from interval_coverage import POPULATIONS, Residues, draw_proteins
from rows import Row, add_json_option, write_rows

_POPULATION, _DRAWS = 20_000, 500
_AREAS: tuple[Statistic, ...] = ("auroc", "hra")
_CALLS: tuple[Statistic, ...] = ("f1", "mcc", "precision", "recall")
_PAIRED: tuple[Statistic, ...] = ("auroc", "hra", "mcc")
assert {*_AREAS, *_CALLS, *_PAIRED} < {*get_args(Statistic)}


def intervals(residues: Residues, threshold: float, *, seed: int) -> Iterator[tuple[str, Interval]]:
    """The interval of each figure of the first score, and of differences from the second."""
    labels, (first, second), codes = residues
    options = {"draws": _DRAWS, "seed": seed}
    for statistic in _AREAS:
        yield statistic, interval(statistic, labels, first, codes, **options)
    for statistic in _CALLS:
        yield statistic, interval(statistic, labels, first, codes, threshold=threshold, **options)
    for statistic in _PAIRED:
        thresholds = (threshold, threshold) if statistic in _CALLS else None
        compared = paired_interval(statistic, labels, first, second, codes, thresholds=thresholds, **options)
        yield f"difference of two {statistic}", compared.difference


def true_figures(rate: float, signal: float) -> tuple[float, dict[str, float]]:
    """The threshold with the best MCC in a population, and the figures of populations at it."""
    populations = [draw_proteins(seed, proteins=_POPULATION, rate=rate, signal=signal) for seed in range(3)]
    threshold = choose_threshold(populations[0][0], populations[0][1][0], "mcc")
    figures: dict[str, list[float]] = defaultdict(list)
    for labels, scores, _ in populations:
        one, other = (residue_metrics(labels, each, threshold=threshold)._asdict() for each in scores)
        for name in (*_AREAS, *_CALLS):
            figures[name].append(one[name])
        for name in _PAIRED:
            figures[f"difference of two {name}"].append(one[name] - other[name])
    return threshold, {name: float(np.mean(values)) for name, values in figures.items()}


def cover(rate: float, signal: float, *, proteins: int, sets: int) -> dict[str, float]:
    """By figure, the share of sets whose interval holds the true one; sets without an interval are left out."""
    threshold, truth = true_figures(rate, signal)
    held: dict[str, list[bool]] = defaultdict(list)
    for seed in range(3, 3 + sets):
        residues = draw_proteins(seed, proteins=proteins, rate=rate, signal=signal)
        if not residues[0].any():
            continue
        for name, ends in intervals(residues, threshold, seed=seed):
            if not math.isnan(ends.low):
                held[name].append(ends.low <= truth[name] <= ends.high)
    return {name: float(np.mean(each)) for name, each in held.items()}


def main() -> None:
    """Simulate each population and size, and print a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=200)
    parser.add_argument("--proteins", nargs="+", type=int, default=[12, 30, 100])
    add_json_option(parser)
    arguments = parser.parse_args()
    shares: dict[str, list[float]] = defaultdict(list)
    for proteins in arguments.proteins:
        for name, (rate, signal) in POPULATIONS.items():
            covered = cover(rate, signal, proteins=proteins, sets=arguments.sets)
            print(f"{proteins} proteins, {name}: {', '.join(f'{each} {share:.3f}' for each, share in covered.items())}",
                  flush=True)  # fmt: skip
            for each, share in covered.items():
                shares[each].append(share)
    rows: list[Row] = []
    for each, held in shares.items():
        print(f"{each}: mean {np.mean(held):.3f}, {min(held):.3f} to {max(held):.3f}")
        rows.append(Row(f"coverage of 95 % intervals: {each}", float(np.mean(held)), "of sets"))
    write_rows(arguments.json, rows)


if __name__ == "__main__":
    main()
