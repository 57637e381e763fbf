"""The best model of a fold on disk: heads, and adapters for plain PEFT or the trained encoder."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bindtune.errors import CheckpointError, library_text
from bindtune.models.adapters import has_adapters, read_adapters, restore_adapters, save_adapters
from bindtune.models.finite import check_finite, check_finite_model
from bindtune.models.foreign_files import read_archive
from bindtune.models.load_errors import loading
from bindtune.models.residue import E1ForResidueClassification
from bindtune.models.sharded import divided
from bindtune.runs.names import ADAPTERS, BEST, BEST_UNFINISHED, HEADS
from bindtune.runs.writing import atomic_stream, writing

UNTRAINED = "base"
"""Word in the file of heads for an encoder that was not trained and is not written."""


def save_best(folder: Path, model: E1ForResidueClassification, *, base: str, about: Mapping[str, Any]) -> None:
    """Write the heads, and the adapters or the trained encoder; of an encoder without training only its config.json.

    Args:
        folder: folder of the fold.
        model: the model to save.
        base: hub name or folder of the encoder.
        about: epoch, fold, lora_config and metrics, plain values.
    """
    adapted = has_adapters(model._original_model)
    trained = any(parameter.requires_grad for parameter in model._original_model.parameters())
    target = folder / (ADAPTERS if adapted else BEST)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=BEST_UNFINISHED) as made, writing(target):
        new = Path(made) / "model"
        if adapted:
            save_adapters(model._original_model, new, base=base)
        else:
            (model._original_model if trained else model._original_model.config).save_pretrained(new)
        if target.exists():
            target.rename(Path(made) / "old")
        new.rename(target)
    heads = {name: tensor.detach().cpu() for name, tensor in model.classifier_heads.state_dict().items()}
    content = {"base_model_checkpoint": base, "ions": list(model.ion_types), "classifier_heads": heads, **about}
    if not trained:
        content["encoder"] = UNTRAINED
    with atomic_stream(folder / HEADS) as stream:
        torch.save(content, stream)  # to a path it would write that name into the file


def read_heads(path: Path) -> dict[str, Any]:
    """The heads file of a fold.

    Raises:
        CheckpointError: it is missing, damaged or of another kind, or a weight is nan or infinity.
    """
    with loading(path, "no heads of a binding model"):
        content = read_archive(path)
    problems = [
        f"{name} is missing or is no {kind.__name__}"
        for name, kind in {"base_model_checkpoint": str, "classifier_heads": dict, "ions": list}.items()
        if not isinstance(content, dict) or not isinstance(content.get(name), kind)
    ]
    if problems:
        raise CheckpointError(f"{path}: no heads of a binding model: {', '.join(problems)}")
    heads: dict[str, Any] = content
    weights = heads["classifier_heads"].items()
    with loading(path, "no heads of a binding model"):
        check_finite(path, ((name, each) for name, each in weights if isinstance(each, Tensor)))
    return heads


def is_untrained(heads: Mapping[str, Any]) -> bool:
    """Whether the heads belong to the encoder from before the run."""
    return heads.get("encoder") == UNTRAINED


def restore_best(folder: Path, model: E1ForResidueClassification) -> None:
    """Put the best epoch's weights back into a model of the same settings.

    Raises:
        CheckpointError: they are missing, damaged or of another model.
    """
    heads = read_heads(folder / HEADS)
    try:
        own = model.classifier_heads
        own.load_state_dict(divided(heads["classifier_heads"], own.state_dict()))
    except RuntimeError as error:
        raise CheckpointError(f"{folder}: the heads do not fit: {library_text(error)}") from error
    if has_adapters(model._original_model):
        source = folder / ADAPTERS
        restore_adapters(model._original_model, read_adapters(source), source=source)
    elif not is_untrained(heads):
        encoder = model._original_model
        saved = type(encoder).from_pretrained(folder / BEST)
        check_finite_model(saved, str(folder / BEST))
        encoder.load_state_dict(divided(saved.state_dict(), encoder.state_dict()))
