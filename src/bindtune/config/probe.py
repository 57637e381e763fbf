"""Settings of `bindtune probe`."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from bindtune.config.peak_filters import Column, PeakFilters
from bindtune.config.settings import Count, Fraction

Arm = Literal["gc-region", "dinucleotide", "other-sites", "shuffled"]


class ProbeConfig(PeakFilters):
    """Whether models tell bound from unbound windows. Lengths and distances are in nucleotides."""

    peaks: tuple[str, ...] = ()
    """Peaks of one protein, NAME=FILE: BED3 to BED12, narrowPeak, broadPeak or IDR's, plain or gzipped. Each name is a
    data set; files of one name count together."""
    positives: Path | None = None
    """Bound windows with their sequence instead of peaks: FASTA; headers chrom:start-end(strand) give coordinates."""
    negatives: Path | None = None
    """Unbound windows to --positives: FASTA."""
    genome: Path | None = None
    """Genome for --peaks: FASTA (plain, gzip or bgzip) or 2bit."""
    region_fasta: Path | None = None
    """Regions with their sequence instead of a genome: FASTA with headers chrom:start-end (0-based, half-open)."""
    genes: Path | None = None
    """Annotation (GTF or GFF3) that says which windows lie in exons, introns and UTRs."""
    regions: Path | None = None
    """Regions (BED) that say which windows are of one kind, instead of --genes; a strand in column 6 counts."""
    model: tuple[str, ...] = ()
    """Model to probe, NAME=MODEL: any folder or hub name that `bindtune pretrain` accepts. The first is the reference
    of the comparisons."""
    out: Path
    """Folder to write. A probe that was stopped goes on there."""
    overwrite: bool = False
    """Begin anew in a folder that holds another probe."""

    arms: tuple[Arm, ...] = ()
    """Kinds of negatives; without it, all that the input allows."""
    width: Annotated[int, Field(ge=10)] = 101
    """Length of a window."""
    centre: Literal["summit", "middle"] = "summit"
    """Centre windows on the summit of narrowPeak where a peak has one and else on the middle, or always on the
    middle."""
    distance: Annotated[int, Field(ge=0)] = 200
    """Nucleotides that lie at least between a negative and every peak of its data set, on the strand."""
    candidates: Count = 20
    """Windows to choose negatives from, for each positive."""
    gc_tolerance: Fraction = 0.02
    """Greatest difference in GC between a positive and its gc-region negative."""
    max_n_fraction: Fraction = 0.05
    """Leave out windows with a greater share of letters other than A, C, G and T."""

    peak_format: Literal["auto", "bed", "narrowPeak", "broadPeak"] = "auto"
    """Format of the peak files; auto goes by name and columns. A named format may have more columns behind."""
    min_score: float | None = None
    """Leave out peaks with a lower score (column 5, or score_column)."""
    min_enrichment: float | None = None
    """Leave out peaks with a lower enrichment (narrowPeak and broadPeak: column 7; else enrichment_column)."""
    min_p_value: float | None = None
    """Leave out peaks with a lower -log10 p value (narrowPeak and broadPeak: column 8; else p_value_column)."""
    min_q_value: float | None = None
    """Leave out peaks with a lower -log10 q value (narrowPeak and broadPeak: column 9; else q_value_column)."""
    score_column: Column | None = None
    """With --min-score: the column of the score, counted from 1, where the format has it elsewhere or not at all."""
    enrichment_column: Column | None = None
    """With --min-enrichment: the column of the enrichment, such as 5 for the log2 fold change of eCLIP's BED6."""
    p_value_column: Column | None = None
    """With --min-p-value: the column of the -log10 p value, such as 4 for eCLIP's BED6."""
    q_value_column: Column | None = None
    """With --min-q-value: the column of the -log10 q value."""
    merge_distance: Annotated[int, Field(ge=0)] | None = None
    """Also join peaks of one strand with at most this many nucleotides between them; overlapping ones are joined
    anyway."""
    gene_feature: Annotated[tuple[str, ...], Field(min_length=1)] = ("gene", "ncRNA_gene", "pseudogene")
    """With --genes: the features (column 3) that are genes."""
    chromosome_names: Literal["exact", "match"] = "exact"
    """Refuse chromosome names that the genome does not have, or match names that differ by 'chr' (and MT for M)."""
    chromosome_aliases: Path | None = None
    """Table with the names of one chromosome in each row, such as UCSC's chromAlias.txt."""
    write_index: bool = False
    """Where a FASTA genome has no .fai index, write one beside it instead of a temporary one."""

    split: Literal["auto", "chromosome", "neighbourhood"] = "auto"
    """What stays in one fold: chromosomes, or neighbourhoods of windows; auto takes chromosomes where there are enough.
    FASTA without coordinates is grouped by similarity of sequence."""
    folds: Annotated[int, Field(ge=2)] = 5
    """Folds of the cross-validation."""
    split_distance: Annotated[int, Field(ge=0)] = 1000
    """Windows with fewer nucleotides between them are of one neighbourhood."""
    similarity: Annotated[float, Field(gt=0.5, le=1)] = 0.8
    """Without coordinates: windows with this share of equal letters side by side are of one group."""
    leaks: Literal["fail", "drop", "allow"] = "fail"
    """What to do with windows that share something across folds: stop, leave them out, or only note it."""

    layer: int | None = None
    """Layer whose hidden states are read, from 0 for the embeddings; below 0 from the end; the last by default."""
    pooling: Literal["mean", "cls", "max"] = "mean"
    """What a window's vector is made of: the mean or the maximum over the tokens of its letters, or the first token."""
    head: Literal["linear", "cnn"] = "linear"
    """What learns from hidden states: logistic regression on a window's vector, or a small convolutional network on the
    states of its tokens."""
    tune: Literal["none", "lora"] = "none"
    """Leave encoders as they are, or fine-tune each on the training folds: LoRA and a classification head."""
    lora_rank: Count = 8
    """With --tune lora: rank of the adapters, which are on all linear layers."""
    tune_epochs: Count = 5
    """With --tune lora: passes over the training windows at most; the loss on one training fold ends it sooner."""
    learning_rate: Annotated[float, Field(gt=0)] = 5e-4
    """With --tune lora: learning rate of adapters and head."""
    bf16: bool = False
    """Compute hidden states in bfloat16. It is faster on GPUs and on processors with AVX512-BF16 or AMX, and less
    exact. It does not change --tune lora."""
    batch_tokens: Annotated[int, Field(ge=512)] = 8192
    """Tokens that an encoder computes at once."""
    seeds: Count = 1
    """How often everything that begins with random numbers is trained; from three on there is an interval over
    seeds."""
    draws: Count = 1000
    """Bootstrap draws of groups behind each interval of an AUROC. An interval of an AUPRC needs no draws."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    """Seed of everything drawn."""

    @field_validator("peaks", "model", "arms", "gene_feature", mode="before", json_schema_input_type=str | list[str])
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return value if isinstance(value, list | tuple) else [value]

    @field_validator("peaks", "model")
    @classmethod
    def _named(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            name, _, rest = value.partition("=")
            if not name.strip() or not rest:
                raise ValueError(f"'{value}' has no name, expected NAME=...")
        return values

    @model_validator(mode="after")
    def _one_source_of_windows(self) -> Self:
        given = [name for name in ("positives", "negatives") if getattr(self, name) is not None]
        if bool(self.peaks) == bool(given):
            raise ValueError("give either --peaks, or --positives and --negatives")
        if len(given) == 1:
            raise ValueError("--positives and --negatives go together")
        if self.peaks and (self.genome is None) == (self.region_fasta is None):
            raise ValueError("--peaks needs either --genome or --region-fasta")
        if self.genes is not None and self.regions is not None:
            raise ValueError("give either --genes or --regions")
        stray = [name for name in ("genome", "region_fasta", "genes", "regions") if getattr(self, name) is not None]
        if given and stray:
            raise ValueError(f"--positives brings its own windows: leave out --{stray[0].replace('_', '-')}")
        if given and set(self.arms) - {"shuffled"}:
            raise ValueError("--positives brings its own negatives: of the arms, only shuffled can be added")
        if "other-sites" in self.arms and len(self.data_sets) < 2:
            raise ValueError("the arm other-sites needs --peaks of at least two proteins")
        return self

    @model_validator(mode="after")
    def _tuning_has_its_own_head(self) -> Self:
        if self.tune == "lora" and (self.head != "linear" or self.layer is not None or self.pooling != "mean"):
            raise ValueError("--tune lora has a head of its own: leave out --head, --layer and --pooling")
        if self.head == "cnn" and self.pooling != "mean":
            raise ValueError("--head cnn reads every token: leave out --pooling")
        return self

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [value.partition("=")[0] for value in self.model]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two models are called {twice[0]}")
        taken = sorted(set(names) & set(BASELINES))
        if taken:
            raise ValueError(f"'{taken[0]}' is the name of a baseline: give the model another")
        return self

    @property
    def data_sets(self) -> dict[str, list[Path]]:
        """The peak files of each data set, by its name."""
        files: dict[str, list[Path]] = {}
        for value in self.peaks:
            name, _, path = value.partition("=")
            files.setdefault(name, []).append(Path(path))
        return files

    @property
    def models(self) -> dict[str, str]:
        """Hub name or folder of each model, by its name here."""
        return {name: path for name, _, path in (value.partition("=") for value in self.model)}


BASELINES = ("composition", "4-mer", "cnn", "random")
"""Models that are always compared, and need no weights."""
