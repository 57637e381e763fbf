"""How far a long task is: a bar on a terminal, a line each minute in a log file."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from tqdm import tqdm

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
Item = TypeVar("Item")


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


class Advance(Protocol):
    """Notes units of a task that were done since the last call."""

    def __call__(self, count: int, *, skipped: bool = False) -> None:
        """Note `count` units; skipped ones were done before, or are another process's, and leave the task."""


@contextmanager
def progress(
    task: str, total: int | None, *, unit: str, log: logging.Logger, shown: bool = True, delay: float = 0
) -> Iterator[Advance]:
    """Show how far a task is while the block runs.

    Args:
        task: such as "tokenising".
        total: units of the whole task; None where nobody knows.
        unit: such as "windows".
        log: gets a line each minute where standard error is no terminal.
        shown: whether this process shows anything.
        delay: seconds before the bar appears.

    Yields:
        A function that is called with the number of units that were done since its last call.

    Example:
        >>> with progress("reading", 2, unit="files", log=logging.getLogger("example")) as advance:
        ...     advance(2)
    """
    terminal = sys.stderr.isatty()
    started = said = time.monotonic()
    bar_is_off = not (terminal and shown)
    with tqdm(
        total=total, desc=task, unit=f" {unit}", unit_scale=True, disable=bar_is_off, leave=False, delay=delay
    ) as bar:
        done, left = 0, total

        def advance(count: int, *, skipped: bool = False) -> None:
            nonlocal done, left, said
            left = None if left is None else left - count
            if skipped:
                bar.total = None if bar.total is None else bar.total - count
                return
            done += count
            bar.update(count)
            now = time.monotonic()
            if not terminal and shown and done and now - said >= _MINUTE:
                said = now
                end = ""
                if left is not None:
                    end = f" of {done + left:,}, {duration((now - started) / done * left)} left"
                log.info("%s: %s %s%s", task, f"{done:,}", unit, end)

        yield advance


def tracked(
    items: Iterable[Item], task: str, total: int, *, unit: str, log: logging.Logger, shown: bool = True
) -> Iterator[Item]:
    """The items, with the progress of the loop that takes them; the arguments are those of `progress`.

    Example:
        >>> list(tracked(["zn", "ca"], "reading", 2, unit="ions", log=logging.getLogger("example")))
        ['zn', 'ca']
    """
    with progress(task, total, unit=unit, log=log, shown=shown) as advance:
        for item in items:
            yield item
            advance(1)
