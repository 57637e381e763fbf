"""Findings of checks, shown as aligned text for people or as JSON for programs."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from bindtune.errors import BindtuneError

T = TypeVar("T")

_WIDTH = 26


@dataclass(frozen=True)
class Finding:
    """One finding of a check.

    Args:
        section: the heading that it stands under, such as "devices".
        name: the thing that was checked.
        value: the result, for JSON.
        text: the result, for people.
        status: "problem" would stop a run; "warning" is probably a mistake of the user.
        fix: advice to the user.
    """

    section: str
    name: str
    value: Any
    text: str
    status: Literal["ok", "warning", "problem"] = "ok"
    fix: str = ""


def noted(section: str, name: str, value: Any, text: str | None = None) -> Finding:
    """A finding that needs no action."""
    return Finding(section, name, value, str(value) if text is None else text)


def warning(section: str, name: str, value: Any, fix: str, *, text: str | None = None) -> Finding:
    """A finding that does not stop a run."""
    return Finding(section, name, value, str(value) if text is None else text, "warning", fix)


def problem(section: str, name: str, value: Any, fix: str, *, text: str | None = None) -> Finding:
    """A finding that would stop a run."""
    return Finding(section, name, value, str(value) if text is None else text, "problem", fix)


def attempt(section: str, name: str, work: Callable[[], T], problems: list[Finding]) -> T | None:
    """Do a step of a run; if the step fails, add the reason to `problems` and return None.

    A message of several lines (`errors.Problems`) becomes a value with all of them.
    """
    try:
        return work()
    except (BindtuneError, OSError) as error:
        problems.append(problem(section, name, str(error), ""))
        return None


def passes(findings: Iterable[Finding]) -> bool:
    """Whether no finding would stop a run."""
    return all(finding.status != "problem" for finding in findings)


def as_json(findings: list[Finding]) -> str:
    """One JSON object: `ok`, and the findings of each section in order."""
    sections = {
        section: [
            {"name": one.name, "value": one.value, "status": one.status, **({"fix": one.fix} if one.fix else {})}
            for one in part
        ]
        for section, part in _by_section(findings).items()
    }
    return json.dumps({"ok": passes(findings), "sections": sections}, indent=2)


def as_text(findings: list[Finding]) -> str:
    """One block for each section, one line for each finding with its advice below; the last line counts problems."""
    lines = []
    for section, part in _by_section(findings).items():
        lines += [section, *(line for finding in part for line in _lines(finding)), ""]
    counts = {status: sum(one.status == status for one in findings) for status in ("problem", "warning")}
    totals = [f"{count} {status}{'s' if count > 1 else ''}" for status, count in counts.items() if count]
    return "\n".join([*lines, ", ".join(totals) or "nothing would stop a run"])


def _by_section(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """The findings of each section; sections stand in the order of their first findings."""
    sections: dict[str, list[Finding]] = {}
    for finding in findings:
        sections.setdefault(finding.section, []).append(finding)
    return sections


def _lines(finding: Finding) -> list[str]:
    first, *more = finding.text.splitlines() or [""]
    mark = "" if finding.status == "ok" else f"{finding.status}: "
    indent = " " * (_WIDTH + 3)
    shown = [f"  {finding.name:{_WIDTH}s} {mark}{first}", *(indent + line for line in more)]
    return [*shown, f"{indent}-> {finding.fix}"] if finding.fix else shown
