"""Find the encoder of a binding run. Adapters and heads need the weights that they were trained on.

A run records the absolute path of its encoder, the path of the run folder, and the hashes of the encoder's files. The
encoder may be at its old path, may have moved together with the run, or may lie beside the run. The hashes decide.
"""

import hashlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from bindtune.errors import CheckpointError
from bindtune.models.backbones import load_encoder
from bindtune.models.base_files import base_files, in_hub_cache, weight_files
from bindtune.models.encoder_settings import differing_settings, encoder_settings
from bindtune.models.hub_names import MODEL_CONFIG, TOKENIZER
from bindtune.runs.names import PROVENANCE
from bindtune.runs.provenance import places, read_inputs, sha256
from bindtune.yaml_json import read_json

log = logging.getLogger(__name__)

_BASE = "base "
ENCODER_WEIGHTS = "encoder_weights"
"""Key in provenance.json of the hash of the weights; the hash does not depend on the files' layout."""
ENCODER_SETTINGS = "encoder_settings"
"""Key in provenance.json of the settings that change what the weights compute."""
_WEIGHTS = "weights"
_DOCUMENTS = (MODEL_CONFIG, TOKENIZER)


def lasting_name(checkpoint: str) -> str:
    """The absolute path of an encoder in a folder; a hub name stays as it is.

    Examples:
        >>> lasting_name("Profluent-Bio/E1-150m")
        'Profluent-Bio/E1-150m'
    """
    return str(Path(checkpoint).absolute()) if Path(checkpoint).is_dir() else checkpoint


def find_encoder(run: Path, name: str, *, base_model: str | None = None) -> str:
    """The encoder of a run: its folder or hub name, with the weights that the run began with.

    Args:
        run: the run folder, which may have been moved or copied.
        name: the hub name or folder of the encoder in the run's settings.
        base_model: the encoder that the user names; then no other place is searched.

    Returns:
        The hub name or folder to load.

    Raises:
        CheckpointError: the encoder is not found, or has other weights; the message lists the searched places.
        InputError: provenance.json is damaged.
    """
    hashes = {
        key.removeprefix(_BASE): each["sha256"]
        for key, each in read_inputs(run / PROVENANCE).items()
        if key.startswith(_BASE)
    }
    content = read_json(run / PROVENANCE) if (run / PROVENANCE).is_file() else {}
    if isinstance(digest := content.get(ENCODER_WEIGHTS), str):
        hashes[_WEIGHTS] = digest
    if base_model is not None:
        _refuse_other_weights(run, base_model, hashes)
        return base_model
    if in_hub_cache(name) and not Path(name).is_dir():
        _refuse_other_weights(run, name, hashes)
        return name
    folders = list(dict.fromkeys(_folders(run, name)))
    differing = {}
    for folder in filter(_is_model, folders):
        changed = _changed(str(folder), hashes)
        if not changed:
            return str(folder)
        differing[folder] = changed
    if differing:
        folder, changed = next(iter(differing.items()))
        raise CheckpointError(
            f"{folder}: not the encoder that {run} was trained on: {', '.join(changed)} changed since, by the hashes "
            f"in {run / PROVENANCE}; base_model (--base-model) names another place"
        )
    if not _was_folder(run, name):
        return name
    raise CheckpointError(
        f"the base model of {run}, '{name}', is not here; looked for {', '.join(map(str, folders))}: copy it beside "
        "the run, or name its folder with base_model (--base-model)"
    )


def _folders(run: Path, name: str) -> Iterator[Path]:
    """Possible places of the encoder, the most probable first."""
    path, hashes = Path(name), read_inputs(run / PROVENANCE).get(_BASE + MODEL_CONFIG, {}).get("path")
    originals = [path, *([] if hashes is None else [Path(hashes).parent])]
    for original in originals:
        if original.is_absolute():
            yield from places(run, original)
    if not path.is_absolute():
        yield path.absolute()
        # Runs of older versions have a path relative to an unrecorded folder, which often held the run.
        yield from (Path(os.path.normpath(folder / path)) for folder in (run.absolute(), *run.absolute().parents[:3]))
        yield run.absolute().parent / path.name


def _is_model(folder: Path) -> bool:
    return (folder / MODEL_CONFIG).is_file()


