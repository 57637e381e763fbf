"""Settings of a run that was moved, or is gone on with from another folder: its files are found again.

A setting is left as it is where it names the file that the run began with. Hashes decide.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bindtune.config import BindingConfig, PretrainConfig
from bindtune.data.protein.clusters import METHODS
from bindtune.data.protein.input_files import label_files
from bindtune.errors import InputError
from bindtune.models.run_encoder import find_encoder
from bindtune.runs.names import CONFIG, PROVENANCE
from bindtune.runs.provenance import places, read_inputs, sha256

_LABELS = "labels of "
_Noted = Mapping[str, Mapping[str, str]]


def run_of(config: Path | None) -> Path | None:
    """The run whose own settings a file holds; None where it is another file."""
    is_own = config is not None and config.name == CONFIG and (config.parent / PROVENANCE).is_file()
    return config.parent if config is not None and is_own else None


def find_binding_files(config: BindingConfig, run: Path) -> BindingConfig:
    """The settings of a binding run with the places where it, its encoder and its data lie now.

    Raises:
        CheckpointError: the encoder is nowhere.
        InputError: provenance.json is damaged.
    """
    noted, data = read_inputs(run / PROVENANCE), config.data
    changed: dict[str, Any] = {}
    if any(name.startswith(_LABELS) for name in noted) and not _has_labels(config, noted):
        changed["fasta_path"] = {
            name.removeprefix(_LABELS): str(_find_file(run, Path(each["path"]), each))
            for name, each in noted.items()
            if name.startswith(_LABELS)
        }
    for name, what in (("unlabelled_fasta", "unlabelled proteins"), ("folds", "folds"), ("clusters", "clusters")):
        path = getattr(data, name)
        if what in noted and path is not None and path not in METHODS:
            changed[name] = type(path)(_find_file(run, Path(path), noted[what]))
    if "alignments" in noted and data.msa_dir is not None and not Path(data.msa_dir).exists():
        folders = places(run, Path(noted["alignments"]["path"]))
        changed["msa_dir"] = next((str(folder) for folder in folders if folder.is_dir()), data.msa_dir)
    encoder = _find_encoder(run, config.model.checkpoint)
    model = config.model.model_copy(update={"checkpoint": encoder})
    here = {} if config.training.output_dir.is_dir() else {"output_dir": run}
    training = config.training.model_copy(update=here)
    return config.model_copy(update={"data": data.model_copy(update=changed), "model": model, "training": training})


def find_pretraining_files(config: PretrainConfig, run: Path) -> PretrainConfig:
    """The settings of a pretraining run with the places where it, its model and its windows lie now.

    Raises:
        CheckpointError: the model is nowhere.
        InputError: provenance.json is damaged.
    """
    noted = read_inputs(run / PROVENANCE)
    changed: dict[str, Any] = {
        name: _find_file(run, path, noted[name])
        for name in ("train_file", "validation_file")
        if (path := getattr(config, name)) is not None and name in noted
    }
    if not config.output_dir.is_dir():
        changed["output_dir"] = run
    changed["model_name_or_path"] = _find_encoder(run, config.model_name_or_path)
    return config.model_copy(update=changed)


def _has_labels(config: BindingConfig, noted: _Noted) -> bool:
    """Whether the settings name the labelled files that the run began with."""
    try:
        files = label_files(config.label_paths, ions=config.training.ions, groups=config.data.ion_groups)
        return all(sha256(path) == noted.get(_LABELS + ion, {}).get("sha256") for ion, path in files.items())
    except InputError:
        return False


def _find_file(run: Path, path: Path, noted: Mapping[str, str]) -> Path:
    """The file with the noted content; the path as it is where there is none."""
    files = [path, *places(run, Path(noted["path"]))]
    return next((file for file in files if file.is_file() and sha256(file) == noted["sha256"]), path)


def _find_encoder(run: Path, name: str) -> str:
    folder = find_encoder(run, name)
    return name if Path(folder).resolve() == Path(name).resolve() else folder
