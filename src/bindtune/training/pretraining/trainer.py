"""The transformers Trainer with exact losses by region, and with an order and masks that a resume does not change."""

import json
import logging
import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import send_to_device
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer
from transformers.trainer_utils import EvalLoopOutput, TrainOutput

from bindtune.data.dna.collate import EclipAdaptiveMLMCollator
from bindtune.data.dna.row_order import LengthGroupedSampler
from bindtune.data.workers import reading
from bindtune.models.dnabert2 import DNABert2ForMaskedLM
from bindtune.models.finite import check_finite_model
from bindtune.models.token_loss import IGNORED
from bindtune.progress import tracked
from bindtune.runs.eval_records import RecordLosses
from bindtune.runs.names import ALL_RESULTS, SAVING, TRAINER_STATE, TRAINING_ARGUMENTS, checkpoint_folder, results_file
from bindtune.runs.writing import atomic_path, write_text, writing
from bindtune.training import sharding
from bindtune.training.pretraining import checkpoints
from bindtune.training.pretraining.callbacks import FollowEpoch, KeepLowest
from bindtune.training.pretraining.region_losses import RegionLosses
from bindtune.training.pretraining.training_state import RestoreProgress, counters_alone, save_progress
from bindtune.training.pretraining.window_losses import WindowLosses

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evaluation:
    """An evaluation of all validation windows.

    Args:
        step: optimiser steps before it.
        figures: as transformers names them, `eval_loss` and others.
        records: losses of each window.
    """

    step: int
    figures: dict[str, float]
    records: RecordLosses

    @property
    def loss(self) -> float:
        """The mean loss; nan counts as infinite, so that any other is lower."""
        loss = self.figures["eval_loss"]
        return math.inf if math.isnan(loss) else loss


