"""Settings of `bindtune predict` and `bindtune evaluate`."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from bindtune.config.binding import CHUNK_OVERLAP
from bindtune.config.settings import Count, Fraction, Settings


class InferenceConfig(Settings):
    """What the commands share that run the models of a binding run."""

    run: Path
    """Run folder of bindtune train, with all its folds."""
    out: Path
    """Folder to write; what a killed command left there is gone on with."""
    msa_dir: str | None = None
    """Alignments ID.a3m or ID.a2m, gzipped or not: a folder, or a folder with a folder for each ion; proteins without
    one are read alone."""
    ions: list[str] | None = None
    """Ions to predict, parted by commas; those of the run by default."""
    contexts: Count = 1
    """Contexts to draw from each alignment; predictions are averaged over them."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the draws of homologs."""
    device: str = "auto"
    """Where to compute: cpu, cuda, cuda:1, ...; auto takes a GPU where there is one."""
    bf16: bool = False
    """Compute in bfloat16: faster on a GPU, and less exact."""
    max_batch_tokens: Count = 16384
    """Tokens that are computed at a time; one row is always allowed."""
    max_query_length: Annotated[int, Field(ge=64)] | None = None
    """Most tokens of a query; longer proteins are cut into overlapping chunks. The run's by default."""
    max_token_length: Count | None = None
    """Most tokens of a context and its query together; the run's by default."""
    max_num_samples: Annotated[int, Field(ge=0)] | None = None
    """Most homologs in a context; the run's by default."""
    overlap: Annotated[int, Field(ge=0)] = CHUNK_OVERLAP
    """Residues that neighbouring chunks of a long protein share."""
    calibration: Literal["none", "temperature", "isotonic"] = "none"
    """Fit probabilities to what the out-of-fold residues of the run show."""
    base_model: str | None = None
    """Hub name or folder of the encoder; what the run names by default."""
    cache_dir: Path | None = None
    """Folder that keeps what was read from alignments; a temporary one in the output folder by default."""
    shard_proteins: Count = 2000
    """Proteins after which what was predicted is written; a killed command loses at most so many."""
    shard_residues: Count = 200_000
    """Residues after which it is written."""

    @field_validator("ions", mode="before", json_schema_input_type=str | list[str] | None)
    @classmethod
    def _parted(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = [value]
        if not isinstance(value, list | tuple):
            return value
        return [name.strip() for part in value for name in str(part).split(",") if name.strip()]

    @field_validator("ions")
    @classmethod
    def _distinct(cls, value: list[str] | None) -> list[str] | None:
        if value is not None and (not value or len(set(value)) < len(value)):
            raise ValueError("expected names of ions, each once")
        return value


class PredictConfig(InferenceConfig):
    """Binding sites of new proteins."""

    fasta: Path
    """Proteins: FASTA, gzipped or not; - is standard input."""
    tsv: bool = True
    """Write predictions.tsv beside predictions.parquet."""
    structure: Path | None = None
    """A PDB or mmCIF file, gzipped or not, to copy with probabilities as B-factors; or a folder of them by the names of
    proteins."""
    protein: str | None = None
    """The protein that the structure is of; the file's name by default."""
    chain: str | None = None
    """Chain of the structure; the one most like the protein by default."""
    structure_ion: str | None = None
    """The ion whose probabilities become B-factors; the highest of all ions by default."""

    @model_validator(mode="after")
    def _structure_is_named(self) -> Self:
        if self.structure is None and any((self.protein, self.chain, self.structure_ion)):
            raise ValueError("protein, chain and structure_ion say something about structure, which is not given")
        return self


class EvaluateConfig(InferenceConfig):
    """Figures on labelled test proteins."""

    fasta: str
    """Labelled proteins, 3-line FASTA: a path with {ION} in it, a folder of ION_test.fasta files, or one ion's file."""
    leaks: Literal["fail", "allow"] = "allow"
    """What is done when a test protein stands among the training proteins: fail before predicting, or report it."""
    audit_identity: Fraction | None = None
    """Look for training proteins that are at least so similar; identical ones are always looked for."""
    draws: Count = 1000
    """Draws of proteins for the intervals."""
    level: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Share of the draws inside an interval."""
