"""Build the model of a fold from its settings."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from torch import nn

from bindtune.config import BindingConfig
from bindtune.data.protein.proteins import Proteins
from bindtune.errors import ConfigError
from bindtune.models.adapters import add_lora
from bindtune.models.backbones import BatchPreparer, load_backbone
from bindtune.models.binding_loss import BindingLoss
from bindtune.models.residue import E1ForJointBindingMLM, E1ForResidueClassification
from bindtune.training.binding.randomness import seeded


class BuiltModel(NamedTuple):
    """A model and what prepares its batches."""

    model: E1ForResidueClassification
    preparer: BatchPreparer


def build_model(config: BindingConfig, *, pos_weight: Sequence[float] | None = None, fold: int = 0) -> BuiltModel:
    """Load the encoder, give it adapters and heads.

    Args:
        config: the settings.
        pos_weight: (K,) weight of positives.
        fold: initial heads and adapters are drawn from the seed and the fold.

    Raises:
        CheckpointError: the encoder cannot be loaded.
        ConfigError: the adapters do not fit it, a head cannot have its ion's name, or there is nothing to train.
    """
    encoder, preparer = load_backbone(config.model.checkpoint)
    return BuiltModel(assemble(config, encoder, pos_weight=pos_weight, fold=fold), preparer)


def assemble(
    config: BindingConfig, encoder: Any, *, pos_weight: Sequence[float] | None = None, fold: int = 0
) -> E1ForResidueClassification:
    """Give an encoder, which is changed, its adapters and heads; the arguments and errors of `build_model`."""
    taken = [ion for ion in config.training.ions if hasattr(nn.ModuleDict(), ion)]
    if taken:
        raise ConfigError(f"training.ions: {taken[0]!r} is a name that PyTorch uses itself")
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
        raise ConfigError("there is nothing to train: without training.ions, lora or train_mlm_head must learn")
    return model


def binding_loss(config: BindingConfig) -> BindingLoss:
    """The loss that the settings ask for."""
    training = config.training
    return BindingLoss(training.loss_type, training.focal_gamma, training.focal_alpha, training.label_smoothing)


def positive_weights(proteins: Proteins, mode: str) -> list[float]:
    """Weight of positives of each ion (K,): 1, negatives over positives of known residues, or the root of that.

    An ion without positives, or without negatives, has nothing to balance and gets 1.
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
