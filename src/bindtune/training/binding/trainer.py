"""E1BindingTrainer: one fold, trained and validated, in one process or several."""

import logging
import math
import shlex
import sys
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
from tqdm import tqdm

from bindtune.config import BindingConfig, build
from bindtune.data.protein.protein_rows import ResidueRows
from bindtune.errors import BindtuneError, CheckpointError, ConfigError, Interrupted
from bindtune.evaluation import epoch_selection
from bindtune.evaluation.thresholds import Method
from bindtune.memory_errors import naming_settings
from bindtune.models.backbones import BatchPreparer, preparer_for
from bindtune.models.binding_checkpoint import restore_best, save_best
from bindtune.models.residue import E1ForResidueClassification
from bindtune.models.run_encoder import lasting_name
from bindtune.reports.card_binding import write_fold_card
from bindtune.runs.names import FOLD_STATE, HISTORY, OUT_OF_FOLD, UNSETTLED, fold_folder
from bindtune.training import sharding
from bindtune.training.binding import fold_files, scoring
from bindtune.training.binding.batches import FoldBatches
from bindtune.training.binding.fold_files import FoldState, Row
from bindtune.training.binding.inputs import FoldProteins, read_fold
from bindtune.training.binding.losses import (
    LossSums,
    added,
    batch_loss,
    epoch_losses,
    is_finite,
    joint,
    step_totals,
)
from bindtune.training.binding.prediction import INPUTS, Predictor
from bindtune.training.binding.processes import StopSignal, less_memory, make_accelerator, other_steps
from bindtune.training.binding.randomness import seeded
from bindtune.training.binding.schedule import is_stale, learning_rate

log = logging.getLogger(__name__)


