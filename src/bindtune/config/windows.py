"""Settings of `bindtune windows`."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from bindtune.config.peak_filters import PeakFilters
from bindtune.config.settings import Fraction, Settings


class WindowPositions(Settings):
    """What windows are cut from, and where they lie: the first settings of `bindtune windows`."""

    peaks: Annotated[tuple[Path, ...], Field(min_length=1)]
    """Peaks: BED3 to BED12, narrowPeak, broadPeak or the format of IDR, plain or gzipped. Several files are read as
    one."""
    genome: Path | None = None
    """Genome: FASTA (plain, gzip or bgzip) or 2bit. It needs --regions or --genes."""
    regions: Path | None = None
    """Regions to cut into windows: BED, with the strand in column 6 if there is one."""
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
    """Length of a window. A shorter region becomes one window."""
    stride: Annotated[int, Field(ge=1)] = 256
    """Distance from the start of one window to the start of the next."""
    long_regions: Literal["tile", "sample"] = "tile"
    """What happens with long regions. tile: cut them into windows like all regions. sample: take windows around their
    peaks."""
    long_region_length: Annotated[int, Field(ge=1)] = 6144
    """With --long-regions sample: sample regions that are longer than this."""
    background_windows: Annotated[int, Field(ge=0)] = 1
    """With --long-regions sample: windows without a peak to draw from each long region."""
    jitter: Annotated[int, Field(ge=0)] = 25
    """With --long-regions sample: largest distance between the centres of a window and its peak."""


class WindowsConfig(PeakFilters, WindowPositions):
    """Training windows from peaks, a genome and regions. Lengths, strides and distances are in nucleotides."""

    merge_peaks: bool = False
    """Join overlapping peaks of one strand."""
    merge_distance: Annotated[int, Field(ge=0)] | None = None
    """With --merge-peaks: also join peaks with at most this many nucleotides between them. 0 joins peaks that touch."""
    merge_strands: bool = False
    """With --merge-peaks: also join peaks of different strands."""
    opposite_strand: bool = False
    """Also use peaks on the strand opposite to their region. Peaks and regions without a strand always match."""
    min_peak_overlap: Annotated[int, Field(ge=1)] = 1
    """Use a peak in a window only if at least this many of its nucleotides are in the window."""

    reverse_complement: bool = True
    """Write windows of minus-strand regions as their reverse complement, with their peaks."""
    max_n_fraction: Fraction = 0.5
    """Leave out windows with a larger share of letters other than A, C, G and T. 1 keeps all windows."""
    keep_peakless: Fraction = 1.0
    """Share of the windows without a peak to keep. 1 keeps all, 0 keeps none. The seed draws them."""
    deduplicate: bool = False
    """Keep only the first of several windows with the same sequence."""
    gene_feature: Annotated[tuple[str, ...], Field(min_length=1)] = ("gene", "ncRNA_gene", "pseudogene")
    """With --genes: features (column 3) to use as regions."""
    gene_type: tuple[str, ...] = ()
    """With --genes: type of the genes to use, such as protein_coding. By default all types are used."""

    chromosome_names: Literal["exact", "match"] = "exact"
    """What happens with chromosome names that the genome does not have. exact: refuse them. match: also accept names
    that differ by 'chr', and MT for M."""
    chromosome_aliases: Path | None = None
    """Table of chromosome names: each row has the names of one chromosome. An example is UCSC's chromAlias.txt."""
    missing_chromosomes: Literal["refuse", "drop"] = "refuse"
    """What happens with regions on chromosomes that the genome does not have."""
    write_index: bool = False
    """Write the .fai index of a FASTA genome beside the genome. By default a missing index is made as a temporary
    file."""

    split: Literal["neighbourhood", "chromosome"] = "neighbourhood"
    """What is held out for validation and test: neighbourhoods of regions, or whole chromosomes."""
    validation_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.02
    """Share of the windows for validation. 0 writes no validation file."""
    test_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the windows for test. 0 writes no test file."""
    validation_chromosomes: tuple[str, ...] = ()
    """Chromosomes for validation. They replace validation_fraction."""
    test_chromosomes: tuple[str, ...] = ()
    """Chromosomes for test. They replace test_fraction."""
    split_distance: Annotated[int, Field(ge=0)] = 1000
    """Least distance between windows of different splits."""
    shared_sequences: Literal["drop", "keep"] = "drop"
    """What happens with held-out windows whose sequence or reverse complement another split has too."""
    leaks: Literal["fail", "allow"] = "fail"
    """What happens when the leak audit sees shared windows. fail: write nothing. allow: note them in summary.json."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 42
    """Seed of all random draws."""

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
        region_sources = [name for name in ("regions", "genes") if getattr(self, name) is not None]
        if (self.genome is None) == (self.region_fasta is None):
            raise ValueError("give either --genome or --region-fasta")
        if self.genome is not None and len(region_sources) != 1:
            raise ValueError("--genome needs either --regions or --genes")
        if self.region_fasta is not None and region_sources:
            raise ValueError(f"--region-fasta brings its own regions: leave out --{region_sources[0]}")
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
