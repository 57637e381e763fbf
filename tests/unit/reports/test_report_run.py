"""What every report says of its run: the command as a shell takes it."""

import shlex

import pytest

from bindtune.reports.page import Collapsed, Text
from bindtune.reports.report_run import inputs_section


@pytest.mark.parametrize("word", ["plain", "with blank", "$(touch x)", "`id`", "a;b", "it's", 'a"b', "line\nbreak"])
def test_the_command_is_shown_to_be_copied(word: str) -> None:
    section = inputs_section({"command": ["bindtune", "train", word]})
    (fold,) = (block for block in section.blocks if isinstance(block, Collapsed))
    (text,) = (block.text for block in fold.blocks if isinstance(block, Text) and block.text.startswith("Command: "))
    assert shlex.split(text.removeprefix("Command: ")) == ["bindtune", "train", word]


@pytest.mark.parametrize("command", [None, [], "bindtune", {"a": 1}])
def test_a_command_that_is_none_is_not_shown(command: object) -> None:
    section = inputs_section({"command": command, "python": "3"})
    (fold,) = (block for block in section.blocks if isinstance(block, Collapsed))
    assert Text("Command: not recorded") in fold.blocks
