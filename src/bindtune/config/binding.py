"""Settings of `bindtune train`: the sections and names that users of the original know."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from bindtune.config.settings import Count, Fraction, Settings, build, nearest, read_override, read_yaml
from bindtune.errors import ConfigError

_LONGEST_ION = 100
"""Bytes: the names of an ion's files are some letters longer, and some disks take 143."""
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
    """Most tokens of a query, four special ones included; longer proteins are cut into overlapping chunks."""
    max_query_similarity: Fraction = 0.95
    """Leave out homologs that share more of the query's columns."""
    min_query_similarity: Fraction = 0.0
    """Leave out homologs that share less of the query's columns."""
    neighbor_similarity_lower_bound: Fraction = 0.8
    """Share of equal residues from which on homologs count as neighbours and are drawn less."""


class DataSettings(Settings):
    """Proteins, labels, alignments and how they are divided."""

    fasta_path: str | dict[str, str] | list[str] | None = None
    """Labelled proteins, 3-line FASTA: a path with {ION} in it, a folder of ION_train.fasta files, a file for each ion
    by its name, or a list of files in the order of training.ions."""
    msa_dir: str | None = None
    """Alignments ID.a3m or ID.a2m, gzipped or not: a folder, a folder with a folder for each ion, or a path with {ION}
    in it."""
    unlabelled_fasta: Path | None = None
    """Proteins without labels, which take part in the masked-LM loss alone. Without training.ions it may be left out:
    those of the alignments in msa_dir are learned from."""
    ion_groups: dict[str, list[str]] = {"REE": ["LREE", "HREE"]}
    """Ions made of others: their proteins together, a residue binding where it binds any of them."""
    test_fasta: str | dict[str, str] | None = None
    """Predefined test sets, 3-line FASTA: a path with {ION} in it, a folder of ION_test.fasta files, or a file for each
    ion by its name; only looked at for proteins shared with training."""
    folds: Path | None = None
    """Folds to use instead of drawing them: a table with the columns protein and fold; groups that it splits count as
    leaks."""
    clusters: str = "identical"
    """What stays together in a fold: identical (sequences), kmer (built in, small sets), mmseqs (the extra 'clusters'),
    or a table of clusters."""
    cluster_identity: Fraction = 0.3
    """Share of equal residues from which on kmer and mmseqs put proteins together."""
    audit_identity: Fraction | None = None
    """Look for pairs across folds that are at least so similar; identical ones are always looked for."""
    leaks: Literal["fail", "allow"] = "fail"
    """What the audit does when it finds anything: fail before training, or note it in audit.json."""
    cache_dir: Path | None = None
    """Folder that keeps what was read from alignments; the run folder's own by default."""


