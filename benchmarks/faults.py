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
        found = set_up(self.job, self.inputs, self.work / f"{self.job.name}-{self._count}")
        if made:
            put_made(self.job, self.inputs, found)
        return found

    def moment(self) -> float:
        """A moment of a run, uniform over its time."""
        return self.generator.uniform(0, self.seconds)

    def note(self, place: Path, problem: str, ended: Ended | None = None) -> None:
        """Keep what is wrong, with the end of what the command said."""
        said = "" if ended is None else f" (exit {ended.code}): ...{ended.output.strip()[-1500:]}"
        self.bad.append(f"{place}: {problem}{said}")

    def check_equal(self, place: Path, after: str, *, straight: Path | None = None) -> bool:
        """Compare an output folder with the straight run's."""
        found = differences(straight or self.straight, place / OUT)
        if found:
            self.note(place, f"after {after}: {', '.join(found[:6])}")
        return not found

    def check_whole(self, place: Path, after: str) -> None:
        """Look for files that are half written under a final name."""
        if found := half_written(place / OUT):
            self.note(place, f"half written after {after}: {', '.join(found[:6])}")

    def finish(self, place: Path, after: str, ended: Ended | None = None) -> None:
        """Go on to the end, where a command has not ended there, and compare."""
        if ended is None or ended.code != 0:
            ended = run(self.job.words, place)
        if ended.code != 0 and not (self.job.once and f"{OUT} is not empty" in ended.told):
            self.note(place, f"does not go on after {after}", ended)
        elif self.check_equal(place, after):
            shutil.rmtree(place, ignore_errors=True)

    def check_told(self, place: Path, ended: Ended, *said: str, code: int = 2) -> bool:
        """Whether a command ended with one clear line that has one of some words."""
        if ended.code == code and any(word in ended.told for word in said):
            return True
        self.note(place, f"expected a line with {' or '.join(said)} and exit {code}", ended)
        return False


# -------------------------------------------------------------------- faults; each returns what its cell shows


def kills(bench: Bench) -> str:
    """SIGKILL at any moment: runs that are killed once, twice or three times before they may end."""
    done = cases = chains = 0
    while done < bench.kills:
        place, cases, own = bench.folder(), cases + 1, 0
        for _ in range(min(cases % 3 + 1, bench.kills - done)):
            ended = run(bench.job.words, place, at=bench.moment())
            if ended.code != -signal.SIGKILL:  # it was done before
                if ended.code != 0:
                    bench.note(place, "does not go on after a kill", ended)
                elif not own:
                    bench.seconds = ended.seconds  # a machine with other work is fast at times, and slow at others
                break
            done, own = done + 1, own + 1
            bench.check_whole(place, "a kill")
        chains += own > 1
        if ended.code in (0, -signal.SIGKILL):
            bench.finish(place, "kills", ended)
    return f"{done} kills, {chains} chains"


def kills_at_writes(bench: Bench) -> str:
    """SIGKILL before and after a file takes its name; caches count too."""
    place = bench.folder()
    record = place / "names"
    record.touch()

    def note(name: str, done: bool) -> None:
        with record.open("a") as stream:
            stream.write(f"{name}\n")

    run(bench.job.words, place, watch=note)
    kinds = dict.fromkeys(map(_kind, record.read_text().splitlines()))
    cases = [(kind, done) for kind in kinds for done in (False, True)]
    for kind, done in bench.generator.sample(cases, min(len(cases), bench.kills)):
        place, after = bench.folder(), f"a kill {'after' if done else 'before'} {kind}"
        ended = run(bench.job.words, place, watch=functools.partial(_kill_at, kind, done))
        if ended.code != -signal.SIGKILL:
            bench.note(place, f"was not ended by {after}", ended)
        bench.check_whole(place, after)
        bench.finish(place, after, ended)
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
        place = bench.folder(made=False)
        with disk(place / "disk", size=_page(before + share * (footprint - before))) as change:
            put_made(bench.job, bench.inputs, place)
            # One of them in an interpreter of its own: what it says while it goes down counts too.
            start = run_for_real if bench.real and share == _FILLED[1] else run
            ended = start(bench.job.words, place)
            if ended.code == 0:
                bench.check_equal(place, f"a disk of {share:.0%}, which was enough")
                continue
            full += 1
            bench.check_whole(place, f"a disk of {share:.0%}")
            bench.check_told(place, ended, "No space left")
            if OUT not in ended.told:
                bench.note(place, "the line names no file", ended)
            change(size=1 << 30)
            bench.finish(place, f"a disk of {share:.0%}")
    if full < 3:
        bench.bad.append(f"{bench.job.name}: only {full} of the disks were too small")
    return f"{full} disks"


def _footprint(folder: Path) -> int:
    return sum(_page(path.stat().st_size) for path in folder.rglob("*") if path.is_file())


def _page(size: float) -> int:
    return (int(size) + 4095) // 4096 * 4096


def read_only(bench: Bench) -> str:
    """A disk that cannot be written to, at the start and when the command goes on."""
    place = bench.folder(made=False)
    with disk(place / "disk") as change:
        put_made(bench.job, bench.inputs, place)
        change(writable=False)
        bench.check_told(place, run(bench.job.words, place), "Read-only")
        change()
        killed = run(bench.job.words, place, at=bench.seconds / 2).code == -signal.SIGKILL
        change(writable=False)
        ended = run(bench.job.words, place)
        if killed:
            bench.check_told(place, ended, "Read-only")
        change()
        bench.finish(place, "a read-only disk", ended)
    return "told"


