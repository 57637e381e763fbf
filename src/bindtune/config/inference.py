"""Settings of `bindtune predict`, `bindtune evaluate` and `bindtune scan`."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from bindtune.config.binding import CHUNK_OVERLAP
from bindtune.config.compare import SiteSettings, ToolSettings
from bindtune.config.settings import Count, Fraction, Settings, split_commas

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
_POSITIONS = re.compile(r"\s*[1-9]\d{0,8}(-[1-9]\d{0,8})?\s*(,\s*[1-9]\d{0,8}(-[1-9]\d{0,8})?\s*)*", re.ASCII)


class EnsembleConfig(Settings):
    """Settings of every command that predicts with the folds of a run."""

    run: Path
    """Run folder of bindtune train, with all its folds."""
    out: Path
    """Folder to write. A stopped command goes on from the files in it."""
    msa_dir: str | None = None
    """Alignments ID.a3m or ID.a2m, plain or gzipped: a folder, or a folder with one folder for each ion. Proteins
    without an alignment are read without context."""
    ions: list[str] | None = None
    """Ions to predict, separated by commas. By default all ions of the run."""
    contexts: Count = 1
    """Contexts to draw from each alignment. The prediction is their mean."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the draws of homologs."""
    device: str = "auto"
    """Where to compute: cpu, cuda, cuda:1, ... auto takes a GPU if there is one."""
    bf16: bool = False
    """Compute in bfloat16. It is faster on a GPU and less exact."""
    max_batch_tokens: Count = 16384
    """Most tokens of a batch, with contexts. A longer row is a batch of its own."""
    max_query_length: Annotated[int, Field(ge=64)] | None = None
    """Most tokens of a query. Longer proteins are cut into overlapping chunks. By default as in the run."""
    max_token_length: Count | None = None
    """Most tokens of a context and its query together. By default as in the run."""
    max_num_samples: Annotated[int, Field(ge=0)] | None = None
    """Most homologs in a context. By default as in the run."""
    overlap: Annotated[int, Field(ge=0)] = CHUNK_OVERLAP
    """Residues that neighbouring chunks of a long protein share."""
    calibration: Literal["none", "temperature", "isotonic"] = "none"
    """How probabilities are calibrated on the out-of-fold residues of the run."""
    base_model: str | None = None
    """Hub name or folder of the encoder. By default the encoder that the run names."""
    cache_dir: Path | None = None
    """Folder for alignments in a form that is fast to read. By default it is a temporary folder in the output
    folder."""

    _split = field_validator("ions", mode="before", json_schema_input_type=str | list[str] | None)(split_commas)

    @field_validator("ions")
    @classmethod
    def _distinct(cls, value: list[str] | None) -> list[str] | None:
        if value is not None and (not value or len(set(value)) < len(value)):
            raise ValueError("expected names of ions, each once")
        return value


class InferenceConfig(EnsembleConfig):
    """Settings that predict and evaluate share."""

    shard_proteins: Count = 2000
    """Proteins between saved parts. A stopped command loses at most this many."""
    shard_residues: Count = 200_000
    """Residues between saved parts."""
    target: str | None = None
    """Recall or precision that the calls should reach on new proteins: recall=0.9 or precision=0.8. The threshold is
    chosen on the out-of-fold residues of the run. By default the thresholds of the run are used."""
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.9
    """How often a threshold that is chosen for a target keeps it. It has no effect without target."""


