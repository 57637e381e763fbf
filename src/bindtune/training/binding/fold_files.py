"""Files of a fold: the state to resume from, the metrics, and predictions of the held-out proteins."""

import csv
import io
import math
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor

from bindtune.data.protein.proteins import Proteins
from bindtune.errors import CheckpointError, InputError
from bindtune.io.labels import UNKNOWN
from bindtune.memory_errors import is_out_of_memory
from bindtune.models.finite import check_finite
from bindtune.models.foreign_files import read_archive
from bindtune.models.load_errors import DAMAGED
from bindtune.models.residue import E1ForResidueClassification
from bindtune.models.sharded import divided
from bindtune.runs.exclusive import in_use
from bindtune.runs.names import BEST_UNFINISHED, FOLD_STATE, OUT_OF_FOLD, PLOTS, UNSETTLED, fold_folder
from bindtune.runs.parquet import read_parquet
from bindtune.runs.writing import atomic_stream, sweep, write_text

COLUMNS = (
    "fold", "epoch", "split", "ion", "loss", "loss_bce", "loss_mlm", "auroc", "auprc", "base_rate", "hra", "hra_raw",
    "f1", "mcc", "precision", "recall", "threshold",
)  # fmt: skip

Row = dict[str, Any]
"""One row of metrics.csv; a missing or nan value is undefined and gives an empty field."""


def is_done(run: Path, fold: int) -> bool:
    """Whether a fold is trained and predicted; its out-of-fold table is written last."""
    return (fold_folder(run, fold) / OUT_OF_FOLD).is_file()


def has_begun(folder: Path) -> bool:
    """Whether a fold's folder holds files of a training, or a process works in it."""
    return in_use(folder) or (folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir()))


@dataclass
class FoldState:
    """The progress of a fold's training.

    Args:
        epoch: completed epochs.
        step: completed steps of the next epoch.
        sums: sums of the next epoch's training losses so far.
        history: rows of metrics.csv.
        best_epoch: the best epoch so far, 0 before the first.
        best_score: score of the best epoch; higher is better.
        proteins_per_step: proteins of an optimiser step, over all processes.
    """

    epoch: int = 0
    step: int = 0
    sums: dict[str, list[float]] = field(default_factory=dict)
    history: list[Row] = field(default_factory=list)
    best_epoch: int = 0
    best_score: float = -math.inf
    proteins_per_step: int = 0

    def is_stale(self, *, warmup: float, patience: int) -> bool:
        """Whether training stops early: the last `patience` epochs were not better than the best, and warm-up is over.

        Examples:
            >>> FoldState(epoch=9, best_epoch=2).is_stale(warmup=3, patience=7)
            True
        """
        return 0 < patience <= self.epoch - self.best_epoch and self.epoch > warmup


def save_state(folder: Path, state: FoldState, *, weights: Mapping[str, Tensor], optimizer: Mapping[str, Any]) -> None:
    """Write the state that a resume needs, completely or not at all."""
    with atomic_stream(folder / FOLD_STATE) as stream:
        torch.save({"state": vars(state), "weights": dict(weights), "optimizer": dict(optimizer)}, stream)
    (folder / UNSETTLED).unlink(missing_ok=True)


