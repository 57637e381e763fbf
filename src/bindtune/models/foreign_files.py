"""Check the files of foreign models before a library reads them.

All code that loads an encoder or a tokenizer calls these checks. They refuse files that lead out of the model's folder,
and files that unpack to more than their size.
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
"""Folder of the hub's cache with the contents of files; a model's folder in `snapshots` holds links to them."""


def check_model(name: str) -> None:
    """Refuse a model with links out of its folder, packed weights or adapters; missing files are not checked.

    Args:
        name: hub name or folder.

    Raises:
        CheckpointError: an index or a link leads out of the folder, a file of weights is packed, or adapters lie beside
            the weights.
        InputError: a document is not JSON with names and values.
    """
    _check_documents(name, _MODEL_DOCUMENTS)
    adapters = model_file(name, ADAPTER_CONFIG)
    if adapters is not None:  # transformers would apply them, or load another model
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
    """Refuse a tokenizer whose documents are not names and values, or are far too large.

    Args:
        name: hub name or folder.

    Raises:
        CheckpointError: a vocabulary is too large.
        InputError: a document is not JSON with names and values, or is too large.
    """
    _check_documents(name, _TOKENIZER_DOCUMENTS)
    for path in (model_file(name, text) for text in TOKENIZER_TEXTS):
        if path is not None and path.stat().st_size > _LARGEST_TEXT:
            raise CheckpointError(f"{path}: a vocabulary of more than {_LARGEST_TEXT:,} bytes")


def read_archive(path: Path) -> Any:
    """Read a file of `torch.save`; only tensors and plain values are unpickled.

    Raises:
        DAMAGED: the file is missing or damaged, or it would need more memory than its size.
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
            if layers is not None:  # transformers makes the layers one after another
                checked_number(path, "num_hidden_layers", layers, low=0, high=_MOST_LAYERS)


def _check_link(path: Path) -> None:
    """Refuse a link to a file outside the folder; links of the hub's cache may lead to its own contents."""
    folder, target = path.parent.resolve(), path.resolve()
    own = folder.parent.parent / _BLOBS if folder.parent.name == "snapshots" else folder
    if path.is_symlink() and not (target.is_relative_to(folder) or target.is_relative_to(own)):
        raise CheckpointError(
            f"{path}: a link that leads out of its folder, to {target}: copy the file, or name the folder it lies in"
        )


def _check_stored(path: Path) -> None:
    """Refuse packed parts, which may unpack to any size; torch stores parts unpacked."""
    with zipfile.ZipFile(path) as parts:
        unpacked = sum(part.file_size for part in parts.infolist())
    if unpacked > path.stat().st_size:
        raise ValueError(f"its parts are packed, and have {unpacked:,} bytes together")


def _check_tensors(content: Any) -> None:
    """Refuse tensors with more values than are stored; a small file could have very large ones."""
    unchecked, seen = [content], set[int]()
    while unchecked:
        value = unchecked.pop()
        if isinstance(value, Tensor):
            if value.numel() * value.element_size() > value.untyped_storage().nbytes():
                raise ValueError(f"a tensor of {value.numel():,} values is stored as fewer")
        elif isinstance(value, dict | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            unchecked.extend(value.values() if isinstance(value, dict) else value)
