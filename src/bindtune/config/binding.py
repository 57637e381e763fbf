"""Settings of `bindtune train`, with the sections and names of the original code."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from bindtune.config.settings import Count, Fraction, Settings, build, nearest, read_override, read_yaml
from bindtune.errors import ConfigError

_LONGEST_ION = 100
"""Bytes. An ion's name is part of file names, and some disks allow file names of 143 bytes only."""
CHUNK_OVERLAP = 128
"""Residues that neighbouring chunks of a long protein share; `bindtune predict` has a setting for it."""
MASKED_SHARE, RANDOM_SHARE = 0.8, 0.1
"""Shares of the masked residues that become the mask token and a random residue; the others stay."""
Ratio = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


class ContextSettings(Settings):
    """How homologs are drawn from an alignment as context."""

    max_num_samples: Annotated[int, Field(ge=0)] = 64
    """Most homologs in a context."""
    max_token_length: Count = 8192
    """Most tokens of a context and its query together."""
    max_query_length: Annotated[int, Field(ge=64)] = 1024
    """Most tokens of a query, with its four special tokens. Longer proteins are cut into overlapping chunks."""
    max_query_similarity: Fraction = 0.95
    """Leave out homologs that are more similar to the query than this share of equal residues."""
    min_query_similarity: Fraction = 0.0
    """Leave out homologs that are less similar to the query than this share of equal residues."""
    neighbor_similarity_lower_bound: Fraction = 0.8
    """Homologs with at least this share of equal residues are neighbours. Homologs with many neighbours are drawn less
    often."""


class DataSettings(Settings):
    """Proteins, labels, alignments and folds."""

    fasta_path: str | dict[str, str] | list[str] | None = None
    """Labelled proteins in 3-line FASTA: a path with {ION} in it, a folder of ION_train.fasta files, a file for each
    ion, or a list of files in the order of training.ions."""
    msa_dir: str | None = None
    """Alignments ID.a3m or ID.a2m, plain or gzipped: a folder, a folder with one folder for each ion, or a path with
    {ION} in it."""
    unlabelled_fasta: Path | None = None
    """Proteins without labels: only the masked-LM loss uses them. Without training.ions and without this file, the
    queries of the alignments in msa_dir are used."""
    ion_groups: dict[str, list[str]] = {"REE": ["LREE", "HREE"]}
    """Groups of ions that are learned as one ion. A residue of a group's proteins binds if it binds any ion of the
    group."""
    test_fasta: str | dict[str, str] | None = None
    """Predefined test sets in 3-line FASTA: a path with {ION} in it, a folder of ION_test.fasta files, or a file for
    each ion. They are only compared with the training proteins, to see whether both have the same proteins."""
    folds: Path | None = None
    """Table of folds with the columns protein and fold. By default folds are drawn. A group of similar proteins in more
    than one fold is a leak."""
    clusters: str = "identical"
    """How proteins are grouped; a group stays in one fold. identical: equal sequences. kmer: similar sequences, built
    in, for small sets. mmseqs: similar sequences by MMseqs2, which the extra 'clusters' installs. Or the path of a
    table of clusters."""
    cluster_identity: Fraction = 0.3
    """kmer and mmseqs group proteins with at least this share of equal residues."""
    audit_identity: Fraction | None = None
    """Look for pairs of proteins in different folds with at least this share of equal residues. Identical pairs are
    always looked for."""
    leaks: Literal["fail", "allow"] = "fail"
    """What happens when the audit sees identical or similar proteins in different folds. fail: stop before training.
    allow: write them into audit.json and train."""
    cache_dir: Path | None = None
    """Folder for alignments in a form that is fast to read. By default it is in the run folder."""


