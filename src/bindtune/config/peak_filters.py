"""Rules that the settings of all commands that filter peaks share."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from bindtune.config.settings import Settings

Column = Annotated[int, Field(ge=4)]
"""Counted from 1; the first three are the position."""
_VALUES = ("score", "enrichment", "p_value", "q_value")


class PeakFilters(Settings):
    """Settings with a `min_*` and a `*_column` for each kind of value; each command states them in its own order."""

    @model_validator(mode="after")
    def _columns_are_filtered_by(self) -> Self:
        for name in self.columns.keys() - self.floors.keys():
            raise ValueError(f"{name}_column needs min_{name}")
        return self

    @property
    def floors(self) -> dict[str, float]:
        """The least value of each kind that a peak must have, from the settings min_*."""
        values = {name: getattr(self, f"min_{name}") for name in _VALUES}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def columns(self) -> dict[str, int]:
        """Columns that the settings *_column name, by kind of value, counted from 1."""
        columns = {name: getattr(self, f"{name}_column") for name in _VALUES}
        return {name: column for name, column in columns.items() if column is not None}
