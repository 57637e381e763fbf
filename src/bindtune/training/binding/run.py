"""`bindtune train`: train and cross-validate, fold by fold, from label files to a run folder."""

import logging
import os
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, TextIO

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from bindtune.config import BindingConfig
from bindtune.errors import ConfigError
from bindtune.locks import open_own
from bindtune.models.adapters import count_parameters
from bindtune.models.backbones import find_backbone
from bindtune.printable import PrintableFormatter
from bindtune.runs.exclusive import only_writer, taking_turns
from bindtune.runs.names import TRAINING_LOG, fold_folder
from bindtune.runs.writing import writing
from bindtune.training.binding import fold_files
from bindtune.training.binding.inputs import RunInputs, divide, read_run
from bindtune.training.binding.log_messages import log_inputs, log_rows, log_site_weights
from bindtune.training.binding.merge import merge_folds
from bindtune.training.binding.model import build_model, positive_weights
from bindtune.training.binding.processes import main_process_first, make_accelerator
from bindtune.training.binding.run_folder import check_folder, confirm, sign
from bindtune.training.binding.tensorboard import Board
from bindtune.training.binding.trainer import E1BindingTrainer
from bindtune.training.processes import naming_lost_processes

log = logging.getLogger(__name__)


def cross_validate(config: BindingConfig, *, fold: int | None = None, resume: Path | None = None) -> str:
    """Train every fold, or one, and merge the folds when all are trained.

    Args:
        config: the settings.
        fold: train only this fold; `bindtune merge` joins the folds afterwards.
        resume: the run folder to resume; None begins a run in training.output_dir, which must be new.

    Returns:
        The results, as text.

    Raises:
        ConfigError: settings that cannot work, a run folder in use, or other settings than those of the run.
        InputError: a file is missing or malformed.
        CheckError: the audit saw similar proteins in different folds.
        CheckpointError: the encoder or the state to resume from cannot be loaded.
        Interrupted: SIGTERM or SIGHUP came; the state is saved.
    """
    run = resume or config.training.output_dir
    with naming_lost_processes(shlex.join(["bindtune", "train", "--resume", str(run)])), writing(run):
        return _cross_validate(config, run, make_accelerator(config), fold=fold, resumed=resume is not None)


def _cross_validate(
    config: BindingConfig, run: Path, accelerator: Accelerator, *, fold: int | None, resumed: bool
) -> str:
    started = time.monotonic()
    check_folder(config, run, fold=fold, resumed=resumed)
    find_backbone(config.model.checkpoint)  # an unknown encoder fails before the slow part
    accelerator.wait_for_everyone()  # every process checks the folder before the first one writes
    prepared = main_process_first(
        accelerator, lambda: _prepare(config, run, fold=fold, resumed=resumed, processes=accelerator.num_processes)
    )
    divided = [None if prepared is None else (prepared[0].fold, prepared[0].group)]
    broadcast_object_list(divided)
    inputs, audited = prepared or (read_run(config, run, divided=divided[0]), {})
    with _logging_to(run / TRAINING_LOG if accelerator.is_main_process else None) as note:
        log_inputs(config, inputs, audited)
        for number in _folds_to_train(config, fold):
            _train_fold(config, run, inputs, number, accelerator=accelerator, resumed=resumed)
        result = ""
        if accelerator.is_main_process:
            result = _merge(config, run, fold)
            note(f"{result}\n{(time.monotonic() - started) / 60:.1f} minutes")
        accelerator.wait_for_everyone()
        return result


def _merge(config: BindingConfig, run: Path, fold: int | None) -> str:
    """If all folds are done, merge them and return the results; otherwise say which folds are missing."""
    missing = [number for number in _folds_to_train(config, None) if not fold_files.is_done(run, number)]
    if fold is None or not missing:
        return merge_folds(run)
    return f"fold {fold} is done: {fold_folder(run, fold)}; not done yet: {', '.join(map(str, missing))}"


