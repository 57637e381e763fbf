"""The run folder: check whether a run may start or resume in it, and write its settings, inputs and audit."""

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bindtune.config import BindingConfig, dump, read_yaml
from bindtune.data.protein.clusters import METHODS
from bindtune.errors import CheckError, ConfigError
from bindtune.locks import refuse_link
from bindtune.models.backbones import E1, find_backbone, load_encoder
from bindtune.models.base_files import base_files, weight_files
from bindtune.models.encoder_settings import encoder_settings
from bindtune.models.run_encoder import ENCODER_SETTINGS, ENCODER_WEIGHTS, weight_digest
from bindtune.outputs import output_folder
from bindtune.runs.exclusive import taking_turns
from bindtune.runs.kinds import refuse_other_job
from bindtune.runs.names import (
    ALIGNMENT_CACHE,
    AUDIT,
    CONFIG,
    FOLDS,
    LOGS,
    NOTICE,
    PROVENANCE,
    TRAINING_LOG,
    fold_folder,
    fold_folders,
)
from bindtune.runs.provenance import FOLDER, provenance, read_inputs, refuse_other_inputs
from bindtune.runs.reading import read_csv
from bindtune.runs.writing import write_text
from bindtune.training.binding import fold_files
from bindtune.training.binding.audit import audit
from bindtune.training.binding.inputs import RunInputs
from bindtune.training.binding.processes import other_steps
from bindtune.yaml_json import read_json

# Files of a run folder before its first fold begins, and after a fold that failed at once.
_BEFORE = {CONFIG, PROVENANCE, AUDIT, FOLDS, TRAINING_LOG, NOTICE, ALIGNMENT_CACHE, LOGS}
_PACKAGES = ("torch", "transformers", "peft", "accelerate", "numpy", "scikit-learn")
# Settings that may change when a run is resumed, because they do not change the trained weights. batch_size and
# accum_steps may change only if their product with the number of processes stays the same.
MAY_CHANGE_ON_RESUME = {("data", "cache_dir"), ("data", "test_fasta")} | {
    ("training", name)
    for name in (
        "output_dir", "num_workers", "save_steps", "batch_size", "accum_steps", "max_batch_tokens",
        "gradient_checkpointing",
    )
}  # fmt: skip
# Settings that name files, and the first words of these files' keys in the provenance.
_HASHED = {
    ("data", "fasta_path"): "labels of ", ("data", "unlabelled_fasta"): "unlabelled proteins",
    ("data", "clusters"): "clusters", ("data", "folds"): "folds", ("data", "msa_dir"): "alignments",
    ("model", "checkpoint"): "base ",
}  # fmt: skip


def check_folder(config: BindingConfig, run: Path, *, fold: int | None, resumed: bool) -> None:
    """Refuse a folder that holds other files, or a run with other settings.

    A run that stopped before its first fold began (at the audit, for example) may be started again with other settings.
    """
    output_folder(run)
    refuse_link(run / TRAINING_LOG)
    refuse_other_job(run, "binding", "train")
    settings = run / CONFIG
    if _has_begun(run):
        if not settings.is_file():
            raise ConfigError(f"{run} is not empty and holds no run: choose another training.output_dir")
        _refuse_changes(config, read_yaml(settings), settings)
        begun = fold_folder(run, fold) if fold is not None else run
        if not resumed and (fold is None or fold_files.has_begun(begun)):
            resume = f"--resume {shlex.quote(str(run))}"
            raise ConfigError(f"{begun} is not empty: go on with {resume}, or choose another training.output_dir")
    elif resumed and not settings.is_file():
        raise ConfigError(f"{run} holds no run to resume")


def confirm(config: BindingConfig, run: Path, inputs: RunInputs) -> None:
    """After a fold is locked, check that no other run has signed the folder since.

    Raises:
        ConfigError: a run with other settings or other folds has signed it.
        InputError: folds.csv is damaged.
    """
    with taking_turns(run):
        _refuse_changes(config, read_yaml(run / CONFIG), run / CONFIG)
        _refuse_other_folds(config, run / FOLDS, inputs)


def _has_begun(run: Path) -> bool:
    """Whether a folder holds more than the files that are written before the first fold begins."""
    if not run.is_dir():
        return False
    folds = fold_folders(run)
    return any(
        fold_files.has_begun(path) if path in folds else not path.name.startswith(".") and path.name not in _BEFORE
        for path in run.iterdir()
    )


def _refuse_changes(config: BindingConfig, earlier: dict[str, Any], settings: Path) -> None:
    now, noted = config.model_dump(mode="json"), read_inputs(settings.parent / PROVENANCE)
    changed = [
        f"{section}.{name} was {before.get(name)!r} and is now {value!r}"
        for section, values in now.items()
        if section != "ignored_keys"
        for name, value, before in _pairs(values, earlier.get(section))
        if (section, name) not in MAY_CHANGE_ON_RESUME and before.get(name, value) != value
        if not _is_hashed(section, name, noted, (before.get(name), value))
    ]
    if changed:
        raise ConfigError(f"{settings}: a run keeps its settings: {'; '.join(changed)}")


