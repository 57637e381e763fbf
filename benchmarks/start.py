"""Time the start of the command line: help, against importing the libraries that any such command line needs.

    python benchmarks/start.py [--repeats 5]

Processor time of whole interpreters, the least of several, alternated: other work on the machine changes it little.
"""

import argparse
import resource
import subprocess
import sys

from rows import Row, add_json_option, write_rows

LIBRARIES = ["-c", "import pydantic, rich, typer"]
COMMANDS = (["--help"], ["pretrain", "--help"], ["train", "--help"], ["predict", "--help"])
GOAL = 3.0


def processor_time(words: list[str]) -> float:
    """Seconds of an interpreter and all that it started."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print seconds and ratios; exit with 1 where help takes longer than the goal."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    add_json_option(parser)
    chosen = parser.parse_args()
    starts = {"libraries": LIBRARIES} | {" ".join(words): ["-m", "bindtune", *words] for words in COMMANDS}
    least = dict.fromkeys(starts, float("inf"))
    for _ in range(chosen.repeats):
        for name, words in starts.items():
            least[name] = min(least[name], processor_time(words))
    rows = []
    for words in COMMANDS:
        name = " ".join(words)
        ratio = least[name] / least["libraries"]
        print(f"bindtune {name:<18} {least[name]:.2f} s, {ratio:.2f} times importing pydantic, rich and typer")
        rows.append(
            Row(f"bindtune {name}", least[name], "s", "importing pydantic, rich and typer", ratio, f"at most {GOAL:g}")
        )
    write_rows(chosen.json, rows)
    raise SystemExit(not all(row.met for row in rows))


if __name__ == "__main__":
    main()
