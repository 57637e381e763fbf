"""Settings of `bindtune windows`."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from bindtune.config.peak_filters import Column, check_columns, columns_of, floors_of
from bindtune.config.settings import Fraction, Settings


class WindowsConfig(Settings):
    """Training windows from peaks, a genome and regions. Lengths, strides and distances are in nucleotides."""

    peaks: Annotated[tuple[Path, ...], Field(min_length=1)]
    """Peaks: BED3 to BED12, narrowPeak, broadPeak or IDR's, plain or gzipped; the peaks of all files count together."""
    genome: Path | None = None
    """Genome: FASTA (plain, gzip or bgzip) or 2bit; needs --regions or --genes."""
    regions: Path | None = None
    """Regions to cut into windows: BED; a strand in column 6 counts."""
    genes: Path | None = None
    """Regions to cut into windows: the genes of a GTF or GFF3."""
    region_fasta: Path | None = None
    """Regions with their sequence instead of a genome: FASTA with headers chrom:start-end (0-based, half-open)."""
    out: Path
    """Folder for train, validation and test files and summary.json."""
    format: Literal["parquet", "jsonl", "jsonl.gz", "json", "json.gz"] = "parquet"
    """Format of the training files."""
    overwrite: bool = False
    """Replace the files of an earlier run in the folder."""

    window: Annotated[int, Field(ge=1)] = 512
    """Length of a window; a region that is no longer is taken whole."""
    stride: Annotated[int, Field(ge=1)] = 256
    """From one window's start to the next."""
    long_regions: Literal["tile", "sample"] = "tile"
    """Long regions: tile them like the others, or sample windows around their peaks."""
    long_region_length: Annotated[int, Field(ge=1)] = 6144
    """With --long-regions sample: regions longer than this are sampled."""
    background_windows: Annotated[int, Field(ge=0)] = 1
    """With --long-regions sample: windows without a peak to draw in each long region."""
    jitter: Annotated[int, Field(ge=0)] = 25
    """With --long-regions sample: a window's centre lies at most this far from its peak's."""

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
    merge_peaks: bool = False
    """Join peaks of one strand that overlap."""
    merge_distance: Annotated[int, Field(ge=0)] | None = None
    """With --merge-peaks: also join peaks with at most this many nucleotides between them; 0 joins book-ended ones."""
    merge_strands: bool = False
    """With --merge-peaks: join peaks of different strands too."""
    opposite_strand: bool = False
    """Count peaks of the strand opposite to their region's; where either has no strand, peaks always count."""
    min_peak_overlap: Annotated[int, Field(ge=1)] = 1
    """A peak counts in a window that holds at least this many of its nucleotides."""

    reverse_complement: bool = True
    """Read windows of minus-strand regions along that strand, and turn their peaks with them."""
    max_n_fraction: Fraction = 0.5
    """Leave out windows with a greater share of letters other than A, C, G and T; 1 keeps windows of N alone too."""
    keep_peakless: Fraction = 1.0
    """Share of the windows without a peak to keep: 1 keeps all, 0 none; drawn by the seed."""
    deduplicate: bool = False
    """Keep only the first of windows with the same sequence."""
    gene_feature: Annotated[tuple[str, ...], Field(min_length=1)] = ("gene", "ncRNA_gene", "pseudogene")
    """With --genes: the features (column 3) that are regions."""
    gene_type: tuple[str, ...] = ()
    """With --genes: only genes of this type, such as protein_coding; all types where it is not given."""

    chromosome_names: Literal["exact", "match"] = "exact"
    """Refuse chromosome names that the genome does not have, or match names that differ by 'chr' (and MT for M)."""
    chromosome_aliases: Path | None = None
    """Table with the names of one chromosome in each row, such as UCSC's chromAlias.txt."""
    missing_chromosomes: Literal["refuse", "drop"] = "refuse"
    """Regions on chromosomes that the genome does not have."""
    write_index: bool = False
    """Where a FASTA genome has no .fai index, write one beside it instead of a temporary one."""

    split: Literal["neighbourhood", "chromosome"] = "neighbourhood"
    """Hold out neighbourhoods of regions, or whole chromosomes, until the fractions are reached."""
    validation_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.02
    """Share of the windows for validation; 0 writes no validation file."""
    test_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the windows for a test file; 0 writes none."""
    validation_chromosomes: tuple[str, ...] = ()
    """Validation is made of these chromosomes, instead of a fraction."""
    test_chromosomes: tuple[str, ...] = ()
    """The test file is made of these chromosomes, instead of a fraction."""
    split_distance: Annotated[int, Field(ge=0)] = 1000
    """Least distance between windows of different splits."""
    shared_sequences: Literal["drop", "keep"] = "drop"
    """Held-out windows whose sequence or reverse complement another split has: drop them or keep them."""
    leaks: Literal["fail", "allow"] = "fail"
    """What the leak audit does when it finds anything: fail and write nothing, or note it in summary.json."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 42
    """Seed of everything drawn."""

    @field_validator(
        "peaks",
        "gene_feature",
        "gene_type",
        "validation_chromosomes",
        "test_chromosomes",
        mode="before",
        json_schema_input_type=str | int | list[str | int],
    )
    @classmethod
    def _one_is_a_list_and_nine_a_name(cls, value: Any) -> Any:
        values = value if isinstance(value, list | tuple) else [value]
        return [str(item) if isinstance(item, int) else item for item in values]

    @model_validator(mode="after")
    def _one_source_of_sequence(self) -> Self:
        places = [name for name in ("regions", "genes") if getattr(self, name) is not None]
        if (self.genome is None) == (self.region_fasta is None):
            raise ValueError("give either --genome or --region-fasta")
        if self.genome is not None and len(places) != 1:
            raise ValueError("--genome needs either --regions or --genes")
        if self.region_fasta is not None and places:
            raise ValueError(f"--region-fasta brings its own regions: leave out --{places[0]}")
        return self

    @model_validator(mode="after")
    def _splits_fit_together(self) -> Self:
        if self.validation_fraction + self.test_fraction >= 1:
            raise ValueError("validation_fraction and test_fraction leave nothing to train on")
        both = set(self.validation_chromosomes) & set(self.test_chromosomes)
        if both:
            raise ValueError(f"{', '.join(sorted(both))}: named for validation and for test")
        for name in ("validation", "test"):
            if getattr(self, f"{name}_chromosomes") and f"{name}_fraction" in self.model_fields_set:
                raise ValueError(f"give either {name}_chromosomes or {name}_fraction")
        return self

    @model_validator(mode="after")
    def _merging_is_asked_for(self) -> Self:
        if not self.merge_peaks and (self.merge_distance is not None or self.merge_strands):
            raise ValueError("merge_distance and merge_strands need merge_peaks")
        return self

    @model_validator(mode="after")
    def _columns_are_filtered_by(self) -> Self:
        check_columns(self)
        return self

    @property
    def floors(self) -> dict[str, float]:
        """The least value of each kind that a peak must have."""
        return floors_of(self)

    @property
    def columns(self) -> dict[str, int]:
        """The column of each kind of value that does not stand where the format has it, counted from 1."""
        return columns_of(self)