def unsettle(folder: Path) -> None:
    """Mark that new best weights are being written; `save_state` removes the mark."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / UNSETTLED, "")


def read_state(folder: Path) -> tuple[FoldState, dict[str, Tensor], dict[str, Any]] | None:
    """The state that `save_state` wrote, or None if there is none.

    Raises:
        CheckpointError: the file is damaged.
    """
    path = folder / FOLD_STATE
    if not path.is_file():
        return None
    try:
        content = read_archive(path)
        return FoldState(**content["state"]), content["weights"], content["optimizer"]
    except DAMAGED as error:
        if is_out_of_memory(error):
            raise
        raise CheckpointError(f"{path}: damaged: delete the fold's folder and train it again") from error


def trainable_weights(model: E1ForResidueClassification) -> dict[str, Tensor]:
    """Trainable parameters by name."""
    return {name: tensor.detach() for name, tensor in model.named_parameters() if tensor.requires_grad}


def restore_weights(model: E1ForResidueClassification, weights: Mapping[str, Tensor], *, source: Path) -> None:
    """Load weights that `trainable_weights` returned.

    Raises:
        CheckpointError: the weights belong to another model, or hold nan or infinity.
    """
    own = trainable_weights(model)
    if own.keys() != weights.keys() or any(own[name].shape != tensor.shape for name, tensor in weights.items()):
        raise CheckpointError(f"{source}: the saved weights belong to another model")
    check_finite(source, weights.items())
    with torch.no_grad():
        for name, tensor in divided(weights, own).items():
            own[name].copy_(tensor)


def delete_state(folder: Path) -> None:
    """Remove the files that a finished fold does not need."""
    (folder / FOLD_STATE).unlink(missing_ok=True)
    delete_strays(folder)


def delete_strays(folder: Path) -> None:
    """Remove half-written files of a killed process from a fold's folder."""
    for stray in folder.glob(f"{BEST_UNFINISHED}*"):
        shutil.rmtree(stray, ignore_errors=True)
    for swept in (folder, folder / PLOTS):
        sweep(swept)


def write_metrics(path: Path, rows: Iterable[Row]) -> None:
    """Write rows of metrics.csv; an undefined value gives an empty field."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_shown(row.get(name)) for name in COLUMNS])
    write_text(path, text.getvalue())


def _shown(value: Any) -> Any:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.8g}" if isinstance(value, float) else value


_SCHEMA = pa.schema(
    [
        ("protein", pa.string()),
        ("position", pa.int32()),
        ("residue", pa.string()),
        ("ion", pa.string()),
        ("label", pa.int8()),
        ("probability", pa.float32()),
        ("fold", pa.int16()),
    ],
    metadata={"position": "1-based", "probability": "out of fold"},
)


def write_out_of_fold(
    path: Path, proteins: Proteins, probabilities: Mapping[str, NDArray[np.float32]], *, fold: int
) -> None:
    """Write one row for each labelled residue and ion.

    Args:
        path: Parquet file.
        proteins: the held-out proteins.
        probabilities: (L, K) by protein.
        fold: number of the fold that held them out.
    """
    with atomic_stream(path) as stream, pq.ParquetWriter(stream, _SCHEMA) as writer:
        for start in range(0, len(proteins), 256):
            indices = range(start, min(start + 256, len(proteins)))
            writer.write_table(_table(proteins, indices, probabilities, fold))


def read_out_of_fold(path: Path) -> pa.Table:
    """Read the table that `write_out_of_fold` wrote.

    Raises:
        InputError: the table is damaged, or of another kind.
    """
    table = read_parquet(path)
    if not table.schema.equals(_SCHEMA):
        raise InputError(path, None, f"expected the columns {_columns(_SCHEMA)}, found {_columns(table.schema)}")
    return table


def _columns(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} ({field.type})" for field in schema)


def _table(
    proteins: Proteins, indices: Sequence[int], probabilities: Mapping[str, NDArray[np.float32]], fold: int
) -> pa.Table:
    names, ions, letters = [], [], []
    parts: dict[str, list[NDArray[Any]]] = {"position": [], "label": [], "probability": []}
    for index in indices:
        name, labels = proteins.names[index], proteins.labels[index]
        for column, ion in enumerate(proteins.ions):
            labelled = np.flatnonzero(labels[:, column] != UNKNOWN)
            names += [name] * len(labelled)
            ions += [ion] * len(labelled)
            letters += [proteins.sequences[index][position] for position in labelled]
            parts["position"].append(labelled + 1)
            parts["label"].append(labels[labelled, column])
            parts["probability"].append(probabilities[name][labelled, column])
    columns = {name: np.concatenate(arrays) for name, arrays in parts.items() if arrays}
    content: dict[str, Any] = {
        "protein": names,
        "residue": letters,
        "ion": ions,
        **columns,
        "fold": [fold] * len(names),
    }
    return pa.table({each.name: pa.array(content.get(each.name, []), each.type) for each in _SCHEMA}, schema=_SCHEMA)