class E1BindingTrainer:
    """Train a residue model on all folds but one, and validate it on that one.

    Losses are means over an optimiser step's known labels and masked residues, whatever batch or process these are in:
    any number of processes with the same number of proteins per step learns the same. Contexts, masks, dropout and
    order are functions of (seed, epoch, protein or step), so that a resumed run is the straight run.

    Args:
        model: heads on an encoder, as `training.binding.model.build_model` makes it.
        conf: the settings, or a mapping of them.
        device: cpu or a GPU; chosen by the launcher's environment where it is None.
        is_distributed: whether several processes were launched; told by the launcher's environment anyway.
        world_size: how many.
        rank: which one this is.
        fold: the held-out fold, from 1.
        proteins: what to learn from and what is held out; read from the settings where it is None.
        run: the run folder; the settings' where it is None.
        accelerator: shared by the folds of a process.

    Raises:
        ValueError: the processes are not those that were launched.
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
        found = (self.accelerator.num_processes, self.accelerator.process_index)
        if is_distributed and found != (world_size, rank):
            raise ValueError(f"world_size and rank are {world_size} and {rank}, the launcher made it {found}")
        self.fold = fold
        self.run = run or self.conf.training.output_dir
        self.folder = fold_folder(self.run, fold)
        self.proteins = proteins or read_fold(self.conf, fold)
        preparer = preparer or preparer_for(model._original_model, self.conf.model.checkpoint)
        sharded = sharding.is_sharded(self.accelerator)
        self.batches = FoldBatches(
            self.conf, self.proteins, preparer, fold=fold, processes=found[0], rank=found[1], level=sharded
        )
        self.bare = model
        self.predictor = Predictor(model, self.batches, self.accelerator, pause=self._leave_if_asked)
        self.state = FoldState(proteins_per_step=self.batches.proteins_per_step)
        self._unsettled = False
        self._stop = StopSignal(self.accelerator)
        training = self.conf.training
        sharding.divide(self.accelerator, model)
        learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
        on_gpu = self.accelerator.device.type == "cuda"
        optimizer = torch.optim.AdamW(
            learned, lr=training.learning_rate, weight_decay=training.weight_decay, fused=on_gpu or None
        )
        self.model: Any
        groups = sharding.parameter_groups(optimizer)
        self.model, self.optimizer = self.accelerator.prepare(model, optimizer)
        if sharded:
            sharding.put_back(self.optimizer, groups)

    def create_dataloaders(self) -> tuple[DataLoader[Any], DataLoader[Any]]:
        """The next training epoch's batches of this process, and those of the validation."""
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
        with self._progress(f"fold {self.fold} epoch {epoch}", total=len(steps)) as bar:
            bar.update(self.state.step)
            for number in range(self.state.step, len(steps)):
                own = [next(batches) for _ in self.batches.own(steps[number])]
                self._step(own, number=number, epoch=epoch, counted=self.batches.counted(steps[number]))
                self.state.step = number + 1
                bar.update(1)
                self._save_within_epoch(last=number + 1 == len(steps))
        return epoch_losses(self.state.sums, self.bare, self.accelerator)

    def _step(self, batches: list[dict[str, Any]], *, number: int, epoch: int, counted: int) -> None:
        """Learn from the first `counted` of this process's batches; the others let it take part."""
        totals = step_totals(batches[:counted], self.accelerator)
        rank = self.accelerator.process_index
        for place, batch in enumerate(batches):
            last = place + 1 == len(batches)
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                with seeded(self.conf.training.seed, "dropout", self.fold, epoch, number, rank, place):
                    output = self._forward(batch)
                loss, sums = batch_loss(output, batch, totals, mlm_weight=self.bare.mlm_weight)
                if place < counted:
                    self._note(sums)
                    self.accelerator.backward(loss * self.accelerator.num_processes)  # which average their gradients
                else:
                    self.accelerator.backward(loss * 0)
        clip = self.conf.training.max_grad_norm
        if clip:
            self.accelerator.clip_grad_norm_(self.model.parameters(), clip)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate((epoch - 1) * self.batches.steps_per_epoch + number)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def learning_rate(self, step: int) -> float:
        """Of a step, counted from the fold's beginning."""
        training = self.conf.training
        return learning_rate(
            step,
            warmup=round(training.warmup_epochs * self.batches.steps_per_epoch),
            total=training.epochs * self.batches.steps_per_epoch,
            highest=training.learning_rate,
            lowest=min(training.min_lr, training.learning_rate),
        )

    def _forward(self, batch: dict[str, Any]) -> Any:
        device = self.accelerator.device
        tensors = {name: batch[name].to(device, non_blocking=True) for name in ("labels", *INPUTS) if name in batch}
        return self.model(**tensors)

    def _note(self, sums: LossSums) -> None:
        if not is_finite(sums):
            place = f"fold {self.fold}, epoch {self.state.epoch + 1}, step {self.state.step + 1}"
            raise BindtuneError(f"{place}: the loss is not a number: learn at a lower training.learning_rate")
        self.state.sums = added(self.state.sums, sums)

    # ---------------------------------------------------------------- validation

    def validate_epoch(self) -> list[Row]:
        """Figures of the validation proteins: a row for each ion and one for their mean; the same in all processes.

        Nothing is masked; the masked-LM loss comes from a pass of its own, under masks that never change. After
        `train_epoch` this ends the epoch.
        """
        found = self._figures(self.batches.validation)
        if self.state.step == self.batches.steps_per_epoch:
            self._end_epoch(found)
        return found

    def _end_epoch(self, validation: list[Row]) -> None:
        losses = epoch_losses(self.state.sums, self.bare, self.accelerator)
        rows = scoring.training_rows(losses, self.bare.ion_types)
        rows += [{**row, "split": "validation"} for row in validation]
        self.state.epoch, self.state.step, self.state.sums = self.state.epoch + 1, 0, {}
        self.state.history += [{"fold": self.fold, "epoch": self.state.epoch, **row} for row in rows]

    def _figures(self, rows: ResidueRows) -> list[Row]:
        logits = self.predict_logits(rows)
        masked = (
            self.predictor.masked_lm_loss(rows, label=f"fold {self.fold} masked LM")
            if self.bare.mlm_weight
            else math.nan
        )
        found: list[Any] = [None]
        if self.accelerator.is_main_process:
            how: Method = self.conf.training.threshold_method
            weights: list[float] = self.bare.pos_weight.tolist()  # type: ignore[operator]
            ions = scoring.validation_rows(rows.proteins, logits, loss=self.bare.loss, pos_weight=weights, method=how)
            for row in ions:
                row["loss_mlm"] = masked if row["ion"] == scoring.MEAN else math.nan
                row["loss"] = joint(row.get("loss_bce", math.nan), row["loss_mlm"], mlm_weight=self.bare.mlm_weight)
            found = [ions]
        broadcast_object_list(found)
        agreed: list[Row] = found[0]
        return agreed

    def predict_logits(self, rows: ResidueRows) -> dict[str, NDArray[np.float32]]:
        """Logits (L, K) of every protein, from all processes and for all of them; every residue exactly once."""
        return self.predictor.logits(rows, label=f"fold {self.fold} validation")

    # ---------------------------------------------------------------- the fold

    def fit(self, *, on_epoch: Callable[[list[Row]], None] = lambda rows: None) -> list[Row]:
        """Train until the last epoch or until validation has stopped rising, then predict the held-out proteins.

        Args:
            on_epoch: is given the rows of each epoch, in the main process.

        Returns:
            The fold's rows of metrics.csv.

        Raises:
            Interrupted: SIGTERM came; the state to resume from is saved.
            OutOfMemoryError: memory ran out.
            BindtuneError: the loss is not a number any more.
        """
        with self._stop.listening(), naming_settings(lambda: less_memory(self.conf)):
            while not self.finished:
                rows = self._epoch()
                if self.accelerator.is_main_process:
                    on_epoch(rows)
            if self.accelerator.is_main_process:
                self._tell_later()
            self._predict_held_out()
            if self._stop.asked():
                raise Interrupted(self._way_on)
        return self.state.history

    @property
    def finished(self) -> bool:
        """Whether no epoch is left to train."""
        training = self.conf.training
        stale = is_stale(
            self.state.epoch,
            best_epoch=self.state.best_epoch,
            warmup=training.warmup_epochs,
            patience=training.patience,
        )
        return self.state.epoch >= training.epochs or (self.state.epoch > 0 and stale)

    def _epoch(self) -> list[Row]:
        told = len(self.state.history)
        losses, validation = self.train_epoch(), self.validate_epoch()
        training = self.conf.training
        score = epoch_selection.score_of(validation[-1], training.selection_metric)
        better = epoch_selection.is_better(score, self.state.best_score, min_delta=training.min_delta)
        # Best weights that may have been written by a process that was killed before it saved its state are written
        # again.
        better = better or not self.state.best_epoch or self._unsettled
        self._unsettled = False
        if better:
            if self.accelerator.is_main_process:
                fold_files.unsettle(self.folder)
            self.save_checkpoint()
        self._save_state()
        if self.accelerator.is_main_process:
            self._tell(scoring.progress(losses, validation[-1]), better=better)
        return self.state.history[told:]

    def _tell(self, figures: str, *, better: bool) -> None:
        log.info("fold %d epoch %d: %s%s", self.fold, self.state.epoch, figures, ", the best so far" if better else "")
        if self.predictor.without_context and self.state.epoch == 1:
            log.warning(
                "fold %d: %d validation rows are read alone: msa_sampling allows no homolog of their alignment",
                self.fold, self.predictor.without_context,
            )  # fmt: skip

    def _tell_later(self) -> None:
        """Say where a later epoch than the kept one has a clearly better AUPRC."""
        means = [row for row in self.state.history if (row["split"], row["ion"]) == ("validation", scoring.MEAN)]
        metric = self.conf.training.selection_metric
        later = epoch_selection.clearly_better_later(means, self.state.best_epoch)
        if later is not None:
            log.warning(
                "fold %d: epoch %d has a mean AUPRC of %.4f in validation, the kept epoch %d of %.4f: it was chosen by "
                "%s (training.selection_metric=%s, training.min_delta=%g)", self.fold, later.epoch, later.auprc,
                self.state.best_epoch, later.auprc_kept, epoch_selection.NAMES[metric], metric,
                self.conf.training.min_delta,
            )  # fmt: skip

    def save_checkpoint(self) -> None:
        """Write the present weights as the fold's best: heads, and adapters or, where it is trained, the encoder.

        They count as those of the last epoch that was validated.
        """
        self.state.best_epoch = self.state.epoch
        if mean := self._last_mean():
            self.state.best_score = epoch_selection.score_of(mean, self.conf.training.selection_metric)
        with sharding.whole(self.bare):
            self._write_best()
        self.accelerator.wait_for_everyone()

    def _write_best(self) -> None:
        if self.accelerator.is_main_process:
            figures = {name: self._last_mean().get(name, math.nan) for name in ("auprc", "hra")}
            lora = None if self.conf.lora is None else self.conf.lora.model_dump(mode="json")
            about = {"epoch": self.state.best_epoch, "fold": self.fold, "lora_config": lora, "metrics": figures}
            save_best(self.folder, self.bare, base=lasting_name(self.conf.model.checkpoint), about=about)
            self._write_card()

    def _last_mean(self) -> Row:
        return next((row for row in reversed(self.state.history) if row["ion"] == scoring.MEAN), {})

    def _write_card(self) -> None:
        """Say beside the best weights what they are."""
        write_fold_card(
            self.run,
            fold=self.fold,
            epoch=self.state.best_epoch,
            config=self.conf.model_dump(mode="json"),
            encoder=str(self.bare._original_model.config.model_type),
            rows=self.state.history,
        )

    def _predict_held_out(self) -> None:
        """Take the best epoch's weights, and predict every residue of the fold."""
        sharding.reshard(self.bare)
        restore_best(self.folder, self.bare)
        held_out = self.batches.rows(self.proteins.held_out, self.conf.training.validation_context)
        if self.proteins.inner:
            rows = self._figures(held_out)
            about = {"fold": self.fold, "epoch": self.state.best_epoch, "split": "test"}
            self.state.history += [{**about, **row} for row in rows]
        logits = self.predict_logits(held_out)
        if self.accelerator.is_main_process:
            fold_files.write_metrics(self.folder / HISTORY, self.state.history)
            self._write_card()  # with the figures of a test on the held-out proteins, if there was one
            probabilities = {name: scoring.probabilities_of(values) for name, values in logits.items()}
            fold_files.write_out_of_fold(self.folder / OUT_OF_FOLD, held_out.proteins, probabilities, fold=self.fold)
            fold_files.delete_state(self.folder)
        self.accelerator.wait_for_everyone()

    # ---------------------------------------------------------------- resuming

    def resume(self) -> bool:
        """Go on from the fold's saved state, and say whether there is one.

        Raises:
            CheckpointError: the state is damaged or belongs to another model.
            ConfigError: steps had another number of proteins.
        """
        found = fold_files.read_state(self.folder)
        if found is None:
            return False
        state, weights, optimizer = found
        place = self.folder / FOLD_STATE
        if state.proteins_per_step != self.batches.proteins_per_step:
            raise ConfigError(other_steps(self.conf, state.proteins_per_step, processes=self.accelerator.num_processes))
        self.state = state
        self._unsettled = (self.folder / UNSETTLED).is_file()
        if not self.accelerator.is_main_process:
            self.state.sums = {}  # the main process holds those of all
        sharding.reshard(self.bare)
        fold_files.restore_weights(self.bare, weights, source=place)
        try:
            sharding.restore_state(self.optimizer, optimizer)
        except (ValueError, LookupError) as error:
            raise CheckpointError(f"{place}: the saved optimiser is not that of this model") from error
        return True

    def _save_state(self) -> None:
        sums = reduce(added, gather_object([self.state.sums]))  # those of all processes
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
        """Save and leave where SIGTERM came; all processes must ask at the same time."""
        if self._stop.asked():
            if not self.finished:  # else the last epoch's state is saved, and the best one's weights are in the model
                self._save_state()
            raise Interrupted(self._way_on)

    @property
    def _way_on(self) -> str:
        return shlex.join(["bindtune", "train", "--resume", str(self.run)])

    def _progress(self, label: str, *, total: int) -> Any:
        quiet = not (self.accelerator.is_main_process and sys.stderr.isatty())
        return tqdm(desc=label, total=total, disable=quiet, leave=False)
