"""How checks are told and counted, and what a library that fails makes of one."""

import pytest

from bindtune.checks import Check, attempt_check, run_checks
from bindtune.errors import InputError


def fail(error: Exception) -> Check:
    raise error


def test_what_cannot_be_made_counts_for_nothing_and_what_fails_counts() -> None:
    lines: list[str] = []
    made = [Check("a", True, "one"), Check("b", None, "two"), Check("c", False, "three")]
    assert not run_checks(iter(made), notify=lines.append)
    assert lines == ["passed  a: one", "left out  b: two", "FAILED  c: three", "1 of 2 checks passed"]
    assert run_checks([made[1]], notify=lines.append)
    assert lines[-1] == "0 of 0 checks passed"


def test_each_check_is_told_before_the_next_is_made() -> None:
    order: list[str] = []

    def both() -> object:
        for name in "ab":
            order.append(name)
            yield Check(name, True, "")

    run_checks(both(), notify=lambda line: order.append(line[:9].strip()))  # type: ignore[arg-type]
    assert order[:4] == ["a", "passed  a", "b", "passed  b"]


def test_a_library_that_fails() -> None:
    check = attempt_check("steps", lambda: fail(TypeError("unexpected\n   keyword 'cache'")))
    assert (check.name, check.passed) == ("steps", False)
    assert check.detail.startswith("TypeError: unexpected keyword 'cache' (")
    assert check.detail.endswith(f"{__file__}:{fail.__code__.co_firstlineno + 1})")


@pytest.mark.parametrize("error", [InputError("a.fa", 3, "is odd"), OSError(28, "No space left"), KeyboardInterrupt()])
def test_what_a_user_can_fix_is_no_failed_check(error: Exception) -> None:
    with pytest.raises(type(error)):
        attempt_check("steps", lambda: fail(error))
