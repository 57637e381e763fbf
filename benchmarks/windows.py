"""Is `bindtune windows` fast and small? Against bedtools and a Python join, on the same windows, in the same run.

    python benchmarks/windows.py [--work FOLDER] [--megabases 300] [--peaks 1000000] [--genes 20000] [--rounds 3]

Generates a genome, peaks and genes, then times alternately
- `bindtune windows` as users run it (split, leak audit and summary included), as JSON Lines and as Parquet;
- `bedtools getfasta -s`, `bedtools intersect -s -wo`, and joining the two in Python into the same JSON Lines.
The records of the two are compared before any figure is shown. Needs bedtools; everything runs on one core.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from rows import Row, add_json_option, write_rows

WINDOW, STRIDE, LINE = 512, 256, 60


def generate(folder: Path, *, megabases: int, peaks: int, genes: int) -> None:
    """A genome of ten chromosomes, stranded peaks of 20 to 150 nt, and stranded genes that cover about its length."""
    generator = np.random.default_rng(1)
    size = megabases * 100_000 // LINE * LINE
    with (folder / "genome.fa").open("wb") as out, (folder / "genome.fa.fai").open("w") as index:
        for number in range(10):
            name = f"chr{number + 1}"
            out.write(f">{name}\n".encode())
            index.write(f"{name}\t{size}\t{out.tell()}\t{LINE}\t{LINE + 1}\n")
            lines = np.full((size // LINE, LINE + 1), ord("\n"), np.uint8)
            lines[:, :LINE] = np.frombuffer(b"ACGT", np.uint8)[generator.integers(0, 4, size, np.uint8)].reshape(
                -1, LINE
            )
            out.write(lines.tobytes())
    os.utime(folder / "genome.fa.fai")
    lengths = np.minimum(generator.lognormal(9.05, 1.05, genes).astype(int) + 100, size)
    write_bed(folder / "genes.bed", generator, lengths=lengths, size=size)
    write_bed(folder / "peaks.bed", generator, lengths=generator.integers(20, 151, peaks), size=size)


def write_bed(path: Path, generator: np.random.Generator, *, lengths: np.ndarray, size: int) -> None:
    """Intervals at random places, unsorted."""
    chroms = generator.integers(1, 11, len(lengths)).tolist()
    starts = generator.integers(0, size - lengths + 1).tolist()
    strands = generator.integers(0, 2, len(lengths)).tolist()
    with path.open("w", encoding="utf-8") as out:
        for chrom, start, length, strand in zip(chroms, starts, lengths.tolist(), strands, strict=True):
            out.write(f"chr{chrom}\t{start}\t{start + length}\t.\t4.5\t{'+-'[strand]}\n")


def measure(command: list[str], *, output: Path | None = None) -> tuple[float, float]:
    """Run on one core; returns seconds and peak memory in MiB."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ARROW_NUM_THREADS": "1"}
    begin = time.perf_counter()
    with (output or Path(os.devnull)).open("wb") as out:
        process = subprocess.Popen(["taskset", "-c", "0", *command], stdout=out, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command[0]} failed")
    return time.perf_counter() - begin, usage.ru_maxrss / 1024


def bindtune(folder: Path, *, form: str) -> tuple[float, float]:
    """The command as a user types it."""
    command = [sys.executable, "-m", "bindtune", "windows", "--peaks", str(folder / "peaks.bed")]
    command += ["--genome", str(folder / "genome.fa"), "--regions", str(folder / "genes.bed")]
    return measure([*command, "--out", str(folder / f"ours-{form}"), "--format", form, "--overwrite"])


def competitor(folder: Path) -> tuple[float, float]:
    """The two bedtools commands, and the join."""
    windows, sequences, pairs = (folder / name for name in ("windows.bed", "sequences.tsv", "pairs.tsv"))
    begin = time.perf_counter()
    memory = [measure([sys.executable, __file__, "--work", str(folder), "--stage", "tile"])[1]]
    genome, peaks = str(folder / "genome.fa"), str(folder / "peaks.bed")
    fasta = ["bedtools", "getfasta", "-s", "-tab", "-name", "-fi", genome, "-bed", str(windows)]
    overlap = ["bedtools", "intersect", "-s", "-wo", "-a", str(windows), "-b", peaks]
    memory.append(measure(fasta, output=sequences)[1])
    memory.append(measure(overlap, output=pairs)[1])
    memory.append(measure([sys.executable, __file__, "--work", str(folder), "--stage", "join"])[1])
    return time.perf_counter() - begin, max(memory)


