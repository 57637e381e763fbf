"""Fuzz every parser: changed files must be read, or refused by name; never a hang, a crash or a stray exception.

    python benchmarks/fuzz_parsers.py --minutes 10                                 # hypothesis, every parser
    python benchmarks/fuzz_parsers.py --minutes 10 --engine atheris --parser A3M   # guided by coverage
    python benchmarks/fuzz_parsers.py --engine hypothesis --engine atheris --minutes 5 --processes 2 --record

What must hold of every file is in tests/corpus/fuzzing.py. Each parser runs in a process of its own with bounded
memory; files that broke something are kept under --out. Exit code 1: something was found. The engine atheris is the
extra `fuzz`. Minutes are of processor time, so that other work beside it takes nothing away. `--record` does what is
missing to them in benchmarks/fuzzed.json, and adds time, files and findings there and to the table in README.md.
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
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from bindtune.errors import CheckpointError, InputError
from corpus.fuzzing import Finding, check, files
from corpus.readers import READERS, Reader
from corpus.valid import seeds
from rows import README, write_table

RECORD = Path(__file__).with_name("fuzzed.json")
ENGINES = ("hypothesis", "atheris")
_MEMORY = {False: 3 << 30, True: 10 << 30}
"""Address space of a fuzzer without and with torch, in bytes."""
_LONGEST = 20_000
_REFUSED = {"encoder config.json": (CheckpointError,), "run folder of merge": (InputError,)}
"""Sound files that are refused where they lie alone: a configuration without its weights, a run without its folds."""


class Log:
    """Counts what was tried, and keeps the shortest file of every finding."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._sizes = folder, dict[str, int]()
        self._tried, self._began = 0, time.process_time()
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def minutes(self) -> float:
        """Processor time since the beginning."""
        return (time.process_time() - self._began) / 60

    def begin(self, content: bytes) -> None:
        """Keep a file that is about to be read, for the case that this process dies of it."""
        (self._folder / "last.file").write_bytes(content)

    def end(self) -> None:
        """Write how much was tried."""
        (self._folder / "done.json").write_text(json.dumps({"minutes": self.minutes, "files": self._tried}))
        (self._folder / "last.file").unlink(missing_ok=True)

    def note(self, finding: Finding | None, content: bytes) -> None:
        """Note what one file came to."""
        self._tried += 1
        if finding is not None and len(content) < self._sizes.get(finding.key, 1 << 62):
            self._sizes[finding.key] = len(content)
            name = "".join(letter if letter.isalnum() else "-" for letter in finding.key)[:80]
            (self._folder / f"{name}.file").write_bytes(content)
            (self._folder / f"{name}.txt").write_text(finding.told)


def _with_hypothesis(reader: Reader, minutes: float, one: Callable[[bytes], None], log: Log) -> None:
    from hypothesis import HealthCheck, given, settings

    while log.minutes < minutes:

        @settings(max_examples=400, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(content=files(reader.format))
        def run(content: bytes) -> None:
            if log.minutes < minutes:
                one(content)

        run()


def _with_atheris(reader: Reader, minutes: float, one: Callable[[bytes], None], log: Log) -> None:
    import atheris

    def run(content: bytes) -> None:
        if log.minutes < minutes:
            one(content)
        else:  # libFuzzer never returns
            log.end()
            os._exit(0)

    corpus = Path(tempfile.mkdtemp())
    for number, content in enumerate(seeds(reader.format)):
        (corpus / str(number)).write_bytes(content)
    options = [f"-max_len={_LONGEST}", "-rss_limit_mb=0", "-timeout=60", "-verbosity=0", "-print_final_stats=0"]
    atheris.Setup([sys.argv[0], str(corpus), *options], run)
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
    folder = _folder_of(reader)

    def one(content: bytes) -> None:
        log.begin(content)
        log.note(check(reader, content, folder), content)

    {"hypothesis": _with_hypothesis, "atheris": _with_atheris}[engine](reader, minutes, one, log)
    log.end()


def _folder_of(reader: Reader) -> Path:
    """A folder with what lies beside the file; the parent process removes it."""
    folder = Path(tempfile.mkdtemp())
    for beside, content in reader.beside.items():
        (folder / beside).write_bytes(content)
    return folder


def _read_seeds(reader: Reader) -> None:
    """Import what the parser needs, and see that it reads what is sound."""
    folder = _folder_of(reader)
    for content in seeds(reader.format):
        (folder / reader.file).write_bytes(content)
        with suppress(*_REFUSED.get(reader.format, ())):
            reader.read(folder / reader.file)


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
    (folder / "done.json").unlink(missing_ok=True)
    started = time.time()
    with (folder / "log").open("w") as log, tempfile.TemporaryDirectory(dir=_quick_folder()) as scratch:
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TMPDIR": scratch}
        code = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, env=environment, check=False).returncode
    new_findings = sorted(path.stem for path in folder.glob("*.txt") if path.stat().st_mtime >= started)
    if code or not (folder / "done.json").is_file():
        new_findings.append(f"the process ended with {code}: see {folder}/log and last.file")
        return Outcome(reader.format, engine, 0.0, 0, new_findings)
    done = json.loads((folder / "done.json").read_text())
    return Outcome(reader.format, engine, done["minutes"], done["files"], new_findings)


