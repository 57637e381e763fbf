"""Settings of `bindtune pretrain`."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from bindtune.config.settings import Count, Settings
from bindtune.data.masking_strategies import STRATEGIES, StrategyName, strategy_name

Tracker = Literal["tensorboard", "wandb", "mlflow", "trackio", "none"]


class PretrainConfig(Settings):
    """Continued masked-LM pretraining. The defaults suit the full run on one A100."""

    model_name_or_path: str = "zhihan1996/DNABERT-2-117M"
    """Hub name or folder of the model to start from, with its tokenizer."""
    train_file: Path
    """Windows to train on: JSON array, JSON Lines or Parquet, plain or gzipped."""
    validation_file: Path | None = None
    """Windows to evaluate on, in the same formats. Without this file nothing is evaluated."""
    output_dir: Path = Path("models/dnabert2_tapt_eclip")
    """Run folder. A new run needs an empty folder, or the folder of a run without a checkpoint."""

    use_adaptive_masking: bool = False
    """Mask peaks more often than flanks, with the same total. Off masks uniformly."""
    masking: StrategyName | None = Field(
        default=None,
        description="Strategy that draws the training masks, with the same exact total in each sequence: "
        + "; ".join(f"{name} masks {strategy.help}" for name, strategy in STRATEGIES.items())
        + ". Without it, use_adaptive_masking chooses between adaptive and uniform.",
    )
    target_mlm_prob: float = 0.15
    """Share of masked tokens in every sequence. Special tokens are never masked."""
    eclip_mlm_lo: float = 0.20
    """Lowest masking rate inside peaks."""
    eclip_mlm_hi: float = 0.25
    """Highest masking rate inside peaks."""
    min_flanking_prob: float = 0.05
    """Lowest masking rate in the flanks."""
    mask_replace_prob: float = 0.8
    """Share of the masked tokens that becomes [MASK]."""
    random_replace_prob: float = 0.1
    """Share of the masked tokens that becomes a random token. The rest stays as it is."""
    eval_masking: Literal["uniform", "adaptive"] = "uniform"
    """How evaluation masks are drawn. They are the same for every run, so runs can be compared."""
    region_overlap: Literal["any", "contained"] = "any"
    """Which tokens are in a peak. any: tokens that share a nucleotide with it. contained: tokens that are wholly
    inside."""

    max_seq_length: Annotated[int, Field(ge=3)] = 512
    """Most tokens of a window, with special tokens. Shorter windows are not padded to it."""
    max_train_samples: Count | None = None
    """Train on this many windows. The seed draws them. By default all are used."""
    max_eval_samples: Count | None = None
    """Evaluate on this many windows. The seed draws them. By default all are used."""
    preprocessing_num_workers: Count = 4
    """Processes that tokenise windows."""

    num_train_epochs: Annotated[float, Field(gt=0)] = 10
    """Passes over the training windows."""
    max_steps: int = -1
    """Optimiser steps. A number above 0 replaces num_train_epochs."""
    per_device_train_batch_size: Count = 32
    """Windows in a batch, on each device."""
    per_device_eval_batch_size: Count = 64
    """Windows in a batch of the evaluation, on each device."""
    gradient_accumulation_steps: Count = 2
    """Batches of each optimiser step, on each device."""
    group_by_length: bool = True
    """Put windows with similar numbers of tokens into the same batch."""
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
    """How the learning rate falls: the transformers name of a schedule without further arguments."""
    max_grad_norm: Annotated[float, Field(ge=0)] = 1.0
    """Larger gradients are scaled down to this norm. 0 does not scale them."""
    optim: str = "adamw_torch_fused"
    """Optimiser, by its transformers name."""

    fp16: bool = False
    """Mixed precision with float16. It needs a GPU."""
    bf16: bool = False
    """Mixed precision with bfloat16."""
    gradient_checkpointing: bool = False
    """Keep fewer activations and compute them again in the backward pass."""

    eval_strategy: Literal["no", "steps", "epoch"] = "steps"
    """When to evaluate and save."""
    eval_steps: Count = 2000
    """Steps between evaluations."""
    save_steps: Count = 2000
    """Steps between checkpoints: a multiple of eval_steps when eval_strategy is steps."""
    save_total_limit: Count = 3
    """Checkpoints to keep for their low eval_loss. The newest is also kept, to resume from."""
    early_stopping_patience: Annotated[int, Field(ge=0)] = 5
    """Training stops after this many evaluations without a lower eval_loss. 0 never stops early."""
    logging_steps: Count = 50
    """Steps between log lines."""
    report_to: list[Tracker] = ["tensorboard"]
    """Programs that show the losses. All but tensorboard need the 'trackers' extra."""

    dataloader_num_workers: Annotated[int, Field(ge=0)] = 4
    """Processes that prepare batches."""
    dataloader_pin_memory: bool = True
    """Copy batches to a GPU from pinned memory."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    """Seed of order, masks and dropout."""
    resume_from_checkpoint: str | None = None
    """A checkpoint folder to go on from. 'auto' takes the newest complete checkpoint in output_dir, or starts a new run
    where there is none."""

    @field_validator("report_to", mode="before", json_schema_input_type=Tracker | list[Tracker])
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="before")
    @classmethod
    def _masking_switches(cls, values: Any) -> Any:
        """Set use_adaptive_masking from `masking`, so that both agree when the settings are written and read again."""
        if isinstance(values, dict) and values.get("masking") is not None and "use_adaptive_masking" not in values:
            return {**values, "use_adaptive_masking": values["masking"] == "adaptive"}
        return values

    @property
    def masking_mode(self) -> str:
        """The strategy that draws training masks."""
        return strategy_name(self.masking, adaptive=self.use_adaptive_masking)

    @property
    def precision(self) -> Literal["fp16", "bf16", "no"]:
        """The precision, by accelerate's names."""
        return "fp16" if self.fp16 else "bf16" if self.bf16 else "no"

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.fp16 and self.bf16:
            raise ValueError("fp16 and bf16 exclude each other")
        if self.masking is not None and self.use_adaptive_masking != (self.masking == "adaptive"):
            switch = "on" if self.use_adaptive_masking else "off"
            raise ValueError(f"masking is {self.masking}, and use_adaptive_masking is {switch}: leave one of them out")
        if self.max_steps == 0 or self.max_steps < -1:
            raise ValueError(f"max_steps must be -1 or at least 1, found {self.max_steps}")
        by_steps = self.validation_file is not None and self.eval_strategy == "steps"
        if by_steps and self.save_steps % self.eval_steps:
            raise ValueError(
                f"save_steps {self.save_steps} is not a multiple of eval_steps {self.eval_steps}: "
                "checkpoints are chosen by the eval_loss of their own step"
            )
        return self
