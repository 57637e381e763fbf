"""Break every long command in every way that clusters know, go on, and compare with a run that nothing happened to.

    python benchmarks/faults.py [--kills 25] [--command NAME]... [--fault NAME]... [--seed 0] [--work FOLDER]

Each command runs on small generated inputs. A cell is good where every outcome was a finished run that equals the
straight one file by file (but for times), or one clear line and a folder from which the same command, or its option for
resuming, reaches that run. A kill that came after the end of its run is not counted, and another is drawn. Prints a
matrix and what is bad; the exit status is 1 if anything is.
"""

import argparse
import functools
import os
import random
import re
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from fault_jobs import JOBS, OUT, Job, differences, half_written, put_made, set_up
from fault_runs import Ended, NoMountError, disk, prepare, run, run_for_real

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from warm import import_all

_FILLED = (0.03, 0.2, 0.4, 0.6, 0.8, 0.97)
"""Sizes of full disks, as shares of what a run leaves."""
_GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL."""


@dataclass
class Bench:
    """A job with the run that nothing happened to.

    Args:
        job: the command.
        inputs: what all jobs read.
        work: for the folders of runs.
        generator: of the moments.
        straight: output folder of the run that nothing happened to.
        seconds: how long such a run takes.
        kills: how many.
        few: Ctrl-C and SIGTERM, so many of each.
        real: whether some commands get an interpreter of their own.
        bad: what was found wrong.
    """

    job: Job
    inputs: Path
    work: Path
    generator: random.Random
    straight: Path = Path()
    seconds: float = 0.0
    kills: int = 25
    few: int = 5
    real: bool = True
    bad: list[str] = field(default_factory=list)
    _count: int = 0

    def folder(self, *, made: bool = True) -> Path:
        """A new folder for a run."""
        self._count += 1
        folder = set_up(self.job, self.inputs, self.work / f"{self.job.name}-{self._count}")
        if made:
            put_made(self.job, self.inputs, folder)
        return folder

    def moment(self) -> float:
        """A moment of a run, uniform over its time."""
        return self.generator.uniform(0, self.seconds)

    def note(self, folder: Path, problem: str, ended: Ended | None = None) -> None:
        """Keep what is wrong, with the end of what the command said."""
        said = "" if ended is None else f" (exit {ended.code}): ...{ended.output.strip()[-1500:]}"
        self.bad.append(f"{folder}: {problem}{said}")

    def check_equal(self, folder: Path, after: str, *, straight: Path | None = None) -> bool:
        """Compare an output folder with the straight run's."""
        differing = differences(straight or self.straight, folder / OUT)
        if differing:
            self.note(folder, f"after {after}: {', '.join(differing[:6])}")
        return not differing

    def check_whole(self, folder: Path, after: str) -> None:
        """Look for files that are half written under a final name."""
        if half := half_written(folder / OUT):
            self.note(folder, f"half written after {after}: {', '.join(half[:6])}")

    def finish(self, folder: Path, after: str, ended: Ended | None = None) -> None:
        """Go on to the end, where a command has not ended there, and compare."""
        if ended is None or ended.code != 0:
            ended = run(self.job.words, folder)
        if ended.code != 0 and not (self.job.once and f"{OUT} is not empty" in ended.told):
            self.note(folder, f"does not go on after {after}", ended)
        elif self.check_equal(folder, after):
            shutil.rmtree(folder, ignore_errors=True)

    def check_told(self, folder: Path, ended: Ended, *said: str, code: int = 2) -> bool:
        """Whether a command ended with one clear line that has one of some words."""
        if ended.code == code and any(word in ended.told for word in said):
            return True
        self.note(folder, f"expected a line with {' or '.join(said)} and exit {code}", ended)
        return False


# -------------------------------------------------------------------- faults; each returns what its cell shows


