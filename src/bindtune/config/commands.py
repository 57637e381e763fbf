"""Which settings each command takes: the one table that the JSON schema, the reference and `bindtune init` read."""

from importlib import import_module

from bindtune.config.settings import Settings, nearest
from bindtune.errors import ConfigError

COMMANDS = {
    "windows": "WindowsConfig",
    "pretrain": "PretrainConfig",
    "train": "BindingConfig",
    "predict": "PredictConfig",
    "evaluate": "EvaluateConfig",
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
