"""Settings of `bindtune align`."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from bindtune.config.settings import Count, Fraction, Settings, as_list


class AlignConfig(Settings):
    """Alignments of proteins with their homologs in a database."""

    fasta: Path
    """Proteins: FASTA, plain or gzipped. The first word of a header names the alignment."""
    database: Path
    """Proteins to search: FASTA, plain or gzipped, or a database that `mmseqs createdb` made."""
    out: Path
    """Folder for ID.a3m of each protein, homologs.tsv and summary.json. A stopped command goes on from its files."""
    database_dir: Path | None = None
    """Folder that keeps the databases that MMseqs2 makes of FASTA files, by their content. By default it is
    DATABASE.mmseqs, beside the file."""
    labels: tuple[Path, ...] = ()
    """Label files in 3-line FASTA. The table labelled_homologs.tsv then lists the homologs that are proteins of these
    files. They count as held out if the file is named ..._test, and as training proteins otherwise."""
    iterations: Count = 2
    """Searches of the database. Each later search uses the profile of the homologs so far."""
    sensitivity: Annotated[float, Field(ge=1, le=9.5)] = 7.0
    """Sensitivity of MMseqs2: 1 is fast, 7.5 is very sensitive."""
    evalue: Annotated[float, Field(gt=0)] = 1e-3
    """Highest E-value of a homolog."""
    coverage: Fraction = 0.0
    """Least share of the protein's residues that a homolog covers."""
    mask: bool = True
    """Mask stretches of few kinds of residues in the database, and correct scores for the composition of stretches.
    Without the mask, proteins with long stretches of few kinds of residues find more homologs, and more chance hits."""
    max_sequences: Count = 10_000
    """Most homologs of a protein."""
    threads: Count | None = None
    """Processor cores. By default all cores that this process may use."""
    batch_proteins: Count = 1000
    """Proteins that are searched at a time. A stopped command loses at most this many."""

    _one_is_a_list = field_validator("labels", mode="before", json_schema_input_type=str | list[str])(as_list)
