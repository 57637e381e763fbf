"""The folder of a pretraining run: whether a run can start or resume in it, and its first files."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

from bindtune.config import PretrainConfig, dump, read_yaml
from bindtune.errors import ConfigError
from bindtune.models.base_files import base_files
from bindtune.outputs import output_folder
from bindtune.runs.kinds import refuse_other_job
from bindtune.runs.names import CONFIG, LOCK, LOGS, PROVENANCE
from bindtune.runs.provenance import FOLDER, provenance, read_inputs, refuse_other_inputs
from bindtune.runs.writing import is_temporary, write_text
from bindtune.training.pretraining import checkpoints

log = logging.getLogger(__name__)

# Settings that may change when a run is resumed: they do not change the weights.
MAY_CHANGE_ON_RESUME = {
    "output_dir", "preprocessing_num_workers", "per_device_eval_batch_size", "save_total_limit", "logging_steps",
    "report_to", "dataloader_num_workers", "dataloader_pin_memory", "resume_from_checkpoint",
}  # fmt: skip

# Settings that name files, and the first words of these files' names in provenance.json.
_HASHED = {"train_file": "train_file", "validation_file": "validation_file", "model_name_or_path": "base "}


def find_checkpoint(config: PretrainConfig) -> Path | None:
    """The checkpoint to resume from, or None.

    Raises:
        ConfigError: the run folder holds something else, or a run with other settings.
    """
    run = config.output_dir
    output_folder(run)
    refuse_other_job(run, "pretraining", "pretrain")
    checkpoint = checkpoints.to_resume(run, config.resume_from_checkpoint)
    if checkpoint is None and _has_only_begun(run):
        return None
    occupied = run.is_dir() and any(path.name != LOCK for path in run.iterdir())
    if config.resume_from_checkpoint is None and occupied:
        raise ConfigError(f"{run} is not empty; choose another output_dir, or go on with --resume_from_checkpoint auto")
    if occupied and not (run / CONFIG).is_file() and checkpoint is None:
        raise ConfigError(f"{run} is not empty and holds no run to resume")
    for settings in {run / CONFIG, (checkpoint or run / "none").parent / CONFIG}:
        if settings.is_file():
            _refuse_changes(config, read_yaml(settings), settings)
            if checkpoint is not None:
                _refuse_other_windows(config, settings.parent / PROVENANCE)
    return checkpoint


def _refuse_other_windows(config: PretrainConfig, signed: Path) -> None:
    """Refuse changed training files before the slow tokenising."""
    noted = read_inputs(signed)
    origin = provenance(_named_inputs(config), ())
    refuse_other_inputs(signed, origin, names=noted.keys() & _HASHED.keys())


def _named_inputs(config: PretrainConfig) -> dict[str, Path]:
    """The training files by the setting that names them."""
    files = {"train_file": config.train_file, "validation_file": config.validation_file}
    return {name: path for name, path in files.items() if path is not None}


def _has_only_begun(run: Path) -> bool:
    """Whether a folder holds only files from before the first checkpoint, so that a run may start anew."""
    names = {path.name for path in run.iterdir()} if run.is_dir() else set()
    names = {name for name in names if name != LOCK and not is_temporary(name)}
    signed = {CONFIG, PROVENANCE} <= names or names <= {PROVENANCE}
    return signed and all(name in (CONFIG, PROVENANCE, LOGS) or name.startswith(".") for name in names)


def find_origin(config: PretrainConfig, checkpoint: Path | None, *, processes: int) -> dict[str, Any]:
    """The provenance of a run.

    Raises:
        ConfigError: the checkpoint to resume from had other inputs, or another number of processes.
        InputError: a file cannot be read, or provenance.json is damaged.
    """
    origin = check_inputs(config, checkpoint)
    origin |= {"processes": processes, FOLDER: str(config.output_dir.absolute())}
    for run in {config.output_dir, checkpoint.parent} if checkpoint is not None else ():
        if (run / PROVENANCE).is_file():
            _refuse_other_processes(run / PROVENANCE, processes)
    return origin


def check_inputs(config: PretrainConfig, checkpoint: Path | None) -> dict[str, Any]:
    """The provenance of the inputs.

    Raises:
        ConfigError: the checkpoint to resume from had other inputs.
        InputError: a file cannot be read, or provenance.json is damaged.
    """
    origin = provenance(
        {**_named_inputs(config), **base_files(config.model_name_or_path)},
        ("torch", "transformers", "tokenizers", "datasets", "numpy"),
    )
    for run in {config.output_dir, checkpoint.parent} if checkpoint is not None else ():
        if (run / PROVENANCE).is_file():
            refuse_other_inputs(run / PROVENANCE, origin)
    return origin


def _refuse_other_processes(signed: Path, now: int) -> None:
    """Refuse another number of processes: windows would be read twice and the learning rate would jump."""
    before = json.loads(signed.read_text(encoding="utf-8")).get("processes", now)
    if before != now:
        raise ConfigError(
            f"{signed}: a resumed run keeps its number of processes, of all nodes together: "
            f"it was {before} and is now {now}"
        )


def sign(config: PretrainConfig, origin: dict[str, Any]) -> None:
    """Tidy the run folder, and write the settings and the provenance."""
    if _has_only_begun(config.output_dir):  # curves of a run whose weights are gone
        shutil.rmtree(config.output_dir / LOGS, ignore_errors=True)
    for broken in checkpoints.remove_incomplete(config.output_dir):
        log.warning("removed %s, which a kill left unfinished", broken)
    write_text(config.output_dir / PROVENANCE, json.dumps(origin, indent=2) + "\n")
    write_text(config.output_dir / CONFIG, dump(config))


def _refuse_changes(config: PretrainConfig, earlier: dict[str, Any], settings: Path) -> None:
    now, noted = config.model_dump(mode="json"), read_inputs(settings.parent / PROVENANCE)
    # Hashes decide about files that were noted, and not how they are called.
    hashed = {name for name, what in _HASHED.items() if any(key.startswith(what) for key in noted)}
    apart = MAY_CHANGE_ON_RESUME | hashed
    changed = [name for name in now if name not in apart and name in earlier and now[name] != earlier[name]]
    if changed:
        changes = ", ".join(f"{name} was {earlier[name]!r} and is now {now[name]!r}" for name in changed)
        raise ConfigError(f"{settings}: a resumed run keeps its settings: {changes}")
