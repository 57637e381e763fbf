"""Job A: continued masked-LM pretraining on windows with binding regions, from training files to a run folder."""

import json
import logging
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset, disable_progress_bars
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainingArguments
from transformers.integrations import TensorBoardCallback  # type: ignore[attr-defined]
from transformers.trainer_utils import SchedulerType
from transformers.utils.logging import disable_progress_bar

from bindtune.config import PretrainConfig
from bindtune.data.dna.collate import EclipAdaptiveMLMCollator
from bindtune.data.dna.row_order import KeyedRows
from bindtune.data.dna.splits import Amount, few_peaks
from bindtune.data.dna.tokens import TokenReport, load_tokenizer, tokenise_file, windows_with_peaks
from bindtune.data.masking import Replacement, total_counts
from bindtune.data.masking_strategies import MaskingRates
from bindtune.errors import ConfigError, InputError, Interrupted, library_text
from bindtune.models.dnabert2 import DNABert2ForMaskedLM
from bindtune.models.loading import load_masked_lm, usable_positions
from bindtune.reports.card_pretraining import pretraining_card
from bindtune.runs.eval_records import write_record_losses
from bindtune.runs.exclusive import only_writer
from bindtune.runs.names import EVAL_RECORDS, LOGS, README, TRAINER_STATE, checkpoint_step, results_file
from bindtune.runs.writing import write_text, writing
from bindtune.training import sharding
from bindtune.training.pretraining import checkpoints
from bindtune.training.pretraining.callbacks import LogAsAsked, SaveOnSignal, StopWhenStale
from bindtune.training.pretraining.folder import find_checkpoint, find_origin, sign
from bindtune.training.pretraining.trainer import RegionTrainer
from bindtune.training.processes import peers_told

log = logging.getLogger(__name__)

_WAY_ON = "--resume_from_checkpoint auto"
TRAIN_RESULTS = results_file("train")
# Schedules that want arguments of their own, which are no settings here.
_NOT_BY_NAME = {"cosine_with_min_lr", "cosine_warmup_with_min_lr", "warmup_stable_decay"}


def pretrain(config: PretrainConfig) -> dict[str, float]:
    """Run, or resume, continued pretraining.

    Returns:
        What eval_results.json holds (train_results.json where nothing is evaluated).

    Raises:
        ConfigError: settings that cannot work, or a run folder that is not empty.
        InputError: a training file is not as expected.
        CheckpointError: the model, its tokenizer or the checkpoint to resume from cannot be loaded.
        Interrupted: SIGTERM or SIGHUP came; a checkpoint holds the state.
    """
    if not sys.stderr.isatty():
        disable_progress_bars()
        disable_progress_bar()  # type: ignore[no-untyped-call]
    check_rates(config)
    sharding.check_launcher(precision=config.precision)
    sharding.check_gpus()
    with peers_told("--resume_from_checkpoint auto"):
        return _pretrain(config)


def _pretrain(config: PretrainConfig) -> dict[str, float]:
    arguments = training_arguments(config)
    if arguments.n_gpu > 1:  # transformers would make replicas in one process, in which DNABERT-2 does not run
        raise ConfigError(
            f"{arguments.n_gpu} GPUs are visible to one process: start one process a GPU with torchrun --standalone "
            f"--nproc_per_node={arguments.n_gpu} -m bindtune pretrain ..., or show it one GPU: CUDA_VISIBLE_DEVICES=0"
        )
    checkpoint = find_checkpoint(config)
    tokenizer = load_tokenizer(config.model_name_or_path)
    collators = make_collators(config, tokenizer)
    with arguments.main_process_first(desc="tokenising"):
        train = _told_rows(config, tokenizer, config.train_file, config.max_train_samples)
        validation = None
        if config.validation_file is not None:
            validation = _told_rows(config, tokenizer, config.validation_file, config.max_eval_samples)
            doubt = peak_doubt(train, validation)
            if doubt:
                more = "hold out more windows" if config.max_eval_samples is None else "raise max_eval_samples"
                log.warning("%s: %s; %s", config.validation_file, doubt, more)
    model = _model(config, tokenizer)
    check_positions(config, model, {config.train_file: train, config.validation_file: validation})
    origin = find_origin(config, checkpoint, processes=arguments.world_size)
    if arguments.distributed_state is not None:
        arguments.distributed_state.wait_for_everyone()  # every process has looked before the first one writes
    with only_writer(config.output_dir) if arguments.should_save else nullcontext(), writing(config.output_dir):
        if arguments.should_save:
            sign(config, origin)
        trainer = _trainer(
            config, arguments, model, tokenizer=tokenizer, collators=collators, train=train, validation=validation
        )
        return _run(trainer, config, checkpoint)


def _run(trainer: RegionTrainer, config: PretrainConfig, checkpoint: Path | None) -> dict[str, float]:
    stop = SaveOnSignal()
    trainer.add_callback(stop)
    with stop.listening(trainer):
        try:
            trained = _train(trainer, checkpoint, config)
        except RuntimeError as error:
            if stop.asked and "DataLoader worker" in str(error):  # the signal ended it before it could leave signals
                raise Interrupted(_WAY_ON, number=stop.asked) from error
            raise
        if stop.stopped:
            raise Interrupted(_WAY_ON, number=stop.asked)
        return _finish(trainer, config, trained)


