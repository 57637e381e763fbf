"""Compare arms. The runs of an arm differ only in their seed."""

from collections.abc import Callable, Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import Any, NamedTuple

from bindtune.errors import ConfigError
from bindtune.evaluation.seed_interval import SeedDifference, seed_difference
from bindtune.reports import compare_binding, compare_pretraining, compare_probe
from bindtune.reports.compared_runs import MOST_RUNS, Run, RunFigures, Setting, differing_settings, read_runs
from bindtune.runs.kinds import Kind

_SEEDS = {"binding": "training.seed", "pretraining": "seed", "probe": "seed"}
_FIGURES: dict[str, Callable[[Sequence[Run]], RunFigures]] = {
    "binding": compare_binding.figures,
    "pretraining": compare_pretraining.figures,
    "probe": compare_probe.figures,
}


class Arm(NamedTuple):
    """Runs of one kind of training.

    Args:
        letter: letter of the arm in tables.
        name: the user's name of the arm.
        runs: by seed.
        seeds: of the runs.
    """

    letter: str
    name: str
    runs: tuple[Run, ...]
    seeds: tuple[int, ...]


class ArmDifference(NamedTuple):
    """One figure of an arm beside that of the first arm.

    Args:
        pool: an ion, a kind of masked tokens, or a model of a probe.
        figure: name of the figure.
        against: a value to compare with, such as the base rate.
        arm: the arm's letter.
        values: of the arm's runs, by seed.
        reference_values: of the first arm's runs, by seed.
        difference: the arm less the first arm.
    """

    pool: str
    figure: str
    against: str
    arm: str
    values: tuple[float, ...]
    reference_values: tuple[float, ...]
    difference: SeedDifference


class ArmComparison(NamedTuple):
    """The result of a comparison of arms.

    Args:
        kind: job of the runs.
        arms: the first is the reference.
        is_paired: whether all arms have the same seeds.
        figures: of all runs, arm after arm.
        rows: one for each figure and arm.
        changed: settings that the first run of an arm differs in from that of the first arm, by letter.
        doubts: warnings about the figures.
    """

    kind: Kind
    arms: tuple[Arm, ...]
    is_paired: bool
    figures: RunFigures
    rows: tuple[ArmDifference, ...]
    changed: dict[str, list[Setting]]
    doubts: tuple[str, ...]


def read_arm_text(text: str) -> tuple[str, tuple[Path, ...]]:
    """The name and the run folders of an arm.

    Raises:
        ConfigError: it is not NAME=RUN,RUN,...

    Example:
        >>> name, folders = read_arm_text("base=runs/1,runs/2")
        >>> name, [folder.as_posix() for folder in folders]
        ('base', ['runs/1', 'runs/2'])
    """
    name, separator, listed = text.partition("=")
    folders = tuple(Path(part.strip()) for part in listed.split(",") if part.strip())
    if not separator or not name.strip() or not folders:
        raise ConfigError(f"arm: expected NAME=RUN,RUN,..., found {text[:80]!r}")
    return name.strip(), folders


def compare_arms(arms: Sequence[tuple[str, Sequence[Path]]], *, seed: int = 1) -> ArmComparison:
    """Compare the runs of arms with those of the first arm, over seeds.

    Args:
        arms: the name and the run folders of each arm.
        seed: of bootstrap draws.

    Raises:
        ConfigError: there are too few arms or too many runs, a name or a seed comes twice, or the runs are of different
            jobs.
        InputError: a run is not finished, or is on other data than the first.
    """
    if len(arms) < 2:
        raise ConfigError(f"compare takes two or more arms, found {len(arms)}")
    names = [name for name, _ in arms]
    twice = [name for name in names if names.count(name) > 1]
    if len(arms) > MOST_RUNS:
        raise ConfigError(f"compare takes {MOST_RUNS} arms at most, found {len(arms)}")
    if twice:
        raise ConfigError(f"arm: the name {twice[0]!r} is given twice")
    runs, kind = read_runs([folder for _, folders in arms for folder in folders], most=None)
    made, start = list[Arm](), 0
    for letter, (name, folders) in zip(ascii_uppercase, arms, strict=False):
        made.append(_arm(letter, name, runs[start : start + len(folders)], kind))
        start += len(folders)
    is_paired = all(arm.seeds == made[0].seeds for arm in made)
    figures = _FIGURES[kind]([run for arm in made for run in arm.runs])
    return ArmComparison(
        kind=kind,
        arms=tuple(made),
        is_paired=is_paired,
        figures=figures,
        rows=tuple(_rows(made, figures, is_paired=is_paired, seed=seed)),
        changed={arm.letter: _changed(made[0].runs[0], arm.runs[0], kind) for arm in made[1:]},
        doubts=(*_doubts(made, kind, is_paired=is_paired), *figures.doubts),
    )


def _arm(letter: str, name: str, runs: Sequence[Run], kind: Kind) -> Arm:
    by_seed: dict[int, Run] = {}
    for run in runs:
        seed = _seed(run, kind)
        if seed in by_seed:
            raise ConfigError(
                f"arm {name}: {by_seed[seed].folder} and {run.folder} have the same seed {seed}; the runs of an arm "
                "have different seeds"
            )
        by_seed[seed] = run
    seeds = sorted(by_seed)
    numbered = [by_seed[seed]._replace(name=f"{letter}{number}") for number, seed in enumerate(seeds, start=1)]
    return Arm(letter, name, tuple(numbered), tuple(seeds))


def _seed(run: Run, kind: Kind) -> int:
    value: Any = run.config
    for part in _SEEDS[kind].split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if not isinstance(value, int) or isinstance(value, bool):
        raise ConfigError(f"{run.folder}: expected a whole number as {_SEEDS[kind]}, found {value!r}")
    return value


def _rows(arms: Sequence[Arm], figures: RunFigures, *, is_paired: bool, seed: int) -> list[ArmDifference]:
    rows = []
    for (pool, figure), values in figures.values.items():
        parts, start = list[tuple[float, ...]](), 0
        for arm in arms:
            parts.append(tuple(values[start : start + len(arm.runs)]))
            start += len(arm.runs)
        for arm, own in zip(arms[1:], parts[1:], strict=True):
            difference = seed_difference(own, parts[0], is_paired=is_paired, seed=seed)
            rows.append(
                ArmDifference(pool, figure, figures.against.get(pool, ""), arm.letter, own, parts[0], difference)
            )
    return rows


def _changed(reference: Run, run: Run, kind: Kind) -> list[Setting]:
    return [setting for setting in differing_settings(reference, run) if setting.name != _SEEDS[kind]]


def _doubts(arms: Sequence[Arm], kind: Kind, *, is_paired: bool) -> list[str]:
    doubts = []
    for arm in arms:
        settings = {setting.name for run in arm.runs[1:] for setting in _changed(arm.runs[0], run, kind)}
        if settings:
            doubts.append(f"The runs of {arm.name} differ in more than their seed: {', '.join(sorted(settings))}.")
    if not is_paired:
        listed = "; ".join(f"{arm.name}: {', '.join(map(str, arm.seeds))}" for arm in arms)
        doubts.append(f"The arms have different seeds, so their runs are not paired ({listed}).")
    return doubts
