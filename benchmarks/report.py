"""Time and memory of `bindtune report` on a generated binding run, as a whole process; size and opening of its page.

    python benchmarks/report.py [--proteins 500 5000] [--structures 100] [--keep FOLDER]

The run has four ions and five folds; every protein has labels of every ion. Lengths follow a log-normal distribution
with a mean of 350 residues. One residue in eighty binds, rather among C, D, E and H. The folder has no summary.yaml, so
that the report computes all intervals itself. A page is opened where Chromium is installed: until its table of proteins
can be read, and until a protein's residues are shown. With `--structures`, a second page has the viewer
and structures of the first proteins, whose atoms lie along a random walk.
"""

import argparse
import csv
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from biotite.sequence import ProteinSequence
from numpy.typing import NDArray

from rows import Row, add_json_option, write_rows

IONS, FOLDS = ("CA", "MG", "MN", "ZN"), 5
LETTERS = np.array(list("ACDEFGHIKLMNPQRSTVWY"))
_MEAN, _SPREAD = 350, 0.6
_RATE, _LIKED, _OFTEN = 1 / 80, "CDEH", 4


def write_run(folder: Path, *, proteins: int, seed: int = 1) -> int:
    """Write the folder of a merged run; returns its residues, each counted once an ion.

    Args:
        folder: new.
        proteins: how many.
        seed: of everything that is drawn.
    """
    generator = np.random.default_rng(seed)
    lengths = np.clip(generator.lognormal(np.log(_MEAN) - _SPREAD**2 / 2, _SPREAD, proteins), 40, 5000).astype(int)
    names = np.array([f"P{number:05d}" for number in range(proteins)])
    folds = np.arange(proteins) % FOLDS + 1
    folder.mkdir(parents=True)
    config = {
        "training": {"ions": list(IONS), "epochs": 8, "num_folds": FOLDS, "threshold_method": "mcc", "seed": 1},
        "lora": {"r": 16, "alpha": 32},
        "model": {"checkpoint": "Profluent-Bio/E1-150m"},
        "data": {"fasta_path": "proteins/{ION}_train.fasta"},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    (folder / "provenance.json").write_text(json.dumps({"command": ["bindtune", "train"]}), encoding="utf-8")
    (folder / "NOTICE").write_text("A generated run.\n", encoding="utf-8")
    (folder / "audit.json").write_text(json.dumps({"groups": proteins}), encoding="utf-8")
    thresholds = {"threshold_method": "mcc", "thresholds": {ion: {"threshold": 0.5} for ion in IONS}}
    (folder / "global_thresholds.yaml").write_text(yaml.safe_dump(thresholds), encoding="utf-8")
    _write_csv(folder / "folds.csv", ("protein", "fold", "group"), zip(names, folds, range(proteins), strict=True))
    history = [
        (fold, epoch, split, ion, 0.6 / epoch, 0.1 * epoch**0.5, 0.0125, 0.05 * epoch**0.5)
        for fold in range(1, FOLDS + 1)
        for epoch in range(1, 9)
        for split in ("train", "validation")
        for ion in (*IONS, "mean")
    ]
    heads = ("fold", "epoch", "split", "ion", "loss", "auprc", "base_rate", "hra")
    _write_csv(folder / "metrics.csv", heads, history)
    total = 0
    with pq.ParquetWriter(folder / "oof.parquet", _table(*_empty()).schema) as writer:
        for fold in range(1, FOLDS + 1):
            own = np.flatnonzero(folds == fold)
            for start in range(0, len(own), 256):
                part = own[start : start + 256]
                table = _table(names[part], lengths[part], fold, generator)
                writer.write_table(table)
                total += len(table)
    return total


def _empty() -> tuple[NDArray[np.str_], NDArray[np.int64], int, np.random.Generator]:
    return np.empty(0, "U6"), np.empty(0, np.int64), 1, np.random.default_rng(0)


def _table(names: NDArray[np.str_], lengths: NDArray[np.int64], fold: int, generator: np.random.Generator) -> pa.Table:
    """Some proteins of a fold, in the order in which training writes them: by protein, ion, position."""
    parts = []
    for name, length in zip(names, lengths, strict=True):
        letters = generator.choice(LETTERS, length)
        rates = np.where(np.isin(letters, list(_LIKED)), _OFTEN, 1.0)
        rates *= _RATE / rates.mean()
        for ion in IONS:
            label = generator.random(length) < rates
            logit = generator.normal(np.where(label, 0.5, -4) + np.log(rates / _RATE), 1.6)
            parts.append((name, np.arange(1, length + 1), letters, ion, label, 1 / (1 + np.exp(-logit))))
    counts = [len(part[1]) for part in parts]
    columns = {
        "protein": pa.array(np.repeat([part[0] for part in parts], counts) if parts else [], pa.string()),
        "position": pa.array(_joined([part[1] for part in parts]), pa.int32()),
        "residue": pa.array(_joined([part[2] for part in parts]) if parts else [], pa.string()),
        "ion": pa.array(np.repeat([part[3] for part in parts], counts) if parts else [], pa.string()),
        "label": pa.array(_joined([part[4] for part in parts]).astype(np.int8)),
        "probability": pa.array(_joined([part[5] for part in parts]).astype(np.float32)),
        "fold": pa.array(np.full(sum(counts), fold, np.int16)),
    }
    return pa.table(columns)


def _joined(arrays: list[NDArray]) -> NDArray:  # type: ignore[type-arg]
    return np.concatenate(arrays) if arrays else np.empty(0)


def _write_csv(path: Path, heads: tuple[str, ...], rows: object) -> None:
    with path.open("w", newline="", encoding="utf-8") as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(heads)
        writer.writerows(rows)  # type: ignore[arg-type]


def write_structures(folder: Path, run: Path, *, count: int) -> Path:
    """Write a PDB file of backbone and CB for each of the first proteins of a run; returns the folder."""
    generator = np.random.default_rng(2)
    folder.mkdir()
    names = [f"P{number:05d}" for number in range(count)]
    chosen = [("ion", "=", IONS[0]), ("protein", "in", names)]
    table = pq.read_table(run / "oof.parquet", columns=["protein", "residue"], filters=chosen)
    proteins, letters = (np.array(table[name].to_pylist()) for name in ("protein", "residue"))
    for name in names:
        sequence = letters[proteins == name]
        centre = np.cumsum(generator.normal(0, 1.5, (len(sequence), 3)), axis=0)
        lines = [
            f"ATOM      1  {atom:<3} {ProteinSequence.convert_letter_1to3(letter)} A{position:>4}    "
            f"{x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00           {atom[0]}"
            for position, letter, place in zip(range(1, 10_000), sequence, centre, strict=False)
            for atom in ("N", "CA", "C", "O", "CB")
            for x, y, z in [place + generator.normal(0, 1, 3)]
        ]
        (folder / f"{name}.pdb").write_text("\n".join([*lines, "END", ""]), encoding="utf-8")
    return folder


def measure(run: Path, *options: str) -> tuple[float, float]:
    """Seconds and peak MiB of `bindtune report` on a run, interpreter and imports included."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "bindtune", "report", str(run), *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def open_page(page: Path) -> tuple[float, float] | None:
    """Seconds until a browser shows the table of proteins, and from a click to the residues; None without a browser."""
    chromium = shutil.which("chromium")
    if chromium is None:
        return None
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page()
        start = time.perf_counter()
        tab.goto(page.resolve().as_uri())
        tab.wait_for_selector(".protein-table tbody tr")
        opened = time.perf_counter()
        tab.locator(".protein-table tbody a").first.click()
        tab.wait_for_selector(".sequence .line")
        shown = time.perf_counter()
        browser.close()
    return opened - start, shown - opened


def structure_rows(run: Path, *, count: int, size: int) -> list[Row]:
    """Time, size and opening of the page of a run with structures."""
    with tempfile.TemporaryDirectory(prefix="bindtune-structures-") as temporary:
        folder = write_structures(Path(temporary) / "structures", run, count=count)
        page = Path(temporary) / "report.html"
        seconds, _ = measure(run, "--structure", str(folder), "--out", str(page))
        megabytes = page.stat().st_size / 1e6
        opened = open_page(page)
    print(f"  with {count} structures and the viewer: {seconds:.1f} s, page {megabytes:.2f} MB, opened in {opened}")
    title = f"report on {size:,} proteins with {count} structures"
    rows = [Row(title, seconds, "s"), Row("the same, size of the page", megabytes, "MB", goal="at most 6")]
    return rows if opened is None else [*rows, Row("the same, page opened", opened[0], "s", goal="at most 2")]


def main() -> None:
    """Measure the sizes, the smallest first, and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--proteins", nargs="+", type=int, default=[500, 5000])
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="write the runs there and keep them")
    parser.add_argument("--structures", type=int, default=100, help="proteins with a structure; 0 for no such page")
    add_json_option(parser)
    arguments = parser.parse_args()
    sizes = sorted(arguments.proteins)  # RUSAGE_CHILDREN has the largest child so far
    rows: list[Row] = []
    first = None
    with tempfile.TemporaryDirectory(prefix="bindtune-report-") as temporary:
        for size in sizes:
            run = (arguments.keep or Path(temporary)) / f"run-{size}"
            if not run.exists():
                write_run(run, proteins=size)
            seconds, memory = measure(run)
            print(f"report on {size:,} proteins: {seconds:.1f} s, {memory:.0f} MiB", flush=True)
            goals = ("at most 10", "at most 500") if size == 5000 else ("", "")
            first = first or seconds / size
            growth = seconds / size / first if size != sizes[0] else None
            rows += [
                Row(f"report on {size:,} proteins of 4 ions, 5 folds", seconds, "s", goal=goals[0]),
                Row("the same, peak memory", memory, "MiB", goal=goals[1]),
            ]
            page = run / "report.html"
            size_goal, opening_goal = ("at most 6", "at most 2") if size == 5000 else ("", "")
            rows.append(Row("the same, size of the page", page.stat().st_size / 1e6, "MB", goal=size_goal))
            print(f"  page: {page.stat().st_size / 1e6:.2f} MB")
            if (seconds_open := open_page(page)) is not None:
                print(f"  opened in {seconds_open[0]:.2f} s; a protein shown after {seconds_open[1]:.2f} s")
                rows.append(Row("the same, page opened", seconds_open[0], "s", goal=opening_goal))
            if arguments.structures:
                rows += structure_rows(run, count=arguments.structures, size=size)
            if growth is not None:
                rows.append(Row("the same, time of a protein", growth, f"times that at {sizes[0]:,}"))
    write_rows(arguments.json, rows)


if __name__ == "__main__":
    main()
