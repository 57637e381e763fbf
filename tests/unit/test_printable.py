"""What a terminal is shown: control characters as escapes, all else as it is."""

import logging
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bindtune import cli, printable
from bindtune.errors import InputError
from bindtune.printable import PrintableFormatter


@given(text=st.text(st.sampled_from("\x1b\x9b\r\b\u202e\u2028\n\ta\u00e9") | st.characters()))
def test_no_control_character_is_left(text: str) -> None:
    shown = printable.printable(text)
    assert all(unicodedata.category(letter) != "Cc" or letter in "\n\t" for letter in shown)
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029")
    if not printable.CONTROL.search(text):
        assert shown == text


def test_logs_and_errors_are_printed_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    record = logging.makeLogRecord({"msg": "protein %r and %s", "args": ("a", "b\x1b[2J")})
    assert PrintableFormatter("%(message)s").format(record) == "protein 'a' and b\\x1b[2J"

    def fail() -> None:
        raise InputError("x\x1b]0;y\x07.fa", 1, "chain A\rB")

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit):
        cli.main()
    assert capsys.readouterr().err == "bindtune: x\\x1b]0;y\\x07.fa:1: chain A\\rB\n"
