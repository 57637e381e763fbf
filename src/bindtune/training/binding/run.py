"""`bindtune train`: a cross-validated run, from labelled files to a run folder, fold by fold."""

import logging
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, TextIO

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from transformers.utils.logging import disable_progress_bar

from bindtune.config import BindingConfig
from bindtune.data.protein.alignment_files import unmatched
from bindtune.errors import ConfigError
from bindtune.locks import open_own
from bindtune.models.adapters import count_parameters
from bindtune.models.backbones import find_backbone
from bindtune.printable import PrintableFormatter
from bindtune.runs.exclusive import only_writer, taking_turns
from bindtune.runs.names import TRAINING_LOG, fold_folder
from bindtune.runs.writing import writing
from bindtune.training.binding import fold_files
from bindtune.training.binding.folder import check_folder, confirm, sign
from bindtune.training.binding.inputs import RunInputs, divide, read_run
from bindtune.training.binding.merge import merge_folds
from bindtune.training.binding.model import build_model, positive_weights
from bindtune.training.binding.processes import main_process_first, make_accelerator
from bindtune.training.binding.tensorboard import Board
from bindtune.training.binding.trainer import E1BindingTrainer
from bindtune.training.processes import peers_told

log = logging.getLogger(__name__)


def cross_validate(config: BindingConfig, *, fold: int | None = None, resume: Path | None = None) -> str:
    """Train every fold, or one, and merge them when all are there.

    Args:
        config: the settings.
        fold: train this fold alone; `bindtune merge` joins the folds afterwards.
        resume: the run folder to go on in; it is the settings' output_dir otherwise, and must be new.

    Returns:
        What was reached, as text.

    Raises:
        ConfigError: settings that cannot work, a run folder in use, or other settings than those of the run.
        InputError: a file is missing or malformed.
        CheckError: the audit found proteins that stand on both sides of a fold.
        CheckpointError: the encoder or the state to resume from cannot be loaded.
        Interrupted: SIGTERM came; the state is saved.
    """
    run = resume or config.training.output_dir
    if not sys.stderr.isatty():
        disable_progress_bar()  # type: ignore[no-untyped-call]
    with peers_told(shlex.join(["bindtune", "train", "--resume", str(run)])), writing(run):
        return _cross_validate(config, run, make_accelerator(config), fold=fold, resumed=resume is not None)


def _cross_validate(
    config: BindingConfig, run: Path, accelerator: Accelerator, *, fold: int | None, resumed: bool
) -> str:
    started = time.monotonic()
    check_folder(config, run, fold=fold, resumed=resumed)
    find_backbone(config.model.checkpoint)  # before anything that takes long
    accelerator.wait_for_everyone()  # every process has looked before the first one writes
    prepared = main_process_first(
        accelerator, lambda: _prepare(config, run, fold=fold, resumed=resumed, processes=accelerator.num_processes)
    )
    divided = [None if prepared is None else (prepared[0].fold, prepared[0].group)]
    broadcast_object_list(divided)
    inputs, audited = prepared or (read_run(config, run, divided=divided[0]), {})
    with _logging_to(run / TRAINING_LOG if accelerator.is_main_process else None) as note:
        _tell(config, inputs, audited)
        wanted = _wanted(config, fold)
        for number in wanted:
            _train_fold(config, run, inputs, number, accelerator=accelerator, resumed=resumed)
        found = ""
        if accelerator.is_main_process:
            missing = [number for number in _wanted(config, None) if not fold_files.is_done(run, number)]
            if missing:
                left = ", ".join(map(str, missing))
                found = f"fold {fold} is done: {fold_folder(run, wanted[0])}; not done yet: {left}"
            else:
                found = merge_folds(run)
            note(f"{found}\n{(time.monotonic() - started) / 60:.1f} minutes")
        accelerator.wait_for_everyone()
        return found


def _prepare(
    config: BindingConfig, run: Path, *, fold: int | None, resumed: bool, processes: int
) -> tuple[RunInputs, dict[str, Any]]:
    """Read the inputs, sign the run folder, and return them with what `audit` does."""
    inputs = read_run(config, run)
    with taking_turns(run):
        check_folder(config, run, fold=fold, resumed=resumed)
        return inputs, sign(config, run, inputs, processes=processes)


def _wanted(config: BindingConfig, fold: int | None) -> list[int]:
    """The folds to train. Without ions there is nothing to cross-validate: the first is held out, and that is all."""
    if fold is not None:
        if not 1 <= fold <= config.training.num_folds:
            raise ConfigError(f"there is no fold {fold}, expected 1 to {config.training.num_folds}")
        if fold > 1 and not config.training.ions:
            raise ConfigError("without training.ions there is nothing to cross-validate: fold 1 is all there is")
        return [fold]
    return list(range(1, config.training.num_folds + 1)) if config.training.ions else [1]