def tile(folder: Path) -> None:
    """The windows as BED, named by gene line and place."""
    with (folder / "genes.bed").open() as genes, (folder / "windows.bed").open("w") as out:
        for number, line in enumerate(genes):
            chrom, start, end, _, _, strand = line.split()
            first, length = int(start), int(end) - int(start)
            places = [*range(0, max(length - WINDOW, 0) + 1, STRIDE)]
            if places[-1] + WINDOW < length:
                places.append(length - WINDOW)
            for position in places:
                stop = min(position + WINDOW, length)
                name = f"{chrom}:{start}-{end}" + (f"_window_{position}_{stop}" if length > WINDOW else "")
                out.write(f"{chrom}\t{first + position}\t{first + stop}\t{number}|{name}\t0\t{strand}\n")


def join(folder: Path) -> None:
    """Sequences and pairs of bedtools into records."""
    peaks: dict[str, list[dict[str, int]]] = {}
    with (folder / "pairs.tsv").open() as lines:
        for line in lines:
            fields = line.split("\t")
            low, high, start, end = int(fields[1]), int(fields[2]), int(fields[7]), int(fields[8])
            first, last = max(low, start), min(high, end)
            here = (first - low, last - low) if fields[5] == "+" else (high - last, high - first)
            peak = {"peak_start": here[0], "peak_end": here[1], "genomic_start": start, "genomic_end": end}
            peaks.setdefault(fields[3], []).append(peak)
    with (folder / "sequences.tsv").open() as lines, (folder / "theirs.jsonl").open("w") as out:
        for line in lines:
            name, sequence = line.rstrip("\n").split("\t")
            name = name.split("::")[0].removesuffix("(+)").removesuffix("(-)")
            listed = sorted(peaks.get(name, []), key=lambda peak: (peak["peak_start"], peak["peak_end"]))
            record = {"sequence": sequence.upper(), "seq_id": name.split("|", 1)[1], "seq_len": len(sequence)}
            out.write(json.dumps(record | {"eclip_regions": listed}) + "\n")


def fingerprints(paths: list[Path]) -> Iterator[int]:
    """One number a record, whatever further fields it has; peaks that look alike may come in any order."""
    for path in paths:
        with path.open() as lines:
            for line in lines:
                record = json.loads(line)
                peaks = sorted(tuple(sorted(peak.items())) for peak in record["eclip_regions"])
                yield hash((record["seq_id"], record["sequence"], record["seq_len"], tuple(peaks)))


def compare(folder: Path) -> int:
    """Number of records; stops where the two programs do not agree."""
    ours = [folder / "ours-jsonl" / name for name in ("train.jsonl", "validation.jsonl")]
    one, other = (np.sort(np.fromiter(fingerprints(paths), np.int64)) for paths in (ours, [folder / "theirs.jsonl"]))
    if not np.array_equal(one, other):
        raise SystemExit(f"the records differ: {len(one)} and {len(other)}")
    return len(one)


def benchmark(folder: Path, *, rounds: int) -> list[Row]:
    """Run alternately, compare, show."""
    bare = measure([sys.executable, "-c", "import bindtune.cli, bindtune.preparation.windows"])[1]
    runs: dict[str, list[tuple[float, float]]] = {"jsonl": [], "parquet": [], "bedtools": []}
    for _ in range(rounds):
        runs["jsonl"].append(bindtune(folder, form="jsonl"))
        runs["bedtools"].append(competitor(folder))
        runs["parquet"].append(bindtune(folder, form="parquet"))
    count = compare(folder)
    slowest = min(seconds for seconds, _ in runs["bedtools"])
    print(f"{count} equal records; the interpreter with its imports: {bare:.0f} MiB; best of {rounds}")
    rows = []
    for name, results in runs.items():
        best, memory = min(seconds for seconds, _ in results), max(memory for _, memory in results)
        speed = f"{best:6.1f} s  {count / best:8.0f} windows/s  {slowest / best:4.1f} x bedtools"
        print(f"{name:9} {speed}  {memory - bare:+6.0f} MiB")
        if name != "bedtools":
            what = f"{count:,} windows to {name}"
            rows += [
                Row(what, best, "s", "bedtools and a join in Python", slowest / best, "at least 3"),
                Row(f"{what}, one core", count / best, "windows/s", goal="at least 50000"),
                Row(f"{what}, memory above the interpreter's", memory - bare, "MiB", goal="at most 300"),
            ]
    return rows


def main() -> None:
    """Generate, then run; stages run in processes of their own, which keeps their memory out of the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("windows-benchmark"))
    parser.add_argument("--megabases", type=int, default=300)
    parser.add_argument("--peaks", type=int, default=1_000_000)
    parser.add_argument("--genes", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--stage", choices=["generate", "tile", "join"], help=argparse.SUPPRESS)
    add_json_option(parser)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    stages = {"generate": partial(generate, megabases=options.megabases, peaks=options.peaks, genes=options.genes)}
    stages |= {"tile": tile, "join": join}
    if options.stage:
        stages[options.stage](options.work)
    else:
        subprocess.run([sys.executable, *sys.argv, "--stage", "generate"], check=True)
        write_rows(options.json, benchmark(options.work, rounds=options.rounds))


if __name__ == "__main__":
    main()
