"""Count the corpus of broken and odd files by format: `python benchmarks/corpus.py`.

The files are in tests/corpus, made when they are read; `pytest tests/corpus` reads every one of them.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from corpus.case import counts
from corpus.cases import CASES


def main() -> None:
    """Print one row a format, and the sums."""
    case_counts = counts(CASES)
    width = max(map(len, case_counts))
    print(f"{'format':<{width}}  refused  read  all")
    sums = [sum(column) for column in zip(*case_counts.values(), strict=True)]
    for name, (broken, sound) in [*case_counts.items(), ("all", (sums[0], sums[1]))]:
        print(f"{name:<{width}}  {broken:7}  {sound:4}  {broken + sound:3}")


if __name__ == "__main__":
    main()
