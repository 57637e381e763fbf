"""Settings of all commands that filter peaks."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from bindtune.config.settings import Settings

Column = Annotated[int, Field(ge=4)]
"""Counted from 1; the first three columns are the position."""
_VALUES = ("score", "enrichment", "p_value", "q_value")


class PeakFilters(Settings):
    """Format of the peak files, and which peaks are left out.

    A command lists this class before the class of its first settings: pydantic orders settings from the last base
    class to the first.
    """

    peak_format: Literal["auto", "bed", "narrowPeak", "broadPeak"] = "auto"
    """Format of the peak files. auto takes it from the file's name and columns. Files of a named format may have more
    columns at the end."""
    min_score: float | None = None
    """Leave out peaks with a lower score (column 5, or score_column)."""
    min_enrichment: float | None = None
    """Leave out peaks with a lower enrichment (column 7 in narrowPeak and broadPeak, otherwise enrichment_column)."""
    min_p_value: float | None = None
    """Leave out peaks with a lower -log10 p value (column 8 in narrowPeak and broadPeak, otherwise p_value_column)."""
    min_q_value: float | None = None
    """Leave out peaks with a lower -log10 q value (column 9 in narrowPeak and broadPeak, otherwise q_value_column)."""
    score_column: Column | None = None
    """With --min-score: column of the score, from 1, for formats without a score in column 5."""
    enrichment_column: Column | None = None
    """With --min-enrichment: column of the enrichment, from 1. In BED6 files of eCLIP, column 5 is the log2 fold
    change."""
    p_value_column: Column | None = None
    """With --min-p-value: column of the -log10 p value, from 1. In BED6 files of eCLIP it is 4."""
    q_value_column: Column | None = None
    """With --min-q-value: column of the -log10 q value, from 1."""

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
