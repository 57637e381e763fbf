"""What a check says: its name, whether it held, and the figures. The smoke test, `verify` and `doctor` show these."""

import traceback
from collections.abc import Callable, Iterable
from typing import NamedTuple

from bindtune.errors import library_text


class Check(NamedTuple):
    """What was checked.

    Args:
        name: of the check.
        passed: whether it held; None where it could not be made.
        detail: the figures, or why it could not be made.
    """

    name: str
    passed: bool | None
    detail: str


_FAULTS = (
    RuntimeError, TypeError, ValueError, AttributeError, LookupError, ImportError, ArithmeticError, AssertionError,
)  # fmt: skip
"""Errors of libraries that do not work together or not here. Errors that a user can fix are not among them."""


def attempt_check(name: str, work: Callable[[], Check]) -> Check:
    """Make a check; where a library fails in it, the check has failed, and the others can still be made.

    Args:
        name: of the check, where `work` cannot say it.
        work: makes the check.
    """
    try:
        return work()
    except _FAULTS as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        text = library_text(error, 300)
        return Check(name, False, f"{type(error).__name__}: {text} ({last.filename}:{last.lineno})")


_WORDS = {True: "passed", False: "FAILED", None: "left out"}


def run_checks(checks: Iterable[Check], *, notify: Callable[[str], None]) -> bool:
    """Tell each check as it is made and count them at the end; whether none failed.

    Args:
        checks: made one after the other.
        notify: gets one line for each check.

    Examples:
        >>> run_checks([Check("one", True, "1 is 1"), Check("two", None, "no two")], notify=print)
        passed  one: 1 is 1
        left out  two: no two
        1 of 1 checks passed
        True
    """
    results = []
    for check in checks:
        notify(f"{_WORDS[check.passed]}  {check.name}: {check.detail}")
        if check.passed is not None:
            results.append(check.passed)
    notify(f"{sum(results)} of {len(results)} checks passed")
    return all(results)
