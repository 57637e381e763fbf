"""Rows of the table of figures: what a benchmark script writes with `--json FILE` and `run.py` collects."""

import argparse
import json
from pathlib import Path
from typing import NamedTuple

README = Path(__file__).with_name("README.md")


class Row(NamedTuple):
    """One measured figure.

    Args:
        name: what was measured, with its size.
        value: the figure.
        unit: such as `s`, `MiB` or `windows/s`.
        baseline: what it is compared with, measured in the same run; empty where there is none.
        ratio: how many times the baseline is beaten, or for a share of it the share; None without a baseline.
        goal: such as `at least 2.2`, of the ratio or, without a baseline, of the value; empty where there is none.
    """

    name: str
    value: float
    unit: str
    baseline: str = ""
    ratio: float | None = None
    goal: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the figure reaches its goal; None without one."""
        if not self.goal:
            return None
        measured = self.value if self.ratio is None else self.ratio
        kind, bound = self.goal.rsplit(" ", 1)
        if kind not in ("at least", "at most"):
            raise ValueError(f"a goal is 'at least N' or 'at most N', found {self.goal!r}")
        return measured >= float(bound) if kind == "at least" else measured <= float(bound)


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Give a script the option `--json FILE`."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too, as rows of run.py")


def write_rows(path: Path | None, rows: list[Row]) -> None:
    """Write rows where a file was asked for."""
    if path is not None:
        path.write_text(json.dumps([row._asdict() for row in rows], indent=1) + "\n", encoding="utf-8")


def three_digits(value: float) -> str:
    """Three digits that count, or the whole number where there are more."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def write_table(path: Path, name: str, header: list[str], rows: list[list[str]], below: str = "") -> None:
    """Write a Markdown table between the comments `<!-- NAME: ... -->` and `<!-- end of NAME -->` of a file.

    Args:
        path: of the file.
        name: of the table.
        header: of the columns; those that end in a colon are set to the right, without it.
        rows: the cells.
        below: a line that follows the table.
    """
    lines = ["| " + " | ".join(title.removesuffix(":") for title in header) + " |"]
    lines += ["|" + "|".join("--:" if title.endswith(":") else "---" for title in header) + "|"]
    lines += ["| " + " | ".join(cells) + " |" for cells in rows] + (["", below] if below else [])
    text = path.read_text(encoding="utf-8")
    begin, end = text.index("-->", text.index(f"<!-- {name}: ")) + 3, text.index(f"<!-- end of {name} -->")
    path.write_text(text[:begin] + "\n\n" + "\n".join(lines) + "\n\n" + text[end:], encoding="utf-8")


def peak_resident() -> float:
    """Most MiB that this process has held so far (Linux); getrusage would count its parent's too."""
    line = next(
        line for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM")
    )
    return int(line.split()[1]) / 1024
