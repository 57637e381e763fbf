"""Streams to a terminal that was closed."""

import io
import os
import pty
import sys

import pytest

from bindtune.training.stop_signals import noting_stop_signals


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_line_that_a_closed_terminal_refuses_before_sighup_is_dropped(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    master, slave = pty.openpty()
    stream = io.TextIOWrapper(os.fdopen(slave, "wb"), encoding="utf-8", line_buffering=True)
    monkeypatch.setattr(sys, name, stream)
    with noting_stop_signals(lambda number: None):
        print("seen", file=getattr(sys, name))
        assert os.read(master, 100) == b"seen\r\n"
        os.close(master)
        print("refused", file=getattr(sys, name))
        getattr(sys, name).flush()
        print("after", file=getattr(sys, name))
    assert getattr(sys, name) is stream
    stream.close()
