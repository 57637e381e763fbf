"""Settings as people read them."""

from collections.abc import Mapping
from typing import Any

from bindtune.evaluation.figure_text import UNDEFINED


def flatten(values: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    """(name, value) of every leaf; nested names are joined with dots, lists with commas."""
    rows: list[tuple[str, str]] = []
    for name, value in values.items():
        path = f"{before}{name}"
        if isinstance(value, Mapping) and value:
            rows += flatten(value, f"{path}.")
        else:
            rows.append((path, shown(value)))
    return rows


def shown(value: Any) -> str:
    """A setting as people write it."""
    if value is None or value == {} or value == []:
        return UNDEFINED
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list | tuple):
        return ", ".join(shown(part) for part in value)
    return str(value)
