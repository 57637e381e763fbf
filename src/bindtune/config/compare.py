"""Settings of `bindtune compare`."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from bindtune.config.settings import Count, Fraction, Settings
from bindtune.data.protein.site_rules import STANDARD_RULES, SiteRules


class SiteSettings(Settings):
    """How residues are clustered into sites."""

    structures: Path | None = None
    """Folder of PDB or mmCIF files, named after the proteins. Residues of these proteins are clustered into sites by
    distance, those of the others by their places in the sequence."""
    site_gap: Count = STANDARD_RULES.gap
    """Positions that two neighbouring residues of a site may be apart, without a structure."""
    site_distance: Annotated[float, Field(gt=0)] = STANDARD_RULES.distance
    """Angstroms between the closest atoms of two residues of a site, with a structure."""

    @property
    def site_rules(self) -> SiteRules:
        """The same for the functions that link residues."""
        return SiteRules(self.site_gap, self.site_distance, self.structures)


class ToolSettings(Settings):
    """Other tools that a run is compared with."""

    tool: list[str] = []
    """Predictions of another tool for the same proteins, as NAME=PATH. lmetalsite=FILE.csv and gpsite=FOLDER have
    their own formats. Any other name is for a table (CSV, TSV or Parquet) with the columns protein, position, ion and
    probability; the columns residue and call are optional."""
    tool_training: list[str] = []
    """Training proteins of a tool, as NAME=PATH: FASTA, with or without labels, or a list of names. Figures are then
    also given for the proteins that are in no training set."""
    position_base: Literal[0, 1] = 1
    """Number of the first residue in the tables of tools."""


class CompareConfig(ToolSettings, SiteSettings):
    """Runs, arms of several runs, or a run and other tools, beside each other."""

    runs: list[Path] = []
    """Runs of one job. The first is the reference. One binding-site run with --tool."""
    arm: list[str] = []
    """Runs that differ in their seed alone, as NAME=RUN,RUN,... The first arm is the reference. Three seeds or more
    give an interval."""
    out: Path = Path("compare.html")
    """Page to write. Tables with the same name and the endings .csv and .json are written beside it."""
    draws: Count = 500
    """Bootstrap draws of proteins or windows for the intervals of two runs. Intervals of AUPRC need no draws."""
    seed: Annotated[int, Field(ge=0)] = 1
    """Seed of the bootstrap draws."""
    audit_identity: Fraction | None = None
    """With --tool-training: least share of equal residues between a protein and a training protein that count as the
    same. By default only equal sequences do."""

    @model_validator(mode="after")
    def _runs_or_arms(self) -> Self:
        if self.runs and self.arm:
            raise ValueError("expected run folders or arms, not both")
        if self.tool and len(self.runs) != 1:
            raise ValueError(f"tool: expected one run to compare with, found {len(self.runs)}")
        if not self.runs and not self.arm:
            raise ValueError("expected run folders, or --arm NAME=RUN,RUN,... for each arm")
        return self
