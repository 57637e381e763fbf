"""Near neighbours of a 10,000 x 300 alignment: under 6 s and 700 MB on two cores.

OMP_NUM_THREADS=2 python benchmarks/neighbours.py
"""

import time
from pathlib import Path

import numpy as np

from bindtune.data.context import neighbour_counts


def alignment(rows: int, columns: int) -> np.ndarray:
    """Mutated copies of one query with gaps, so that some rows are neighbours."""
    generator = np.random.default_rng(0)
    letters = np.frombuffer(b"ACDEFGHIKLMNPQRSTVWYX-", dtype=np.uint8)
    query = letters[generator.integers(20, size=columns)]
    changed = generator.random((rows, columns)) < generator.random((rows, 1))
    return np.where(changed, letters[generator.integers(len(letters), size=(rows, columns))], query)


def main() -> None:
    """Print the best of three runs and the peak memory."""
    aligned = alignment(10_000, 300)
    times = []
    for _ in range(3):
        start = time.perf_counter()
        counts = neighbour_counts(aligned, lower_bound=0.8)
        times.append(time.perf_counter() - start)
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(f"best of 3: {min(times):.2f} s (goal 6), peak {int(peak.split()[1]) / 1000:.0f} MB (goal 700)")
    print(f"neighbours: {counts.min()} to {counts.max()}")


if __name__ == "__main__":
    main()
