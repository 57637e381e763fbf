"""The table of commands and their settings, for the JSON schema, the reference and `bindtune init`."""

from collections.abc import Collection
from importlib import import_module
from pathlib import Path

from bindtune.config.settings import Settings, nearest
from bindtune.errors import ConfigError

COMMANDS = {
    "windows": "WindowsConfig",
    "sites": "SitesConfig",
    "align": "AlignConfig",
    "pretrain": "PretrainConfig",
    "probe": "ProbeConfig",
    "train": "BindingConfig",
    "predict": "PredictConfig",
    "evaluate": "EvaluateConfig",
    "scan": "ScanConfig",
    "embed": "EmbedConfig",
    "score": "ScoreConfig",
    "explain": "ExplainConfig",
    "compare": "CompareConfig",
}
"""Name in `bindtune.config` of each command's settings model; the model is imported when it is used."""


def settings_of(command: str) -> type[Settings]:
    """The settings model of a command.

    Args:
        command: name of a command, such as "train".

    Raises:
        ConfigError: the command takes no settings file.
    """
    if command not in COMMANDS:
        raise ConfigError(
            f"'{command}' is no command with settings, expected {', '.join(COMMANDS)}{nearest(command, COMMANDS)}"
        )
    model: type[Settings] = getattr(import_module("bindtune.config"), COMMANDS[command])
    return model


_JOBS = {"pretrain": "pretraining", "train": "binding"}
"""Names of the two jobs' settings files in messages."""
_CLEARLY = 2


def refuse_other_command(model: type[Settings], names: Collection[str], source: Path) -> None:
    """Refuse a settings file of another command, in one line for the whole file.

    Args:
        model: settings model of the user's command.
        names: first-level names of the file's settings.
        source: the file.

    Raises:
        ConfigError: another command knows at least two more of the names, or this command knows none.
    """
    counts = {command: sum(name in _first_level_names(settings_of(command)) for name in names) for command in COMMANDS}
    own = next((command for command in COMMANDS if settings_of(command) is model), None)
    if own is None:
        return
    best = max(counts, key=lambda command: counts[command])
    if counts[best] >= counts[own] + _CLEARLY or (counts[best] and not counts[own]):
        kind = _JOBS.get(best, best)
        raise ConfigError(
            f"{source}: this is a {kind} config, for bindtune {best}; bindtune {own} has other settings, which "
            f"`bindtune schema {own}` lists"
        )


def _first_level_names(model: type[Settings]) -> frozenset[str]:
    """First-level names that a command understands, including names of the original code."""
    earlier: Collection[str] = ()
    if model.__name__ == COMMANDS["train"]:
        binding = import_module("bindtune.config.binding")
        earlier = [name.partition(".")[0] for name in (*binding.EARLIER_NAMES, *binding.WITHOUT_EFFECT)]
    return frozenset({*model.model_fields, *earlier})
