"""What a check finds, and how it is shown: aligned text for people, JSON for machines."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from bindtune.errors import BindtuneError

T = TypeVar("T")

_WIDTH = 26


@dataclass(frozen=True)
class Finding:
    """One line of the result.

    Args:
        section: what it is about, such as "devices".
        name: what was looked at.
        value: what was found, as JSON has it.
        text: the same for people.
        status: "problem" would stop a run; "warning" is likely not what the user wants.
        fix: what to do about it.
    """

    section: str
    name: str
    value: Any
    text: str
    status: Literal["ok", "warning", "problem"] = "ok"
    fix: str = ""


def noted(section: str, name: str, value: Any, text: str | None = None) -> Finding:
    """Something that is as it should be, or only worth knowing."""
    return Finding(section, name, value, str(value) if text is None else text)


def warning(section: str, name: str, value: Any, fix: str, *, text: str | None = None) -> Finding:
    """Something that a run survives."""
    return Finding(section, name, value, str(value) if text is None else text, "warning", fix)


def problem(section: str, name: str, value: Any, fix: str, *, text: str | None = None) -> Finding:
    """Something that would stop a run."""
    return Finding(section, name, value, str(value) if text is None else text, "problem", fix)


def attempt(section: str, name: str, work: Callable[[], T], found: list[Finding]) -> T | None:
    """Do what a run does; where it would end there, note why and return None.

    A message of several lines (`errors.Problems`) becomes a value with all of them.
    """
    try:
        return work()
    except (BindtuneError, OSError) as error:
        found.append(problem(section, name, str(error), ""))
        return None


def passes(findings: Iterable[Finding]) -> bool:
    """Whether nothing would stop a run."""
    return all(finding.status != "problem" for finding in findings)


def as_json(findings: list[Finding]) -> str:
    """One object: `ok`, and the findings of each section in order."""
    sections = {
        section: [
            {"name": one.name, "value": one.value, "status": one.status, **({"fix": one.fix} if one.fix else {})}
            for one in part
        ]
        for section, part in _by_section(findings).items()
    }
    return json.dumps({"ok": passes(findings), "sections": sections}, indent=2)


def as_text(findings: list[Finding]) -> str:
    """A block a section, a line a finding, what to do under it; at the end how many problems there are."""
    lines = []
    for section, part in _by_section(findings).items():
        lines += [section, *(line for finding in part for line in _lines(finding)), ""]
    counts = {status: sum(one.status == status for one in findings) for status in ("problem", "warning")}
    told = [f"{count} {status}{'s' if count > 1 else ''}" for status, count in counts.items() if count]
    return "\n".join([*lines, ", ".join(told) or "nothing would stop a run"])


def _by_section(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """The findings of each section, sections in the order in which they were met."""
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
