"""Settings of `bindtune embed` and `bindtune score`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from bindtune.config.settings import Count, Fraction, Settings


class _ZeroShotConfig(Settings):
    """What the commands share that run E1 as it is."""

    model: str
    """Hub name or folder of an E1 model, such as Profluent-Bio/E1-150m."""
    out: Path
    """File to write."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the weights; float32 is the faster one on most CPUs."""
    device: str = "cpu"
    """Where to compute: cpu, cuda, cuda:1, ..."""
    max_batch_tokens: Count = 16384
    """Tokens that are computed at a time; one protein with its context is always allowed."""
    cache_dir: Path | None = None
    """Folder that keeps what was read from alignments."""
    max_num_samples: Count = 511
    """Most homologs in a context."""
    max_token_length: Count = 8192
    """Most residues in a context."""
    max_query_similarity: Fraction = 0.95
    """Leave out homologs that share more of the query's columns."""
    min_query_similarity: Fraction = 0.0
    """Leave out homologs that share less of the query's columns."""
    neighbor_similarity_lower_bound: Fraction = 0.8
    """Share of equal residues from which on homologs count as neighbours and are drawn less."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the draws of homologs."""


class EmbedConfig(_ZeroShotConfig):
    """Embeddings of proteins, with homologs as context where alignments are given."""

    fasta: Path
    """Proteins: FASTA, plain or gzipped; the first word of a header is the protein's name."""
    out: Path
    """File to write: .safetensors or .parquet."""
    per: Literal["protein", "residue"] = "protein"
    """One vector a protein, the mean over its residues, or one a residue."""
    msa_dir: Path | None = None
    """Folder of alignments NAME.a3m or NAME.a2m, gzipped or not; a protein without one is embedded alone."""

    @field_validator("out")
    @classmethod
    def _known_format(cls, value: Path) -> Path:
        if value.suffix not in (".safetensors", ".parquet"):
            raise ValueError("the name must end in .safetensors or .parquet")
        return value


class ScoreConfig(_ZeroShotConfig):
    """Zero-shot scores of substitutions."""

    parent: Path
    """The protein that the variants differ from: FASTA with one record, plain or gzipped."""
    variants: Path
    """Variants, one a line: A24G, or several substitutions joined with ':'; the first residue is 1."""
    out: Path
    """Table to write (TSV): variant, context, score."""
    method: Literal["masked_marginal", "wildtype_marginal"] = "masked_marginal"
    """Mask each mutated position in turn, or look at the unmasked parent once."""
    msa: Path | None = None
    """Alignment of the parent, from which contexts are drawn."""
    num_contexts: Count = 1
    """Contexts to draw; the k-th with seed + k."""
    reduction: Literal["mean", "none"] = "mean"
    """Average over the contexts, or one score for each."""
