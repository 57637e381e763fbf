"""E1BindingTrainer: train and validate one fold, in one process or several."""

import logging
import math
import shlex
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from bindtune.config import BindingConfig, build
from bindtune.data.protein.protein_rows import ResidueRows
from bindtune.errors import BindtuneError, CheckpointError, ConfigError, Interrupted
from bindtune.evaluation import epoch_selection
from bindtune.memory_errors import naming_settings
from bindtune.models.backbones import BatchPreparer, preparer_for
from bindtune.models.binding_checkpoint import restore_best
from bindtune.models.residue import E1ForResidueClassification
from bindtune.progress import progress
from bindtune.runs.names import FOLD_STATE, HISTORY, OUT_OF_FOLD, UNSETTLED, fold_folder
from bindtune.training import sharding
from bindtune.training.binding import fold_files, scoring
from bindtune.training.binding.batches import FoldBatches
from bindtune.training.binding.best_epoch_files import last_mean, write_best_epoch, write_card
from bindtune.training.binding.fold_files import FoldState, Row
from bindtune.training.binding.inputs import FoldProteins, read_fold
from bindtune.training.binding.log_messages import log_better_later_epoch, log_epoch
from bindtune.training.binding.losses import (
    LossSums,
    added,
    batch_loss,
    epoch_losses,
    is_finite,
    joint,
    step_totals,
)
from bindtune.training.binding.model import seeded
from bindtune.training.binding.optimizer import make_optimizer, rate_of_step
from bindtune.training.binding.prediction import INPUTS, Predictor
from bindtune.training.binding.processes import StopSignal, less_memory, make_accelerator, other_steps

log = logging.getLogger(__name__)


