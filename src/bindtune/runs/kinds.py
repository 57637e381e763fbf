"""Recognise the kind of run in a folder. Commands do this before they read anything else of it."""

from pathlib import Path
from typing import Any, Literal

from bindtune.errors import ConfigError, InputError
from bindtune.runs.names import CONFIG, is_part_of_run
from bindtune.runs.reading import read_yaml

Kind = Literal["pretraining", "binding", "probe", "scan", "explanation"]


def run_config(run: Path) -> dict[str, Any]:
    """What the config.yaml of a run folder holds.

    Raises:
        InputError: the folder is not that of a run, or the file is damaged.
    """
    if not run.is_dir():
        raise InputError(run, None, "is not a folder" if run.exists() else "does not exist")
    config = read_yaml(run / CONFIG)
    if config is None:
        raise InputError(run, None, f"holds no {CONFIG}, so it is not the folder of a run{_whole(run)}")
    if kind_of(config) == "pretraining" and "target_mlm_prob" not in config:
        raise InputError(
            run / CONFIG, None, "these are not the settings of a pretraining or a binding run, or of a probe"
        )
    return config


def kind_of(config: dict[str, Any]) -> Kind:
    """What these are the settings of."""
    if is_binding(config):
        return "binding"
    if "part_variants" in config and "sites" in config:
        return "scan"
    if "probe" in config and "motif_length" in config:
        return "explanation"
    return "probe" if "pooling" in config and "leaks" in config else "pretraining"


def kind_in_words(kind: Kind) -> str:
    """A kind of run, with its article."""
    if kind == "explanation":
        return f"an {kind}"
    return f"a {kind}" if kind in ("probe", "scan") else f"a {kind} run"


def is_binding(config: dict[str, Any]) -> bool:
    """Whether these are the settings of a binding run."""
    return isinstance(config.get("training"), dict)


def require_run(run: Path, kind: Kind, command: str) -> None:
    """Refuse a folder that holds a run of the other job, or none.

    Args:
        run: the folder that was given.
        kind: what it has to be.
        command: what needs it, for the message.

    Raises:
        ConfigError: it is a run of the other job.
        InputError: the folder is not that of a run, or its settings are damaged.
    """
    there = kind_of(run_config(run))
    if there != kind:
        raise ConfigError(f"{run} is {kind_in_words(there)}; {command} needs {kind_in_words(kind)}")


def refuse_other_job(run: Path, kind: Kind, command: str) -> None:
    """Refuse to write into a folder that holds a run of the other job; it need not hold any.

    Raises:
        ConfigError: it holds one.
        InputError: its settings are damaged, or of neither job.
    """
    if (run / CONFIG).is_file():
        require_run(run, kind, command)


def _whole(part: Path) -> str:
    """The run that a fold or a checkpoint belongs to, in words."""
    whole = part.resolve().parent
    is_part = is_part_of_run(part.resolve()) and (whole / CONFIG).is_file()
    return f"; it is a part of one, {whole}" if is_part else ""
