"""Build the model of a fold from its settings, and check its adapters."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from bindtune.config import BindingConfig
from bindtune.data.keyed_random import digest
from bindtune.data.protein.proteins import Proteins
from bindtune.errors import CheckError, ConfigError
from bindtune.models.adapter_check import check_lora
from bindtune.models.adapters import add_lora, count_parameters
from bindtune.models.backbones import BatchPreparer, load_backbone
from bindtune.models.e1_tokens import IDS
from bindtune.models.residue import BindingLoss, E1ForJointBindingMLM, E1ForResidueClassification

# Residues of human carbonic anhydrase 2 (P00918), whose histidines bind a zinc.
_PROTEIN = "MSHHWGYGKHNGPEHWHKDFPIAKGERQSPVDIDTHTAKYDPSLKPLSVSYDQATSLRILNNGHAFNVEFDDSQDKAVLKGGPLDGTYRLIQFHFHWG"


class BuiltModel(NamedTuple):
    """A model and the preparer of its batches."""

    model: E1ForResidueClassification
    preparer: BatchPreparer


def build_model(config: BindingConfig, *, pos_weight: Sequence[float] | None = None, fold: int = 0) -> BuiltModel:
    """Load the encoder and add adapters and heads.

    Args:
        config: the settings.
        pos_weight: (K,) weight of positives.
        fold: number of the fold; it and the seed decide the initial heads and adapters.

    Raises:
        CheckpointError: the encoder cannot be loaded.
        ConfigError: the adapters do not fit the encoder, a head cannot have its ion's name, or nothing is trained.
    """
    encoder, preparer = load_backbone(config.model.checkpoint)
    return BuiltModel(assemble(config, encoder, pos_weight=pos_weight, fold=fold), preparer)


def assemble(
    config: BindingConfig, encoder: Any, *, pos_weight: Sequence[float] | None = None, fold: int = 0
) -> E1ForResidueClassification:
    """Add adapters and heads to an encoder, which is changed; arguments and errors are those of `build_model`."""
    reserved = [ion for ion in config.training.ions if hasattr(nn.ModuleDict(), ion)]
    if reserved:
        raise ConfigError(f"training.ions: {reserved[0]!r} is a name that PyTorch uses itself")
    training, lora = config.training, config.lora
    with seeded(training.seed, "initial weights", fold):
        wrapped: Any = encoder
        if lora is not None:
            wrapped = add_lora(
                encoder,
                r=lora.r,
                alpha=lora.alpha,
                dropout=lora.dropout,
                target_modules=lora.target_modules,
                bias=lora.bias,
                train_mlm_head=training.train_mlm_head,
            )
        kinds: dict[str, Any] = {
            "train_mlm_head": training.train_mlm_head,
            "loss": binding_loss(config),
            "pos_weight": pos_weight,
        }
        frozen = config.model.freeze_backbone and lora is None
        if training.mlm_weight:
            kinds["mlm_weight"] = training.mlm_weight
            model: E1ForResidueClassification = E1ForJointBindingMLM(
                wrapped, training.ions, config.model.dropout, frozen, **kinds
            )
        else:
            model = E1ForResidueClassification(wrapped, training.ions, config.model.dropout, frozen, **kinds)
    if training.gradient_checkpointing:
        wrapped.activation_checkpointing_enable()
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ConfigError("there is nothing to train: without training.ions, set lora or train_mlm_head")
    return model


@contextmanager
def seeded(*parts: object) -> Iterator[None]:
    """Seed torch with a hash of the parts while the block runs, and restore its random state afterwards.

    So initial weights and dropout depend only on the parts, and a resumed run needs no random state.
    """
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(digest(*parts) >> 1)  # 63 bits
        yield


def binding_loss(config: BindingConfig) -> BindingLoss:
    """The loss of the settings."""
    training = config.training
    return BindingLoss(training.loss_type, training.focal_gamma, training.focal_alpha, training.label_smoothing)


def positive_weights(proteins: Proteins, mode: str) -> list[float]:
    """Weight of the binding residues of each ion (K,): 1, negatives / positives, or the square root of this ratio.

    An ion without positives or without negatives gets 1.
    """
    if mode == "none":
        return [1.0] * len(proteins.ions)
    counts = np.zeros((2, len(proteins.ions)))
    for labels in proteins.labels:
        counts += [(labels == 0).sum(axis=0), (labels == 1).sum(axis=0)]
    negatives, positives = counts
    ratio = np.where((negatives > 0) & (positives > 0), negatives / np.maximum(positives, 1), 1.0)
    weights: list[float] = (np.sqrt(ratio) if mode == "sqrt" else ratio).tolist()
    return weights


def check_adapters(config: BindingConfig) -> str:
    """Add adapters to the encoder of the settings, and check that they work.

    Returns:
        The three statements with their numbers, and the counts of trainable parameters.

    Raises:
        ConfigError: the settings ask for no adapters.
        CheckError: a statement is false; the listing gives advice.
    """
    if config.lora is None:
        raise ConfigError("lora is null: every weight is trained, and there are no adapters to check")
    model, preparer = build_model(config)
    batch: Any = preparer.get_batch_kwargs([_PROTEIN])
    result = check_lora(model._original_model, {name: batch[name] for name in IDS})
    lines = [f"{'yes' if holds else 'NO '}  {statement}" for statement, holds in result.statements.items()]
    lines.append(str(count_parameters(model)))
    if not all(result.statements.values()):
        raise CheckError(lines[0], listing=[*lines[1:], result.advice])
    return "\n".join(lines)
