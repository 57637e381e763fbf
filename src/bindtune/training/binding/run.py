"""`bindtune train`: a cross-validated run, from labelled files to a run folder, fold by fold."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import yaml
from accelerate import Accelerator
from transformers.utils.logging import disable_progress_bar

from bindtune.config import BindingConfig, dump
from bindtune.errors import BindtuneError, CheckError, ConfigError
from bindtune.models.adapters import count_parameters
from bindtune.models.base_files import base_files
from bindtune.runs import LOCK, only_writer, provenance, write_text
from bindtune.training.binding import files
from bindtune.training.binding.audit import audit
from bindtune.training.binding.board import Board
from bindtune.training.binding.inputs import ALIGNMENTS, RunInputs, divide, read_run
from bindtune.training.binding.merge import merge_folds
from bindtune.training.binding.model import build_model, positive_weights
from bindtune.training.binding.processes import is_about_peers, make_accelerator
from bindtune.training.binding.trainer import E1BindingTrainer

log = logging.getLogger(__name__)

CONFIG, PROVENANCE, AUDIT, FOLDS, LOG = "config.yaml", "provenance.json", "audit.json", "folds.csv", "training.log"
_PACKAGES = ("torch", "transformers", "peft", "accelerate", "numpy", "scikit-learn")
# Settings that may change when a run is resumed: they have no part in the weights.
_FREE = {("training", name) for name in ("output_dir", "num_workers", "save_steps")} | {("data", "cache_dir")}


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
    accelerator = make_accelerator(config)
    try:
        return _cross_validate(config, run, accelerator, fold=fold, resumed=resume is not None)
    except RuntimeError as error:
        if accelerator.num_processes > 1 and is_about_peers(error):
            raise BindtuneError(
                f"lost contact with another process of this run, which has ended: see its messages; go on with "
                f"bindtune train --resume {run}"
            ) from error
        raise


def _cross_validate(
    config: BindingConfig, run: Path, accelerator: Accelerator, *, fold: int | None, resumed: bool
) -> str:
    _check_folder(config, run, fold=fold, resumed=resumed)
    accelerator.wait_for_everyone()  # every process has looked before the first one writes
    with accelerator.main_process_first():
        inputs = read_run(config, run)
    sentences = _sign(config, run, inputs) if accelerator.is_main_process else []
    accelerator.wait_for_everyone()
    with _logging_to(run / LOG if accelerator.is_main_process else None):
        _tell(config, inputs, sentences)
        wanted = _wanted(config, fold)
        for number in wanted:
            _train_fold(config, run, inputs, number, accelerator=accelerator, resumed=resumed)
        found = ""
        if accelerator.is_main_process:
            missing = [number for number in _wanted(config, None) if not _is_done(run, number)]
            if missing:
                left = ", ".join(map(str, missing))
                found = f"fold {fold} is done: {files.fold_folder(run, wanted[0])}; not done yet: {left}"
            else:
                found = merge_folds(run)
        accelerator.wait_for_everyone()
        return found


def _wanted(config: BindingConfig, fold: int | None) -> list[int]:
    """The folds to train. Without ions there is nothing to cross-validate: the first is held out, and that is all."""
    if fold is not None:
        if not 1 <= fold <= config.training.num_folds:
            raise ConfigError(f"there is no fold {fold}, expected 1 to {config.training.num_folds}")
        return [fold]
    return list(range(1, config.training.num_folds + 1)) if config.training.ions else [1]


def _is_done(run: Path, fold: int) -> bool:
    return (files.fold_folder(run, fold) / files.OOF).is_file()


def _train_fold(
    config: BindingConfig, run: Path, inputs: RunInputs, fold: int, *, accelerator: Accelerator, resumed: bool
) -> None:
    folder = files.fold_folder(run, fold)
    if _is_done(run, fold):
        log.info("fold %d is done", fold)
        return
    with only_writer(folder) if accelerator.is_main_process else nullcontext():
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
        if resumed and trainer.resume():
            log.info("fold %d: resumed after epoch %d, step %d", fold, trainer.state.epoch, trainer.state.step)
        main = accelerator.is_main_process
        with (
            Board(run, fold, ions=config.training.ions, history=trainer.state.history)
            if main
            else nullcontext() as board
        ):
            trainer.fit(on_epoch=board.add if board is not None else _nothing)
    accelerator.free_memory()


def _nothing(rows: list[files.Row]) -> None:
    pass


def _check_folder(config: BindingConfig, run: Path, *, fold: int | None, resumed: bool) -> None:
    """Refuse a folder that holds something else, or a run of other settings."""
    if run.exists() and not run.is_dir():
        raise ConfigError(f"{run} is a file, not a run folder")
    # Another fold of the run may be reading alignments, before it writes anything else.
    occupied = run.is_dir() and any(path.name not in (LOCK, ALIGNMENTS) for path in run.iterdir())
    if not occupied:
        if resumed:
            raise ConfigError(f"{run} holds no run to resume")
        return
    settings = run / CONFIG
    if not settings.is_file():
        raise ConfigError(f"{run} is not empty and holds no run: choose another training.output_dir")
    _refuse_changes(config, yaml.safe_load(settings.read_text(encoding="utf-8")), settings)
    begun = files.fold_folder(run, fold) if fold is not None else run
    if not resumed and (fold is None or (begun.is_dir() and any(path.name != LOCK for path in begun.iterdir()))):
        raise ConfigError(f"{begun} is not empty: go on with --resume {run}, or choose another training.output_dir")


def _refuse_changes(config: BindingConfig, earlier: dict[str, Any], settings: Path) -> None:
    now = config.model_dump(mode="json")
    changed = [
        f"{section}.{name} was {before.get(name)!r} and is now {value!r}"
        for section, values in now.items()
        if section != "ignored_keys"
        for name, value, before in _pairs(values, earlier.get(section))
        if (section, name) not in _FREE and before.get(name, value) != value
    ]
    if changed:
        raise ConfigError(f"{settings}: a run keeps its settings: {'; '.join(changed)}")


def _pairs(values: Any, earlier: Any) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    if not isinstance(values, dict) or not isinstance(earlier, dict):
        yield "(whole section)", values, {"(whole section)": earlier}
        return
    for name, value in values.items():
        yield name, value, earlier


def _sign(config: BindingConfig, run: Path, inputs: RunInputs) -> list[str]:
    """Leave the settings, the folds, the audit, and where everything came from; returns what the audit says."""
    origin = provenance({**inputs.files, **base_files(config.model.checkpoint)}, _PACKAGES)
    signed = run / PROVENANCE
    if signed.is_file():
        before = {
            name: each["sha256"] for name, each in json.loads(signed.read_text(encoding="utf-8"))["inputs"].items()
        }
        now = {name: each["sha256"] for name, each in origin["inputs"].items()}
        changed = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
        if changed:
            raise ConfigError(f"{run}: the input files are not those that the run began with: {', '.join(changed)}")
    else:
        write_text(signed, json.dumps(origin, indent=2) + "\n")
    inputs.write_folds(run / FOLDS)
    found = audit(config, inputs)
    write_text(run / AUDIT, json.dumps(found, indent=2) + "\n")
    notice = resources("bindtune.models").joinpath("PROFLUENT_E1_NOTICE.txt").read_text(encoding="utf-8")
    write_text(run / "NOTICE", notice)
    write_text(run / CONFIG, dump(config))
    if found["leaks"] and config.data.leaks == "fail":
        raise CheckError(f"{found['sentences'][0]}; see {run / AUDIT}; data.leaks=allow trains nevertheless")
    return list(found["sentences"])


def _tell(config: BindingConfig, inputs: RunInputs, sentences: list[str]) -> None:
    for key in config.ignored_keys:
        log.warning("setting without effect: %s", key)
    proteins = inputs.proteins
    known, positives = proteins.known().sum(axis=0).tolist(), proteins.positives().sum(axis=0).tolist()
    for ion, count, sites in zip(proteins.ions, known, positives, strict=True):
        log.info("%s: %d proteins, %d binding residues", ion, count, sites)
    log.info(
        "%d proteins in %d groups, %d folds", len(proteins), len(set(inputs.group.tolist())), config.training.num_folds
    )
    if inputs.alignments is not None:
        log.info("%d proteins have no alignment and are read alone", len(inputs.alone))
    for sentence in sentences:
        log.info("%s", sentence)


def _tell_fold(config: BindingConfig, fold: int, positives: list[int], weights: list[float]) -> None:
    for ion, count, weight in zip(config.training.ions, positives, weights, strict=True):
        if not count:
            log.warning(
                "fold %d: %s has no binding residue to learn from; its head learns that nothing binds", fold, ion
            )
        elif config.training.pos_weight_mode != "none":
            log.info("fold %d: %s: weight of binding residues %.3g", fold, ion, weight)
    if config.training.loss_type == "focal" and config.training.focal_alpha < 0.5:
        log.warning(
            "training.focal_alpha %.2f weights binding residues down, which are the rare ones",
            config.training.focal_alpha,
        )


@contextmanager
def _logging_to(path: Path | None) -> Iterator[None]:
    """Append what is logged to a file too; None keeps a process quiet, where another one tells."""
    package = logging.getLogger("bindtune")
    before = package.level
    handler: logging.Handler = logging.NullHandler()
    if path is not None:
        handler = logging.FileHandler(path, encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    package.setLevel(logging.ERROR if path is None else logging.INFO)
    package.addHandler(handler)
    try:
        yield
    finally:
        package.setLevel(before)
        package.removeHandler(handler)
        handler.close()
