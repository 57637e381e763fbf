"""`bindtune doctor`: check the machine and, with a settings file, everything that the file names."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from bindtune.checks import Check, attempt_check
from bindtune.config import BindingConfig, PretrainConfig, build, load_binding, read_yaml
from bindtune.config.settings import read_override
from bindtune.doctor.findings import Finding, attempt, noted, problem
from bindtune.doctor.machine import LOCKS, check_machine
from bindtune.doctor.trials import FIX, try_jobs
from bindtune.errors import ConfigError

Job = Literal["pretrain", "train"]


def diagnose(config: Path | None, overrides: Sequence[str], *, job: Job | None) -> list[Finding]:
    """Findings about the machine and, with a file of settings, about its run.

    Args:
        config: settings of `bindtune pretrain` or `bindtune train`; None checks the machine and tries both jobs.
        overrides: settings that win over the file's, `section.key=value` or `key=value`.
        job: which command the file is for; None recognises it.

    Raises:
        InputError: the file cannot be read.
        ConfigError: the file is for neither command.
    """
    if config is None:
        return [*check_machine(Path()), *try_jobs()]
    command = job or recognise(config)
    problems: list[Finding] = []
    # The imports of training may fail on this machine. Then the versions are still shown.
    imported = attempt_check("imports", _import_jobs)
    if not imported.passed:
        problems.append(problem("jobs", command, imported.detail, FIX))
        output, checked = Path(), problems
    elif command == "train":
        from bindtune.doctor.binding import check_binding
        from bindtune.doctor.memory_fit import find_device

        binding = attempt("settings", str(config), lambda: _binding_settings(config, overrides), problems)
        output = Path() if binding is None else binding.training.output_dir
        checked = problems if binding is None else check_binding(binding, find_device=find_device)
    else:
        from bindtune.doctor.memory_fit import find_device
        from bindtune.doctor.pretraining import check_pretraining

        settings = attempt("settings", str(config), lambda: _pretraining_settings(config, overrides), problems)
        output = Path() if settings is None else settings.output_dir
        checked = problems if settings is None else check_pretraining(settings, find_device=find_device)
    machine = [one for one in check_machine(output) if one.section != "output" or one.name == LOCKS]
    return [*machine, noted("settings", "command", command, f"bindtune {command}"), *checked]


def _binding_settings(config: Path, overrides: Sequence[str]) -> BindingConfig:
    """Settings of training; for a moved run, with the present paths of its files."""
    from bindtune.training.moved_run import find_binding_files, run_of

    settings, run = load_binding(config, overrides), run_of(config)
    return settings if run is None else find_binding_files(settings, run)


def _pretraining_settings(config: Path, overrides: Sequence[str]) -> PretrainConfig:
    """Settings of pretraining; for a moved run, with the present paths of its files."""
    from bindtune.training.moved_run import find_pretraining_files, run_of

    settings, run = load_pretraining(config, overrides), run_of(config)
    return settings if run is None else find_pretraining_files(settings, run)


def _import_jobs() -> Check:
    """Import the modules that check the files of both jobs."""
    from bindtune.doctor import binding, pretraining

    return Check("imports", True, f"{binding.__name__}, {pretraining.__name__}")


def recognise(config: Path) -> Job:
    """The command that a file of settings is for.

    Raises:
        InputError: the file cannot be read.
        ConfigError: it is for neither.
    """
    names = read_yaml(config, notes=True).keys()
    if names & {*BindingConfig.model_fields, "general", "msa_sampling"}:
        return "train"
    if names & PretrainConfig.model_fields.keys():
        return "pretrain"
    raise ConfigError(f"{config}: holds settings of neither bindtune pretrain nor bindtune train; say which with --job")


def load_pretraining(config: Path, overrides: Sequence[str]) -> PretrainConfig:
    """Settings of pretraining, with `key=value` overrides.

    Raises:
        ConfigError: an override or a setting is not as expected.
        InputError: the file cannot be read.
    """
    example = "key=value such as max_steps=100"
    options: dict[str, Any] = dict(read_override(override, example=example) for override in overrides)
    return build(PretrainConfig, {**read_yaml(config), **options}, source=config, options=options)
