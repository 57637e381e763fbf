"""Signals that ask a run to save and end: SIGTERM of a scheduler, SIGHUP of a terminal that was closed."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
_STREAMS = (0, 1, 2)


@contextmanager
def noting_stop_signals(note: Callable[[int], None]) -> Iterator[None]:
    """Call a function at each signal while the block runs; SIGHUP stays ignored under `nohup`.

    A closed terminal refuses whatever is written to it, progress bars above all, so nothing goes there any more.

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
        yield
    finally:
        for number in answered:
            signal.signal(number, before[number])


def _leave(terminals: list[int]) -> None:
    """Send what is written to terminals nowhere."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in terminals:
        os.dup2(nowhere, stream)
    os.close(nowhere)