def _was_folder(run: Path, name: str) -> bool:
    """Whether the encoder was probably a folder, and not a model of the hub."""
    path = read_inputs(run / PROVENANCE).get(_BASE + MODEL_CONFIG, {}).get("path")
    if path is not None:
        return f"models--{name.replace('/', '--')}" not in Path(path).parts
    return Path(name).is_absolute() or name.startswith((".", "~")) or name.count("/") != 1


def _changed(model: str, hashes: dict[str, str]) -> list[str]:
    """The changed parts of a model: documents are compared by file, weights independently of their files' layout."""
    files = {key.removeprefix(_BASE): path for key, path in base_files(model).items()}
    weights = weight_files(model)
    changed = [name for name, path in files.items() if name in hashes and sha256(path) != hashes[name]]
    if weights and all(name in hashes and name not in changed for name in weights):
        return changed
    digest = hashes.get(_WEIGHTS)
    if digest is None:  # older runs have hashes of files only
        if weights and not weights.keys() & hashes.keys():
            log.warning("%s: its weights are not compared: the run noted %s", model, _noted_weights(hashes))
        return changed
    documents = [name for name in changed if name in _DOCUMENTS]
    return documents if weight_digest(model) == digest else [*documents, *sorted(weights or ["weights"])]


def _noted_weights(hashes: dict[str, str]) -> str:
    names = sorted(name for name in hashes if name.endswith((".safetensors", ".bin")))
    return f"the hash of {', '.join(names[:3])} alone" if names else "no hash of any"


def _refuse_other_weights(run: Path, model: str, hashes: dict[str, str]) -> None:
    """Refuse other weights, and a config.json or tokenizer that changes what the weights compute.

    Copies of released models may have a config.json with other bytes and the same meaning.
    """
    changed = _changed(model, hashes)
    if set(changed) - {MODEL_CONFIG}:
        raise CheckpointError(
            f"{model}: not the base model of {run}: the hash of {', '.join(changed[:3])} is not the one in "
            f"{run / PROVENANCE}"
        )
    settings = _noted_settings(run)
    if not settings:
        if changed:
            log.warning("%s: its config.json is not the one that %s began with; its weights are", model, run)
        return
    differing = differing_settings(settings, encoder_settings(model))
    if differing:
        raise CheckpointError(
            f"{model}: has the weights of the base model of {run}, but other settings: "
            f"{', '.join(differing[:3])}; expected the config.json and the tokenizer that the run began with"
        )


def _noted_settings(run: Path) -> dict[str, Any]:
    """The settings that change what the encoder computes, from the run or from its unchanged encoder."""
    content = read_json(run / PROVENANCE) if (run / PROVENANCE).is_file() else {}
    settings = content.get(ENCODER_SETTINGS)
    if isinstance(settings, dict):
        return settings
    config = read_inputs(run / PROVENANCE).get(_BASE + MODEL_CONFIG, {})  # a run of an older version
    path = Path(config.get("path", ""))
    if path.is_file() and sha256(path) == config["sha256"]:
        return encoder_settings(str(path.parent))
    return {}


def same_encoder(first: str, second: str) -> bool:
    """Whether two names mean the same encoder: the same folder, or equal weights and settings."""
    if first == second or Path(first).resolve() == Path(second).resolve():
        return True
    files = [weight_files(name) for name in (first, second)]
    digests = [{name: sha256(path) for name, path in each.items()} for each in files]
    if not digests[0] or digests[0] != digests[1]:
        return False
    return not differing_settings(encoder_settings(first), encoder_settings(second))


def weight_digest(checkpoint: str) -> str:
    """A hash of an encoder's loaded weights, in the order of its layers.

    Files of equal weights may differ: in names, in tied weights that are stored once or twice, and in tables that can
    be computed. So the loaded model is hashed. A model of the hub is downloaded.

    Args:
        checkpoint: hub name or folder.

    Raises:
        CheckpointError: the encoder cannot be loaded.
    """
    digest = hashlib.sha256()
    for parameter in load_encoder(checkpoint, finite=False).parameters():
        digest.update(f"{tuple(parameter.shape)}".encode())
        digest.update(memoryview(parameter.detach().contiguous().reshape(-1).view(torch.uint8).numpy()))
    return digest.hexdigest()