def _recorded() -> dict[str, dict[str, dict[str, Any]]]:
    """What was fuzzed so far, by parser and engine."""
    findings: dict[str, dict[str, dict[str, Any]]] = (
        json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    )
    for parser in READERS:
        for engine in ENGINES:
            findings.setdefault(parser, {}).setdefault(engine, {"minutes": 0, "files": 0, "findings": 0})
    return findings


def _record(outcome: Outcome) -> None:
    """Add an outcome to what was fuzzed so far."""
    record = _recorded()
    sums = record[outcome.parser][outcome.engine]
    sums["minutes"] = round(sums["minutes"] + outcome.minutes, 2)
    sums["files"] += outcome.files
    sums["findings"] += len(outcome.findings)
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    _tell(record)


def _tell(record: dict[str, Any]) -> None:
    """Make the table of the README."""
    rows = []
    for parser in READERS:
        by_engine = [record[parser][engine] for engine in ENGINES]
        cells = [f"{sums['minutes']:.1f} min, {sums['files']:,}" for sums in by_engine]
        rows.append([parser, *cells, str(sum(sums["findings"] for sums in by_engine))])
    write_table(README, "fuzzed", ["parser", *(f"{engine}: time, files" for engine in ENGINES), "found"], rows)


def _quick_folder() -> str:
    memory = Path("/dev/shm")  # noqa: S108 (a folder in memory, where there is one)
    return str(memory) if memory.is_dir() else tempfile.gettempdir()


def main() -> None:
    """Fuzz the parsers that are asked for, one after another."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--minutes", type=float, default=10, help="for each parser and engine")
    arguments.add_argument("--parser", action="append", choices=sorted(READERS), help="again for more; all by default")
    arguments.add_argument("--engine", action="append", choices=ENGINES, help="again for both; hypothesis by default")
    arguments.add_argument("--processes", type=int, default=1, help="parsers that are fuzzed at the same time")
    arguments.add_argument("--record", action="store_true", help="add what was done to fuzzed.json and the README")
    arguments.add_argument(
        "--out", type=Path, default=Path("fuzz-findings"), help="folder for files that broke something"
    )
    arguments.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    readers = [READERS[name] for name in options.parser or READERS]
    engines = options.engine or ENGINES[:1]
    if options.here:
        fuzz(readers[0], engine=engines[0], minutes=options.minutes, out=options.out)
        return
    if "atheris" in engines and importlib.util.find_spec("atheris") is None:
        sys.exit("atheris is not installed: pip install 'bindtune[fuzz]'")
    findings = 0
    before = _recorded() if options.record else None
    with ThreadPoolExecutor(options.processes) as pool:
        started = []
        for reader, engine in product(readers, engines):
            missing = options.minutes - (before[reader.format][engine]["minutes"] if before else 0)
            if missing > 0:
                started.append(pool.submit(_in_own_process, reader, engine=engine, minutes=missing, out=options.out))
        for one in as_completed(started):
            outcome = one.result()
            print(json.dumps(outcome._asdict()), flush=True)
            findings += len(outcome.findings)
            if options.record:
                _record(outcome)
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