def check_rates(config: PretrainConfig) -> None:
    """Refuse masking rates that cannot hold.

    Raises:
        ConfigError: they cannot.
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
    """Our settings under transformers' names: the one place where they are mapped.

    Raises:
        ConfigError: a setting that transformers refuses, or that cannot work here.
    """
    if config.fp16 and not torch.cuda.is_available():
        raise ConfigError("fp16 needs a GPU, and none is available here; on a CPU leave it off")
    schedules = [kind.value for kind in SchedulerType if kind.value not in _NOT_BY_NAME]
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
            warmup_steps=config.warmup_ratio,  # below 1 it is a share
            eval_strategy=config.eval_strategy if evaluates else "no",
            save_strategy="epoch" if config.eval_strategy == "epoch" else "steps",
            save_total_limit=None,  # RegionTrainer keeps the lowest losses
            dataloader_pin_memory=config.dataloader_pin_memory and torch.cuda.is_available(),
            remove_unused_columns=False,
            use_cpu=not torch.accelerator.is_available(),  # unasked, several processes would not find each other
            activation_checkpointing=config.gradient_checkpointing,
            report_to=trackers,
            disable_tqdm=not sys.stderr.isatty(),
        )
    except (ValueError, ImportError) as error:
        raise ConfigError(library_text(error)) from error


def _model(config: PretrainConfig, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    model = load_masked_lm(config.model_name_or_path)
    check_vocabulary(config, tokenizer, model)
    return model


def check_vocabulary(config: PretrainConfig, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> None:
    """Refuse a tokenizer with more tokens than the model.

    Raises:
        ConfigError: it has more.
    """
    embeddings: Any = model.get_input_embeddings()
    if len(tokenizer) > embeddings.weight.shape[0]:
        raise ConfigError(
            f"{config.model_name_or_path}: the tokenizer has {len(tokenizer)} tokens, the model only "
            f"{embeddings.weight.shape[0]}"
        )


def check_positions(
    config: PretrainConfig, model: PreTrainedModel, windows: Mapping[Path | None, Dataset | None]
) -> None:
    """Refuse windows with more tokens than the model has positions for.

    Args:
        config: the settings.
        model: with or without weights.
        windows: tokenised, by file; None for a file that is not there.

    Raises:
        ConfigError: names the file, its longest window and what would fit.
    """
    most = usable_positions(model)
    for path, rows in windows.items():
        longest = 0 if rows is None else int(np.asarray(rows["length"]).max())
        if most is not None and longest > most:
            raise ConfigError(
                f"{path}: the longest window has {longest} tokens, and {config.model_name_or_path} has positions for "
                f"{most}: set max_seq_length to {most}, or cut shorter windows"
            )


def read_rows(
    config: PretrainConfig, tokenizer: PreTrainedTokenizerBase, path: Path, limit: int | None
) -> tuple[Dataset, TokenReport]:
    """The tokenised windows of a training file, `limit` of them at most, and what tokenising all of them met.

    Raises:
        InputError: the file is missing or malformed, or nothing in it can be masked.
        ConfigError: the tokenizer cannot say where its tokens stand.
    """
    rows, report = tokenise_file(
        path,
        tokenizer,
        max_length=config.max_seq_length,
        overlap=config.region_overlap,
        processes=config.preprocessing_num_workers,
    )
    if not _can_be_masked(config, rows):
        raise InputError(path, None, "no window has enough tokens for one to be masked")
    if limit is None or limit >= len(rows):
        return rows, report
    drawn = rows.shuffle(seed=config.seed).select(range(limit))
    if not _can_be_masked(config, drawn):
        told = f"none of the {limit} windows drawn from it has enough tokens for one to be masked"
        raise InputError(path, None, f"{told}: raise max_train_samples or max_eval_samples")
    return drawn, report


def _can_be_masked(config: PretrainConfig, rows: Dataset) -> bool:
    return bool(total_counts(np.asarray(rows["maskable"], dtype=np.int64), config.target_mlm_prob).any())


def _told_rows(config: PretrainConfig, tokenizer: PreTrainedTokenizerBase, path: Path, limit: int | None) -> Dataset:
    rows, report = read_rows(config, tokenizer, path, limit)
    _tell(path, report)
    return rows


def _tell(path: Path, report: TokenReport) -> None:
    log.info(
        "%s: %d windows, %.1f tokens each, %d peaks; %d letters upper-cased, %d U read as T",
        path, report.windows, report.tokens / report.windows, report.peaks, report.lower_case, report.uracil,
    )  # fmt: skip
    told = doubts(report)
    if told:
        log.warning("%s: %s", path, told)


def doubts(report: TokenReport) -> str:
    """What a user may not expect of a training file, in words; nothing where there is nothing."""
    found = {
        "tokens are unknown to the tokenizer and never masked": report.unknown,
        "windows are cut off at the token limit": report.truncated,
        "peaks touch no token": report.peaks_without_token,
    }
    return "; ".join(f"{number} {what}" for what, number in found.items() if number)


def peak_doubt(train: Dataset, validation: Dataset) -> str | None:
    """What is wrong with validation windows of which too few have a peak, in words.

    Args:
        train: tokenised windows to train on.
        validation: tokenised windows to evaluate on.

    Returns:
        None where enough have one, and where no training window has one either.
    """
    doubt = few_peaks(Amount(len(validation), windows_with_peaks(validation)))
    return doubt if doubt and windows_with_peaks(train) else None


def _trainer(
    config: PretrainConfig,
    arguments: TrainingArguments,
    model: PreTrainedModel,
    *,
    tokenizer: PreTrainedTokenizerBase,
    collators: tuple[EclipAdaptiveMLMCollator, EclipAdaptiveMLMCollator],
    train: Dataset,
    validation: Dataset | None,
) -> RegionTrainer:
    # Heads that masked language modelling does not use, such as ESM's for contacts, get no gradient.
    arguments.ddp_find_unused_parameters = not isinstance(model, DNABert2ForMaskedLM)
    callbacks: list[Any] = [LogAsAsked(), StopWhenStale(config.early_stopping_patience)]
    if "tensorboard" in config.report_to:
        board = TensorBoardCallback()  # type: ignore[no-untyped-call]
        board.logging_dir = str(config.output_dir / LOGS)
        callbacks.append(board)
    return RegionTrainer(
        model=model,
        args=arguments,
        processing_class=tokenizer,
        train_dataset=KeyedRows(train, seed=("training", config.seed)),
        eval_dataset=None if validation is None else KeyedRows(validation, seed=("evaluation", config.seed)),
        data_collator=collators[0],
        eval_collator=collators[1],
        group_by_length=config.group_by_length,
        keep=config.save_total_limit,
        callbacks=callbacks,
    )


def make_collators(
    config: PretrainConfig, tokenizer: PreTrainedTokenizerBase
) -> tuple[EclipAdaptiveMLMCollator, EclipAdaptiveMLMCollator]:
    """What makes the batches of training and of evaluation.

    Raises:
        ConfigError: the tokenizer has no mask or padding token.
    """
    return (
        collator(config, tokenizer, masking=config.masking_mode),
        collator(config, tokenizer, masking=config.eval_masking),
    )


def collator(config: PretrainConfig, tokenizer: PreTrainedTokenizerBase, *, masking: str) -> EclipAdaptiveMLMCollator:
    """The collator that the settings ask for, with the report that the trainer logs."""
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


def _train(trainer: RegionTrainer, checkpoint: Path | None, config: PretrainConfig) -> dict[str, float]:
    """Train up to the end, or take over a checkpoint that stands there already."""
    state = None if checkpoint is None else checkpoints.read_state(checkpoint)
    if checkpoint is not None and state is not None:
        patience = config.early_stopping_patience
        stale = 0 < patience <= checkpoints.stale_evaluations(state["log_history"])
        if stale or state["global_step"] >= state["max_steps"]:
            log.info("%s is the end of its run; nothing is left to train", checkpoint)
            trainer.state = trainer.state.load_from_json(str(checkpoint / TRAINER_STATE))
            model: Any = trainer.model
            model.to(trainer.args.device)  # training itself does so where it is sharded
            trainer.accelerator.prepare_model(model, evaluation_mode=True)  # evaluated in the precision of the run
            trainer.restore(checkpoint)
            return _results_before(config.output_dir / TRAIN_RESULTS, state)
    result = trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    trainer.whole.merge(trainer.window)  # the steps after the last log line
    rates = {f"train_{name}": value for name, value in trainer.whole.metrics().items()}
    return {**result.metrics, **rates}


def _results_before(written: Path, state: dict[str, Any]) -> dict[str, float]:
    """What the run left at its end; where it was ended before it could, its last log line."""
    if written.is_file():
        results: dict[str, float] = json.loads(written.read_text(encoding="utf-8"))
        return results
    logged = [entry for entry in state["log_history"] if "loss" in entry]
    return {f"train_{name}": value for name, value in (logged[-1] if logged else {}).items() if name != "step"}


def _finish(trainer: RegionTrainer, config: PretrainConfig, trained: dict[str, float]) -> dict[str, float]:
    """Take the checkpoint with the lowest eval_loss, evaluate it, and write the results."""
    chosen = checkpoints.best(config.output_dir, trainer.state.log_history)
    if chosen is not None:
        trainer.restore(chosen)
        trainer.state.best_model_checkpoint = str(chosen)
        trainer.state.best_metric = checkpoints.losses(trainer.state.log_history)[checkpoint_step(chosen)]
    trainer.save_model()
    trainer.save_metrics("train", trained)
    results = trained
    if config.validation_file is not None:
        results, by_record = trainer.evaluate_records()
        trainer.save_metrics("eval", results)
        if trainer.args.should_save:
            write_record_losses(config.output_dir / EVAL_RECORDS, by_record)
    trainer.save_state()
    if trainer.args.should_save:
        write_text(config.output_dir / README, pretraining_card(config.output_dir))
    return results
