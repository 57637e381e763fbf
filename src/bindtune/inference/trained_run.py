"""A run folder as predictions need it: settings, ions, thresholds and calibrations."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bindtune.config import BindingConfig, EnsembleConfig, load_binding
from bindtune.errors import ConfigError
from bindtune.evaluation.calibration import calibrate, fit_calibration
from bindtune.evaluation.thresholds import read_thresholds
from bindtune.runs.kinds import require_run
from bindtune.runs.names import (
    CONFIG,
    OUT_OF_FOLD,
    THRESHOLDS,
)
from bindtune.runs.out_of_fold import read_table

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedRun:
    """What predictions need of a run folder.

    Args:
        folder: where it is.
        config: its settings.
        ions: those that are predicted.
        thresholds: by ion, for those that have one; of the probabilities as they are given out.
        calibrations: by ion, for those whose probabilities are calibrated.
    """

    folder: Path
    config: BindingConfig
    ions: tuple[str, ...]
    thresholds: dict[str, float]
    calibrations: dict[str, dict[str, Any]]


def read_run(settings: EnsembleConfig, *, command: str) -> TrainedRun:
    """Read a run folder, for a command.

    Raises:
        InputError: a file of it is missing or damaged.
        ConfigError: it is of the other job, or has no such ion.
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
    thresholds = _thresholds(folder / THRESHOLDS, ions)
    calibrations = {} if settings.calibration == "none" else _calibrations(settings, ions)
    for ion in calibrations.keys() & thresholds.keys():
        thresholds[ion] = float(calibrate(calibrations[ion], [thresholds[ion]]).astype("float32")[0])
    return TrainedRun(folder, config, ions, thresholds, calibrations)


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