class TrainingSettings(Settings):
    """The run: ions, losses, batches, epochs."""

    ions: list[str] = ["CA", "ZN", "MG"]
    """Ions to learn. Each ion gets a head. An empty list trains only the language model."""
    output_dir: Path = Path("results/e1_binding")
    """Run folder."""
    num_folds: Annotated[int, Field(ge=2, le=1000)] = 5
    """Folds of the cross-validation."""
    epochs: Count = 30
    """Most passes over the training proteins."""
    batch_size: Count = 2
    """Proteins in a batch, on each device."""
    accum_steps: Count = 4
    """Batches of each optimiser step, on each device."""
    max_batch_tokens: Count | None = None
    """Most tokens of a batch, with contexts. A larger batch is split."""
    learning_rate: Positive = 1e-4
    """Highest learning rate."""
    min_lr: NotNegative = 1e-6
    """Learning rate at the end of the cosine."""
    warmup_epochs: NotNegative = 3
    """Epochs in which the learning rate rises. Training does not stop early in these epochs."""
    weight_decay: NotNegative = 0.01
    """Decoupled weight decay."""
    max_grad_norm: NotNegative = 1.0
    """Larger gradients are scaled down to this norm. 0 does not scale them."""
    patience: Annotated[int, Field(ge=0)] = 7
    """A fold stops after this many epochs without a better one. 0 never stops early."""
    selection_metric: Literal["hra", "auprc", "loss"] = "hra"
    """Figure that chooses the best epoch in validation: mean HRA (as in the original), mean AUPRC, or the lowest
    loss."""
    min_delta: NotNegative = 0.0
    """Least improvement of selection_metric. A smaller improvement does not count as a better epoch."""

    mlm_weight: NotNegative = 0.4
    """Weight of the masked-LM loss. The binding-site loss has weight 1. 0 masks no residues."""
    mlm_probability: Ratio = 0.15
    """Share of a query's residues that is masked. The binding-site loss leaves out masked residues."""
    train_mlm_head: bool = False
    """Also train the masked-LM head."""
    loss_type: Literal["bce", "focal"] = "bce"
    """Loss of the binding sites."""
    focal_gamma: NotNegative = 2.0
    """Exponent of the focal loss."""
    focal_alpha: Fraction = 0.75
    """Weight of binding residues in the focal loss. Other residues have weight 1 - alpha. Above 0.5 binding residues,
    which are rare, weigh more."""
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """In training, labels are moved from 0 and 1 towards each other by this much."""
    pos_weight_mode: Literal["none", "linear", "sqrt"] = "none"
    """Weight of binding residues in the loss. none: 1. linear: negatives / positives of the training folds. sqrt: the
    square root of linear."""
    threshold_method: Literal["youden", "f1", "mcc"] = "mcc"
    """Figure that the calling threshold maximises."""
    inner_validation_fraction: Ratio = 0.0
    """Share of the training proteins that chooses the epoch and stops training. 0 uses the held-out fold for this, as
    the original does: the figures are then slightly optimistic."""

    use_bf16: bool = True
    """Compute in bfloat16 on a GPU. Adapters, heads and the optimiser stay in float32."""
    gradient_checkpointing: bool = False
    """Keep fewer activations and compute them again in the backward pass."""
    num_workers: Annotated[int, Field(ge=0)] = 2
    """Processes that prepare batches."""
    save_steps: Annotated[int, Field(ge=0)] = 200
    """Optimiser steps between saved states within an epoch. 0 saves only at the end of an epoch."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1
    """Seed of folds, order, contexts, masks, dropout and initial heads."""
    msa_sampling: ContextSettings = ContextSettings()
    """Contexts in training. Each epoch draws other ones."""
    validation_msa_sampling: ContextSettings | None = None
    """Contexts in validation and prediction. They stay the same in all epochs. By default they are drawn as in
    training."""

    @field_validator("pos_weight_mode", mode="before", json_schema_input_type=Literal["none", "linear", "sqrt"] | None)
    @classmethod
    def _null_is_none(cls, value: Any) -> Any:
        return "none" if value is None else value

    @field_validator("ions")
    @classmethod
    def _distinct(cls, value: list[str]) -> list[str]:
        if len(set(value)) < len(value):
            raise ValueError("an ion comes twice")
        if bad := [ion for ion in value if not ion.replace("_", "").replace("+", "").isalnum()]:
            raise ValueError(f"the name of an ion is letters, digits, _ and +, which {bad[0]!r} is not")
        if signs := [ion for ion in value if ion.startswith("+")]:
            raise ValueError(f"{signs[0]!r} begins with +, which spreadsheets take for a formula")
        if long := [ion for ion in value if len(ion.encode()) > _LONGEST_ION]:
            size = len(long[0].encode())
            raise ValueError(
                f"the name of an ion becomes names of files and has at most {_LONGEST_ION} bytes, "
                f"and '{long[0][:20]}...' has {size}"
            )
        if "mean" in value:
            raise ValueError("an ion cannot be called 'mean', which is the mean over ions in metrics.csv")
        return value

    @property
    def validation_context(self) -> ContextSettings:
        """How contexts are drawn in validation and prediction."""
        return self.validation_msa_sampling or self.msa_sampling

    @property
    def precision(self) -> Literal["bf16", "no"]:
        """The precision of a GPU, by accelerate's names."""
        return "bf16" if self.use_bf16 else "no"


