"""What the settings that filter peaks have in common, for the commands that read peaks."""

from typing import Annotated

from pydantic import Field

from bindtune.config.settings import Settings

Column = Annotated[int, Field(ge=4)]
"""Counted from 1; the first three are the position."""
_VALUES = ("score", "enrichment", "p_value", "q_value")


def floors_of(settings: Settings) -> dict[str, float]:
    """The least value of each kind that a peak must have, from the settings min_*."""
    values = {name: getattr(settings, f"min_{name}") for name in _VALUES}
    return {name: value for name, value in values.items() if value is not None}


def columns_of(settings: Settings) -> dict[str, int]:
    """The column of each kind of value that does not stand where the format has it, from the settings *_column."""
    columns = {name: getattr(settings, f"{name}_column") for name in _VALUES}
    return {name: column for name, column in columns.items() if column is not None}


def check_columns(settings: Settings) -> None:
    """Refuse a column that nothing is filtered by.

    Raises:
        ValueError: there is one.
    """
    for name in columns_of(settings).keys() - floors_of(settings).keys():
        raise ValueError(f"{name}_column needs min_{name}")
