"""Settings of every command: one frozen model a job. Defaults stand here and nowhere else."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from bindtune.errors import ConfigError, InputError


class Settings(BaseModel):
    """What all configurations share: frozen, unknown keys refused, field docstrings shown as help."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


Fraction = Annotated[float, Field(ge=0, le=1)]


class WindowsConfig(Settings):
    """Training windows from peaks, a genome and regions. Lengths, strides and distances are in nucleotides."""

    peaks: Annotated[tuple[Path, ...], Field(min_length=1)]
    """Peaks: BED3 to BED12, narrowPeak or broadPeak, plain or gzipped; the peaks of all files count together."""
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
    """Format of the peak files; auto goes by name and columns."""
    min_score: float | None = None
    """Leave out peaks with a lower score (column 5)."""
    min_enrichment: float | None = None
    """Leave out peaks with a lower enrichment (narrowPeak and broadPeak, column 7)."""
    min_p_value: float | None = None
    """Leave out peaks with a lower -log10 p value (narrowPeak and broadPeak, column 8)."""
    min_q_value: float | None = None
    """Leave out peaks with a lower -log10 q value (narrowPeak and broadPeak, column 9)."""
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
    max_n_fraction: Fraction = 1.0
    """Leave out windows with a greater share of letters other than A, C, G and T."""
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

    @field_validator("peaks", "gene_feature", "gene_type", "validation_chromosomes", "test_chromosomes", mode="before")
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

    @property
    def floors(self) -> dict[str, float]:
        """The least value of each kind that a peak must have."""
        values = {name: getattr(self, f"min_{name}") for name in ("score", "enrichment", "p_value", "q_value")}
        return {name: value for name, value in values.items() if value is not None}


S = TypeVar("S", bound=Settings)


def build(model: type[S], values: Mapping[str, Any], *, source: Path | str | None = None) -> S:
    """Validate settings.

    Args:
        model: which configuration.
        values: the settings that were given; the others take their defaults.
        source: the file they came from, for messages.

    Raises:
        ConfigError: names every setting that is unknown (with the nearest known name), of a wrong type or impossible.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        problems = "; ".join(_problem(model, detail) for detail in error.errors(include_url=False))
        raise ConfigError(f"{source}: {problems}" if source else problems) from error


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds settings.

    Raises:
        InputError: the file is missing, is not YAML, or does not hold names and values.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, None, f"cannot be read: {error}") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise InputError(path, line, f"not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise InputError(path, None, f"not YAML: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(path, None, f"expected names and values, found {type(content).__name__}")
    return content


def load(model: type[S], *, config: Path | None, given: Mapping[str, Any]) -> S:
    """Settings from a YAML file, or None, and from the command line, which wins."""
    if config is None:
        return build(model, given)
    return build(model, {**read_yaml(config), **given}, source=config)


def dump(settings: Settings) -> str:
    """The resolved settings as YAML, every default written out."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _problem(model: type[Settings], detail: Any) -> str:
    name = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"unknown setting '{name}'{_nearest(model, detail['loc'])}"
    if detail["type"] == "missing":
        return f"{name} is required"
    message = str(detail["msg"]).removeprefix("Value error, ")
    return f"{name}: {message}, found {detail['input']!r}" if name else message


