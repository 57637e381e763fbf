"""Settings rules of all commands that filter peaks."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from bindtune.config.settings import Settings

Column = Annotated[int, Field(ge=4)]
"""Counted from 1; the first three columns are the position."""
_VALUES = ("score", "enrichment", "p_value", "q_value")


class PeakFilters(Settings):
    """Settings with `min_*` and `*_column` for each kind of value; each command defines them in its own order."""

    @model_validator(mode="after")
    def _columns_are_filtered_by(self) -> Self:
        for name in self.columns.keys() - self.floors.keys():
            raise ValueError(f"{name}_column needs min_{name}")
        return self

    @property
    def floors(self) -> dict[str, float]:
        """Lowest value of each kind that a peak may have, from the settings min_*."""
        values = {name: getattr(self, f"min_{name}") for name in _VALUES}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def columns(self) -> dict[str, int]:
        """Column (from 1) of each kind of value, from the settings *_column."""
        columns = {name: getattr(self, f"{name}_column") for name in _VALUES}
        return {name: column for name, column in columns.items() if column is not None}