class TrainingSettings(Settings):
    """The run: what is learned, from how much at a time, for how long."""

    ions: list[str] = ["CA", "ZN", "MG"]
    """Ions to learn, one head each. An empty list trains only the language model."""
    output_dir: Path = Path("results/e1_binding")
    """Run folder."""
    num_folds: Annotated[int, Field(ge=2, le=1000)] = 5
    """Folds of the cross-validation."""
    epochs: Count = 30
    """Most passes over the training proteins."""
    batch_size: Count = 2
    """Proteins for each device at a time."""
    accum_steps: Count = 4
    """Batches that are added up for one optimiser step."""
    max_batch_tokens: Count | None = None
    """Most tokens of a batch, contexts included; a batch is split further where it would have more."""
    learning_rate: Positive = 1e-4
    """Highest learning rate."""
    min_lr: NotNegative = 1e-6
    """Learning rate at the end of the cosine."""
    warmup_epochs: NotNegative = 3
    """Epochs in which the learning rate rises; training does not stop early within them."""
    weight_decay: NotNegative = 0.01
    """Decoupled weight decay."""
    max_grad_norm: NotNegative = 1.0
    """Gradients are scaled down to this norm; 0 leaves them."""
    patience: Annotated[int, Field(ge=0)] = 7
    """Epochs without a better one after which a fold stops; 0 never stops early."""
    selection_metric: Literal["hra", "auprc", "loss"] = "hra"
    """What the best epoch is chosen by in validation: mean HRA as in the original, mean AUPRC, or the lowest loss."""
    min_delta: NotNegative = 0.0
    """An epoch that is better by less than this is not better: it is not kept, and patience goes on counting."""

    mlm_weight: NotNegative = 0.4
    """Weight of the masked-LM loss beside that of the binding sites; 0 masks nothing."""
    mlm_probability: Ratio = 0.15
    """Share of a query's residues that is masked; they are left out of the binding-site loss."""
    train_mlm_head: bool = False
    """Train the masked-LM head too."""
    loss_type: Literal["bce", "focal"] = "bce"
    """Loss of the binding sites."""
    focal_gamma: NotNegative = 2.0
    """Exponent of the focal loss."""
    focal_alpha: Fraction = 0.75
    """Weight of binding residues in the focal loss, the others having 1 - alpha; above 0.5 favours the rare ones."""
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """Known labels move so far from 0 and 1 while training."""
    pos_weight_mode: Literal["none", "linear", "sqrt"] = "none"
    """Weight of binding residues: 1, negatives over positives of the training folds, or the root of that."""
    threshold_method: Literal["youden", "f1", "mcc"] = "mcc"
    """What the calling threshold maximises."""
    inner_validation_fraction: Ratio = 0.0
    """Share of the training proteins that picks the epoch and stops training, so that the held-out fold does neither;
    0 lets the held-out fold do it, as the original does."""

    use_bf16: bool = True
    """Compute in bfloat16 on a GPU; adapters, heads and the optimiser stay in float32."""
    gradient_checkpointing: bool = False
    """Keep fewer activations and compute them again in the backward pass."""
    num_workers: Annotated[int, Field(ge=0)] = 2
    """Processes that prepare batches."""
    save_steps: Annotated[int, Field(ge=0)] = 200
    """Optimiser steps between saved states within an epoch; 0 saves at the end of epochs alone."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1
    """Folds, order, contexts, masks, dropout and initial heads follow from it."""
    msa_sampling: ContextSettings = ContextSettings()
    """Contexts while training, drawn anew in each epoch."""
    validation_msa_sampling: ContextSettings | None = None
    """Contexts in validation and prediction, which stay the same; those of training by default."""

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
        """How contexts are drawn where nothing is learned."""
        return self.validation_msa_sampling or self.msa_sampling

    @property
    def precision(self) -> Literal["bf16", "no"]:
        """What a GPU computes in, by accelerate's names."""
        return "bf16" if self.use_bf16 else "no"


class ModelSettings(Settings):
    """The encoder and the heads."""

    checkpoint: str = "Profluent-Bio/E1-600m"
    """Hub name or folder of an E1 model with its masked-LM head, or of an ESM-2 model."""
    dropout: Ratio = 0.1
    """Dropout of the heads."""
    freeze_backbone: bool = False
    """With lora: null, train the heads alone."""


class LoraSettings(Settings):
    """The adapters, as in PEFT."""

    r: Count = 16
    """Rank."""
    alpha: Positive = 32
    """Scale: updates are multiplied by alpha / r."""
    dropout: Ratio = 0.05
    """Dropout before the adapters."""
    bias: Literal["none", "all", "lora_only"] = "none"
    """Biases that are trained too."""
    target_modules: list[str] | str = ["q_proj", "k_proj", "v_proj", "o_proj", "w1", "w2", "w3"]
    """Linear layers that get an adapter: names, or a pattern as in PEFT. ESM-2 has query, key, value, dense."""


