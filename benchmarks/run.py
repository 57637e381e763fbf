"""Run the benchmarks one after another and write the table of figures in benchmarks/README.md.

    python benchmarks/run.py --data ../shared/data                       everything: about 90 minutes on two cores
    python benchmarks/run.py --only collate neighbours                   these; the other rows stay as they were

Each script runs in a process of its own and says its figures with `--json`. They are kept in benchmarks/figures.json,
with the versions and the date they were measured at; the table is made from that file alone (`--only` with no names
makes it again). Scripts whose data is missing, or that fail, are named at the end, and the exit status is 1.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bindtune.host_limits import first_line
from rows import README, Row, three_digits, write_table

HERE = Path(__file__).parent
FIGURES = HERE / "figures.json"
# Script, and its arguments; {data} stands for the folder of reference data.
SCRIPTS: dict[str, list[str]] = {
    "pretraining_step": ["--repeats", "5"],
    "collate": [],
    "windows": ["--work", "{work}", "--rounds", "2"],
    "tokenise": [],
    "sites": ["{data}/structures"],
    "e1": ["--repeats", "2"],
    "neighbours": [],
    "predict_ensemble": ["--proteins", "60", "--repeats", "2"],
    "proteome": [],
    "binding_folds": ["--data", "{data}/metal_ions", "--proteins", "300"],
    "growth": [],
    "memory": [],
    "report": [],
    "probe_embedding": ["--windows", "32"],
    "score_variants": ["--records", "1000000"],
    "scaling": ["--repeats", "2"],
    "limits": [],
    "start": ["--repeats", "3"],
}


def measure(script: str, *, data: Path | None) -> list[dict[str, Any]] | str:
    """The rows of one script, or why there are none."""
    if data is None and "{data}" in " ".join(SCRIPTS[script]):
        return "needs --data"
    with tempfile.TemporaryDirectory(prefix="bindtune-benchmark-") as work:
        out = Path(work) / "rows.json"
        words = [text.format(data=data, work=work) for text in SCRIPTS[script]]
        command = [sys.executable, str(HERE / f"{script}.py"), *words, "--json", str(out)]
        print(f"== {script}", flush=True)
        done = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "2")})
        if not out.exists():
            return f"ended with {done.returncode} and without figures"
        rows: list[dict[str, Any]] = json.loads(out.read_text(encoding="utf-8"))
        return rows


def stamp() -> dict[str, str]:
    """When, on which processor and with what a script was run."""
    versions = {name: importlib.metadata.version(name) for name in ("bindtune", "torch", "transformers")}
    processor = first_line(Path("/proc/cpuinfo"), "model name").partition(":")[2].strip()
    return {"date": datetime.date.today().isoformat(), "processor": processor or platform.machine(), **versions}


def tell(figures: dict[str, Any]) -> None:
    """Write the figures into the README, script by script in the order of SCRIPTS."""
    met = {True: "yes", False: "**no**", None: ""}
    cells = []
    for script in (name for name in SCRIPTS if name in figures):
        for row in (Row(**values) for values in figures[script]["rows"]):
            ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
            value = f"{three_digits(row.value)} {row.unit}".strip()
            cells.append([f"`{script}`", row.name, value, row.baseline, ratio, row.goal, met[row.met]])
    dates = sorted({figures[name]["date"] for name in figures})
    torch = sorted({figures[name]["torch"] for name in figures})
    header = ["script", "what", "figure:", "compared with", "ratio:", "goal", "met"]
    processors: dict[str, list[str]] = {}
    for name in (name for name in SCRIPTS if name in figures):
        processors.setdefault(figures[name]["processor"], []).append(f"`{name}`")
    machines = "; ".join(f"{processor}: {', '.join(names)}" for processor, names in processors.items())
    below = f"Measured {' to '.join(sorted({dates[0], dates[-1]}))} with torch {', '.join(torch)}. {machines}."
    write_table(README, "figures", header, cells, below)


def main() -> None:
    """Measure, keep, and make the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of reference data, with metal_ions and structures")
    parser.add_argument("--only", nargs="*", choices=SCRIPTS)
    arguments = parser.parse_args()
    figures = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else {}
    failures = {}
    for script in SCRIPTS if arguments.only is None else arguments.only:
        start = time.monotonic()
        rows = measure(script, data=arguments.data)
        if isinstance(rows, str):
            failures[script] = rows
            continue
        minutes = round((time.monotonic() - start) / 60, 1)
        print(f"== {script} took {minutes} minutes", flush=True)
        figures[script] = stamp() | {"minutes": minutes, "rows": rows}
        FIGURES.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    tell(figures)
    for script, why in failures.items():
        print(f"{script}: {why}", file=sys.stderr)
    raise SystemExit(bool(failures))


if __name__ == "__main__":
    main()
