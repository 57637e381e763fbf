"""The files of a base model, for hashes, and to distinguish hub names from folders."""

import re
import socket
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from huggingface_hub import constants, try_to_load_from_cache
from huggingface_hub.errors import HFValidationError

from bindtune.errors import CheckpointError
from bindtune.models.hub_names import INDICES, MODEL_CONFIG, TOKENIZER, WEIGHTS
from bindtune.yaml_json import read_json

_IN_ORDER = tuple(name for pair in zip(WEIGHTS, INDICES, strict=True) for name in pair)
"""The files of weights in the order of transformers: the first one that exists is read."""
_PART = re.compile(r"[^/\\\0]{1,200}\.(?:safetensors|bin)")
"""A path relative to the folder of its index."""
_NAMES = (MODEL_CONFIG, *WEIGHTS, *INDICES, TOKENIZER)


def base_files(checkpoint: str) -> dict[str, Path]:
    """The files of a folder or of a downloaded hub model, by role: "base config.json" and so on."""
    return {f"base {name}": path for name, path in _files(checkpoint).items()}


def weight_files(checkpoint: str) -> dict[str, Path]:
    """The files of weights that loading reads, by name; none if a hub model was not downloaded.

    Raises:
        CheckpointError: one of several parts is missing.
        InputError: an index is damaged.
    """
    files = _files(checkpoint)
    first = next((name for name in _IN_ORDER if name in files), None)
    if first is None:
        return {}
    parts = sorted(_parts(files[first])) if first in INDICES else [first]
    missing = [part for part in parts if part not in files]
    if missing:
        raise CheckpointError(f"{files[first]}: {len(missing)} of {len(parts)} parts are missing: {missing[0]}")
    return {part: files[part] for part in parts}


def _files(checkpoint: str) -> dict[str, Path]:
    files = {name: path for name in _NAMES if (path := model_file(checkpoint, name)) is not None}
    for index in INDICES:
        if index in files:  # weights in several parts
            parts = sorted(_parts(files[index]))
            files |= {part: path for part in parts if (path := model_file(checkpoint, part)) is not None}
    return files


def check_reachable(checkpoint: str) -> None:
    """Without a network, refuse a hub model that was not downloaded at once; the hub's client would try for half a
    minute.

    Raises:
        CheckpointError: it is no folder, was not downloaded, and the hub's name cannot be looked up.
    """
    if Path(checkpoint).is_dir() or model_file(checkpoint, MODEL_CONFIG) is not None:
        return
    reason = no_network()
    if reason is not None:
        raise CheckpointError(
            f"{checkpoint}: neither a folder nor downloaded, and there is no network to download it: {reason}"
        )


def no_network() -> str | None:
    """Why the hub's name cannot be looked up; None if it can, or if this machine need not do it."""
    host = urlsplit(constants.ENDPOINT).hostname
    if constants.HF_HUB_OFFLINE or getproxies():  # a proxy looks names up itself
        return None
    try:
        socket.getaddrinfo(host, None)
    except socket.gaierror as error:
        return f"{host}: {error.strerror}"
    return None


def _parts(index: Path) -> set[str]:
    """The files of weights that an index lists.

    Raises:
        CheckpointError: it lists none, some outside of its folder, or files of another kind.
    """
    content = read_json(index)
    listed = content.get("weight_map") if isinstance(content, dict) else None
    parts = list(listed.values()) if isinstance(listed, dict) else []
    odd = [part for part in parts if not isinstance(part, str) or not _PART.fullmatch(part)]
    if odd or not parts:
        first = repr(odd[0])[:100] if odd else "none"
        raise CheckpointError(f"{index}: expected the names of files with weights in weight_map, found {first}")
    return set(parts)


def in_hub_cache(checkpoint: str) -> bool:
    """Whether a hub model was downloaded."""
    return _cached(checkpoint, MODEL_CONFIG) is not None


def model_file(checkpoint: str, name: str) -> Path | None:
    """A file of a folder or of a downloaded hub model; None if there is no file of this name."""
    folder = Path(checkpoint)
    if folder.is_dir():
        return folder / name if (folder / name).is_file() else None
    return _cached(checkpoint, name)


def _cached(checkpoint: str, name: str) -> Path | None:
    try:
        cached = try_to_load_from_cache(checkpoint, name)
    except HFValidationError:  # neither a folder nor the name of a model: loading says so
        return None
    return Path(cached) if isinstance(cached, str) else None