class E1BindingTrainer:
    """Train a residue model on all folds but one, and validate it on the held-out fold.

    Losses are means over the known labels and masked residues of an optimiser step, over all its batches and processes.
    So any number of processes with the same proteins per step learns the same. Contexts, masks, dropout and order are
    functions of (seed, epoch, protein or step). So a resumed run learns the same as an uninterrupted one.

    Args:
        model: heads on an encoder, made by `training.binding.model.build_model`.
        conf: the settings, or a mapping of them.
        device: cpu or a GPU; None takes the device of the launcher's environment.
        is_distributed: whether several processes were launched; the launcher's environment decides.
        world_size: number of processes.
        rank: number of this process, from 0.
        fold: the held-out fold, from 1.
        proteins: proteins of the fold; None reads the files that the settings name.
        preparer: preparer of the encoder's batches; None makes it from the encoder.
        run: the run folder; None takes the settings' output_dir.
        accelerator: shared by the folds of a process; None makes a new one.

    Raises:
        ValueError: world_size or rank differs from the launcher's.
    """

    def __init__(
        self,
        model: E1ForResidueClassification,
        conf: BindingConfig | Mapping[str, Any],
        device: torch.device | str | None = None,
        is_distributed: bool = False,
        world_size: int = 1,
        rank: int = 0,
        *,
        fold: int = 1,
        proteins: FoldProteins | None = None,
        preparer: BatchPreparer | None = None,
        run: Path | None = None,
        accelerator: Accelerator | None = None,
    ) -> None:
        self.conf = conf if isinstance(conf, BindingConfig) else build(BindingConfig, conf)
        self.accelerator = accelerator or make_accelerator(self.conf, device)
        launched = (self.accelerator.num_processes, self.accelerator.process_index)
        if is_distributed and launched != (world_size, rank):
            raise ValueError(f"world_size and rank are {world_size} and {rank}, the launcher made it {launched}")
        self.fold = fold
        self.run = run or self.conf.training.output_dir
        self.folder = fold_folder(self.run, fold)
        self.proteins = proteins or read_fold(self.conf, fold)
        self.batches = FoldBatches(
            self.conf,
            self.proteins,
            preparer or preparer_for(model._original_model, self.conf.model.checkpoint),
            fold=fold,
            processes=self.accelerator.num_processes,
            rank=self.accelerator.process_index,
            level=sharding.is_sharded(self.accelerator),
        )
        self.bare = model
        self.predictor = Predictor(model, self.batches, self.accelerator, pause=self._leave_if_asked)
        self.state = FoldState(proteins_per_step=self.batches.proteins_per_step)
        self._unsettled = False
        self._seconds, self._epochs = 0.0, 0  # of this process
        self._stop = StopSignal(self.accelerator)
        self.model: Any
        self.model, self.optimizer = self._prepare(model)

    def _prepare(self, model: E1ForResidueClassification) -> tuple[Any, Any]:
        """The model and its optimiser, wrapped for the processes."""
        sharding.divide(self.accelerator, model)
        optimizer = make_optimizer(self.conf, model.parameters(), self.accelerator.device)
        groups = sharding.parameter_groups(optimizer)
        wrapped, prepared = self.accelerator.prepare(model, optimizer)
        if sharding.is_sharded(self.accelerator):
            sharding.put_back(prepared, groups)
        return wrapped, prepared

    def create_dataloaders(self) -> tuple[DataLoader[Any], DataLoader[Any]]:
        """The batches of this process: of the next training epoch, and of the validation."""
        epoch = self.state.epoch + 1
        training = self.batches.training_loader(self.batches.steps(epoch), epoch)
        return training, self.batches.evaluation_loader(self.batches.validation)

    # ---------------------------------------------------------------- training

    def train_epoch(self) -> dict[str, float]:
        """Train the rest of the next epoch, and return its mean losses."""
        epoch = self.state.epoch + 1
        steps = self.batches.steps(epoch)
        batches = iter(self.batches.training_loader(steps, epoch, start=self.state.step))
        self.model.train()
        shown = self.accelerator.is_main_process
        label = f"fold {self.fold} epoch {epoch}"
        with progress(label, len(steps), unit="steps", log=log, shown=shown) as advance:
            advance(self.state.step, skipped=True)
            for number in range(self.state.step, len(steps)):
                own = [next(batches) for _ in self.batches.own(steps[number])]
                self._step(own, number=number, epoch=epoch, counted=self.batches.counted(steps[number]))
                self.state.step = number + 1
                advance(1)
                self._save_within_epoch(last=number + 1 == len(steps))
        return epoch_losses(self.state.sums, self.bare, self.accelerator)

    def _step(self, batches: list[dict[str, Any]], *, number: int, epoch: int, counted: int) -> None:
        """Make one optimiser step.

        Args:
            batches: batches of this process.
            number: number of the step in its epoch, from 0.
            epoch: number of the epoch, from 1.
            counted: number of batches to learn from; they come first. The others have no weight. They are computed
                because a sharded model needs all processes.
        """
        totals = step_totals(batches[:counted], self.accelerator)
        rank = self.accelerator.process_index
        for index, batch in enumerate(batches):
            is_last = index + 1 == len(batches)
            with nullcontext() if is_last else self.accelerator.no_sync(self.model):
                with seeded(self.conf.training.seed, "dropout", self.fold, epoch, number, rank, index):
                    output = self._forward(batch)
                loss, sums = batch_loss(output, batch, totals, mlm_weight=self.bare.mlm_weight)
                if index < counted:
                    self._add_losses(sums)
                    self.accelerator.backward(loss * self.accelerator.num_processes)  # DDP averages the gradients
                else:
                    self.accelerator.backward(loss * 0)
        if max_norm := self.conf.training.max_grad_norm:
            self.accelerator.clip_grad_norm_(self.model.parameters(), max_norm)
        rate = self.learning_rate((epoch - 1) * self.batches.steps_per_epoch + number)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad()

    def learning_rate(self, step: int) -> float:
        """The learning rate of a step of the fold; steps count from 0."""
        return rate_of_step(self.conf, step, steps_per_epoch=self.batches.steps_per_epoch)

    def _forward(self, batch: dict[str, Any]) -> Any:
        device = self.accelerator.device
        tensors = {name: batch[name].to(device, non_blocking=True) for name in ("labels", *INPUTS) if name in batch}
        return self.model(**tensors)

    def _add_losses(self, sums: LossSums) -> None:
        if not is_finite(sums):
            step = f"fold {self.fold}, epoch {self.state.epoch + 1}, step {self.state.step + 1}"
            raise BindtuneError(f"{step}: the loss is not a number: learn at a lower training.learning_rate")
        self.state.sums = added(self.state.sums, sums)

    # ---------------------------------------------------------------- validation

    def validate_epoch(self) -> list[Row]:
        """Figures of the validation proteins: a row for each ion and one for their mean; the same in all processes.

        Nothing is masked. A second pass computes the masked-LM loss, with masks that never change. If `train_epoch` has
        finished its steps, the epoch ends here.
        """
        rows = self._figures(self.batches.validation)
        if self.state.step == self.batches.steps_per_epoch:
            self._end_epoch(rows)
        return rows

    def _end_epoch(self, validation: list[Row]) -> None:
        losses = epoch_losses(self.state.sums, self.bare, self.accelerator)
        rows = scoring.training_rows(losses, self.bare.ion_types)
        rows += [{**row, "split": "validation"} for row in validation]
        self.state.epoch, self.state.step, self.state.sums = self.state.epoch + 1, 0, {}
        self.state.history += [{"fold": self.fold, "epoch": self.state.epoch, **row} for row in rows]

    def _figures(self, proteins: ResidueRows) -> list[Row]:
        """Figures of proteins; the main process computes them from the logits of all processes."""
        logits = self.predict_logits(proteins)
        mlm_loss = math.nan
        if self.bare.mlm_weight:
            mlm_loss = self.predictor.masked_lm_loss(proteins, label=f"fold {self.fold} masked LM")
        rows: list[Row] = []
        if self.accelerator.is_main_process:
            weights: list[float] = self.bare.pos_weight.tolist()  # type: ignore[operator]
            rows = scoring.validation_rows(
                proteins.proteins,
                logits,
                loss=self.bare.loss,
                pos_weight=weights,
                method=self.conf.training.threshold_method,
            )
            for row in rows:
                row["loss_mlm"] = mlm_loss if row["ion"] == scoring.MEAN else math.nan
                row["loss"] = joint(row.get("loss_bce", math.nan), row["loss_mlm"], mlm_weight=self.bare.mlm_weight)
        shared: list[Any] = [rows]
        broadcast_object_list(shared)
        return list(shared[0])

    def predict_logits(self, rows: ResidueRows) -> dict[str, NDArray[np.float32]]:
        """Logits (L, K) of every protein, in all processes; every residue is computed once."""
        return self.predictor.logits(rows, label=f"fold {self.fold} validation")

    # ---------------------------------------------------------------- the fold

    def fit(self, *, on_epoch: Callable[[list[Row]], None] = lambda rows: None) -> list[Row]:
        """Train until the last epoch, or until validation stops improving, then predict the held-out proteins.

        Args:
            on_epoch: called with the rows of each epoch, in the main process.

        Returns:
            The fold's rows of metrics.csv.

        Raises:
            Interrupted: SIGTERM or SIGHUP came; the state to resume from is saved.
            OutOfMemoryError: memory ran out.
            BindtuneError: the loss is not a number.
        """
        with self._stop.listening(), naming_settings(lambda: less_memory(self.conf)):
            while not self.finished:
                rows = self._epoch()
                if self.accelerator.is_main_process:
                    on_epoch(rows)
            if self.accelerator.is_main_process:
                log_better_later_epoch(self.conf, self.fold, self.state)
            self._predict_held_out()
            if self._stop.asked():
                raise Interrupted(self._resume_command, number=self._stop.number)
        return self.state.history

    @property
    def finished(self) -> bool:
        """Whether no epoch is left to train."""
        training = self.conf.training
        is_stale = self.state.is_stale(warmup=training.warmup_epochs, patience=training.patience)
        return self.state.epoch >= training.epochs or (self.state.epoch > 0 and is_stale)

    def _epoch(self) -> list[Row]:
        """Train and validate an epoch, save the state for a resume, and return the epoch's rows."""
        earlier_rows, started = len(self.state.history), time.monotonic()
        losses, validation = self.train_epoch(), self.validate_epoch()
        self._seconds, self._epochs = self._seconds + time.monotonic() - started, self._epochs + 1
        training = self.conf.training
        score = epoch_selection.score_of(validation[-1], training.selection_metric)
        is_best = epoch_selection.is_better(score, self.state.best_score, min_delta=training.min_delta)
        # A killed process may have written newer best weights than its saved state knows: write them again.
        is_best = is_best or not self.state.best_epoch or self._unsettled
        self._unsettled = False
        if is_best:
            if self.accelerator.is_main_process:
                fold_files.unsettle(self.folder)
            self.save_checkpoint()
        self._save_state()
        if self.accelerator.is_main_process:
            figures = scoring.progress(losses, validation[-1])
            alone = self.predictor.without_context
            left = self._seconds / self._epochs * (training.epochs - self.state.epoch)
            log_epoch(self.fold, self.state.epoch, figures, is_best=is_best, left=left, without_homologs=alone)
        return self.state.history[earlier_rows:]

    def save_checkpoint(self) -> None:
        """Write the present weights as the fold's best: heads, and adapters or the trained encoder.

        They count as the weights of the last validated epoch.
        """
        self.state.best_epoch = self.state.epoch
        if mean := last_mean(self.state):
            self.state.best_score = epoch_selection.score_of(mean, self.conf.training.selection_metric)
        with sharding.whole(self.bare):
            if self.accelerator.is_main_process:
                write_best_epoch(self.run, self.bare, self.conf, self.state, fold=self.fold)
        self.accelerator.wait_for_everyone()

    def _predict_held_out(self) -> None:
        """Load the best epoch's weights, and predict every residue of the fold."""
        sharding.reshard(self.bare)
        restore_best(self.folder, self.bare)
        held_out = self.batches.rows(self.proteins.held_out, self.conf.training.validation_context)
        if self.proteins.inner:
            about = {"fold": self.fold, "epoch": self.state.best_epoch, "split": "test"}
            self.state.history += [{**about, **row} for row in self._figures(held_out)]
        logits = self.predict_logits(held_out)
        if self.accelerator.is_main_process:
            fold_files.write_metrics(self.folder / HISTORY, self.state.history)
            # With an inner validation, the card now has the figures of the held-out proteins.
            write_card(self.run, self.bare, self.conf, self.state, fold=self.fold)
            probabilities = {name: scoring.probabilities_of(values) for name, values in logits.items()}
            fold_files.write_out_of_fold(self.folder / OUT_OF_FOLD, held_out.proteins, probabilities, fold=self.fold)
            fold_files.delete_state(self.folder)
        self.accelerator.wait_for_everyone()

    # ---------------------------------------------------------------- resuming

    def resume(self) -> bool:
        """Load the fold's saved state, and return whether there is one.

        Raises:
            CheckpointError: the state is damaged or belongs to another model.
            ConfigError: the saved run had another number of proteins in a step.
        """
        saved = fold_files.read_state(self.folder)
        if saved is None:
            return False
        state, weights, optimizer = saved
        if state.proteins_per_step != self.batches.proteins_per_step:
            raise ConfigError(other_steps(self.conf, state.proteins_per_step, processes=self.accelerator.num_processes))
        self.state = state
        self._unsettled = (self.folder / UNSETTLED).is_file()
        if not self.accelerator.is_main_process:
            self.state.sums = {}  # the main process has the sums of all processes
        sharding.reshard(self.bare)
        path = self.folder / FOLD_STATE
        fold_files.restore_weights(self.bare, weights, source=path)
        try:
            sharding.restore_state(self.optimizer, optimizer)
        except (ValueError, LookupError) as error:
            raise CheckpointError(f"{path}: the saved optimiser belongs to another model") from error
        return True

    def _save_state(self) -> None:
        sums = reduce(added, gather_object([self.state.sums]))  # over all processes
        state = FoldState(**{**vars(self.state), "sums": sums})
        optimizer = sharding.whole_state(self.optimizer)
        with sharding.whole(self.bare):
            if self.accelerator.is_main_process:
                weights = fold_files.trainable_weights(self.bare)
                fold_files.save_state(self.folder, state, weights=weights, optimizer=optimizer)
        self.accelerator.wait_for_everyone()

    def _save_within_epoch(self, *, last: bool) -> None:
        every = self.conf.training.save_steps
        self._leave_if_asked()
        if every and self.state.step % every == 0 and not last:
            self._save_state()

    def _leave_if_asked(self) -> None:
        """Save and stop if a signal came; all processes must call this at the same time."""
        if self._stop.asked():
            if not self.finished:  # after the last epoch the state is saved, and the model has the best epoch's weights
                self._save_state()
            raise Interrupted(self._resume_command, number=self._stop.number)

    @property
    def _resume_command(self) -> str:
        return shlex.join(["bindtune", "train", "--resume", str(self.run)])
