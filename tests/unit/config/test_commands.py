"""Every command that takes a file of settings is in the table, with the model that it uses."""

from typing import Any

import pytest
import typer

from bindtune import config
from bindtune.cli import app
from bindtune.config.commands import COMMANDS, settings_of
from bindtune.config.settings import Settings
from bindtune.errors import ConfigError

GROUP: Any = typer.main.get_command(app)
PARTS = {"Settings", "InferenceConfig", "ContextSettings", "LoraSettings"}
"""Bases and sections of other models."""


def test_every_command_with_a_file_of_settings_is_there() -> None:
    takes_a_file = {
        name for name, command in GROUP.commands.items() if "config" in {each.name for each in command.params}
    }
    assert takes_a_file == {*COMMANDS, "check-lora", "doctor"}  # these two read settings of other commands


def test_every_model_is_there() -> None:
    models = {
        name
        for name in config.__all__
        if isinstance(getattr(config, name), type) and issubclass(getattr(config, name), Settings)
    }
    assert {*COMMANDS.values()} == models - PARTS


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "train"])
def test_a_command_has_the_options_of_its_model(command: str) -> None:
    options = {each.name for each in GROUP.commands[command].params} - {"config", "help"}
    assert options == settings_of(command).model_fields.keys()


def test_an_unknown_command_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"^'trian' is no command with settings, expected windows, .*'train'\?$"):
        settings_of("trian")
