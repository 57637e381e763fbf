"""Where the encoder of a binding run lies: adapters and heads are only right on the weights that they were trained on.

A run notes the absolute path of its encoder, the folder of the run at that time, and the hashes of the encoder's files.
So the encoder is found again where it was, where it moved together with the run, and beside the run. Hashes decide.
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
"""What provenance.json calls the hash of the weights that does not depend on their files."""
ENCODER_SETTINGS = "encoder_settings"
"""What provenance.json calls the settings that decide what the weights compute."""
_WEIGHTS = "weights"
_DOCUMENTS = (MODEL_CONFIG, TOKENIZER)


def lasting_name(checkpoint: str) -> str:
    """The absolute path of an encoder in a folder, which means the same everywhere; a hub name as it is.

    Examples:
        >>> lasting_name("Profluent-Bio/E1-150m")
        'Profluent-Bio/E1-150m'
    """
    return str(Path(checkpoint).absolute()) if Path(checkpoint).is_dir() else checkpoint


def find_encoder(run: Path, name: str, *, base_model: str | None = None) -> str:
    """The encoder of a run: its folder or hub name, with the weights that the run began with.

    Args:
        run: the run folder, which may have been moved or copied.
        name: what the run calls its encoder: a hub name or a folder.
        base_model: the user's word for it; then nothing is looked for.

    Returns:
        A name to load the encoder by.

    Raises:
        CheckpointError: it is nowhere, or has other weights than the run began with; says where it was looked for.
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
    """Where the encoder may lie, the likeliest places first."""
    path, hashes = Path(name), read_inputs(run / PROVENANCE).get(_BASE + MODEL_CONFIG, {}).get("path")
    originals = [path, *([] if hashes is None else [Path(hashes).parent])]
    for original in originals:
        if original.is_absolute():
            yield from places(run, original)
    if not path.is_absolute():
        yield path.absolute()
        # A run of an older version: the path is relative to a folder that was not noted, and often held the run.
        yield from (Path(os.path.normpath(folder / path)) for folder in (run.absolute(), *run.absolute().parents[:3]))
        yield run.absolute().parent / path.name


def _is_model(folder: Path) -> bool:
    return (folder / MODEL_CONFIG).is_file()


def _was_folder(run: Path, name: str) -> bool:
    """Whether the encoder was a folder, and no model of the hub, as far as can be told."""
    path = read_inputs(run / PROVENANCE).get(_BASE + MODEL_CONFIG, {}).get("path")
    if path is not None:
        return f"models--{name.replace('/', '--')}" not in Path(path).parts
    return Path(name).is_absolute() or name.startswith((".", "~")) or name.count("/") != 1


def _changed(model: str, hashes: dict[str, str]) -> list[str]:
    """What of a model is not as it was noted: documents by their files, weights however their files are laid out."""
    files = {key.removeprefix(_BASE): path for key, path in base_files(model).items()}
    weights = weight_files(model)
    changed = [name for name, path in files.items() if name in hashes and sha256(path) != hashes[name]]
    if weights and all(name in hashes and name not in changed for name in weights):
        return changed
    digest = hashes.get(_WEIGHTS)
    if digest is None:  # an older run: files of the same name are all that can be compared
        if weights and not weights.keys() & hashes.keys():
            log.warning("%s: its weights are not compared: the run noted %s", model, _noted_weights(hashes))
        return changed
    documents = [name for name in changed if name in _DOCUMENTS]
    return documents if weight_digest(model) == digest else [*documents, *sorted(weights or ["weights"])]


def _noted_weights(hashes: dict[str, str]) -> str:
    names = sorted(name for name in hashes if name.endswith((".safetensors", ".bin")))
    return f"the hash of {', '.join(names[:3])} alone" if names else "no hash of any"


def _refuse_other_weights(run: Path, model: str, hashes: dict[str, str]) -> None:
    """Refuse other weights, and a config.json or a tokenizer with which equal weights compute something else.

    Copies of released models have a config.json of other bytes that means the same.
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
            f"{model}: has the weights of the base model of {run}, and computes something else with them: "
            f"{', '.join(differing[:3])}; expected the config.json and the tokenizer that the run began with"
        )


def _noted_settings(run: Path) -> dict[str, Any]:
    """What decides the encoder's computation, as the run noted it or as its encoder has it where that is unchanged."""
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
    """Whether two names are of one encoder: of one folder, or of equal weights that compute the same."""
    if first == second or Path(first).resolve() == Path(second).resolve():
        return True
    files = [weight_files(name) for name in (first, second)]
    digests = [{name: sha256(path) for name, path in each.items()} for each in files]
    if not digests[0] or digests[0] != digests[1]:
        return False
    return not differing_settings(encoder_settings(first), encoder_settings(second))


def weight_digest(checkpoint: str) -> str:
    """A hash of an encoder's weights as they are loaded, in the order of its layers.

    Files differ in what they call a weight, in tied weights that they hold once or twice, and in tables that can be
    computed. So the hash is of the loaded model; a model of the hub is downloaded.

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