class RegionTrainer(Trainer):
    """Train a masked language model on windows with peaks.

    The loss is the mean over all masked tokens of an optimiser step, over all its batches and processes. Evaluation
    reads every window exactly once, with masks that never change.

    Args:
        eval_collator: makes evaluation batches.
        group_by_length: put windows of similar length into one batch.
        keep: number of checkpoints to keep for their low eval_loss.
        **kwargs: arguments of transformers' Trainer; both datasets are KeyedRows.
    """

    def __init__(
        self, *, eval_collator: EclipAdaptiveMLMCollator, group_by_length: bool, keep: int, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        # transformers writes only the counters of a checkpoint; `save_model` writes the rest, as whole weights.
        self.args.save_only_model = True
        self.is_fsdp_enabled = False
        self.remove_callback(PrinterCallback)  # it prints dictionaries; `progress` has lines for people
        self.add_callback(FollowEpoch(self._choose_epoch))
        self.add_callback(KeepLowest(self.accelerator, keep))
        self._order: LengthGroupedSampler | None = None  # of the training windows
        self.eval_collator = eval_collator
        self.group_by_length = group_by_length
        self._model_class: Any = type(self.model)  # sharding changes the model's class
        sharding.divide(self.accelerator, self.model)
        self.since_log = RegionLosses(self.args.device)
        self.since_start = RegionLosses(self.args.device)  # or since the resume
        self.records: WindowLosses | None = None  # while windows are evaluated
        self._lowest: Evaluation | None = None
        self._log_is_closed = False
        # `num_items_in_batch` counts the masked tokens of the whole optimiser step.
        self.model_accepts_loss_kwargs = True
        self.loss_is_scaled_for_ga = True

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The share of one batch in the mean loss of its optimiser step."""
        summed, masked_tokens = self._summed_loss(model, inputs, self.since_log)
        items = masked_tokens if num_items_in_batch is None else num_items_in_batch
        loss = summed / torch.as_tensor(items, device=summed.device).clamp(min=1)
        if num_items_in_batch is not None and self.args.average_tokens_across_devices:
            loss = loss * self.accelerator.num_processes  # DDP averages the gradients
        return (loss, {"loss": loss}) if return_outputs else loss

    def create_accelerator_and_postprocess(self) -> None:
        """As in transformers; CPUs also shard."""
        super().create_accelerator_and_postprocess()
        sharding.shard_on_cpu(self.accelerator)
        self.is_fsdp_enabled = sharding.is_sharded(self.accelerator)  # no whole model is then moved to the device

    def create_optimizer(self, model: Any = None) -> Any:
        """As in transformers."""
        optimizer = super().create_optimizer(model)
        self._groups = sharding.parameter_groups(optimizer)
        return optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """As in transformers, which calls this after accelerate has prepared the optimiser."""
        if sharding.is_sharded(self.accelerator):
            sharding.put_back(self.optimizer, self._groups)
        return super().create_scheduler(num_training_steps, optimizer)

    def _summed_loss(
        self, model: torch.nn.Module, inputs: dict[str, Tensor], totals: RegionLosses
    ) -> tuple[Tensor, int]:
        masked = inputs["labels"] != IGNORED
        tokens = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        if isinstance(self.model, DNABert2ForMaskedLM):
            logits = model(**tokens, logits_at=masked).logits
        else:
            logits = model(**tokens).logits[masked]
        targets = inputs["labels"][masked]
        loss = F.cross_entropy(logits.float(), targets, reduction="none")
        totals.add(
            region=inputs["region"],
            relaxed=inputs["relaxed"],
            attended=inputs["attention_mask"],
            masked=masked,
            loss=loss,
            hit=logits.argmax(dim=-1) == targets,
        )
        if self.records is not None:
            self.records.add(region=inputs["region"], masked=masked, loss=loss)
        return loss.sum(), len(targets)

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Batches of this process, in an order that is a function of (seed, epoch).

        Masks come from keys, so a worker's random state has no effect. Workers ignore SIGTERM, so the step in which it
        comes is completed.
        """
        rows: Any = self.train_dataset
        together = self.args.train_batch_size * self.args.world_size
        self._order = LengthGroupedSampler(
            rows.lengths(),
            group=together * self.args.gradient_accumulation_steps,
            seed=self.args.seed,
            by_length=self.group_by_length,
            # accelerate would repeat the first batches of an epoch where processes lack batches at its end.
            share=together if self.args.world_size > 1 else 1,
        )
        loader: DataLoader[Any] = DataLoader(
            rows,
            batch_size=self.args.train_batch_size,
            sampler=self._order,
            **self._reading(self.data_collator),
            pin_memory=self.args.dataloader_pin_memory,
        )
        return self.accelerator.prepare(loader)  # type: ignore[no-any-return]

    def _reading(self, collator: Any) -> dict[str, Any]:
        return reading(self.args.dataloader_num_workers, collator, setting="--dataloader_num_workers=0")

    def _choose_epoch(self, epoch: int) -> None:
        if self._order is not None:
            self._order.set_epoch(epoch)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader[Any]:
        """Batches of this process, sorted by length. Every window is in one batch of one process."""
        rows: Any = eval_dataset or self.eval_dataset
        order = np.argsort(-rows.lengths(), kind="stable")
        size = self.args.eval_batch_size
        batches = [order[start : start + size].tolist() for start in range(0, len(order), size)]
        return DataLoader(
            rows,
            batch_sampler=batches[self.args.process_index :: self.args.world_size],
            **self._reading(self.eval_collator),
            pin_memory=self.args.dataloader_pin_memory,
            # A worker's seed is drawn from this generator, so the random state of the training does not change.
            generator=torch.Generator(),
        )

    @torch.no_grad()
    def evaluation_loop(
        self,
        dataloader: DataLoader[Any],
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """Losses, accuracies and rates over all masked tokens; predictions are not kept."""
        model: Any = self.model
        model.eval()
        totals = RegionLosses(self.args.device)
        sampled: Any = dataloader.batch_sampler
        batches = zip(sampled, dataloader, strict=True)
        first = self.is_world_process_zero()
        for rows, batch in tracked(batches, "validation", len(sampled), unit="batches", log=log, shown=first):
            if self.records is not None:
                self.records.see(rows, batch)
            self._summed_loss(model, send_to_device(batch, self.args.device), totals)
            self.control = self.callback_handler.on_prediction_step(self.args, self.state, self.control)
        if sharding.is_sharded(self.accelerator):
            self._run_as_often(model, len(sampled))
        figures = totals.metrics()
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in figures.items()}
        metrics[f"{metric_key_prefix}_perplexity"] = float(np.exp(min(figures["loss"], 20.0)))
        return EvalLoopOutput(predictions=None, label_ids=None, metrics=metrics, num_samples=len(dataloader.dataset))  # type: ignore[arg-type]

    def _run_as_often(self, model: torch.nn.Module, batches: int) -> None:
        """Run a sharded model once more where other processes have one more batch."""
        rows: Any = self.eval_dataset
        if batches * self.args.world_size * self.args.eval_batch_size < len(rows):
            batch = send_to_device(self.eval_collator(rows.__getitems__([0])), self.args.device)
            model(**{name: batch[name] for name in ("input_ids", "attention_mask")})

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """As in transformers; the evaluation with the lowest loss is kept."""
        evaluation = self._evaluated(*args, **kwargs)
        if self._lowest is None or evaluation.loss < self._lowest.loss:
            self._lowest = evaluation
        return evaluation.figures

    def _evaluated(self, *args: Any, **kwargs: Any) -> Evaluation:
        rows: Any = self.eval_dataset
        self.records = WindowLosses(np.asarray(rows.rows["record"]))
        try:
            figures = super().evaluate(*args, **kwargs)
            return Evaluation(self.state.global_step, figures, self.records.gathered())
        finally:
            self.records = None

    def evaluation_of(self, step: int | None) -> Evaluation:
        """The evaluation of the weights that were just restored, with the epoch of the run's end.

        A process that has kept this evaluation does not compute it again. One that resumed the run does, and adds no
        second line to the log.

        Args:
            step: of the checkpoint that was restored; None where no checkpoint was evaluated.
        """
        evaluation = self._lowest
        if evaluation is None or evaluation.step != step:
            self._log_is_closed = step is not None
            evaluation = self._evaluated()
            self._log_is_closed = False
        return replace(evaluation, figures={**evaluation.figures, "epoch": self.state.epoch or 0.0})

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add losses and rates by region to the training's log lines."""
        if self._log_is_closed:
            return
        if "loss" in logs:
            figures = self.since_log.metrics()
            self.since_start.merge(self.since_log)
            self.since_log.reset()
            logs = {**logs, **figures}  # they replace transformers' loss by the mean over tokens
        super().log(logs, start_time)

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> TrainOutput:
        """As in transformers; resumes from the folder of a checkpoint that `save_model` wrote.

        Raises:
            CheckpointError: its weights are not those of this model.
            OSError: a file cannot be written; an incomplete checkpoint is deleted.
        """
        run = Path(str(self.args.output_dir))
        source = "auto" if resume_from_checkpoint is True else resume_from_checkpoint or None
        checkpoint = checkpoints.to_resume(run, source)
        try:
            if checkpoint is None:
                return super().train(None, *args, **kwargs)
            self.restore(checkpoint)
            self.add_callback(RestoreProgress(self, checkpoint))
            with counters_alone(checkpoint) as counters, _without_weights(self.model):
                return super().train(str(counters), *args, **kwargs)
        except OSError:
            if self.args.should_save:  # an incomplete checkpoint takes space and is of no use
                checkpoints.remove_incomplete(run)
            raise

    def restore(self, folder: Path) -> None:
        """Load the weights of a checkpoint, strictly."""
        module: Any = self.accelerator.unwrap_model(self.model)
        saved = self._model_class.from_pretrained(folder)
        check_finite_model(saved, str(folder))
        sharding.load_whole(module, saved.state_dict())

    def save_model(self, output_dir: str | None = None, *_: Any, **__: Any) -> None:
        """Write the model for `from_pretrained`, and into a checkpoint also the optimiser and random numbers.

        All processes call it.
        """
        run = Path(str(self.args.output_dir))
        target = Path(output_dir or run)
        module: Any = self.accelerator.unwrap_model(self.model)
        with writing(target):
            with sharding.whole(module):
                if self.args.should_save:
                    self._write_model(module, target)
            if self.is_in_train and target == checkpoint_folder(run, self.state.global_step):
                save_progress(self, target)
                self.accelerator.wait_for_everyone()  # transformers writes the state last: it completes a checkpoint

    def _write_model(self, module: Any, target: Path) -> None:
        """Write the model into a temporary folder, then move its files, the weights last."""
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target, prefix=SAVING) as made:
            module.save_pretrained(made)
            if self.processing_class is not None:
                self.processing_class.save_pretrained(made)
            torch.save(self.args, Path(made) / TRAINING_ARGUMENTS)
            for path in sorted(Path(made).iterdir(), key=lambda path: path.suffix == ".safetensors"):
                path.replace(target / path.name)

    def save_metrics(self, split: str, metrics: dict[str, float], combined: bool = True) -> None:
        """Write `{split}_results.json` and, with those of other splits, `all_results.json`, whole or not at all."""
        if not self.is_world_process_zero():
            return
        run = Path(str(self.args.output_dir))
        write_text(run / results_file(split), json.dumps(metrics, indent=4, sort_keys=True))
        if combined:
            path = run / ALL_RESULTS
            earlier = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
            write_text(path, json.dumps({**earlier, **metrics}, indent=4, sort_keys=True))

    def save_state(self) -> None:
        """Write the trainer's state into the run folder, whole or not at all."""
        if self.is_world_process_zero():
            with atomic_path(Path(str(self.args.output_dir)) / TRAINER_STATE) as temporary:
                self.state.save_to_json(str(temporary))


@contextmanager
def _without_weights(model: Any) -> Iterator[None]:
    """Let a model load a file without weights, and report no missing weights."""

    def forget(module: torch.nn.Module, keys: Any) -> None:
        keys.missing_keys.clear()

    hook = model.register_load_state_dict_post_hook(forget)
    try:
        yield
    finally:
        hook.remove()
