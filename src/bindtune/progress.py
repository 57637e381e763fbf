"""How far a long task is: a bar on a terminal, a line each minute in a log file."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def duration(seconds: float) -> str:
    """A time span in two units at most.

    Example:
        >>> [duration(seconds) for seconds in (7, 90, 11_400, 200_000)]
        ['7 s', '2 min', '3 h 10', '2 d 8 h']
    """
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    if seconds < _DAY:
        minutes = round(seconds / _MINUTE)
        return f"{minutes // 60} h {minutes % 60:02d}"
    hours = round(seconds / _HOUR)
    return f"{hours // 24} d {hours % 24} h"


@contextmanager
def progress(task: str, total: int, *, unit: str, log: logging.Logger) -> Iterator[Callable[[int], None]]:
    """Show how far a task is while the block runs.

    Args:
        task: such as "tokenising".
        total: units of the whole task.
        unit: such as "windows".
        log: gets a line each minute where standard error is no terminal.

    Yields:
        A function that is called with the number of units that were done since its last call.

    Example:
        >>> with progress("reading", 2, unit="files", log=logging.getLogger("example")) as advance:
        ...     advance(2)
    """
    terminal = sys.stderr.isatty()
    started = said = time.monotonic()
    with tqdm(total=total, desc=task, unit=f" {unit}", unit_scale=True, disable=not terminal, leave=False) as bar:
        done = 0

        def advance(count: int) -> None:
            nonlocal done, said
            done += count
            bar.update(count)
            now = time.monotonic()
            if not terminal and done and now - said >= _MINUTE:
                said = now
                left = (now - started) / done * (total - done)
                log.info("%s: %s of %s %s, %s left", task, f"{done:,}", f"{total:,}", unit, duration(left))

        yield advance
