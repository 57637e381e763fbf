"""The settings of a pretraining run as transformers' arguments and as collators."""

from importlib.util import find_spec

import torch
from transformers import PreTrainedTokenizerBase, TrainingArguments
from transformers.trainer_utils import SchedulerType

from bindtune.config import PretrainConfig
from bindtune.data.dna.collate import EclipAdaptiveMLMCollator
from bindtune.data.masking import Replacement
from bindtune.data.masking_strategies import MaskingRates
from bindtune.errors import ConfigError, library_text

# Schedules with arguments for which bindtune has no settings.
_SCHEDULES_WITH_ARGUMENTS = {"cosine_with_min_lr", "cosine_warmup_with_min_lr", "warmup_stable_decay"}


def check_rates(config: PretrainConfig) -> None:
    """Refuse masking rates that contradict each other.

    Raises:
        ConfigError: they do.
    """
    for strategy in (config.masking_mode, config.eval_masking):
        MaskingRates(
            target=config.target_mlm_prob,
            peak_range=(config.eclip_mlm_lo, config.eclip_mlm_hi),
            floor=config.min_flanking_prob,
            strategy=strategy,
        )
    Replacement(mask=config.mask_replace_prob, random=config.random_replace_prob)


def training_arguments(config: PretrainConfig) -> TrainingArguments:
    """The settings as transformers' arguments: the only place that translates their names.

    Raises:
        ConfigError: a setting that transformers refuses, or that cannot work here.
    """
    if config.fp16 and not torch.cuda.is_available():
        raise ConfigError("fp16 needs a GPU, and none is available here; on a CPU leave it off")
    schedules = [kind.value for kind in SchedulerType if kind.value not in _SCHEDULES_WITH_ARGUMENTS]
    if config.lr_scheduler_type not in schedules:
        raise ConfigError(f"lr_scheduler_type must be one of {', '.join(schedules)}, found {config.lr_scheduler_type}")
    trackers: list[str] = [name for name in config.report_to if name not in ("tensorboard", "none")]
    missing = [name for name in trackers if find_spec(name) is None]
    if missing:
        raise ConfigError(f"report_to: {', '.join(missing)} is not installed; pip install 'bindtune[trackers]'")
    evaluates = config.validation_file is not None and config.eval_strategy != "no"
    same = (
        "max_steps", "num_train_epochs", "per_device_train_batch_size", "per_device_eval_batch_size",
        "gradient_accumulation_steps", "learning_rate", "weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon",
        "lr_scheduler_type", "max_grad_norm", "optim", "fp16", "bf16", "eval_steps",
        "save_steps", "logging_steps", "dataloader_num_workers", "seed",
    )  # fmt: skip
    try:
        return TrainingArguments(
            output_dir=str(config.output_dir),
            **{name: getattr(config, name) for name in same},
            warmup_steps=config.warmup_ratio,  # a number below 1 is a share of all steps
            eval_strategy=config.eval_strategy if evaluates else "no",
            save_strategy="epoch" if config.eval_strategy == "epoch" else "steps",
            save_total_limit=None,  # RegionTrainer deletes checkpoints itself
            dataloader_pin_memory=config.dataloader_pin_memory and torch.cuda.is_available(),
            remove_unused_columns=False,
            use_cpu=not torch.accelerator.is_available(),  # otherwise several processes do not connect
            activation_checkpointing=config.gradient_checkpointing,
            report_to=trackers,
            disable_tqdm=True,  # ProgressLines has the bar
        )
    except (ValueError, ImportError) as error:
        raise ConfigError(library_text(error)) from error


def make_collators(
    config: PretrainConfig, tokenizer: PreTrainedTokenizerBase
) -> tuple[EclipAdaptiveMLMCollator, EclipAdaptiveMLMCollator]:
    """The collators of training and of evaluation.

    Raises:
        ConfigError: the tokenizer has no mask or padding token.
    """
    return (
        collator(config, tokenizer, masking=config.masking_mode),
        collator(config, tokenizer, masking=config.eval_masking),
    )


def collator(config: PretrainConfig, tokenizer: PreTrainedTokenizerBase, *, masking: str) -> EclipAdaptiveMLMCollator:
    """The collator of a masking strategy, with the counts that the trainer logs."""
    return EclipAdaptiveMLMCollator(
        tokenizer,
        target_mlm_prob=config.target_mlm_prob,
        eclip_mlm_range=(config.eclip_mlm_lo, config.eclip_mlm_hi),
        min_flanking_prob=config.min_flanking_prob,
        masking=masking,
        mask_replace_prob=config.mask_replace_prob,
        random_replace_prob=config.random_replace_prob,
        report=True,
    )