def _nearest(model: type[BaseModel], location: tuple[Any, ...]) -> str:
    for part in location[:-1]:
        field = model.model_fields.get(str(part))
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, BaseModel):
            break
        model = field.annotation
    close = difflib.get_close_matches(str(location[-1]), model.model_fields, n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


Count = Annotated[int, Field(ge=1)]


class PretrainConfig(Settings):
    """Continued masked-LM pretraining. The defaults are those of the full run on one A100."""

    model_name_or_path: str = "zhihan1996/DNABERT-2-117M"
    """Hub name or folder of the model to start from, with its tokenizer."""
    train_file: Path
    """Windows to train on: JSON array, JSON Lines or Parquet, plain or gzipped."""
    validation_file: Path | None = None
    """Windows to evaluate on, in the same formats; without it nothing is evaluated."""
    output_dir: Path = Path("models/dnabert2_tapt_eclip")
    """Run folder; it must be empty unless the run is resumed."""

    use_adaptive_masking: bool = False
    """Mask peaks more often than flanks, with the same total; off masks uniformly."""
    target_mlm_prob: float = 0.15
    """Share of the maskable tokens that is masked in every sequence."""
    eclip_mlm_lo: float = 0.20
    """Lowest masking rate inside peaks."""
    eclip_mlm_hi: float = 0.25
    """Highest masking rate inside peaks."""
    min_flanking_prob: float = 0.05
    """Lowest masking rate in the flanks."""
    mask_replace_prob: float = 0.8
    """Share of the masked tokens that becomes [MASK]."""
    random_replace_prob: float = 0.1
    """Share of the masked tokens that becomes a random token; the rest is kept."""
    eval_masking: Literal["uniform", "adaptive"] = "uniform"
    """How evaluation masks are drawn. They are the same for every run, so that runs can be compared."""
    region_overlap: Literal["any", "contained"] = "any"
    """When a token belongs to a peak: it shares a letter with it, or lies wholly inside."""

    max_seq_length: Annotated[int, Field(ge=3)] = 512
    """Tokens a window may have, special ones included; nothing is padded to it."""
    max_train_samples: Count | None = None
    """Train on so many windows, drawn at random with the seed."""
    max_eval_samples: Count | None = None
    """Evaluate on so many windows, drawn at random with the seed."""
    preprocessing_num_workers: Count = 4
    """Processes that tokenise."""

    num_train_epochs: Annotated[float, Field(gt=0)] = 10
    """Passes over the training windows."""
    max_steps: int = -1
    """Optimiser steps; above 0 it replaces num_train_epochs."""
    per_device_train_batch_size: Count = 32
    """Windows for each device and step."""
    per_device_eval_batch_size: Count = 64
    """Windows for each device in evaluation."""
    gradient_accumulation_steps: Count = 2
    """Batches that are added up for one optimiser step."""
    group_by_length: bool = True
    """Put windows with similar numbers of tokens into one batch."""
    learning_rate: Annotated[float, Field(gt=0)] = 3e-5
    """Highest learning rate."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Decoupled weight decay."""
    adam_beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Adam's first decay rate."""
    adam_beta2: Annotated[float, Field(ge=0, lt=1)] = 0.98
    """Adam's second decay rate."""
    adam_epsilon: Annotated[float, Field(gt=0)] = 1e-6
    """Adam's epsilon."""
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Share of the steps in which the learning rate rises."""
    lr_scheduler_type: str = "cosine"
    """How the learning rate falls; names as in transformers."""
    max_grad_norm: Annotated[float, Field(ge=0)] = 1.0
    """Gradients are scaled down to this norm; 0 leaves them."""
    optim: str = "adamw_torch_fused"
    """Optimiser; names as in transformers."""

    fp16: bool = False
    """Mixed precision with float16; needs a GPU."""
    bf16: bool = False
    """Mixed precision with bfloat16."""
    gradient_checkpointing: bool = False
    """Keep fewer activations and compute them again in the backward pass."""

    eval_strategy: Literal["no", "steps", "epoch"] = "steps"
    """When to evaluate and save."""
    eval_steps: Count = 2000
    """Steps between evaluations."""
    save_steps: Count = 2000
    """Steps between checkpoints; a multiple of eval_steps where both count."""
    save_total_limit: Count = 3
    """Checkpoints kept: those with the lowest eval_loss, and the newest for resuming."""
    early_stopping_patience: Annotated[int, Field(ge=0)] = 5
    """Evaluations without a lower eval_loss after which training stops; 0 never stops early."""
    logging_steps: Count = 50
    """Steps between log lines."""
    report_to: list[Literal["tensorboard", "wandb", "mlflow", "trackio", "none"]] = ["tensorboard"]
    """Where losses are logged; others than tensorboard need the 'trackers' extra."""

    dataloader_num_workers: Annotated[int, Field(ge=0)] = 4
    """Processes that prepare batches."""
    dataloader_pin_memory: bool = True
    """Copy batches to a GPU from pinned memory."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    """Order, masks and dropout follow from it."""
    resume_from_checkpoint: str | None = None
    """A checkpoint folder, or 'auto' for the newest complete one in output_dir; 'auto' starts afresh where none is."""

    @field_validator("report_to", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.fp16 and self.bf16:
            raise ValueError("fp16 and bf16 exclude each other")
        if self.max_steps == 0 or self.max_steps < -1:
            raise ValueError(f"max_steps must be -1 or at least 1, found {self.max_steps}")
        by_steps = self.validation_file is not None and self.eval_strategy == "steps"
        if by_steps and self.save_steps % self.eval_steps:
            raise ValueError(
                f"save_steps {self.save_steps} is not a multiple of eval_steps {self.eval_steps}: "
                "checkpoints are chosen by the eval_loss of their own step"
            )
        return self


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
    """Folder of alignments NAME.a3m or NAME.a3m.gz; a protein without one is embedded alone."""

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