def kills(bench: Bench) -> str:
    """SIGKILL at any moment: runs that are killed once, twice or three times before they may end."""
    done = cases = chains = 0
    while done < bench.kills:
        folder, cases, own = bench.folder(), cases + 1, 0
        for _ in range(min(cases % 3 + 1, bench.kills - done)):
            ended = run(bench.job.words, folder, at=bench.moment())
            if ended.code != -signal.SIGKILL:  # it was done before
                if ended.code != 0:
                    bench.note(folder, "does not go on after a kill", ended)
                elif not own:
                    bench.seconds = ended.seconds  # a machine with other work is fast at times, and slow at others
                break
            done, own = done + 1, own + 1
            bench.check_whole(folder, "a kill")
        chains += own > 1
        if ended.code in (0, -signal.SIGKILL):
            bench.finish(folder, "kills", ended)
    return f"{done} kills, {chains} chains"


def kills_at_writes(bench: Bench) -> str:
    """SIGKILL before and after a file takes its name; caches count too."""
    folder = bench.folder()
    record = folder / "names"
    record.touch()

    def note(name: str, done: bool) -> None:
        with record.open("a") as stream:
            stream.write(f"{name}\n")

    run(bench.job.words, folder, watch=note)
    kinds = dict.fromkeys(map(_kind, record.read_text().splitlines()))
    cases = [(kind, done) for kind in kinds for done in (False, True)]
    for kind, done in bench.generator.sample(cases, min(len(cases), bench.kills)):
        folder, after = bench.folder(), f"a kill {'after' if done else 'before'} {kind}"
        ended = run(bench.job.words, folder, watch=functools.partial(_kill_at, kind, done))
        if ended.code != -signal.SIGKILL:
            bench.note(folder, f"was not ended by {after}", ended)
        bench.check_whole(folder, after)
        bench.finish(folder, after, ended)
    return f"{min(len(cases), bench.kills)} of {len(cases)} places"


def _kind(name: str) -> str:
    return re.sub(r"[0-9a-f]{8,}|\d+", "#", name)


def _kill_at(kind: str, done: bool, name: str, after: bool) -> None:
    if (_kind(name), after) == (kind, done):
        os.killpg(0, signal.SIGKILL)


def full_disk(bench: Bench) -> str:
    """Disks of several sizes; each is full at another place."""
    footprint = _footprint(bench.straight)
    before = _footprint(bench.inputs / bench.job.made) if bench.job.made else 0
    full = 0
    for share in _FILLED:
        folder = bench.folder(made=False)
        with disk(folder / "disk", size=_page(before + share * (footprint - before))) as change:
            put_made(bench.job, bench.inputs, folder)
            # One of them in an interpreter of its own: what it says while it goes down counts too.
            start = run_for_real if bench.real and share == _FILLED[1] else run
            ended = start(bench.job.words, folder)
            if ended.code == 0:
                bench.check_equal(folder, f"a disk of {share:.0%}, which was enough")
                continue
            full += 1
            bench.check_whole(folder, f"a disk of {share:.0%}")
            bench.check_told(folder, ended, "No space left")
            if OUT not in ended.told:
                bench.note(folder, "the line names no file", ended)
            change(size=1 << 30)
            bench.finish(folder, f"a disk of {share:.0%}")
    if full < 3:
        bench.bad.append(f"{bench.job.name}: only {full} of the disks were too small")
    return f"{full} disks"


def _footprint(folder: Path) -> int:
    return sum(_page(path.stat().st_size) for path in folder.rglob("*") if path.is_file())


def _page(size: float) -> int:
    return (int(size) + 4095) // 4096 * 4096


def read_only(bench: Bench) -> str:
    """A disk that cannot be written to, at the start and when the command goes on."""
    folder = bench.folder(made=False)
    with disk(folder / "disk") as change:
        put_made(bench.job, bench.inputs, folder)
        change(writable=False)
        bench.check_told(folder, run(bench.job.words, folder), "Read-only")
        change()
        killed = run(bench.job.words, folder, at=bench.seconds / 2).code == -signal.SIGKILL
        change(writable=False)
        ended = run(bench.job.words, folder)
        if killed:
            bench.check_told(folder, ended, "Read-only")
        change()
        bench.finish(folder, "a read-only disk", ended)
    return "told"


def occupied(bench: Bench) -> str:
    """A file where the output folder should be."""
    if bench.job.made is not None or "." in bench.job.words[-1]:
        return "-"
    folder = bench.folder()
    (folder / OUT).write_text("mine")
    bench.check_told(folder, run(bench.job.words, folder), OUT)
    if (folder / OUT).read_text() != "mine":
        bench.note(folder, "wrote over a file")
    return "told"