class ModelSettings(Settings):
    """The encoder and the heads."""

    checkpoint: str = "Profluent-Bio/E1-600m"
    """Hub name or folder of an E1 model with its masked-LM head, or of an ESM-2 model."""
    dropout: Ratio = 0.1
    """Dropout of the heads."""
    freeze_backbone: bool = False
    """With lora: null, train only the heads."""


class LoraSettings(Settings):
    """The adapters, as in PEFT."""

    r: Count = 16
    """Rank."""
    alpha: Positive = 32
    """Scale: updates are multiplied by alpha / r."""
    dropout: Ratio = 0.05
    """Dropout before the adapters."""
    bias: Literal["none", "all", "lora_only"] = "none"
    """Biases that are also trained."""
    target_modules: list[str] | str = ["q_proj", "k_proj", "v_proj", "o_proj", "w1", "w2", "w3"]
    """Linear layers with an adapter: names, or a pattern as in PEFT. ESM-2 has query, key, value, dense."""


class BindingConfig(Settings):
    """LoRA fine-tuning of a protein encoder for binding sites, cross-validated."""

    data: DataSettings = DataSettings()
    """Proteins, labels, alignments, folds."""
    training: TrainingSettings = TrainingSettings()
    """The run."""
    model: ModelSettings = ModelSettings()
    """The encoder."""
    lora: LoraSettings | None = LoraSettings()
    """The adapters. null trains every weight."""
    ignored_keys: list[str] = []
    """Keys of the original in the settings file that have no effect any more."""

    @model_validator(mode="before")
    @classmethod
    def _names_of_the_original(cls, values: Any) -> Any:
        return _renamed(values) if isinstance(values, dict) else values

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if isinstance(self.data.fasta_path, list) and len(self.data.fasta_path) != len(self.training.ions):
            raise ValueError(
                f"data.fasta_path lists {len(self.data.fasta_path)} files for {len(self.training.ions)} ions"
            )
        if self.training.ions and self.data.fasta_path is None:
            raise ValueError("data.fasta_path is required: training.ions need labels")
        if not self.training.ions and self.data.unlabelled_fasta is None and self.data.msa_dir is None:
            raise ValueError("without training.ions, data.unlabelled_fasta or data.msa_dir is required")
        if not self.training.ions and not self.training.mlm_weight:
            raise ValueError("without training.ions only the masked-LM loss is left: mlm_weight must be above 0")
        return self

    @property
    def without_effect(self) -> list[str]:
        """Settings without effect, each with the reason."""
        training, reasons = self.training, list(self.ignored_keys)
        if self.model.freeze_backbone and self.lora is not None:
            reasons.append("model.freeze_backbone: adapters are trained; lora=null trains heads alone")
        if training.train_mlm_head and not training.mlm_weight:
            reasons.append(
                "training.train_mlm_head: without a masked-LM loss (training.mlm_weight=0) its head is frozen"
            )
        if training.loss_type == "focal" and training.pos_weight_mode != "none":
            reasons.append("training.pos_weight_mode: the focal loss weights binding residues by training.focal_alpha")
        return reasons

    @property
    def label_paths(self) -> str | dict[str, str]:
        """`data.fasta_path`; a list of files becomes a file for each ion."""
        path = self.data.fasta_path or {}
        return dict(zip(self.training.ions, path, strict=True)) if isinstance(path, list) else path


