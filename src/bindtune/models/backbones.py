"""Encoders that can be adapted, and what each must offer. A further one is a file like `esm2.py` and a line here."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import EsmConfig, PreTrainedConfig

from bindtune.models.base_files import check_reachable
from bindtune.models.e1 import E1ForMaskedLM
from bindtune.models.e1_config import E1Config
from bindtune.models.e1_tokens import E1BatchPreparer
from bindtune.models.esm2 import Esm2BatchPreparer, Esm2ForMaskedLM
from bindtune.models.finite import check_finite_model
from bindtune.models.foreign_files import check_model
from bindtune.models.load_errors import loading


class Encoder(Protocol):
    """What the ion heads need of an encoder."""

    config: Any
    encoder: nn.Module
    mlm_head: nn.Module

    def encode(
        self, input_ids: Tensor, within_seq_position_ids: Tensor, global_position_ids: Tensor, sequence_ids: Tensor
    ) -> Tensor:
        """Hidden states of the queries (B, T, D), 0 at context and padding."""


class BatchPreparer(Protocol):
    """What turns proteins into the tensors of an encoder."""

    frame: int
    """Tokens that a sequence has beside its residues."""
    reads_homologs: bool
    """Whether context sequences may stand before the query."""
    max_num_sequences: int
    """Most sequences of a row, the query counted."""
    mask_id: int
    amino_acids: NDArray[np.int64]
    """Ids of the 20 standard residues, which random replacements are drawn from."""

    @property
    def max_residues(self) -> int:
        """The longest sequence that fits."""

    def get_batch_kwargs(
        self, sequences: Sequence[str], device: torch.device | str = "cpu", *, names: Sequence[str] | None = None
    ) -> Any:
        """Tokenise a batch: a dict with `input_ids`, the two kinds of positions and `sequence_ids`, (B, T) each."""

    def residue_mask(self, input_ids: Tensor, sequence_ids: Tensor) -> Tensor:
        """True at the residues of the query and nowhere else (B, T)."""


def find_backbone(name: str) -> dict[str, Any]:
    """The configuration of an encoder.

    Raises:
        CheckpointError: there is no such model.
    """
    check_reachable(name)
    with loading(name, "no model"):
        check_model(name)
        config, _ = PreTrainedConfig.get_config_dict(name)
    found: dict[str, Any] = config
    return found


def is_protein_encoder(config: Mapping[str, Any]) -> bool:
    """Whether a configuration is of one of the encoders here."""
    return config.get("model_type") == EsmConfig.model_type or E1Config.describes(config)


def reads_homologs(name: str) -> bool:
    """Whether an encoder reads homologs before a protein.

    Raises:
        CheckpointError: there is no such model.
    """
    kind = find_backbone(name).get("model_type")
    return (Esm2BatchPreparer if kind == "esm" else E1BatchPreparer).reads_homologs


def load_backbone(name: str, *, finite: bool = True) -> tuple[Any, BatchPreparer]:
    """Load an encoder with its masked-LM head in fp32, and what prepares its batches; no code from the hub is run.

    Args:
        name: hub name or folder.
        finite: refuse weights that are nan or infinity.

    Raises:
        CheckpointError: as in `load_encoder`, or there is no tokenizer.
    """
    model = load_encoder(name, finite=finite)
    return model, preparer_for(model, name)


def load_encoder(name: str, *, finite: bool = True) -> Any:
    """Load an encoder with its masked-LM head in fp32; no code from the hub is run.

    Args:
        name: hub name or folder.
        finite: refuse weights that are nan or infinity.

    Raises:
        CheckpointError: there is no such model, it is of another kind, or its weights are missing, damaged
            or not finite.
    """
    kind = find_backbone(name).get("model_type")
    model = (Esm2ForMaskedLM if kind == "esm" else E1ForMaskedLM).from_pretrained(name)
    if finite:
        check_finite_model(model, name)
    return model


def empty_encoder(name: str) -> Any:
    """An encoder as its configuration has it, on the meta device: shapes, no weights.

    Raises:
        CheckpointError: there is no such model, or it is of another kind.
    """
    kind = find_backbone(name).get("model_type")
    with loading(name, "no model"):
        config: Any = (EsmConfig if kind == "esm" else E1Config).from_pretrained(name)
        with torch.device("meta"):
            return Esm2ForMaskedLM(config) if kind == "esm" else E1ForMaskedLM(config)


def preparer_for(model: Any, name: str) -> BatchPreparer:
    """What prepares the batches of a loaded encoder.

    Args:
        model: the encoder, with or without adapters.
        name: where it came from, for a tokenizer that lies there.
    """
    if model.config.model_type == "esm":
        return Esm2BatchPreparer(name)
    return E1BatchPreparer.for_model(model.config)
