"""Compared runs, the settings in which they differ, and one figure of two runs."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from pathlib import Path
from string import ascii_uppercase
from types import MappingProxyType
from typing import Any, NamedTuple

from bindtune.errors import ConfigError, InputError
from bindtune.evaluation.binding_sites import SitePair
from bindtune.evaluation.bootstrap import Compared
from bindtune.evaluation.figure_text import UNDEFINED
from bindtune.evaluation.wilcoxon import Wilcoxon
from bindtune.reports.report_run import provenance
from bindtune.reports.run_settings import masking_mode, shown
from bindtune.runs.kinds import Kind, is_binding, kind_in_words, kind_of, run_config
from bindtune.runs.names import PROVENANCE

# Settings that do not change the figures, and settings whose files are compared by hashes or by folds.csv.
PRETRAINING_APART = frozenset({
    "output_dir", "preprocessing_num_workers", "per_device_eval_batch_size", "save_total_limit", "logging_steps",
    "report_to", "dataloader_num_workers", "dataloader_pin_memory", "resume_from_checkpoint", "train_file",
    "validation_file",
})  # fmt: skip
BINDING_APART = frozenset({
    "training.output_dir", "training.num_workers", "training.save_steps", "training.max_batch_tokens",
    "training.gradient_checkpointing", "data.cache_dir", "data.fasta_path", "data.test_fasta", "data.folds",
    "data.audit_identity", "data.leaks", "ignored_keys",
})  # fmt: skip
PROBE_APART = frozenset({"out", "overwrite", "batch_tokens", "write_index"})
# Files of provenance.json that a run is not refused for, by the setting that names them.
_FILES = {"unlabelled proteins": "data.unlabelled_fasta", "clusters": "data.clusters", "alignments": "data.msa_dir"}


class Run(NamedTuple):
    """One of the runs.

    Args:
        name: its letter.
        folder: its folder.
        config: its settings.
        origin: its provenance.json.
    """

    name: str
    folder: Path
    config: dict[str, Any]
    origin: dict[str, Any]

    def input_hashes(self) -> dict[str, str]:
        """The hash of each input file.

        Raises:
            InputError: the run does not say what it was made from.
        """
        inputs = self.origin.get("inputs")
        if not isinstance(inputs, dict) or not all(isinstance(each, dict) for each in inputs.values()):
            raise InputError(self.folder / PROVENANCE, None, "names no input files: nothing says what data it is")
        return {str(name): str(each.get("sha256")) for name, each in inputs.items()}


class Setting(NamedTuple):
    """A setting that differs, and its values as text."""

    name: str
    first: str
    second: str


class Difference(NamedTuple):
    """One figure of a run beside that of the reference.

    Args:
        pool: an ion, or a kind of masked tokens.
        figure: name of the figure.
        against: values to compare with, by name: the base rate, or the number of tokens.
        run: the run's letter.
        compared: the run's figure, the reference's, and the first less the second.
        test: protein by protein, or window by window.
    """

    pool: str
    figure: str
    against: str
    run: str
    compared: Compared
    test: Wilcoxon


class Comparison(NamedTuple):
    """The result of a comparison of runs of one job.

    Args:
        unit: the drawn and tested unit: proteins or windows.
        heads: heads of the columns for `pool` and `against`.
        digits: of the figures.
        rows: the figures.
        scope: a sentence about the data of the figures.
        about: (name, value of each run) of further facts.
        doubts: warnings about the figures.
        sites: who finds which site, by run and by ion; the run first, then the reference.
        site_definition: what a site is.
    """

    unit: str
    heads: tuple[str, str]
    digits: int
    rows: tuple[Difference, ...]
    scope: str
    about: tuple[tuple[str, tuple[str, ...]], ...]
    doubts: tuple[str, ...]
    sites: Mapping[str, Mapping[str, SitePair]] = MappingProxyType({})
    site_definition: str = ""


class RunFigures(NamedTuple):
    """Figures of N runs of one job on the same data.

    Args:
        values: N figures, by pool and name; nan if not defined.
        against: values to compare with, such as the base rate, by pool.
        heads: heads of the columns for these two.
        digits: of the figures.
        scope: a sentence about the data of the figures.
        held_fixed: data that all runs share, so that an interval over seeds does not cover other data.
        doubts: warnings about the figures.
    """

    values: dict[tuple[str, str], list[float]]
    against: dict[str, str]
    heads: tuple[str, str]
    digits: int
    scope: str
    held_fixed: str
    doubts: tuple[str, ...] = ()


MOST_RUNS = len(ascii_uppercase)
"""Each run has a letter."""


def read_runs(folders: Sequence[Path], *, least: int = 2, most: int | None = MOST_RUNS) -> tuple[list[Run], Kind]:
    """The runs, the reference first, and their kind.

    Args:
        folders: of the runs.
        least: fewest runs.
        most: most runs. None sets no bound; the runs then have no names.

    Raises:
        ConfigError: there are too few or too many runs, one comes twice, or they are not of one job.
        InputError: a folder is not that of a run.
    """
    if len(folders) < least or (most is not None and len(folders) > most):
        raise ConfigError(f"compare takes {least} to {MOST_RUNS} run folders, found {len(folders)}")
    seen: set[Path] = set()
    for folder in folders:
        if folder.resolve() in seen:
            raise ConfigError(f"{folder} is given twice")
        seen.add(folder.resolve())
    runs = [
        Run(name, folder, run_config(folder), provenance(folder))
        for name, folder in zip(ascii_uppercase if most is not None else repeat(""), folders, strict=False)
    ]
    jobs = [kind_of(run.config) for run in runs]
    if len(set(jobs)) > 1:
        jobs_of_folders = ", ".join(f"{run.folder} ({job})" for run, job in zip(runs, jobs, strict=True))
        raise ConfigError(f"runs of different jobs cannot be compared: {jobs_of_folders}")
    if jobs[0] in ("scan", "explanation"):
        raise ConfigError(f"{folders[0]} is {kind_in_words(jobs[0])}; compare takes runs and probes")
    return runs, jobs[0]


def same_inputs(reference: Run, run: Run, names: Iterable[str]) -> None:
    """Refuse runs with different input files.

    Raises:
        InputError: a file differs, or is missing from one of the runs.
    """
    first, second = reference.input_hashes(), run.input_hashes()
    for name in names:
        hashes = [hashes_of_run.get(name) for hashes_of_run in (first, second)]
        if hashes[0] != hashes[1]:
            digests = " and ".join("none" if each is None else f"{each[:12]}..." for each in hashes)
            raise InputError(
                run.folder,
                None,
                f"is on other data than {reference.folder}: {name} differs (SHA-256 {digests}); "
                "only runs on the same data are compared",
            )


def differing_settings(reference: Run, later_run: Run) -> list[Setting]:
    """The settings in which two runs of one job differ, without settings that do not change the figures."""
    if kind_of(reference.config) == "probe":
        return [each for each in _differences(reference.config, later_run.config) if each.name not in PROBE_APART]
    binding = is_binding(reference.config)
    apart = BINDING_APART if binding else PRETRAINING_APART
    model = "model.checkpoint" if binding else "model_name_or_path"
    if _same_base(reference, later_run):
        apart |= {model}
    first_hashes, second_hashes = reference.input_hashes(), later_run.input_hashes()
    apart |= {
        setting
        for name, setting in _FILES.items()
        if name in first_hashes and first_hashes[name] == second_hashes.get(name)
    }
    as_one = _with_step if binding else _with_masking
    first, second = (as_one(run) for run in (reference, later_run))
    settings = [each for each in _differences(first, second) if each.name not in apart]
    return [*settings, *_other_files(reference, later_run, {each.name for each in settings}, model=model)]


def _other_files(reference: Run, run: Run, listed: set[str], *, model: str) -> Iterator[Setting]:
    """Settings that name the same file or model in both runs, if its content differs."""
    first, second = reference.input_hashes(), run.input_hashes()
    for name in sorted(first.keys() & second.keys()):
        setting = model if name.startswith("base ") else _FILES.get(name)
        if setting is not None and setting not in listed and first[name] != second[name]:
            listed.add(setting)
            yield Setting(setting, *(f"{name} with SHA-256 {each[name][:12]}..." for each in (first, second)))


def _with_masking(run: Run) -> dict[str, Any]:
    """Settings with the two that say how masks are drawn as one."""
    rest = {name: value for name, value in run.config.items() if name not in ("use_adaptive_masking", "masking")}
    return {"masking": masking_mode(run.config), **rest}


def _with_step(run: Run) -> dict[str, Any]:
    """Settings with the number of proteins of a step, over all processes, in place of what it comes from."""
    training = dict(run.config["training"])
    sizes = [training.pop(name, None) for name in ("batch_size", "accum_steps")]
    product = math.prod(size for size in sizes if isinstance(size, int))
    return {**run.config, "training": {**training, "proteins per step": run.origin.get("proteins_per_step", product)}}


def _same_base(reference: Run, later_run: Run) -> bool:
    """Whether the files of the models that both runs began with are known, and the same."""
    first, second = (
        {name: each for name, each in run.input_hashes().items() if name.startswith("base ")}
        for run in (reference, later_run)
    )
    return bool(first) and first == second


def _differences(first: Mapping[str, Any], second: Mapping[str, Any], before: str = "") -> Iterator[Setting]:
    for name in dict.fromkeys([*first, *second]):
        first_value, second_value = first.get(name), second.get(name)
        if isinstance(first_value, Mapping) and isinstance(second_value, Mapping):
            yield from _differences(first_value, second_value, f"{before}{name}.")
        elif _plain(first_value) != _plain(second_value):
            yield Setting(f"{before}{name}", _plain(first_value), _plain(second_value))


def _plain(value: Any) -> str:
    if isinstance(value, Mapping) and value:
        return ", ".join(f"{name}={_plain(each)}" for name, each in value.items())
    return "none" if shown(value) == UNDEFINED else shown(value)
