"""Figures of a validation for each ion, and their means."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bindtune.data.protein.proteins import Proteins
from bindtune.evaluation.metrics import residue_metrics
from bindtune.evaluation.thresholds import Method, choose_threshold
from bindtune.io.labels import UNKNOWN
from bindtune.models.residue import BindingLoss
from bindtune.training.binding.fold_files import Row

Logits = Mapping[str, NDArray[np.float32]]
MEAN = "mean"
_FIGURES = ("auroc", "auprc", "base_rate", "hra", "hra_raw", "f1", "mcc", "precision", "recall", "threshold")


def probabilities_of(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """The probability of each logit."""
    return torch.from_numpy(logits).double().sigmoid().float().numpy()


def validation_rows(
    proteins: Proteins, logits: Logits, *, loss: BindingLoss, pos_weight: list[float], method: Method
) -> list[Row]:
    """One row for each ion and one row of means, without fold, epoch and split.

    The threshold is chosen on the same residues, so F1, MCC, precision and recall are too high.

    Args:
        proteins: proteins with labels.
        logits: (L, K) by protein.
        loss: the loss of training; labels are not smoothed here.
        pos_weight: (K,) weights of binding residues.
        method: the method that chooses the threshold.
    """
    rows = []
    for column, ion in enumerate(proteins.ions):
        labels, scores = _labelled_scores(proteins, logits, column)
        row: Row = {"ion": ion, "residues": len(labels)}
        if len(labels):
            row["loss_bce"] = _loss(labels, scores, loss, pos_weight[column])
            probabilities = probabilities_of(scores)
            threshold = choose_threshold(labels, probabilities, method)
            # Without a threshold no residue is called, and the figures of calls are undefined.
            metrics = residue_metrics(labels, probabilities, threshold=2.0 if math.isnan(threshold) else threshold)
            row |= {name: float(value) for name, value in metrics._asdict().items() if name in _FIGURES}
            row["threshold"] = threshold
            row |= {name: math.nan for name in ("f1", "mcc", "precision", "recall") if math.isnan(threshold)}
            row |= {name: value for name, value in metrics._asdict().items() if name not in _FIGURES}
        rows.append(row)
    return [*rows, mean_row(rows)]


def training_rows(losses: Mapping[str, float], ions: Iterable[str]) -> list[Row]:
    """An epoch's mean training losses, as rows like those of the validation."""
    by_ion = [{"split": "train", "ion": ion, "loss_bce": losses[f"loss_bce_{ion}"]} for ion in ions]
    mean = {name: losses[name] for name in ("loss", "loss_bce", "loss_mlm")}
    return [*by_ion, {"split": "train", "ion": MEAN, **mean}]


def progress(losses: Mapping[str, float], mean: Row) -> str:
    """The main figures of an epoch as one line."""
    figures = {"loss": losses["loss"], "validation": mean["loss"], "mean AUPRC": mean["auprc"], "mean HRA": mean["hra"]}
    return ", ".join(f"{name} {value:.4f}" for name, value in figures.items() if not math.isnan(value))


def mean_row(rows: list[Row]) -> Row:
    """Means of each figure over the ions that have it; the loss is the mean over all known labels, as in training."""
    mean: Row = {"ion": MEAN}
    for name in _FIGURES:
        values = [row[name] for row in rows if name in row and not math.isnan(row[name])]
        mean[name] = float(np.mean(values)) if values else math.nan
    residues = [row["residues"] for row in rows if "loss_bce" in row]
    losses = [row["loss_bce"] for row in rows if "loss_bce" in row]
    mean["loss_bce"] = float(np.average(losses, weights=residues)) if residues else math.nan
    return mean


def _labelled_scores(proteins: Proteins, logits: Logits, column: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    labels, scores = [np.empty(0, np.int8)], [np.empty(0, np.float32)]
    for name, all_labels in zip(proteins.names, proteins.labels, strict=True):
        labelled = all_labels[:, column] != UNKNOWN
        labels.append(all_labels[labelled, column])
        scores.append(logits[name][labelled, column])
    return np.concatenate(labels), np.concatenate(scores)


def _loss(labels: NDArray[np.int8], scores: NDArray[np.float32], loss: BindingLoss, pos_weight: float) -> float:
    values: list[Any] = [torch.from_numpy(array).unsqueeze(-1) for array in (scores.astype(np.float64), labels)]
    weight = torch.tensor([pos_weight], dtype=torch.float64)
    summed = loss.sums(*values, pos_weight=weight, training=False)
    return float(summed.sum() / len(labels))
