"""How often 95 % intervals of a probe hold the true AUROC: with draws of tested groups alone, and as bindtune does it.

    python benchmarks/probe_coverage.py [--sets 200]

Windows are random vectors; five of their features tell the classes apart, or none does. A ridge regression is
cross-validated in five folds. A second one sees a third of the features. The true area is the mean over all sets.
"""

import argparse
import math
import sys
from collections import defaultdict
from itertools import product
from pathlib import Path

import numpy as np

from bindtune.evaluation.bootstrap import drawn_areas
from bindtune.evaluation.cross_validated import cross_validated_comparison
from rows import Row, add_json_option, write_rows

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from ridge import out_of_fold

_FOLDS, _DRAWS, _FEATURES, _TELLING = 5, 300, 60, 5
METHODS = ("percentiles of tested groups", "widened, as bindtune does", "difference of two, widened")


def cover(windows: int, groups: int, gap: float, *, sets: int) -> tuple[float, dict[str, float]]:
    """The true area, and the share of the sets whose interval holds it, by method.

    Args:
        windows: N of a set.
        groups: of windows; a group is in one fold.
        gap: between the means of the classes, in standard deviations.
        sets: how many.
    """
    generator = np.random.default_rng(windows + groups)
    areas: list[tuple[float, float]] = []
    ends: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for seed in range(sets):
        labels = (generator.random(windows) < 0.5).astype(np.int8)
        features = generator.normal(size=(windows, _FEATURES))
        features[:, :_TELLING] += gap / math.sqrt(_TELLING) * (labels[:, None] - 0.5)
        group = np.arange(windows) % groups
        scores = [out_of_fold(features[:, :width], labels, group % _FOLDS) for width in (_FEATURES, _FEATURES // 3)]
        value, drawn = drawn_areas("auroc", labels, scores[0], group, draws=_DRAWS, seed=seed)
        low, high = np.quantile(drawn, [0.025, 0.975]).tolist()
        compared = cross_validated_comparison(
            "auroc", labels, *scores, group, folds=_FOLDS, draws=_DRAWS, seed=seed
        )  # fmt: skip
        areas.append((value, compared.difference.value))
        for method, pair in zip(METHODS, ((low, high), compared.first[1:3], compared.difference[1:3]), strict=True):
            ends[method].append(pair)
    area, difference = np.mean(areas, axis=0).tolist()
    truth = {METHODS[0]: area, METHODS[1]: area, METHODS[2]: difference}
    return area, {
        method: float(np.mean([low <= truth[method] <= high for low, high in pairs])) for method, pairs in ends.items()
    }


def main() -> None:
    """Simulate each size, and print a line for each method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=200)
    add_json_option(parser)
    arguments = parser.parse_args()
    shares: dict[str, list[float]] = defaultdict(list)
    for windows, groups, gap in product((200, 1000), (10, 23, 200), (0.0, 1.0, 2.0)):
        area, held = cover(windows, groups, gap, sets=arguments.sets)
        cells = ", ".join(f"{method} {share:.3f}" for method, share in held.items())
        print(f"{windows} windows, {groups} groups, true AUROC {area:.2f}: {cells}", flush=True)
        for method, share in held.items():
            shares[method].append(share)
    for method, each in shares.items():
        print(f"{method}: mean {np.mean(each):.3f}, {min(each):.3f} to {max(each):.3f}")
    name = "coverage of 95 % intervals of a probe's AUROC"
    write_rows(arguments.json, [Row(f"{name}: {method}", float(np.mean(each)), "of sets")
                                for method, each in shares.items()])  # fmt: skip


if __name__ == "__main__":
    main()
