"""Settings of `bindtune embed` and `bindtune score`."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from bindtune.config.binding import CHUNK_OVERLAP
from bindtune.config.settings import Count, Fraction, Settings, as_list


class _ZeroShotConfig(Settings):
    """Settings that embed and score share."""

    model: str
    """Hub name or folder of a model. DNA: DNABERT-2 or any masked language model that `bindtune pretrain` accepts.
    Proteins: Profluent-E1 or ESM-2."""
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
    """Embeddings of proteins, with homologs as context where alignments are given, or of DNA."""

    fasta: Path | None = None
    """Proteins or DNA: FASTA, plain or gzipped. The first word of a header is the sequence's name."""
    genome: Path | None = None
    """DNA instead of --fasta: genome, FASTA (plain, gzip or bgzip) or 2bit. It needs --regions."""
    regions: Path | None = None
    """Regions of the genome (BED). Regions of the minus strand are read along that strand."""
    out: Path
    """File to write: .safetensors or .parquet."""
    per: Literal["sequence", "residue", "token", "nucleotide"] = "sequence"
    """What gets a vector: each sequence, each residue of a protein, or each token or nucleotide of DNA."""
    pooling: Literal["mean", "cls", "max"] = "mean"
    """How the vector of a sequence is computed. mean, max: mean or maximum over its residues or tokens. cls: the token
    before them."""
    layer: int | None = None
    """Layer whose hidden states are read, from 0 for the embeddings. Negative numbers count from the end. By default
    the last."""
    both_strands: bool = False
    """DNA: average with the reverse complement. Its nucleotides are mirrored."""
    stretch_tokens: Annotated[int, Field(ge=16)] = 2048
    """DNA: most tokens of a row, if the model allows as many. Longer sequences are read in overlapping stretches."""
    overlap: Annotated[int, Field(ge=0)] = CHUNK_OVERLAP
    """Residues or tokens that neighbouring stretches of a long sequence share."""
    msa_dir: Path | None = None
    """Proteins: folder of alignments NAME.a3m or NAME.a2m, plain or gzipped. A protein without an alignment has no
    context."""
    chromosome_names: Literal["exact", "match"] = "exact"
    """What happens with chromosome names that the genome does not have. exact: refuse them. match: also accept names
    that differ by 'chr', and MT for M."""
    chromosome_aliases: Path | None = None
    """Table of chromosome names: each row has the names of one chromosome. An example is UCSC's chromAlias.txt."""
    write_index: bool = False
    """Write the .fai index of a FASTA genome beside the genome. By default a missing index is made as a temporary
    file."""

    @field_validator(
        "per", mode="before",
        json_schema_input_type=Literal["sequence", "residue", "token", "nucleotide", "protein"],
    )  # fmt: skip
    @classmethod
    def _earlier_name(cls, value: Any) -> Any:
        return "sequence" if value == "protein" else value

    @field_validator("out")
    @classmethod
    def _known_format(cls, value: Path) -> Path:
        if value.suffix not in (".safetensors", ".parquet"):
            raise ValueError("the name must end in .safetensors or .parquet")
        return value

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.fasta is None) == (self.genome is None):
            raise ValueError("give either --fasta, or --genome with --regions")
        if (self.genome is None) != (self.regions is None):
            raise ValueError("--genome and --regions go together")
        return self

    @model_validator(mode="after")
    def _vectors_are_averaged(self) -> Self:
        if self.per != "sequence" and "pooling" in self.model_fields_set:
            raise ValueError("--pooling makes one vector of a sequence: leave it out, or choose --per sequence")
        if self.per == "token" and self.both_strands:
            raise ValueError("the tokens of two strands differ: --both-strands needs --per sequence or nucleotide")
        return self