def vanished(bench: Bench) -> str:
    """An input that goes while the command runs, and one that is gone when it goes on."""
    if bench.job.fault_input is None:
        return "-"
    folder, name = bench.folder(), Path(bench.job.fault_input).name
    lost, copy = folder / "in" / bench.job.fault_input, folder / "kept"
    outcomes = Counter[str]()
    for share in (0.0, 0.1, 0.3, 0.6):
        ended = run(bench.job.words, folder, at=share * bench.seconds, act=functools.partial(lost.rename, copy))
        if ended.code != 0:
            bench.check_told(folder, ended, name)
        outcomes["told" if ended.code else "done"] += 1
        if not copy.exists():
            continue
        if ended.code != 0:
            ended = run(bench.job.words, folder)
            bench.check_told(folder, ended, name)
        copy.rename(lost)
        if ended.code == 0:
            break
    bench.finish(folder, "an input that vanished", ended)
    return _shown(outcomes)


def changed(bench: Bench) -> str:
    """An input that changes between a kill and the resume: refused, or begun anew with what is there now."""
    job = bench.job
    if job.fault_input is None or job.change is None:
        return "-"
    other = bench.folder()
    _change(job, other)
    if (ended := run(job.words, other)).code != 0:
        bench.note(other, "the changed input alone cannot be run", ended)
    outcomes = Counter[str]()
    for share in (0.4, 0.8):
        folder = bench.folder()
        if run(job.words, folder, at=share * bench.seconds).code != -signal.SIGKILL:
            continue
        setting = _change(job, folder)
        ended = run(job.words, folder)
        if ended.code == 0:
            outcomes["anew"] += 1
            bench.check_equal(folder, "a changed input", straight=other / OUT)
            continue
        outcomes["refused"] += 1
        bench.check_told(folder, ended, "not those that the run began with", "input is not the same")
        (folder / "in" / job.fault_input).write_text(setting)
        bench.finish(folder, "a changed input")
    return _shown(outcomes)


def _change(job: Job, folder: Path) -> str:
    if job.fault_input is None or job.change is None:
        raise ValueError(job.name)
    path = folder / "in" / job.fault_input
    before = path.read_text()
    path.write_text(job.change(before))
    return before


def unreadable(bench: Bench) -> str:
    """An input that the user may not read."""
    if bench.job.fault_input is None:
        return "-"
    folder = bench.folder()
    path = folder / "in" / bench.job.fault_input
    path.chmod(0)
    ended = run(bench.job.words, folder, rights=False)
    if bench.check_told(folder, ended, path.name) and "ermission denied" not in ended.told:
        bench.note(folder, "does not say why", ended)
    path.chmod(0o644)
    bench.finish(folder, "an unreadable input")
    return "told"


def interrupted(bench: Bench, *, again: float | None = None) -> str:
    """Ctrl-C, to all processes as a terminal sends it."""
    done = 0
    for _ in range(6 * bench.few):
        if done == bench.few:
            break
        folder = bench.folder()
        ended = run(bench.job.words, folder, at=bench.moment(), number=signal.SIGINT, again=again)
        if ended.code != 0:
            done += 1
            ends = {130, *(() if again is None else (-signal.SIGINT,))}
            bench.check_told(folder, ended, "interrupted", code=ended.code if ended.code in ends else 130)
            bench.check_whole(folder, "Ctrl-C")
        bench.finish(folder, "Ctrl-C", ended)
    return f"{done} times"


def interrupted_twice(bench: Bench) -> str:
    """Ctrl-C, and once more while the command ends."""
    return interrupted(bench, again=bench.generator.choice((0.001, 0.01, 0.05)))


def hung_up(bench: Bench) -> str:
    """SIGHUP, as a terminal sends it that is closed."""
    return terminated(bench, number=signal.SIGHUP)


