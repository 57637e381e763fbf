"""Fuzz every parser: changed files must be read, or refused by name; never a hang, a crash or a stray exception.

    python benchmarks/fuzz_parsers.py --minutes 10                                 # hypothesis, every parser
    python benchmarks/fuzz_parsers.py --minutes 10 --engine atheris --parser A3M   # guided by coverage
    python benchmarks/fuzz_parsers.py --engine hypothesis --engine atheris --minutes 5 --processes 2 --record

What must hold of every file is in tests/corpus/fuzzing.py. Each parser runs in a process of its own with bounded
memory; files that broke something are kept under --out. Exit code 1: something was found. The engine atheris is the
extra `fuzz`. `--record` adds minutes, files and findings to benchmarks/fuzzed.json and to the table in README.md.
"""

import argparse
import importlib.util
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from bindtune.errors import CheckpointError
from corpus.fuzzing import Finding, changed, check
from corpus.readers import READERS, Reader
from corpus.valid import seeds
from rows import README, write_table

RECORD = Path(__file__).with_name("fuzzed.json")
ENGINES = ("hypothesis", "atheris")
_MEMORY = {False: 3 << 30, True: 10 << 30}
"""Address space of a fuzzer without and with torch, in bytes."""
_LONGEST = 20_000


class Log:
    """Counts what was tried, and keeps the shortest file of every finding."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._sizes = folder, dict[str, int]()
        self.tried, self._told = 0, 0.0
        folder.mkdir(parents=True, exist_ok=True)

    def note(self, found: Finding | None, content: bytes) -> None:
        """Note what one file came to."""
        self.tried += 1
        if time.monotonic() > self._told + 1:
            self._told = time.monotonic()
            (self._folder / "tried").write_text(str(self.tried))
        if found is not None and len(content) < self._sizes.get(found.key, 1 << 62):
            self._sizes[found.key] = len(content)
            name = "".join(letter if letter.isalnum() else "-" for letter in found.key)[:80]
            (self._folder / f"{name}.file").write_bytes(content)
            (self._folder / f"{name}.txt").write_text(found.told)


def _with_hypothesis(reader: Reader, minutes: float, one: Callable[[bytes], None]) -> None:
    from hypothesis import HealthCheck, given, settings

    until = time.monotonic() + 60 * minutes
    while time.monotonic() < until:

        @settings(max_examples=400, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(content=changed(seeds(reader.format)))
        def run(content: bytes) -> None:
            if time.monotonic() < until:
                one(content)

        run()


def _with_atheris(reader: Reader, minutes: float, one: Callable[[bytes], None]) -> None:
    import atheris

    with tempfile.TemporaryDirectory() as corpus:
        for number, content in enumerate(seeds(reader.format)):
            (Path(corpus) / str(number)).write_bytes(content)
        options = [f"-max_total_time={round(60 * minutes)}", f"-max_len={_LONGEST}", "-rss_limit_mb=0", "-timeout=60"]
        atheris.Setup([sys.argv[0], corpus, *options, "-verbosity=0", "-print_final_stats=0"], one)
        atheris.Fuzz()


def fuzz(reader: Reader, *, engine: str, minutes: float, out: Path) -> None:
    """Fuzz one parser in this process."""
    if engine == "atheris":
        import atheris

        with atheris.instrument_imports(include=["bindtune", "biotite", "pyfaidx", "yaml"]):
            _read_seeds(reader)
    else:
        _read_seeds(reader)
    limit = _MEMORY[reader.loads_torch]
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    log = Log(out)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for beside, content in reader.beside.items():
            (folder / beside).write_bytes(content)

        def one(content: bytes) -> None:
            (out / "last.file").write_bytes(content)  # left behind by a crash
            log.note(check(reader, content, folder), content)

        {"hypothesis": _with_hypothesis, "atheris": _with_atheris}[engine](reader, minutes, one)
    (out / "tried").write_text(str(log.tried))
    (out / "last.file").unlink()


def _read_seeds(reader: Reader) -> None:
    """Import what the parser needs, and see that it reads what is sound."""
    with tempfile.TemporaryDirectory() as name:
        for beside, content in reader.beside.items():
            (Path(name) / beside).write_bytes(content)
        for content in seeds(reader.format):
            (Path(name) / reader.file).write_bytes(content)
            with suppress(CheckpointError):  # a configuration alone lacks its weights
                reader.read(Path(name) / reader.file)


class Outcome(NamedTuple):
    """What came of fuzzing one parser."""

    parser: str
    engine: str
    minutes: float
    files: int
    findings: list[str]


def _in_own_process(reader: Reader, *, engine: str, minutes: float, out: Path) -> Outcome:
    """Fuzz one parser in a new process, and name what it found."""
    folder = out / engine / reader.format.replace(" ", "-")
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, __file__, "--here", "--parser", reader.format, "--engine", engine]
    command += ["--minutes", str(minutes), "--out", str(folder)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TMPDIR": _quick_folder()}
    (folder / "tried").unlink(missing_ok=True)
    started = time.time()
    with (folder / "log").open("w") as log:
        code = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, env=environment, check=False).returncode
    took = (time.time() - started) / 60
    found = sorted(path.stem for path in folder.glob("*.txt") if path.stat().st_mtime >= started)
    if code:  # libFuzzer ends the process by itself, with 0 when the time is over
        found.append(f"the process ended with {code}: see {folder}/log and last.file")
    tried = int((folder / "tried").read_text()) if (folder / "tried").is_file() else 0
    return Outcome(reader.format, engine, round(min(took, minutes), 1), tried, found)


def _record(outcome: Outcome) -> None:
    """Add an outcome to what was fuzzed so far."""
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    sums = record.setdefault(outcome.parser, {}).setdefault(outcome.engine, {"minutes": 0, "files": 0, "findings": 0})
    sums["minutes"] = round(sums["minutes"] + outcome.minutes, 1)
    sums["files"] += outcome.files
    sums["findings"] += len(outcome.findings)
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    _tell(record)


def _tell(record: dict[str, Any]) -> None:
    """Make the table of the README."""
    none = {"minutes": 0, "files": 0, "findings": 0}
    rows = []
    for parser in (name for name in READERS if name in record):
        by_engine = [record[parser].get(engine, none) for engine in ENGINES]
        cells = [f"{sums['minutes']:g} min, {sums['files']:,}" for sums in by_engine]
        rows.append([parser, *cells, str(sum(sums["findings"] for sums in by_engine))])
    write_table(README, "fuzzed", ["parser", *(f"{engine}: time, files" for engine in ENGINES), "found"], rows)


def _quick_folder() -> str:
    memory = Path("/dev/shm")  # noqa: S108 (a folder in memory, where there is one)
    return str(memory) if memory.is_dir() else tempfile.gettempdir()


def main() -> None:
    """Fuzz the parsers that are asked for, one after another."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--minutes", type=float, default=10, help="for each parser")
    arguments.add_argument("--parser", action="append", choices=sorted(READERS), help="again for more; all by default")
    arguments.add_argument("--engine", action="append", choices=ENGINES, help="again for both; hypothesis by default")
    arguments.add_argument("--processes", type=int, default=1, help="parsers that are fuzzed at the same time")
    arguments.add_argument("--record", action="store_true", help="add what was done to fuzzed.json and the README")
    arguments.add_argument(
        "--out", type=Path, default=Path("fuzz-findings"), help="folder for files that broke something"
    )
    arguments.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    wanted = [READERS[name] for name in given.parser or READERS]
    engines = given.engine or ENGINES[:1]
    if given.here:
        fuzz(wanted[0], engine=engines[0], minutes=given.minutes, out=given.out)
        return
    if "atheris" in engines and importlib.util.find_spec("atheris") is None:
        sys.exit("atheris is not installed: pip install 'bindtune[fuzz]'")
    findings = 0
    with ThreadPoolExecutor(given.processes) as pool:
        started = [
            pool.submit(_in_own_process, reader, engine=engine, minutes=given.minutes, out=given.out)
            for reader in wanted
            for engine in engines
        ]
        for one in as_completed(started):
            outcome = one.result()
            print(json.dumps(outcome._asdict()), flush=True)
            findings += len(outcome.findings)
            if given.record:
                _record(outcome)
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
