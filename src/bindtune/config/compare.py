"""Settings of `bindtune compare`."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from bindtune.config.settings import Count, Settings


class CompareConfig(Settings):
    """Runs, or arms of several runs, beside each other."""

    runs: list[Path] = []
    """Runs of one job. The first is the reference."""
    arm: list[str] = []
    """Runs that differ in their seed alone, as NAME=RUN,RUN,... The first arm is the reference. Three seeds or more
    give an interval."""
    out: Path = Path("compare.html")
    """Page to write. Tables of the same name with the endings .csv and .json stand beside it."""
    draws: Count = 500
    """Bootstrap draws of proteins, or windows, for the intervals of two runs. Those of AUPRC need no draws."""
    seed: Annotated[int, Field(ge=0)] = 1
    """Seed of the bootstrap draws."""

    @model_validator(mode="after")
    def _runs_or_arms(self) -> Self:
        if self.runs and self.arm:
            raise ValueError("expected run folders or arms, not both")
        if not self.runs and not self.arm:
            raise ValueError("expected run folders, or --arm NAME=RUN,RUN,... for each arm")
        return self
