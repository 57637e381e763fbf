"""Files of models, which travel between people: what is looked at before a library reads them.

Everything that loads an encoder or a tokenizer comes by here: text in a folder leads to no file elsewhere, and nothing
unpacks to more than its file holds.
"""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bindtune.errors import CheckpointError
from bindtune.models.base_files import base_files, model_file
from bindtune.models.hub_names import (
    ADAPTER_CONFIG,
    ADDED_TOKENS,
    INDICES,
    MODEL_CONFIG,
    SPECIAL_TOKENS,
    TOKENIZER,
    TOKENIZER_CONFIG,
    TOKENIZER_TEXTS,
)
from bindtune.models.load_errors import loading
from bindtune.yaml_json import checked_number, read_names_and_values

_MODEL_DOCUMENTS = (MODEL_CONFIG, *INDICES)
_TOKENIZER_DOCUMENTS = (TOKENIZER, TOKENIZER_CONFIG, SPECIAL_TOKENS, ADDED_TOKENS)
_MOST_LAYERS = 1000
_LARGEST_TEXT = 1 << 26
_BLOBS = "blobs"
"""The hub's cache holds contents there; a model's folder, beside it in `snapshots`, holds links to them."""


def check_model(name: str) -> None:
    """Refuse a model whose files are not read as they stand; a hub model that was not downloaded has none here.

    Args:
        name: hub name or folder.

    Raises:
        CheckpointError: an index or a link leads out of the folder, a file of weights is packed, or adapters lie beside
            the weights.
        InputError: a document is no JSON of names and values.
    """
    _check_documents(name, _MODEL_DOCUMENTS)
    adapters = model_file(name, ADAPTER_CONFIG)
    if adapters is not None:  # transformers would put them on the model, or load another model
        raise CheckpointError(
            f"{adapters}: adapters beside the weights of a model are not read; expected a folder without them"
        )
    for path in base_files(name).values():
        if path.suffix in (".bin", ".safetensors"):
            _check_link(path)
        if path.suffix == ".bin" and zipfile.is_zipfile(path):
            with loading(path, "no weights"):
                _check_stored(path)


def check_tokenizer(name: str) -> None:
    """Refuse a tokenizer whose documents hold something else than names and values, or that is far too large.

    Args:
        name: hub name or folder.

    Raises:
        CheckpointError: a vocabulary is too large.
        InputError: a document is no JSON of names and values, or too large.
    """
    _check_documents(name, _TOKENIZER_DOCUMENTS)
    for path in (model_file(name, text) for text in TOKENIZER_TEXTS):
        if path is not None and path.stat().st_size > _LARGEST_TEXT:
            raise CheckpointError(f"{path}: a vocabulary of more than {_LARGEST_TEXT:,} bytes")


def read_archive(path: Path) -> Any:
    """What `torch.save` wrote; nothing is unpickled but tensors and plain values.

    Raises:
        DAMAGED: there is no such file, it is damaged, or it would take more memory than its size.
    """
    if not path.is_file():
        raise EOFError("there is no such file")
    if not zipfile.is_zipfile(path):
        raise EOFError("not a file of weights, or cut off")
    _check_stored(path)
    content = torch.load(path, map_location="cpu", weights_only=True)
    _check_tensors(content)
    return content


def _check_documents(name: str, documents: Sequence[str]) -> None:
    for path in (model_file(name, document) for document in documents):
        if path is not None:
            layers = read_names_and_values(path).get("num_hidden_layers")
            if layers is not None:  # transformers makes them one after another
                checked_number(path, "num_hidden_layers", layers, low=0, high=_MOST_LAYERS)


def _check_link(path: Path) -> None:
    """Refuse a link to a file elsewhere; links of the hub's cache lead to its own contents."""
    folder, target = path.parent.resolve(), path.resolve()
    own = folder.parent.parent / _BLOBS if folder.parent.name == "snapshots" else folder
    if path.is_symlink() and not (target.is_relative_to(folder) or target.is_relative_to(own)):
        raise CheckpointError(
            f"{path}: a link that leads out of its folder, to {target}: copy the file, or name the folder it lies in"
        )


def _check_stored(path: Path) -> None:
    """Torch stores the parts of a file as they are: packed ones may unpack to any size."""
    with zipfile.ZipFile(path) as parts:
        unpacked = sum(part.file_size for part in parts.infolist())
    if unpacked > path.stat().st_size:
        raise ValueError(f"its parts are packed, and have {unpacked:,} bytes together")


def _check_tensors(content: Any) -> None:
    """Refuse tensors that show one value in many places: a file of some bytes could have any number of them."""
    waiting, seen = [content], set[int]()
    while waiting:
        value = waiting.pop()
        if isinstance(value, Tensor):
            if value.numel() * value.element_size() > value.untyped_storage().nbytes():
                raise ValueError(f"a tensor of {value.numel():,} values is stored as fewer")
        elif isinstance(value, dict | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            waiting.extend(value.values() if isinstance(value, dict) else value)