def _prepare(
    config: BindingConfig, run: Path, *, fold: int | None, resumed: bool, processes: int
) -> tuple[RunInputs, dict[str, Any]]:
    """Read the inputs and sign the run folder; return the inputs and the audit."""
    inputs = read_run(config, run)
    with taking_turns(run):
        check_folder(config, run, fold=fold, resumed=resumed)
        return inputs, sign(config, run, inputs, processes=processes)


def _folds_to_train(config: BindingConfig, fold: int | None) -> list[int]:
    """The folds to train: one or all. A run without ions has nothing to cross-validate and only fold 1."""
    if fold is not None:
        if not 1 <= fold <= config.training.num_folds:
            raise ConfigError(f"there is no fold {fold}, expected 1 to {config.training.num_folds}")
        if fold > 1 and not config.training.ions:
            raise ConfigError("without training.ions there is only fold 1")
        return [fold]
    return list(range(1, config.training.num_folds + 1)) if config.training.ions else [1]


def _train_fold(
    config: BindingConfig, run: Path, inputs: RunInputs, fold: int, *, accelerator: Accelerator, resumed: bool
) -> None:
    folder = fold_folder(run, fold)
    if fold_files.is_done(run, fold):
        log.info("fold %d is done", fold)
        if accelerator.is_main_process:
            fold_files.delete_state(folder)  # a killed run may not have deleted it
        return
    with only_writer(folder) if accelerator.is_main_process else nullcontext():
        if accelerator.is_main_process:
            confirm(config, run, inputs)
            fold_files.delete_strays(folder)
        proteins = divide(inputs, config, fold)
        weights = positive_weights(proteins.training, config.training.pos_weight_mode)
        built = build_model(config, pos_weight=weights, fold=fold)
        log_site_weights(config, fold, proteins.training.positives().sum(axis=0).tolist(), weights)
        log.info("fold %d: %s", fold, count_parameters(built.model))
        trainer = E1BindingTrainer(
            built.model,
            config,
            fold=fold,
            proteins=proteins,
            preparer=built.preparer,
            run=run,
            accelerator=accelerator,
        )
        batches = trainer.batches
        log_rows(fold, batches.training, batches.validation, has_alignments=inputs.alignments is not None)
        if resumed and trainer.resume():
            log.info("fold %d: resumed after epoch %d, step %d", fold, trainer.state.epoch, trainer.state.step)
        if accelerator.is_main_process:
            with Board(run, fold, ions=config.training.ions, history=trainer.state.history) as board:
                trainer.fit(on_epoch=lambda rows: board.add(rows, last=trainer.finished))
        else:
            trainer.fit()
    accelerator.free_memory()


class _LogFile(logging.StreamHandler[TextIO]):
    """Append to a file, and report a full disk in one line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        descriptor = open_own(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        super().__init__(open(descriptor, "a", encoding="utf-8"))  # noqa: SIM115, PTH123 (closed with the handler)

    def close(self) -> None:
        """Close the handler and the file."""
        try:
            self.stream.close()
        finally:
            super().close()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (as logging has it)
        """Raise the error that logging caught, with the name of the file."""
        with writing(self._path):
            raise


@contextmanager
def _logging_to(path: Path | None) -> Iterator[Callable[[str], None]]:
    """Append log messages to a file. None logs errors only: another process logs the rest.

    Yields:
        A function that writes a text into the file and not to the terminal.
    """
    package = logging.getLogger("bindtune")
    before = package.level
    handler: logging.Handler = logging.NullHandler()
    if path is not None:
        handler = _LogFile(path)
        handler.setFormatter(PrintableFormatter("%(asctime)s %(message)s"))
    package.setLevel(logging.ERROR if path is None else logging.INFO)
    package.addHandler(handler)
    try:
        yield lambda text: handler.emit(logging.makeLogRecord({"msg": text, "levelno": logging.INFO}))
    finally:
        package.setLevel(before)
        package.removeHandler(handler)
        with suppress(OSError):  # the user has read this error already
            handler.close()
