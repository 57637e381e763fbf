"""The parts of a run folder that predictions need: settings, ions, thresholds and calibrations."""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bindtune.config import BindingConfig, EnsembleConfig, InferenceConfig, load_binding
from bindtune.errors import ConfigError
from bindtune.evaluation.calibration import calibrate, fit_calibration
from bindtune.evaluation.guarantees import Guarantee, guaranteed_threshold, read_target
from bindtune.evaluation.thresholds import read_thresholds
from bindtune.runs.kinds import require_run
from bindtune.runs.names import (
    CONFIG,
    OUT_OF_FOLD,
    THRESHOLDS,
)
from bindtune.runs.out_of_fold import read_table

log = logging.getLogger(__name__)

ENSEMBLE_NOTE = (
    "target: it holds for the model of one fold, on proteins that are drawn like those of the run. Predictions are "
    "means over all folds, so check it with labelled proteins: bindtune evaluate --target"
)
"""The limits of a guarantee, for the log."""


@dataclass(frozen=True)
class TrainedRun:
    """The parts of a run folder that predictions need.

    Args:
        folder: its path.
        config: its settings.
        ions: the predicted ions.
        thresholds: by ion, if it has one; for calibrated probabilities.
        calibrations: by ion, if its probabilities are calibrated.
        guarantees: by ion, if there is a target. They then give the thresholds.
    """

    folder: Path
    config: BindingConfig
    ions: tuple[str, ...]
    thresholds: dict[str, float]
    calibrations: dict[str, dict[str, Any]]
    guarantees: dict[str, Guarantee] = field(default_factory=dict)


def read_run(settings: EnsembleConfig, *, command: str) -> TrainedRun:
    """Read a run folder, for a command.

    Raises:
        InputError: a file of it is missing or damaged.
        ConfigError: it is of the other job, or has no such ion, or no ion has a threshold that keeps the target.
    """
    folder = settings.run
    require_run(folder, "binding", command)
    config = load_binding(folder / CONFIG)
    if not config.training.ions:
        raise ConfigError(f"{folder}: the run has no ions, and nothing to predict")
    missing = [ion for ion in settings.ions or [] if ion not in config.training.ions]
    if missing:
        raise ConfigError(f"ions: {folder} has no {', '.join(missing)}; it has {', '.join(config.training.ions)}")
    ions = tuple(settings.ions or config.training.ions)
    guarantees = _guarantees(settings, ions) if isinstance(settings, InferenceConfig) else {}
    if guarantees:
        thresholds = {ion: guarantee.threshold for ion, guarantee in guarantees.items() if guarantee.is_reached}
    else:
        thresholds = _thresholds(folder / THRESHOLDS, ions)
    calibrations = {} if settings.calibration == "none" else _calibrations(settings, ions)
    for ion in calibrations.keys() & thresholds.keys():
        thresholds[ion] = float(calibrate(calibrations[ion], [thresholds[ion]]).astype("float32")[0])
    return TrainedRun(folder, config, ions, thresholds, calibrations, guarantees)


def _guarantees(settings: InferenceConfig, ions: tuple[str, ...]) -> dict[str, Guarantee]:
    """The threshold of each ion for the target; empty without a target."""
    if settings.target is None:
        return {}
    try:
        target = read_target(settings.target, settings.confidence)
    except ValueError as error:
        raise ConfigError(f"target: {error}") from error
    table = read_table(settings.run / OUT_OF_FOLD)
    columns = [table[name].to_numpy() for name in ("ion", "label", "probability", "protein")]
    guarantees = {}
    for ion in ions:
        own = columns[0] == ion
        label, probability, protein = (column[own] for column in columns[1:])
        guarantees[ion] = guaranteed_threshold(label, probability, protein.astype(str), target)
    unreached = {ion: each for ion, each in guarantees.items() if not each.is_reached}
    for ion, guarantee in unreached.items():
        log.warning("%s: %s: nothing is called", ion, guarantee.as_text())
    if len(unreached) == len(guarantees):
        reasons = "; ".join(f"{ion}: {guarantee.as_text()}" for ion, guarantee in unreached.items())
        raise ConfigError(f"target: {settings.run} has no ion with such a threshold: {reasons}")
    return guarantees


def _thresholds(path: Path, ions: tuple[str, ...]) -> dict[str, float]:
    if not path.is_file():
        log.warning("%s: no such file: nothing is called", path)
        return {}
    entries = read_thresholds(path)
    thresholds = {ion: entries.get(ion, {}).get("threshold") for ion in ions}
    for ion in ions:
        if ion not in entries:
            log.warning("%s: no threshold of %s, it has %s: nothing is called", path, ion, ", ".join(entries) or "none")
    return {ion: float(value) for ion, value in thresholds.items() if value is not None}


def _calibrations(settings: EnsembleConfig, ions: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    method: Any = settings.calibration
    table = read_table(settings.run / OUT_OF_FOLD)
    names = table["ion"].to_numpy()
    labels, probabilities = table["label"].to_numpy(), table["probability"].to_numpy()
    fitted = {ion: fit_calibration(labels[names == ion], probabilities[names == ion], method) for ion in ions}
    for ion, calibration in fitted.items():
        if calibration is None:
            log.warning("%s: no residues of both kinds out of fold: its probabilities stay as they are", ion)
    return {ion: calibration for ion, calibration in fitted.items() if calibration is not None}
