"""Near neighbours of a 10,000 x 300 alignment: under 6 s and 700 MB on two cores.

OMP_NUM_THREADS=2 python benchmarks/neighbours.py
"""

import argparse
import time
from collections.abc import Iterator

import numpy as np

from bindtune.data.protein.neighbours import neighbour_counts
from rows import Row, add_json_option, peak_resident, write_rows


def alignment(rows: int, columns: int) -> np.ndarray:
    """Mutated copies of one query with gaps, so that some rows are neighbours."""
    generator = np.random.default_rng(0)
    letters = np.frombuffer(b"ACDEFGHIKLMNPQRSTVWYX-", dtype=np.uint8)
    query = letters[generator.integers(20, size=columns)]
    changed = generator.random((rows, columns)) < generator.random((rows, 1))
    return np.where(changed, letters[generator.integers(len(letters), size=(rows, columns))], query)


def family(rows: int, columns: int) -> Iterator[np.ndarray]:
    """Rows of clusters of all sizes, around distant relatives of one query; one in five is a stretch of a protein."""
    generator = np.random.default_rng(0)
    letters = np.frombuffer(b"ACDEFGHIKLMNPQRSTVWY", dtype=np.uint8)
    query = letters[generator.integers(20, size=columns)]
    clusters = 2000
    changed = generator.random((clusters, columns)) < generator.uniform(0.4, 0.9, (clusters, 1))
    relatives = np.where(changed, letters[generator.integers(20, size=(clusters, columns))], query)
    sizes = generator.pareto(1.0, clusters) + 1
    owners = generator.choice(clusters, rows, p=sizes / sizes.sum())
    yield query
    for owner in owners[1:]:
        row = relatives[owner].copy()
        changed = np.flatnonzero(generator.random(columns) < generator.uniform(0, 0.3))
        row[changed] = letters[generator.integers(20, size=len(changed))]
        row[generator.random(columns) < 0.05] = ord("-")
        if generator.random() < 0.2:
            start = int(generator.integers(columns // 2))
            row[:start], row[start + int(generator.integers(columns // 10, columns // 2)) :] = ord("-"), ord("-")
        yield row


def main() -> None:
    """Print the best of three runs and the peak memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_json_option(parser)
    arguments = parser.parse_args()
    aligned = alignment(10_000, 300)
    times = []
    for _ in range(3):
        start = time.perf_counter()
        counts = neighbour_counts(aligned, lower_bound=0.8)
        times.append(time.perf_counter() - start)
    peak = peak_resident() * 2**20 / 1e6
    print(f"best of 3: {min(times):.2f} s (goal 6), peak {peak:.0f} MB (goal 700)")
    print(f"neighbours: {counts.min()} to {counts.max()}")
    rows = [
        Row("neighbour weights of 10,000 x 300", min(times), "s", goal="at most 6"),
        Row("the same, peak memory", peak, "MB", goal="at most 700"),
    ]
    write_rows(arguments.json, rows)


if __name__ == "__main__":
    main()