class PredictConfig(InferenceConfig):
    """Binding sites of new proteins."""

    fasta: Path
    """Proteins: FASTA, plain or gzipped. - is standard input."""
    tsv: bool = True
    """Write predictions.tsv beside predictions.parquet."""
    shard: str | None = None
    """Which share of the proteins to predict, for job arrays: 3/16 is the third of sixteen. All shares go into one
    folder. The command without it joins them."""
    structure: Path | None = None
    """PDB or mmCIF file, plain or gzipped. It is copied with probabilities as B-factors. Or a folder of such files,
    named after the proteins."""
    protein: str | None = None
    """Name of the structure's protein. By default the file's name."""
    chain: str | None = None
    """Chain of the structure. By default the chain that is most similar to the protein."""
    structure_ion: str | None = None
    """Ion whose probabilities become B-factors. By default the highest probability of all ions."""

    @field_validator("shard")
    @classmethod
    def _within(cls, value: str | None) -> str | None:
        if value is not None:
            numbers = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", value)
            if numbers is None or not 1 <= int(numbers[1]) <= int(numbers[2]):
                raise ValueError("expected NUMBER/SHARES, such as 3/16, with a number from 1 to the count of shares")
        return value

    @model_validator(mode="after")
    def _structure_is_named(self) -> Self:
        if self.structure is None and any((self.protein, self.chain, self.structure_ion)):
            raise ValueError("protein, chain and structure_ion need structure")
        return self


class EvaluateConfig(InferenceConfig, ToolSettings, SiteSettings):
    """Figures on labelled test proteins."""

    fasta: str
    """Labelled proteins in 3-line FASTA: a path with {ION} in it, a folder of ION_test.fasta files, or the file of one
    ion."""
    transfer: str | None = None
    """Ion that the run was not trained on, such as MN. The labels are those of this ion, and the table says how well
    the heads of the run's ions find its sites."""
    leaks: Literal["fail", "allow"] = "allow"
    """What happens when a test protein is also a training protein. fail: stop before predicting. allow: report it."""
    audit_identity: Fraction | None = None
    """Look for training proteins with at least this share of equal residues. Identical ones are always looked for."""
    draws: Count = 1000
    """Bootstrap draws of proteins for the intervals of every figure but AUPRC, whose interval needs no draws."""
    level: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """How often an interval should hold the figure of all proteins like these."""

    @model_validator(mode="after")
    def _labels_are_of_the_ions(self) -> Self:
        if self.transfer is not None and (self.tool or self.target):
            raise ValueError(f"{'tool' if self.tool else 'target'} cannot be used with transfer: leave one of them out")
        return self


class ScanConfig(EnsembleConfig):
    """What substitutions do to the binding sites of a protein."""

    fasta: Path
    """Proteins: FASTA, plain or gzipped."""
    protein: str | None = None
    """Name of the protein to scan. It is not needed if the file holds one protein."""
    positions: str | None = None
    """Residues to substitute, such as 90-120 or 94,96,119. They count from 1. By default all residues."""
    to: str = AMINO_ACIDS
    """Residues that replace the original ones, one letter each. A gives an alanine scan."""
    variants: Path | None = None
    """File of variants instead of --positions and --to. A line is a variant: A24G, or substitutions joined with ':'."""
    sites: str | None = None
    """Residues to follow, such as 94,96,119. By default the residues that the run's thresholds call; for an ion without
    a called residue, its most probable residue."""
    tsv: bool = True
    """Write scan.tsv beside scan.parquet."""
    part_variants: Count = 1000
    """Variants between saved parts. A stopped command loses at most this many."""

    @field_validator("positions", "sites", mode="before")
    @classmethod
    def _a_number_is_a_position(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("positions", "sites")
    @classmethod
    def _positions(cls, value: str | None) -> str | None:
        if value is not None and not _POSITIONS.fullmatch(value):
            raise ValueError(f"expected residues such as 90-120 or 94,96,119, found {value[:40]!r}")
        return value

    @field_validator("to")
    @classmethod
    def _amino_acids(cls, value: str) -> str:
        letters = "".join(dict.fromkeys(value.upper().replace(",", "").replace(" ", "")))
        if not letters or (odd := letters.strip(AMINO_ACIDS)):
            raise ValueError(f"expected letters of the 20 amino acids, found {(odd if letters else value)[:20]!r}")
        return letters

    @model_validator(mode="after")
    def _one_choice_of_variants(self) -> Self:
        if self.variants is not None and (without := {"positions", "to"} & self.model_fields_set):
            raise ValueError(f"{min(without)} has no effect with variants: leave it out")
        return self