def occupied(bench: Bench) -> str:
    """A file where the output folder should be."""
    if bench.job.made is not None or "." in bench.job.words[-1]:
        return "-"
    place = bench.folder()
    (place / OUT).write_text("mine")
    bench.check_told(place, run(bench.job.words, place), OUT)
    if (place / OUT).read_text() != "mine":
        bench.note(place, "wrote over a file")
    return "told"


def vanished(bench: Bench) -> str:
    """An input that goes while the command runs, and one that is gone when it goes on."""
    if bench.job.fault_input is None:
        return "-"
    place, name = bench.folder(), Path(bench.job.fault_input).name
    lost, kept = place / "in" / bench.job.fault_input, place / "kept"
    outcomes = Counter[str]()
    for share in (0.0, 0.1, 0.3, 0.6):
        ended = run(bench.job.words, place, at=share * bench.seconds, act=functools.partial(lost.rename, kept))
        if ended.code != 0:
            bench.check_told(place, ended, name)
        outcomes["told" if ended.code else "done"] += 1
        if not kept.exists():
            continue
        if ended.code != 0:
            ended = run(bench.job.words, place)
            bench.check_told(place, ended, name)
        kept.rename(lost)
        if ended.code == 0:
            break
    bench.finish(place, "an input that vanished", ended)
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
        place = bench.folder()
        if run(job.words, place, at=share * bench.seconds).code != -signal.SIGKILL:
            continue
        kept = _change(job, place)
        ended = run(job.words, place)
        if ended.code == 0:
            outcomes["anew"] += 1
            bench.check_equal(place, "a changed input", straight=other / OUT)
            continue
        outcomes["refused"] += 1
        bench.check_told(place, ended, "not those that the run began with", "input is not the same")
        (place / "in" / job.fault_input).write_text(kept)
        bench.finish(place, "a changed input")
    return _shown(outcomes)


def _change(job: Job, place: Path) -> str:
    if job.fault_input is None or job.change is None:
        raise ValueError(job.name)
    path = place / "in" / job.fault_input
    before = path.read_text()
    path.write_text(job.change(before))
    return before


def unreadable(bench: Bench) -> str:
    """An input that the user may not read."""
    if bench.job.fault_input is None:
        return "-"
    place = bench.folder()
    path = place / "in" / bench.job.fault_input
    path.chmod(0)
    ended = run(bench.job.words, place, rights=False)
    if bench.check_told(place, ended, path.name) and "ermission denied" not in ended.told:
        bench.note(place, "does not say why", ended)
    path.chmod(0o644)
    bench.finish(place, "an unreadable input")
    return "told"


def interrupted(bench: Bench, *, again: float | None = None) -> str:
    """Ctrl-C, to all processes as a terminal sends it."""
    done = 0
    for _ in range(6 * bench.few):
        if done == bench.few:
            break
        place = bench.folder()
        ended = run(bench.job.words, place, at=bench.moment(), number=signal.SIGINT, again=again)
        if ended.code != 0:
            done += 1
            ends = {130, *(() if again is None else (-signal.SIGINT,))}
            bench.check_told(place, ended, "interrupted", code=ended.code if ended.code in ends else 130)
            bench.check_whole(place, "Ctrl-C")
        bench.finish(place, "Ctrl-C", ended)
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
        place = bench.folder()
        ended = run(bench.job.words, place, at=bench.moment(), number=number, grace=_GRACE)
        saved = 128 + number
        if ended.code == saved:
            bench.check_told(place, ended, f"stopped by {number.name}", code=saved)
        elif ended.code not in (0, -number, -signal.SIGKILL):
            bench.note(place, f"answers {number.name} with something else", ended)
        names = {0: "ended before", saved: "saved", -number: "at once", -signal.SIGKILL: "killed"}
        outcomes[names.get(ended.code or 0, "bad")] += 1
        bench.check_whole(place, number.name)
        bench.finish(place, number.name, ended)
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
    place = bench.folder()
    forked = run(bench.job.words, place)
    bench.straight, bench.seconds = place / OUT, forked.seconds
    again = bench.folder()
    real = run_for_real(bench.job.words, again) if bench.real else forked
    if real.code or forked.code:
        raise RuntimeError(f"{bench.job.name} fails without any fault:\n{real.output}\n{forked.output}")
    if bench.real and (found := differences(again / OUT, bench.straight)):
        raise RuntimeError(f"{bench.job.name}: a forked command gives something else: {', '.join(found)}")


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
    found = len(bench.bad) - before
    return f"BAD {found}: {shown}" if found else shown


def _table(rows: list[tuple[str, str, dict[str, str]]]) -> str:
    head = ["fault", *(f"{name} ({seconds})" for name, seconds, _ in rows)]
    lines = [head] + [[fault, *(cells[fault] for *_, cells in rows)] for fault in rows[0][2]]
    widths = [max(len(line[place]) for line in lines) for place in range(len(head))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([text[0], "-" * sum((*widths, 2 * len(widths) - 2)), *text[1:]])


if __name__ == "__main__":
    sys.exit(main())