class ScoreConfig(_ZeroShotConfig):
    """Zero-shot scores of variants: substitutions of a protein, or any small variants of DNA."""

    vcf: Path | None = None
    """Variants of DNA: VCF, plain, gzip or bgzip. It needs --genome."""
    table: Path | None = None
    """Variants of DNA instead of a VCF: a table with the columns chrom, pos (from 1), ref and alt. It needs
    --genome."""
    genome: Path | None = None
    """Genome that the variants were called on: FASTA (plain, gzip or bgzip) or 2bit."""
    parent: Path | None = None
    """The sequence without substitutions, a protein or DNA: FASTA with one record, plain or gzipped."""
    variants: Path | None = None
    """Variants of the parent, one in each line: A24G, or several substitutions joined with ':'. Positions start at
    1."""
    out: Path
    """File to write. Proteins: a table (TSV). DNA: .tsv, .parquet, or .vcf and .vcf.gz for a copy of --vcf with an INFO
    field."""
    method: Literal["masked_marginal", "wildtype_marginal"] = "masked_marginal"
    """masked_marginal: mask each mutated position in turn; in DNA, mask the tokens in which the alleles differ.
    wildtype_marginal: run the unmasked parent once (proteins only)."""
    msa: Path | None = None
    """Proteins: alignment of the parent, from which contexts are drawn."""
    num_contexts: Count = 1
    """Proteins: contexts to draw. Context k is drawn with seed + k."""
    reduction: Literal["mean", "none"] = "mean"
    """Proteins: mean: average over the contexts. none: one score for each context."""
    width: Annotated[int, Field(ge=64)] = 512
    """DNA: nucleotides of the stretch that holds either allele."""
    strand: Literal["+", "-", "both"] = "both"
    """DNA: the strand that is read. both: the mean of both strands."""
    genes: Path | None = None
    """DNA: genes (GTF or GFF3) that give the strand. Variants in no gene, or in genes of both strands, are read on
    both."""
    gene_feature: Annotated[tuple[str, ...], Field(min_length=1)] = ("gene", "ncRNA_gene", "pseudogene")
    """With --genes: features (column 3) that are genes."""
    effect: Path | None = None
    """DNA: folder of a finished probe. Scores are then changes of the binding logit. --model names a model of the
    probe, as NAME=FOLDER if its encoder has moved. By default --width is that of the probe's windows."""
    dataset: str | None = None
    """With --effect: data set of the model, if the probe has several."""
    arm: str | None = None
    """With --effect: kind of negatives in the training of the model. By default the probe's first."""
    phases: Annotated[int, Field(ge=1, le=32)] = 1
    """DNA: average over this many starts of the stretch, each one nucleotide later, because tokens depend on the
    start."""
    mismatches: Literal["refuse", "skip"] = "refuse"
    """DNA: what happens with records whose REF differs from the genome. refuse: stop. skip: give them no score."""
    info_field: str = "BINDTUNE"
    """With --out .vcf: name of the INFO field."""
    chromosome_names: Literal["exact", "match"] = "exact"
    """What happens with chromosome names that the genome does not have. exact: refuse them. match: also accept names
    that differ by 'chr', and MT for M."""
    chromosome_aliases: Path | None = None
    """Table of chromosome names: each row has the names of one chromosome. An example is UCSC's chromAlias.txt."""
    write_index: bool = False
    """Write the .fai index of a FASTA genome beside the genome. By default a missing index is made as a temporary
    file."""
    part_variants: Count = 2000
    """DNA: variants between saved parts. A stopped command loses at most this many."""

    _one_is_a_list = field_validator("gene_feature", mode="before", json_schema_input_type=str | list[str])(as_list)

    @model_validator(mode="after")
    def _one_source_of_variants(self) -> Self:
        sources = [name for name in ("vcf", "table", "parent") if getattr(self, name) is not None]
        if len(sources) != 1:
            raise ValueError("give one of --vcf, --table, and --parent with --variants")
        if (self.parent is None) != (self.variants is None):
            raise ValueError("--parent and --variants go together")
        if self.parent is None and self.genome is None:
            raise ValueError(f"--{sources[0]} needs --genome")
        stray = [name for name in ("genome", "genes") if self.parent is not None and getattr(self, name) is not None]
        if stray:
            raise ValueError(f"--parent brings its own sequence: leave out --{stray[0]}")
        return self

    @model_validator(mode="after")
    def _options_fit_together(self) -> Self:
        if self.genes is not None and "strand" in self.model_fields_set:
            raise ValueError("give either --genes or --strand")
        if self.effect is None and (self.dataset is not None or self.arm is not None):
            raise ValueError("--dataset and --arm need --effect")
        if self.effect is not None and "method" in self.model_fields_set:
            raise ValueError("--effect is a method of its own: leave out --method")
        if self.writes_vcf and self.vcf is None:
            raise ValueError(f"--out {self.out.name}: only --vcf can be written as VCF, expected .tsv or .parquet")
        return self

    @property
    def variant_method(self) -> str:
        """How variants of DNA are scored, as their tables say it."""
        return self.method if self.effect is None else "effect"

    @property
    def writes_vcf(self) -> bool:
        """Whether the output is a copy of the input VCF."""
        return self.out.name.endswith((".vcf", ".vcf.gz"))

    @property
    def variant_file(self) -> Path:
        """The file of variants."""
        path = self.vcf or self.table or self.variants
        if path is None:
            raise AssertionError("the settings name one source of variants")
        return path
