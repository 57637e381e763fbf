"""Which settings each command takes: the one table that the JSON schema, the reference and `bindtune init` read."""

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
}
"""The settings model of each command, by its name in `bindtune.config`, which loads it when it is used."""


def settings_of(command: str) -> type[Settings]:
    """The settings model of a command.

    Args:
        command: such as "train".

    Raises:
        ConfigError: the command takes no file of settings.
    """
    if command not in COMMANDS:
        raise ConfigError(
            f"'{command}' is no command with settings, expected {', '.join(COMMANDS)}{nearest(command, COMMANDS)}"
        )
    model: type[Settings] = getattr(import_module("bindtune.config"), COMMANDS[command])
    return model


_JOBS = {"pretrain": "pretraining", "train": "binding"}
"""What the files of the two jobs are called, in messages."""
_CLEARLY = 2


def refuse_other_command(model: type[Settings], names: Collection[str], source: Path) -> None:
    """Refuse a file whose settings are those of another command, in one line instead of one for each setting.

    Args:
        model: the settings of the command that was given.
        names: of the settings in the file, of the first level.
        source: the file.

    Raises:
        ConfigError: another command knows more of the names, by two or more, or alone knows any.
    """
    counts = {command: sum(name in _known(settings_of(command)) for name in names) for command in COMMANDS}
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


def _known(model: type[Settings]) -> frozenset[str]:
    """Names of the first level that a command understands, those of the original included."""
    earlier: Collection[str] = ()
    if model.__name__ == COMMANDS["train"]:
        binding = import_module("bindtune.config.binding")
        earlier = [name.partition(".")[0] for name in (*binding.EARLIER_NAMES, *binding.WITHOUT_EFFECT)]
    return frozenset({*model.model_fields, *earlier})