def _train_fold(
    config: BindingConfig, run: Path, inputs: RunInputs, fold: int, *, accelerator: Accelerator, resumed: bool
) -> None:
    folder = fold_folder(run, fold)
    if fold_files.is_done(run, fold):
        log.info("fold %d is done", fold)
        return
    with only_writer(folder) if accelerator.is_main_process else nullcontext():
        if accelerator.is_main_process:
            confirm(config, run, inputs)
            fold_files.delete_strays(folder)
        proteins = divide(inputs, config, fold)
        weights = positive_weights(proteins.training, config.training.pos_weight_mode)
        built = build_model(config, pos_weight=weights, fold=fold)
        _tell_fold(config, fold, proteins.training.positives().sum(axis=0).tolist(), weights)
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
        _tell_rows(trainer, inputs)
        if resumed and trainer.resume():
            log.info("fold %d: resumed after epoch %d, step %d", fold, trainer.state.epoch, trainer.state.step)
        if accelerator.is_main_process:
            with Board(run, fold, ions=config.training.ions, history=trainer.state.history) as board:
                trainer.fit(on_epoch=lambda rows: board.add(rows, last=trainer.finished))
        else:
            trainer.fit()
    accelerator.free_memory()


def _tell(config: BindingConfig, inputs: RunInputs, audited: dict[str, Any]) -> None:
    for setting in config.without_effect:
        log.warning("setting without effect: %s", setting)
    proteins = inputs.proteins
    known, positives = proteins.known().sum(axis=0).tolist(), proteins.positives().sum(axis=0).tolist()
    unknown = proteins.unknown().sum(axis=0).tolist()
    for ion, count, sites, residues in zip(proteins.ions, known, positives, unknown, strict=True):
        log.info(
            "%s: %d proteins, %d binding residues%s", ion, count, sites,
            f", {residues} residues unknown (?)" if residues else "",
        )  # fmt: skip
    log.info(
        "%d proteins in %d groups, %d folds", len(proteins), len(set(inputs.group.tolist())), config.training.num_folds
    )
    if proteins.also_unlabelled:
        log.info("%d proteins are labelled and listed as unlabelled: their labels count", proteins.also_unlabelled)
    if inputs.aligned is not None:
        log.info("%s", inputs.aligned)
        if not inputs.aligned.with_alignment:
            log.warning("%s", unmatched(str(config.data.msa_dir), proteins.names))
    for sentence in audited.get("sentences", ()):
        log.log(logging.WARNING if sentence in audited["warnings"] else logging.INFO, "%s", sentence)


def _tell_rows(trainer: E1BindingTrainer, inputs: RunInputs) -> None:
    """Say what of the proteins does not fit into a row, and whether alignments are read at all."""
    learned, validated = trainer.batches.training, trainer.batches.validation
    if learned.cropped() or validated.cropped():
        log.info(
            "fold %d: longer than a row: %d training proteins, of which each epoch learns a random stretch of %d "
            "residues, and %d validation proteins, predicted in overlapping stretches of %d", trainer.fold,
            learned.cropped(), learned.spec.max_residues, validated.cropped(), validated.spec.max_residues,
        )  # fmt: skip
    if inputs.alignments is not None and learned.alignments is None:
        log.warning("fold %d: the encoder reads one protein at a time: data.msa_dir has no effect", trainer.fold)


def _tell_fold(config: BindingConfig, fold: int, positives: list[int], weights: list[float]) -> None:
    for ion, count, weight in zip(config.training.ions, positives, weights, strict=True):
        if not count:
            log.warning(
                "fold %d: %s has no binding residue to learn from; its head learns that nothing binds", fold, ion
            )
        elif config.training.pos_weight_mode != "none" and config.training.loss_type != "focal":
            log.info("fold %d: %s: weight of binding residues %.3g", fold, ion, weight)
    if config.training.loss_type == "focal" and config.training.focal_alpha < 0.5:
        log.warning(
            "training.focal_alpha %.2f weights binding residues down, which are the rare ones",
            config.training.focal_alpha,
        )


class _LogFile(logging.StreamHandler[TextIO]):
    """Appends to a file; says in one line, as every other file of the run, that a disk is full."""

    def __init__(self, path: Path) -> None:
        self._path = path
        descriptor = open_own(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        super().__init__(open(descriptor, "a", encoding="utf-8"))  # noqa: SIM115, PTH123 (closed with the handler)

    def close(self) -> None:
        """Close the file, too."""
        try:
            self.stream.close()
        finally:
            super().close()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (as logging has it)
        """Raise what is being handled, with the name of the file."""
        with writing(self._path):
            raise


@contextmanager
def _logging_to(path: Path | None) -> Iterator[Callable[[str], None]]:
    """Append what is logged to a file too; None keeps a process quiet, where another one tells.

    Yields:
        What notes a text in the file alone.
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
        with suppress(OSError):  # what it could not write was told
            handler.close()