def terminated(bench: Bench, *, number: signal.Signals = signal.SIGTERM) -> str:
    """SIGTERM, and SIGKILL some seconds later, as SLURM sends them."""
    outcomes = Counter[str]()
    for _ in range(6 * bench.few):
        if outcomes.total() - outcomes["ended before"] == bench.few:
            break
        folder = bench.folder()
        ended = run(bench.job.words, folder, at=bench.moment(), number=number, grace=_GRACE)
        saved = 128 + number
        if ended.code == saved:
            bench.check_told(folder, ended, f"stopped by {number.name}", code=saved)
        elif ended.code not in (0, -number, -signal.SIGKILL):
            bench.note(folder, f"answers {number.name} with something else", ended)
        names = {0: "ended before", saved: "saved", -number: "at once", -signal.SIGKILL: "killed"}
        outcomes[names.get(ended.code or 0, "bad")] += 1
        bench.check_whole(folder, number.name)
        bench.finish(folder, number.name, ended)
    del outcomes["ended before"]
    return _shown(outcomes)


def _shown(outcomes: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in outcomes.items())


FAULTS: dict[str, Callable[[Bench], str]] = {
    "SIGKILL": kills,
    "SIGKILL at a write": kills_at_writes,
    "full disk": full_disk,
    "read-only disk": read_only,
    "output is a file": occupied,
    "input vanishes": vanished,
    "input changes": changed,
    "unreadable input": unreadable,
    "Ctrl-C": interrupted,
    "Ctrl-C twice": interrupted_twice,
    "SIGTERM": terminated,
    "SIGHUP": hung_up,
}


# -------------------------------------------------------------------- the matrix


def straight_run(bench: Bench) -> None:
    """Run a command as users do, and once forked, which has to give the same and says how long it takes.

    Raises:
        RuntimeError: one of the two failed, or they differ.
    """
    folder = bench.folder()
    forked = run(bench.job.words, folder)
    bench.straight, bench.seconds = folder / OUT, forked.seconds
    again = bench.folder()
    real = run_for_real(bench.job.words, again) if bench.real else forked
    if real.code or forked.code:
        raise RuntimeError(f"{bench.job.name} fails without any fault:\n{real.output}\n{forked.output}")
    if bench.real and (differing := differences(again / OUT, bench.straight)):
        raise RuntimeError(f"{bench.job.name}: a forked command gives something else: {', '.join(differing)}")


def main() -> int:
    """Run the matrix and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=25, help="of each command")
    parser.add_argument("--few", type=int, default=5, help="Ctrl-C and SIGTERM, so many of each")
    parser.add_argument("--command", action="append", choices=JOBS, help="all by default; repeatable")
    parser.add_argument("--fault", action="append", choices=FAULTS, help="all by default; repeatable")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--forks", action="store_true", help="start no new interpreters, which others are held against")
    parser.add_argument("--work", type=Path, help="folder to work in, kept; a temporary one by default")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bindtune-faults-") as made:
        work = (args.work or Path(made)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        work.chmod(0o755)
        import_all()
        inputs = prepare(work)
        rows, bad = [], []
        for name in args.command or JOBS:
            generator = random.Random(f"{args.seed} {name}")
            bench = Bench(JOBS[name], inputs, work, generator, kills=args.kills, few=args.few, real=not args.forks)
            straight_run(bench)
            cells = {fault: _cell(FAULTS[fault], bench) for fault in args.fault or FAULTS}
            rows.append((name, f"{bench.seconds:.1f} s", cells))
            bad += bench.bad
            print(f"{name}, {bench.seconds:.1f} s: {cells}", *bench.bad, sep="\n  ", file=sys.stderr, flush=True)
    print(_table(rows))
    print(f"{len(bad)} bad outcomes")
    return 1 if bad else 0


def _cell(fault: Callable[[Bench], str], bench: Bench) -> str:
    before = len(bench.bad)
    try:
        shown = fault(bench)
    except NoMountError as error:
        return f"skipped: {error}"
    faults = len(bench.bad) - before
    return f"BAD {faults}: {shown}" if faults else shown


def _table(rows: list[tuple[str, str, dict[str, str]]]) -> str:
    head = ["fault", *(f"{name} ({seconds})" for name, seconds, _ in rows)]
    lines = [head] + [[fault, *(cells[fault] for *_, cells in rows)] for fault in rows[0][2]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([text[0], "-" * sum((*widths, 2 * len(widths) - 2)), *text[1:]])


if __name__ == "__main__":
    sys.exit(main())
