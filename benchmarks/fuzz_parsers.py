"""Fuzz every parser: changed files must be read, or refused by name; never a hang, a crash or a stray exception.

    python benchmarks/fuzz_parsers.py --minutes 10                                 # hypothesis, every parser
    python benchmarks/fuzz_parsers.py --minutes 10 --engine atheris --parser A3M   # guided by coverage

What must hold of every file is in tests/corpus/fuzzing.py. Each parser runs in a process of its own with bounded
memory; files that broke something are kept under --out. Exit code 1: something was found. The engine atheris is the
extra `fuzz`.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from bindtune.errors import CheckpointError
from corpus.fuzzing import Finding, changed, check
from corpus.readers import READERS, Reader
from corpus.valid import seeds

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
    from hypothesis import HealthCheck, given, seed, settings

    until, turn = time.monotonic() + 60 * minutes, 0
    while time.monotonic() < until:
        turn += 1

        @seed(turn)
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


def _in_own_process(reader: Reader, *, engine: str, minutes: float, out: Path) -> list[str]:
    """Fuzz one parser in a new process, and name what it found."""
    command = [sys.executable, __file__, "--here", "--parser", reader.format, "--engine", engine]
    command += ["--minutes", str(minutes), "--out", str(out)]
    out.mkdir(parents=True, exist_ok=True)
    with (out / "log").open("w") as log:
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TMPDIR": _quick_folder()}
        code = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, env=environment, check=False).returncode
    found = sorted(path.stem for path in out.glob("*.txt"))
    # libFuzzer ends the process by itself, with 0 when the time is over.
    return [*found, f"the process ended with {code}: see {out}/log and last.file"] if code else found


def _quick_folder() -> str:
    memory = Path("/dev/shm")  # noqa: S108 (a folder in memory, where there is one)
    return str(memory) if memory.is_dir() else tempfile.gettempdir()


def main() -> None:
    """Fuzz the parsers that are asked for, one after another."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--minutes", type=float, default=10, help="for each parser")
    arguments.add_argument("--parser", action="append", choices=sorted(READERS), help="again for more; all by default")
    arguments.add_argument("--engine", choices=("hypothesis", "atheris"), default="hypothesis")
    arguments.add_argument(
        "--out", type=Path, default=Path("fuzz-findings"), help="folder for files that broke something"
    )
    arguments.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    wanted = [READERS[name] for name in given.parser or READERS]
    if given.here:
        fuzz(wanted[0], engine=given.engine, minutes=given.minutes, out=given.out)
        return
    findings = 0
    for reader in wanted:
        out = given.out / given.engine / reader.format.replace(" ", "-")
        found = _in_own_process(reader, engine=given.engine, minutes=given.minutes, out=out)
        tried = int((out / "tried").read_text()) if (out / "tried").is_file() else 0
        print(json.dumps({"parser": reader.format, "files": tried, "findings": found}), flush=True)
        findings += len(found)
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
