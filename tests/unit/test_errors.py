"""Messages: one line each, of a length that people read, with nothing that a terminal acts upon."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bindtune.errors import CheckpointError, ConfigError, InputError, Problems
from bindtune.printable import message_line


@pytest.mark.parametrize(
    ("letter", "escape"),
    [
        ("\x1b", r"\x1b"), ("\n", r"\n"), ("\r", r"\r"), ("\t", r"\t"), ("\0", r"\x00"), ("\x7f", r"\x7f"),
        ("\x9b", r"\x9b"), ("\u202e", r"\u202e"), ("\u2066", r"\u2066"), ("\u200b", r"\u200b"), ("\u2028", r"\u2028"),
        ("\x85", r"\x85"), ("\ufeff", r"\ufeff"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", [InputError, ConfigError, CheckpointError])
def test_what_a_terminal_acts_upon_is_escaped(kind: type[Exception], letter: str, escape: str) -> None:
    problem = f"no protein 'a{letter}b' \u00e9\u4e2d"
    error = InputError(Path("x.fa"), 3, problem) if kind is InputError else kind(problem)
    where = "x.fa:3: " if kind is InputError else ""
    assert str(error) == f"{where}no protein 'a{escape}b' \u00e9\u4e2d"


def test_long_words_lines_and_paths_are_shortened_in_the_middle() -> None:
    message = str(InputError(Path("p.fa"), None, "id " + "A" * 10_000 + "Z comes twice"))
    assert message.startswith("p.fa: id AAA")
    assert message.endswith("AZ comes twice")
    assert "(9,797 more letters)" in message
    assert len(message) < 300
    names = ", ".join(f"protein{number}" for number in range(1000))
    message = str(ConfigError(f"no such proteins: {names}; look at them"))
    assert len(message) < 2000
    assert message.startswith("no such proteins: protein0, protein1, ")
    assert message.endswith("protein999; look at them")
    path = "/" + "/".join(["folder" * 20] * 6) + "/x.fa"
    assert str(InputError(path, 1, "odd")) == f"{path}:1: odd"
    assert len(str(InputError("/" + "a/" * 5000, 1, "odd"))) < 1000


def test_problems_have_a_line_each_whatever_they_hold() -> None:
    problems = Problems(Path("f.fa"))
    problems.add(1, "id 'a\nb'")
    problems.add(2, "B" * 5000)
    with pytest.raises(InputError) as caught:
        problems.raise_any()
    first, second, third = str(caught.value).split("\n")
    assert first == "f.fa: 2 problems"
    assert second == r"f.fa:1: id 'a\nb'"
    assert third.startswith("f.fa:2: BBB")
    assert len(third) < 300


@given(st.text(max_size=3000))
def test_a_message_is_printable_and_short_and_stays_so(text: str) -> None:
    line = message_line(text)
    assert line.isprintable()
    assert len(line) <= 2000
    assert message_line(line) == line


def test_warnings_and_output_of_the_command_line_are_printable() -> None:
    code = (
        "import logging\n"
        "from bindtune import terminal\n"
        "terminal.log_to_terminal()\n"
        "logging.getLogger('bindtune.x').warning('%s: no alignment', 'a\\x1b[2Jb\\n' + 'C' * 9000)\n"
        "logging.getLogger('elsewhere').warning('two\\nlines')\n"
        "terminal.say('a\\x1b[2J\\tb\\nc')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, *others = done.stderr.split("\n")
    assert first.startswith(r"a\x1b[2Jb\nCCC")
    assert first.endswith(" no alignment")
    assert len(first) < 300
    assert others == ["two", "lines", ""]
    assert done.stdout == "a\\x1b[2J\tb\nc\n"