class BindingConfig(Settings):
    """LoRA fine-tuning of a protein encoder for binding sites, cross-validated."""

    data: DataSettings = DataSettings()
    """Proteins, labels, alignments, folds."""
    training: TrainingSettings = TrainingSettings()
    """The run."""
    model: ModelSettings = ModelSettings()
    """The encoder."""
    lora: LoraSettings | None = LoraSettings()
    """The adapters; null trains every weight."""
    ignored_keys: list[str] = []
    """Keys of the original that have lost their meaning and stood in the file; noted, without effect."""

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
            raise ValueError("data.fasta_path is required; only without training.ions are there no labels")
        if not self.training.ions and self.data.unlabelled_fasta is None and self.data.msa_dir is None:
            raise ValueError(
                "without training.ions there is nothing to learn from but data.unlabelled_fasta, or data.msa_dir"
            )
        if not self.training.ions and not self.training.mlm_weight:
            raise ValueError("without training.ions the masked-LM loss is all there is: mlm_weight must be above 0")
        return self

    @property
    def without_effect(self) -> list[str]:
        """The settings that change nothing as the others are, each with the reason."""
        training, found = self.training, list(self.ignored_keys)
        if self.model.freeze_backbone and self.lora is not None:
            found.append("model.freeze_backbone: adapters are trained; lora=null trains heads alone")
        if training.train_mlm_head and not training.mlm_weight:
            found.append("training.train_mlm_head: without a masked-LM loss (training.mlm_weight=0) its head is frozen")
        if training.loss_type == "focal" and training.pos_weight_mode != "none":
            found.append("training.pos_weight_mode: the focal loss weights binding residues by training.focal_alpha")
        return found

    @property
    def label_paths(self) -> str | dict[str, str]:
        """`data.fasta_path`, a list of files given its ions."""
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
"""Where a setting of the original stands now."""

WITHOUT_EFFECT = {
    "general.gpu_id": "the launcher chooses the device (CUDA_VISIBLE_DEVICES)",
    "general.debug": "every run has its folder",
    "training.save_model": "the best epoch is always kept",
    "training.model_dtype": "weights are float32, and use_bf16 chooses what a GPU computes in",
    "training.compile_flex_attention": "attention is compiled where it can be",
    "training.ddp_find_unused_parameters": "every parameter takes part in every step",
    "training.log_interval": "a progress bar shows each step",
}
"""Settings of the original that change nothing any more, and why."""


def _renamed(values: dict[str, Any]) -> dict[str, Any]:
    values = {name: dict(part) if isinstance(part, dict) else part for name, part in values.items()}
    noted = values.get("ignored_keys")
    if noted is not None and not isinstance(noted, list):
        raise ValueError(f"ignored_keys: expected a list, found {noted!r}")
    ignored = [str(each) for each in noted or []]
    for name, why in WITHOUT_EFFECT.items():
        if _pop(values, name) is not _ABSENT:
            ignored.append(f"{name}: {why}")
    for old, new in EARLIER_NAMES.items():
        value = _pop(values, old)
        if value is _ABSENT:
            continue
        section, _, name = new.partition(".")
        known = values.get(section)
        known = {} if known is None else known
        if isinstance(known, dict):
            if name in known and known[name] != value:
                raise ValueError(f"{old} and {new} are the same setting, found {value!r} and {known[name]!r}")
            values[section] = {**known, name: value}
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
    """Settings from a YAML file, or None, with `section.key=value` overrides.

    Documents after the first are notes. Values of overrides are YAML: ``lora=null``, ``training.ions=[ZN, CA]``.

    Raises:
        ConfigError: an override or a setting is not as expected.
        InputError: the file cannot be read.
    """
    values = {} if config is None else read_yaml(config, notes=True)
    given = []
    for override in overrides:
        values, name = _overridden(values, override)
        given.append(name)
    return build(BindingConfig, values, source=config, given=given)


def _overridden(values: Mapping[str, Any], override: str) -> tuple[dict[str, Any], str]:
    """The settings with one replaced, and the name that it has now."""
    path, value = read_override(override, example="section.key=value such as training.epochs=3")
    values = _under_present_names(values)
    for old, new in EARLIER_NAMES.items():
        if path == old or path.startswith(f"{old}."):
            path = new + path.removeprefix(old)
    return _with(values, path.split("."), value), path


def _under_present_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """What is overridden stands where the override will be looked for, whatever name the file has for it."""
    try:
        return _renamed(dict(values))
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _with(values: Any, path: list[str], value: Any) -> dict[str, Any]:
    if not isinstance(values, dict):
        values = {}
    rest = value if len(path) == 1 else _with(values.get(path[0]), path[1:], value)
    return {**values, path[0]: rest}
