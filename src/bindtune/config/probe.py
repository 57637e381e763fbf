"""Settings of `bindtune probe`."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from bindtune.config.peak_filters import PeakFilters
from bindtune.config.settings import Count, Fraction, Settings, as_list

Arm = Literal["gc-region", "dinucleotide", "other-sites", "shuffled"]


class ProbedWindows(Settings):
    """What is probed, and how negatives are chosen: the first settings of `bindtune probe`."""

    peaks: tuple[str, ...] = ()
    """Peaks of one protein, NAME=FILE: BED3 to BED12, narrowPeak, broadPeak or the format of IDR, plain or gzipped.
    Each name is a data set. Several files may have the same name."""
    positives: Path | None = None
    """Bound windows with their sequence instead of peaks: FASTA. Headers chrom:start-end(strand) give coordinates."""
    negatives: Path | None = None
    """With --positives: unbound windows, FASTA."""
    genome: Path | None = None
    """Genome for --peaks: FASTA (plain, gzip or bgzip) or 2bit."""
    region_fasta: Path | None = None
    """Regions with their sequence instead of a genome: FASTA with headers chrom:start-end (0-based, half-open)."""
    genes: Path | None = None
    """Annotation (GTF or GFF3) that says which windows lie in exons, introns and UTRs."""
    regions: Path | None = None
    """Regions (BED) instead of --genes: windows inside them are one kind of window. A strand in column 6 is used."""
    model: tuple[str, ...] = ()
    """Model to probe, NAME=MODEL: a folder or hub name that `bindtune pretrain` accepts. The other models are compared
    with the first one."""
    out: Path
    """Folder to write. A stopped probe goes on from the files in it."""
    overwrite: bool = False
    """Replace another probe in the folder."""

    arms: tuple[Arm, ...] = ()
    """Kinds of negatives. By default all kinds that the input allows."""
    width: Annotated[int, Field(ge=10)] = 101
    """Length of a window."""
    centre: Literal["summit", "middle"] = "summit"
    """Centre of a window. summit: the summit of a narrowPeak; peaks without a summit use their middle. middle: the
    middle of the peak."""
    distance: Annotated[int, Field(ge=0)] = 200
    """Least distance between a negative and every peak of its data set on the same strand."""
    candidates: Count = 20
    """Windows that are drawn for each positive. Its negatives are chosen from them."""
    gc_tolerance: Fraction = 0.02
    """Largest difference in GC content between a positive and its gc-region negative."""
    max_n_fraction: Fraction = 0.05
    """Leave out windows with a larger share of letters other than A, C, G and T."""


class ProbeConfig(PeakFilters, ProbedWindows):
    """Whether models tell bound from unbound windows. Lengths and distances are in nucleotides."""

    merge_distance: Annotated[int, Field(ge=0)] | None = None
    """Join peaks of one strand with at most this many nucleotides between them. Overlapping peaks are always joined."""
    gene_feature: Annotated[tuple[str, ...], Field(min_length=1)] = ("gene", "ncRNA_gene", "pseudogene")
    """With --genes: features (column 3) that are genes."""
    chromosome_names: Literal["exact", "match"] = "exact"
    """What happens with chromosome names that the genome does not have. exact: refuse them. match: also accept names
    that differ by 'chr', and MT for M."""
    chromosome_aliases: Path | None = None
    """Table of chromosome names: each row has the names of one chromosome. An example is UCSC's chromAlias.txt."""
    write_index: bool = False
    """Write the .fai index of a FASTA genome beside the genome. By default a missing index is made as a temporary
    file."""

    split: Literal["auto", "chromosome", "neighbourhood"] = "auto"
    """Groups that stay in one fold: whole chromosomes, or neighbourhoods of windows. auto takes chromosomes if there
    are enough. FASTA without coordinates is grouped by similar sequences."""
    folds: Annotated[int, Field(ge=2)] = 5
    """Folds of the cross-validation."""
    split_distance: Annotated[int, Field(ge=0)] = 1000
    """Windows with fewer nucleotides between them are in one neighbourhood."""
    similarity: Annotated[float, Field(gt=0.5, le=1)] = 0.8
    """Without coordinates: aligned windows with at least this share of equal letters are in one group."""
    leaks: Literal["fail", "drop", "allow"] = "fail"
    """What happens with windows of different folds that share sequence or positions. fail: stop. drop: leave them out.
    allow: only note them."""

    layer: int | None = None
    """Layer of the hidden states: 0 is the embeddings, numbers below 0 count from the end. By default the last
    layer."""
    pooling: Literal["mean", "cls", "max"] = "mean"
    """How a window becomes a vector: the mean or the maximum over the tokens of its letters, or the first token
    (cls)."""
    head: Literal["linear", "cnn"] = "linear"
    """Classifier of hidden states. linear: logistic regression on a window's vector. cnn: a small convolutional network
    on the states of its tokens."""
    tune: Literal["none", "lora"] = "none"
    """none: encoders stay unchanged. lora: fine-tune each encoder on the training folds with LoRA and a classification
    head."""
    lora_rank: Count = 8
    """With --tune lora: rank of the adapters. All linear layers have one."""
    tune_epochs: Count = 5
    """With --tune lora: most passes over the training windows. The loss on one training fold may stop training
    earlier."""
    learning_rate: Annotated[float, Field(gt=0)] = 5e-4
    """With --tune lora: learning rate of adapters and head."""
    bf16: bool = False
    """Compute hidden states in bfloat16. It is faster on GPUs and on processors with AVX512-BF16 or AMX, and less
    exact. It does not change --tune lora."""
    batch_tokens: Annotated[int, Field(ge=512)] = 8192
    """Most tokens of a batch of an encoder."""
    seeds: Count = 1
    """How often each part that starts from random numbers is trained. Three or more give an interval over seeds."""
    draws: Count = 1000
    """Bootstrap draws of groups for each interval of an AUROC. An interval of an AUPRC needs no draws."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    """Seed of all random draws."""

    _one_is_a_list = field_validator(
        "peaks", "model", "arms", "gene_feature", mode="before", json_schema_input_type=str | list[str]
    )(as_list)

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
        own_windows = [name for name in ("positives", "negatives") if getattr(self, name) is not None]
        if bool(self.peaks) == bool(own_windows):
            raise ValueError("give either --peaks, or --positives and --negatives")
        if len(own_windows) == 1:
            raise ValueError("--positives and --negatives go together")
        if self.peaks and (self.genome is None) == (self.region_fasta is None):
            raise ValueError("--peaks needs either --genome or --region-fasta")
        if self.genes is not None and self.regions is not None:
            raise ValueError("give either --genes or --regions")
        stray = [name for name in ("genome", "region_fasta", "genes", "regions") if getattr(self, name) is not None]
        if own_windows and stray:
            raise ValueError(f"--positives brings its own windows: leave out --{stray[0].replace('_', '-')}")
        if own_windows and set(self.arms) - {"shuffled"}:
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
        reserved = sorted(set(names) & set(BASELINES))
        if reserved:
            raise ValueError(f"'{reserved[0]}' is the name of a baseline: give the model another")
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
"""Baselines without weights, which are always compared."""
