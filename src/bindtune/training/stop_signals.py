"""Signals that ask a run to save and end: SIGTERM of a scheduler, SIGHUP of a terminal that was closed."""

import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from types import FrameType
from typing import Any

STOP_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
_STREAMS = (0, 1, 2)


@contextmanager
def noting_stop_signals(note: Callable[[int], None]) -> Iterator[None]:
    """Call a function at each signal while the block runs; SIGHUP stays ignored under `nohup`.

    A closed terminal refuses whatever is written to it, progress bars above all, so nothing goes there any more. It may
    refuse a line before SIGHUP is answered; this line is dropped too, and the run goes on to the answer.

    Args:
        note: is given the number of the signal.
    """
    terminals = [stream for stream in _STREAMS if os.isatty(stream)]

    def answer(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            _leave(terminals)
        note(number)

    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    answered = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in answered:
        signal.signal(number, answer)
    try:
        with ExitStack() as streams:
            if sys.stdout.isatty():
                streams.enter_context(redirect_stdout(_Terminal(sys.stdout)))
            if sys.stderr.isatty():
                streams.enter_context(redirect_stderr(_Terminal(sys.stderr)))
            yield
    finally:
        for number in answered:
            signal.signal(number, before[number])


class _Terminal:
    """A stream to a terminal; what is written after the terminal was closed goes nowhere."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        self._unless_closed(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._unless_closed(self._stream.flush)

    def _unless_closed(self, act: Callable[[], object]) -> None:
        try:
            act()
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            _leave([self._stream.fileno()])


def _leave(terminals: list[int]) -> None:
    """Send what is written to terminals nowhere."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in terminals:
        os.dup2(nowhere, stream)
    os.close(nowhere)
