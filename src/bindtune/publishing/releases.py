"""Facts about released models: revision, hashes, token ids, and some outputs of the official code.

The facts lie beside this file. `tests/golden/make_releases.py` makes them from reference outputs; each release names
its source. They are facts about weights, and no weights.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from bindtune.models.hub_names import TOKENIZER

RECORDS, TENSORS = "releases.json", "releases.safetensors"
"""The one file with a hash that holds no weights."""


@dataclass(frozen=True)
class Release:
    """A released model.

    Args:
        name: on the hub.
        copies: names of repositories that hold the same weights in another form, whose hashes are not known here.
        revision: commit that the hashes are of.
        hashes: SHA-256 by file name.
        architecture: model type, layers, width and size of the vocabulary, which a copy under another name shares.
        sequences: reference inputs.
        input_ids: of each sequence, by the original tokeniser.
        outputs: (N, width) by name: rows of tokens of all sequences, one after another.
        rows: for each output the token that each row is of.
        source: who computed the outputs, and how.
    """

    name: str
    copies: tuple[str, ...]
    revision: str
    hashes: dict[str, str]
    architecture: tuple[str, int, int, int]
    sequences: tuple[str, ...]
    input_ids: tuple[tuple[int, ...], ...]
    outputs: dict[str, Tensor]
    rows: dict[str, tuple[int, ...]]
    source: str

    @property
    def weight_hashes(self) -> dict[str, str]:
        """SHA-256 of the files of weights alone."""
        return {name: digest for name, digest in self.hashes.items() if name != TOKENIZER}

    def is_called(self, name: str) -> bool:
        """Whether a hub name means this release or a copy of it; the hub does not tell capitals apart."""
        return name.casefold() in {each.casefold() for each in (self.name, *self.copies)}


@cache
def packaged_releases() -> tuple[Release, ...]:
    """The releases that this package knows."""
    with as_file(resources("bindtune.publishing")) as folder:
        return read_releases(folder)


def read_releases(folder: Path) -> tuple[Release, ...]:
    """Releases from a folder with `releases.json` and `releases.safetensors`."""
    records: list[dict[str, Any]] = json.loads((folder / RECORDS).read_text(encoding="utf-8"))["releases"]
    tensors = load_file(folder / TENSORS)
    return tuple(_release(record, tensors) for record in records)


def _release(record: dict[str, Any], tensors: dict[str, Tensor]) -> Release:
    outputs = {name: tensors[f"{record['name']}.{name}"] for name in record["rows"]}
    kind, layers, width, vocabulary = record["architecture"]
    return Release(
        name=record["name"],
        copies=tuple(record["copies"]),
        revision=record["revision"],
        hashes=record["hashes"],
        architecture=(str(kind), int(layers), int(width), int(vocabulary)),
        sequences=tuple(record["sequences"]),
        input_ids=tuple(tuple(ids) for ids in record["input_ids"]),
        outputs=outputs,
        rows={name: tuple(rows) for name, rows in record["rows"].items()},
        source=record["source"],
    )
