"""Settings of `bindtune embed` and `bindtune score`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from bindtune.config.settings import Count, Fraction, Settings


class _ZeroShotConfig(Settings):
    """Settings that embed and score share."""

    model: str
    """Hub name or folder of an E1 model, such as Profluent-Bio/E1-150m."""
    out: Path
    """File to write."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the weights. float32 is faster on most CPUs."""
    device: str = "cpu"
    """Where to compute: cpu, cuda, cuda:1, ..."""
    max_batch_tokens: Count = 16384
    """Most tokens of a batch. A longer protein with its context is a batch of its own."""
    cache_dir: Path | None = None
    """Folder for alignments in a form that is fast to read."""
    max_num_samples: Count = 511
    """Most homologs in a context."""
    max_token_length: Count = 8192
    """Most residues in a context."""
    max_query_similarity: Fraction = 0.95
    """Leave out homologs that are more similar to the query than this share of equal residues."""
    min_query_similarity: Fraction = 0.0
    """Leave out homologs that are less similar to the query than this share of equal residues."""
    neighbor_similarity_lower_bound: Fraction = 0.8
    """Homologs with at least this share of equal residues are neighbours. Homologs with many neighbours are drawn less
    often."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the draws of homologs."""


class EmbedConfig(_ZeroShotConfig):
    """Embeddings of proteins, with homologs as context where alignments are given."""

    fasta: Path
    """Proteins: FASTA, plain or gzipped. The first word of a header is the protein's name."""
    out: Path
    """File to write: .safetensors or .parquet."""
    per: Literal["protein", "residue"] = "protein"
    """What gets a vector: each protein (the mean over its residues), or each residue."""
    msa_dir: Path | None = None
    """Folder of alignments NAME.a3m or NAME.a2m, plain or gzipped. A protein without an alignment has no context."""

    @field_validator("out")
    @classmethod
    def _known_format(cls, value: Path) -> Path:
        if value.suffix not in (".safetensors", ".parquet"):
            raise ValueError("the name must end in .safetensors or .parquet")
        return value


class ScoreConfig(_ZeroShotConfig):
    """Zero-shot scores of substitutions."""

    parent: Path
    """The protein without substitutions: FASTA with one record, plain or gzipped."""
    variants: Path
    """Variants, one in each line: A24G, or several substitutions joined with ':'. Positions start at 1."""
    out: Path
    """Table to write (TSV): variant, context, score."""
    method: Literal["masked_marginal", "wildtype_marginal"] = "masked_marginal"
    """masked_marginal: mask each mutated position in turn. wildtype_marginal: run the unmasked parent once."""
    msa: Path | None = None
    """Alignment of the parent, from which contexts are drawn."""
    num_contexts: Count = 1
    """Contexts to draw. Context k is drawn with seed + k."""
    reduction: Literal["mean", "none"] = "mean"
    """mean: average over the contexts. none: one score for each context."""