EARLIER_NAMES = {
    "general.seed": "training.seed",
    "msa_sampling": "training.msa_sampling",
    "validation_msa_sampling": "training.validation_msa_sampling",
    "training.early_stop_patience": "training.patience",
    "lora.lora_dropout": "lora.dropout",
    "lora.lora_alpha": "lora.alpha",
    "lora.train_mlm_head": "training.train_mlm_head",
}
"""New names of the original's settings."""

WITHOUT_EFFECT = {
    "general.gpu_id": "the launcher chooses the device (CUDA_VISIBLE_DEVICES)",
    "general.debug": "every run has its folder",
    "training.save_model": "the best epoch is always kept",
    "training.model_dtype": "weights are float32, and use_bf16 chooses what a GPU computes in",
    "training.compile_flex_attention": "attention is compiled where it can be",
    "training.ddp_find_unused_parameters": "every parameter takes part in every step",
    "training.log_interval": "a progress bar shows each step",
}
"""Settings of the original without effect, each with the reason."""


def _renamed(values: dict[str, Any]) -> dict[str, Any]:
    values = {name: dict(part) if isinstance(part, dict) else part for name, part in values.items()}
    recorded_keys = values.get("ignored_keys")
    if recorded_keys is not None and not isinstance(recorded_keys, list):
        raise ValueError(f"ignored_keys: expected a list, found {recorded_keys!r}")
    ignored = [str(each) for each in recorded_keys or []]
    for name, why in WITHOUT_EFFECT.items():
        if _pop(values, name) is not _ABSENT:
            ignored.append(f"{name}: {why}")
    for old, new in EARLIER_NAMES.items():
        value = _pop(values, old)
        if value is _ABSENT:
            continue
        section, _, name = new.partition(".")
        section_values = values.get(section)
        section_values = {} if section_values is None else section_values
        if isinstance(section_values, dict):
            if name in section_values and section_values[name] != value:
                raise ValueError(f"{old} and {new} are the same setting, found {value!r} and {section_values[name]!r}")
            values[section] = {**section_values, name: value}
    general = values.pop("general", None)
    if isinstance(general, dict) and general:
        known_names = [
            name.partition(".")[2] for name in (*EARLIER_NAMES, *WITHOUT_EFFECT) if name.startswith("general.")
        ]
        raise ValueError("; ".join(f"unknown setting 'general.{name}'{nearest(name, known_names)}" for name in general))
    if general is not None and not isinstance(general, dict):
        raise ValueError(f"general: expected names and values, found {general!r}")
    return {**values, "ignored_keys": list(dict.fromkeys(ignored))} if ignored else values


_ABSENT = object()


def _pop(values: dict[str, Any], name: str) -> Any:
    section, _, key = name.rpartition(".")
    holder = values.get(section) if section else values
    return holder.pop(key, _ABSENT) if isinstance(holder, dict) else _ABSENT


def load_binding(config: Path | None, overrides: Sequence[str] = ()) -> BindingConfig:
    """Settings from a YAML file (or None) with `section.key=value` overrides.

    Documents after the first one are not read. Values of overrides are YAML: ``lora=null``, ``training.ions=[ZN, CA]``.

    Raises:
        ConfigError: an override or a setting is wrong.
        InputError: the file cannot be read.
    """
    values = {} if config is None else read_yaml(config, notes=True)
    names = []
    for override in overrides:
        values, name = _overridden(values, override)
        names.append(name)
    return build(BindingConfig, values, source=config, options=names)


def _overridden(values: Mapping[str, Any], override: str) -> tuple[dict[str, Any], str]:
    """The settings with one value replaced, and the present name of this setting."""
    path, value = read_override(override, example="section.key=value such as training.epochs=3")
    values = _under_present_names(values)
    for old, new in EARLIER_NAMES.items():
        if path == old or path.startswith(f"{old}."):
            path = new + path.removeprefix(old)
    return _with(values, path.split("."), value), path


def _under_present_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings under their present names, so that an override finds a setting with an earlier name."""
    try:
        return _renamed(dict(values))
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _with(values: Any, path: list[str], value: Any) -> dict[str, Any]:
    if not isinstance(values, dict):
        values = {}
    rest = value if len(path) == 1 else _with(values.get(path[0]), path[1:], value)
    return {**values, path[0]: rest}
