"""Time the start of the command line: help, and what each command imports before it computes.

    python benchmarks/start.py [--repeats 5]

Processor time of whole interpreters, the least of several, alternated: other work on the machine changes it little.
Help is compared with importing the libraries that any such command line needs, a command with importing torch alone.
Commands without large imports are left out.
"""

import argparse
import ast
import resource
import subprocess
import sys
from pathlib import Path

import bindtune.cli
from rows import Row, add_json_option, write_rows

LIBRARIES = "import pydantic, rich, typer"
HELP = ("--help", "pretrain --help", "train --help", "predict --help")
HELP_GOAL, START_GOAL = 3.0, 4.0


def large_imports() -> dict[str, str]:
    """Names of commands, and the statements that stand in their blocks of large imports."""
    source = Path(bindtune.cli.__file__).read_text(encoding="utf-8")
    functions = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    blocks = {}
    for function in functions:
        for node in ast.walk(function):
            if isinstance(node, ast.With) and "large_imports" in ast.unparse(node.items[0]):
                blocks[function.name.replace("_", "-")] = "; ".join(map(ast.unparse, node.body))
    return blocks


def processor_time(words: list[str]) -> float:
    """Seconds of an interpreter and all that it started."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print seconds and ratios; exit with 1 where a start takes longer than its goal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    add_json_option(parser)
    chosen = parser.parse_args()
    starts = {"libraries": ["-c", LIBRARIES], "torch": ["-c", "import torch"]}
    starts |= {f"bindtune {words}": ["-m", "bindtune", *words.split()] for words in HELP}
    blocks = large_imports()
    for name, statements in blocks.items():
        code = f"import bindtune.cli\nwith bindtune.cli.large_imports(): {statements}"
        starts[f"imports of bindtune {name}"] = ["-c", code]
    least = dict.fromkeys(starts, float("inf"))
    for _ in range(chosen.repeats):
        for name, words in starts.items():
            least[name] = min(least[name], processor_time(words))
    rows = []
    for words in HELP:
        name = f"bindtune {words}"
        ratio = least[name] / least["libraries"]
        rows.append(Row(name, least[name], "s", "importing pydantic, rich and typer", ratio, f"at most {HELP_GOAL:g}"))
    for command in blocks:
        name = f"imports of bindtune {command}"
        rows.append(Row(name, least[name], "s", "", None, f"at most {START_GOAL:g}"))
    rows.append(Row("importing torch alone", least["torch"], "s"))
    for row in rows:
        ratio = "" if row.ratio is None else f", {row.ratio:.2f} times {row.baseline}"
        print(f"{row.name:<32} {row.value:.2f} s{ratio}")
    write_rows(chosen.json, rows)
    raise SystemExit(any(row.met is False for row in rows))


if __name__ == "__main__":
    main()
