"""Job A: continued masked-LM pretraining on windows with binding regions, from training files to a run folder."""

import json
import logging
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainingArguments
from transformers.integrations import TensorBoardCallback  # type: ignore[attr-defined]

from bindtune.config import PretrainConfig
from bindtune.data.dna.collate import EclipAdaptiveMLMCollator
from bindtune.data.dna.row_order import KeyedRows
from bindtune.data.dna.tokens import load_tokenizer
from bindtune.errors import ConfigError, Interrupted
from bindtune.models.dnabert2 import DNABert2ForMaskedLM
from bindtune.models.loading import load_masked_lm
from bindtune.reports.card_pretraining import pretraining_card
from bindtune.runs.eval_records import write_record_losses
from bindtune.runs.exclusive import only_writer
from bindtune.runs.names import EVAL_RECORDS, LOGS, README, TRAINER_STATE, checkpoint_step, results_file
from bindtune.runs.writing import write_text, writing
from bindtune.training import sharding
from bindtune.training.pretraining import checkpoints
from bindtune.training.pretraining.arguments import check_rates, make_collators, training_arguments
from bindtune.training.pretraining.callbacks import LogAsAsked, SaveOnSignal, StopWhenStale
from bindtune.training.pretraining.progress_lines import ProgressLines
from bindtune.training.pretraining.run_folder import find_checkpoint, find_origin, sign
from bindtune.training.pretraining.trainer import RegionTrainer
from bindtune.training.pretraining.windows import check_positions, check_vocabulary, read_windows
from bindtune.training.processes import naming_lost_processes

log = logging.getLogger(__name__)

_RESUME_OPTION = "--resume_from_checkpoint auto"


def pretrain(config: PretrainConfig) -> dict[str, float]:
    """Run, or resume, continued pretraining.

    Returns:
        The content of eval_results.json, or of train_results.json where nothing is evaluated.

    Raises:
        ConfigError: settings that cannot work, or a run folder that is not empty.
        InputError: a training file is not as expected.
        CheckpointError: the model, its tokenizer or the checkpoint to resume from cannot be loaded.
        Interrupted: SIGTERM or SIGHUP came; a checkpoint holds the state.
    """
    check_rates(config)
    sharding.check_launcher(precision=config.precision)
    sharding.check_gpus()
    with naming_lost_processes(_RESUME_OPTION):
        return _pretrain(config)


def _pretrain(config: PretrainConfig) -> dict[str, float]:
    arguments = training_arguments(config)
    if arguments.n_gpu > 1:  # transformers would make replicas in one process, and DNABERT-2 does not run in them
        raise ConfigError(
            f"{arguments.n_gpu} GPUs are visible to one process: start one process a GPU with torchrun --standalone "
            f"--nproc_per_node={arguments.n_gpu} -m bindtune pretrain ..., or show it one GPU: CUDA_VISIBLE_DEVICES=0"
        )
    checkpoint = find_checkpoint(config)
    tokenizer = load_tokenizer(config.model_name_or_path)
    collators = make_collators(config, tokenizer)
    with arguments.main_process_first(desc="tokenising"):
        train, validation = read_windows(config, tokenizer)
    model = load_masked_lm(config.model_name_or_path)
    check_vocabulary(config, tokenizer, model)
    check_positions(config, model, {config.train_file: train, config.validation_file: validation})
    origin = find_origin(config, checkpoint, processes=arguments.world_size)
    if arguments.distributed_state is not None:
        arguments.distributed_state.wait_for_everyone()  # every process checks the folder before the first one writes
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
            if stop.asked and "DataLoader worker" in str(error):  # the signal ended the worker
                raise Interrupted(_RESUME_OPTION, number=stop.asked) from error
            raise
        if stop.stopped:
            raise Interrupted(_RESUME_OPTION, number=stop.asked)
        return _finish(trainer, config, trained)


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
    # DDP must know that some heads get no gradient, such as ESM's head for contacts.
    arguments.ddp_find_unused_parameters = not isinstance(model, DNABert2ForMaskedLM)
    callbacks: list[Any] = [LogAsAsked(), ProgressLines(), StopWhenStale(config.early_stopping_patience)]
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


def _train(trainer: RegionTrainer, checkpoint: Path | None, config: PretrainConfig) -> dict[str, float]:
    """Train up to the end, or load a checkpoint that is the end of its run."""
    state = None if checkpoint is None else checkpoints.read_state(checkpoint)
    if checkpoint is not None and state is not None:
        patience = config.early_stopping_patience
        stale = 0 < patience <= checkpoints.stale_evaluations(state["log_history"])
        if stale or state["global_step"] >= state["max_steps"]:
            log.info("%s is the end of its run; nothing is left to train", checkpoint)
            trainer.state = trainer.state.load_from_json(str(checkpoint / TRAINER_STATE))
            model: Any = trainer.model
            model.to(trainer.args.device)  # only training moves a sharded model
            trainer.accelerator.prepare_model(model, evaluation_mode=True)  # for evaluation in the run's precision
            trainer.restore(checkpoint)
            if trainer.args.should_save:  # a kill may have come between saving and deleting
                checkpoints.rotate(config.output_dir, state["log_history"], limit=config.save_total_limit)
            return _earlier_results(config.output_dir / results_file("train"), state)
    result = trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    trainer.since_start.merge(trainer.since_log)  # the steps after the last log line
    rates = {f"train_{name}": value for name, value in trainer.since_start.metrics().items()}
    return {**result.metrics, **rates}


def _earlier_results(path: Path, state: dict[str, Any]) -> dict[str, float]:
    """The training results of a run that is finished; without their file, its last log line."""
    if path.is_file():
        results: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
        return results
    logged = [entry for entry in state["log_history"] if "loss" in entry]
    return {f"train_{name}": value for name, value in (logged[-1] if logged else {}).items() if name != "step"}


def _finish(trainer: RegionTrainer, config: PretrainConfig, trained: dict[str, float]) -> dict[str, float]:
    """Load the checkpoint with the lowest eval_loss, evaluate it, and write the results."""
    best = checkpoints.best(config.output_dir, trainer.state.log_history)
    if best is not None:
        trainer.restore(best)
        trainer.state.best_model_checkpoint = str(best)
        trainer.state.best_metric = checkpoints.losses(trainer.state.log_history)[checkpoint_step(best)]
    trainer.save_model()
    trainer.save_metrics("train", trained)
    results = trained
    if config.validation_file is not None:
        evaluation = trainer.evaluation_of(None if best is None else checkpoint_step(best))
        results = evaluation.figures
        trainer.save_metrics("eval", results)
        if trainer.args.should_save:
            write_record_losses(config.output_dir / EVAL_RECORDS, evaluation.records)
    trainer.save_state()
    if trainer.args.should_save:
        write_text(config.output_dir / README, pretraining_card(config.output_dir))
    return results