def _is_hashed(section: str, name: str, noted: Mapping[str, object], values: tuple[Any, Any]) -> bool:
    """Whether the run has hashes of the files that a setting names; then the names may change."""
    prefix = _HASHED.get((section, name))
    is_method = name == "clusters" and not set(METHODS).isdisjoint(values)
    return prefix is not None and not is_method and any(key.startswith(prefix) for key in noted)


def _pairs(values: Any, earlier: Any) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    if not isinstance(values, dict) or not isinstance(earlier, dict):
        yield "(whole section)", values, {"(whole section)": earlier}
        return
    for name, value in values.items():
        yield name, value, earlier


def sign(config: BindingConfig, run: Path, inputs: RunInputs, *, processes: int) -> dict[str, Any]:
    """Write provenance, folds, audit and settings into the run folder, and return the result of `audit`.

    The settings are written last. If they are there, all other files are there too.
    """
    origin = {**_origin(config, inputs), FOLDER: str(run.absolute())}
    training = config.training
    origin["proteins_per_step"] = training.batch_size * training.accum_steps * processes
    signed = run / PROVENANCE
    begun = _has_begun(run)
    if signed.is_file() and begun:
        _refuse_other_origin(config, run, origin, processes=processes)
    else:
        origin[ENCODER_WEIGHTS] = weight_digest(config.model.checkpoint)
        origin[ENCODER_SETTINGS] = encoder_settings(config.model.checkpoint)
        write_text(signed, json.dumps(origin, indent=2) + "\n")
    if (run / FOLDS).is_file() and begun:
        _refuse_other_folds(config, run / FOLDS, inputs)
    else:
        inputs.write_folds(run / FOLDS)
    audited = audit(config, inputs)
    write_text(run / AUDIT, json.dumps(audited, indent=2) + "\n")
    if audited["leaks"] and config.data.leaks == "fail":
        raise CheckError(f"{audited['sentences'][0]}; see {run / AUDIT}; data.leaks=allow trains nevertheless")
    write_text(run / NOTICE, E1.licence.notice)
    write_text(run / CONFIG, dump(config))
    return audited


def _origin(config: BindingConfig, inputs: RunInputs) -> dict[str, Any]:
    """The provenance: hashes of the input files, and versions of the packages."""
    if not weight_files(config.model.checkpoint):
        load_encoder(config.model.checkpoint)  # download a model of the hub, so that its files can be hashed
    origin = provenance({**inputs.files, **base_files(config.model.checkpoint)}, _PACKAGES)
    if inputs.alignments is not None:
        path = Path(str(config.data.msa_dir)).absolute()
        origin["inputs"]["alignments"] = {"path": str(path), "sha256": inputs.alignments.digest()}
    if inputs.aligned is not None and find_backbone(config.model.checkpoint).reads_homologs:
        origin["alignments"] = asdict(inputs.aligned)
    return origin


def check_inputs(config: BindingConfig, run: Path, inputs: RunInputs) -> None:
    """Refuse to resume with other input files or other folds.

    Raises:
        ConfigError: files or folds changed. If no fold has begun, the run may start again with them.
        InputError: a file of the run is damaged.
    """
    if not _has_begun(run):
        return
    if (run / PROVENANCE).is_file():
        refuse_other_inputs(run / PROVENANCE, _origin(config, inputs))
    if (run / FOLDS).is_file():
        _refuse_other_folds(config, run / FOLDS, inputs)


def _refuse_other_origin(config: BindingConfig, run: Path, origin: dict[str, Any], *, processes: int) -> None:
    """Refuse other input files, and steps with another number of proteins."""
    refuse_other_inputs(run / PROVENANCE, origin)
    before = read_json(run / PROVENANCE).get("proteins_per_step")
    if before != origin["proteins_per_step"]:
        raise ConfigError(other_steps(config, before, processes=processes))


def _refuse_other_folds(config: BindingConfig, path: Path, inputs: RunInputs) -> None:
    """Refuse other folds than those of the run; another version of MMseqs2 may give other groups for the same files.

    With an inner validation the groups must be the same too, because they are divided once more.
    """
    before = {row["protein"]: row for row in read_csv(path, ("protein", "fold", "group")) or ()}
    columns = ("fold", "group") if config.training.inner_validation_fraction else ("fold",)
    now = {"fold": inputs.fold.tolist(), "group": inputs.group.tolist()}
    for index, name in enumerate(inputs.proteins.names):
        for column in columns:
            earlier = before[name][column] if name in before else "none"
            present = str(now[column][index])
            if earlier != present:
                raise ConfigError(
                    f"{path}: the {column} of {name!r} was {earlier} and is now {present}: a run keeps its folds; "
                    "go on with the versions of MMseqs2 and bindtune that it began with, or begin anew in another "
                    f"training.output_dir with {shlex.quote(f'data.folds={path}')}"
                )
