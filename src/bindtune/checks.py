"""What a check says: its name, whether it held, and the figures. The smoke test and `bindtune verify` print these."""

from collections.abc import Callable, Iterable
from typing import NamedTuple


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


_WORDS = {True: "passed", False: "FAILED", None: "left out"}


def run_checks(checks: Iterable[Check], *, notify: Callable[[str], None]) -> bool:
    """Tell each check as it is made and count them at the end; whether none failed.

    Args:
        checks: made one after the other.
        notify: is told a line a check.

    Examples:
        >>> run_checks([Check("one", True, "1 is 1"), Check("two", None, "no two")], notify=print)
        passed    one: 1 is 1
        left out  two: no two
        1 of 1 checks passed
        True
    """
    results = []
    for check in checks:
        notify(f"{_WORDS[check.passed]:8s}  {check.name}: {check.detail}")
        results.append(check.passed)
    made = [result for result in results if result is not None]
    notify(f"{sum(made)} of {len(made)} checks passed")
    return all(made)
