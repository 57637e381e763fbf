"""The encoders that can be adapted: one record each in `BACKBONES`, which loading, model cards and exports read.

To add an encoder, write a module like `esm2.py` with a class like `Encoder` and one like `BatchPreparer`, and add a
record here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.resources import files as resources
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import EsmConfig, EsmForMaskedLM, PreTrainedConfig

from bindtune.errors import CheckpointError
from bindtune.models.base_files import check_reachable
from bindtune.models.e1 import E1Config, E1ForMaskedLM
from bindtune.models.e1_tokens import E1BatchPreparer, ProteinRow
from bindtune.models.esm2 import Esm2BatchPreparer, Esm2ForMaskedLM
from bindtune.models.finite import check_finite_model
from bindtune.models.foreign_files import check_model
from bindtune.models.load_errors import loading


class Encoder(Protocol):
    """The parts and methods of an encoder that the ion heads use."""

    config: Any
    encoder: nn.Module
    mlm_head: nn.Module

    def encode(
        self,
        input_ids: Tensor,
        within_seq_position_ids: Tensor,
        global_position_ids: Tensor,
        sequence_ids: Tensor,
        *,
        layer: int | None = None,
    ) -> Tensor:
        """Hidden states (B, T, D) of a layer, 0 at padding. By default those of the last layer, 0 at context too."""


class BatchPreparer(Protocol):
    """Makes the input tensors of an encoder from proteins."""

    frame: int
    """Number of tokens of a sequence besides its residues."""
    reads_homologs: bool
    """Whether context sequences may precede the query."""
    max_num_sequences: int
    """Most sequences of a row, the query counted."""
    num_tokens: int
    """Token ids run from 0 to one below this number."""
    mask_id: int
    amino_acids: NDArray[np.int64]
    """Ids of the 20 standard residues, which random replacements are drawn from."""

    @property
    def max_residues(self) -> int:
        """Most residues of a sequence."""

    def get_batch_kwargs(
        self, sequences: Sequence[ProteinRow], device: torch.device | str = "cpu", *, names: Sequence[str] | None = None
    ) -> Any:
        """Tokenise a batch: a dict with `input_ids`, the two kinds of positions and `sequence_ids`, (B, T) each."""

    def residue_mask(self, input_ids: Tensor, sequence_ids: Tensor) -> Tensor:
        """True at the residues of the query and nowhere else (B, T)."""


@dataclass(frozen=True, kw_only=True)
class Licence:
    """The licence of released weights, for the cards of models that derive from them.

    Args:
        header: its keys in the YAML header of a card.
        text: the licence in a sentence.
        hub_names: a pattern of the hub names of the weights, as in shells; empty if the licence does not depend on the
            name.
        notice_file: a file of this package that every derived model must have; empty if there is none.
    """

    header: Mapping[str, str]
    text: str
    hub_names: str = ""
    notice_file: str = ""

    @property
    def notice(self) -> str:
        """The text that goes with every derived model, or an empty one."""
        return self.notice_file and resources("bindtune.models").joinpath(self.notice_file).read_text(encoding="utf-8")

    def covers(self, base: str | None) -> bool:
        """Whether weights with this hub name have this licence; `name` is None for a folder."""
        return not self.hub_names or (base is not None and fnmatchcase(base, self.hub_names))


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """An encoder that can be adapted.

    Args:
        config: the class of its settings. `config.model_type` names the encoder in config.json.
        describes: whether the content of a config.json is of this encoder.
        model: its class, with the methods of `Encoder`.
        prepare: makes the `BatchPreparer` from the model's settings and the name that it was loaded by.
        reads_homologs: whether context sequences may stand before a protein.
        has_tokenizer: whether files of a tokenizer lie beside its weights.
        public_class: the class that users load it with.
        tags: its tags on a model card.
        licence: of its released weights.
    """

    config: type[PreTrainedConfig]
    describes: Callable[[Mapping[str, Any]], bool]
    model: Any
    prepare: Callable[[Any, str], BatchPreparer]
    reads_homologs: bool
    has_tokenizer: bool
    public_class: type[nn.Module]
    tags: tuple[str, ...] = ()
    licence: Licence

    @property
    def package(self) -> str:
        """The package that users import its class from."""
        return self.public_class.__module__.partition(".")[0]

    @property
    def class_names(self) -> frozenset[str]:
        """Names of its classes, one of which an adapter's files hold."""
        return frozenset({self.model.__name__, self.public_class.__name__})


E1 = Backbone(
    config=E1Config,
    describes=E1Config.describes,
    model=E1ForMaskedLM,
    prepare=lambda config, _: E1BatchPreparer.for_model(config),
    reads_homologs=E1BatchPreparer.reads_homologs,
    has_tokenizer=False,
    public_class=E1ForMaskedLM,
    tags=("profluent-e1",),
    licence=Licence(
        header={
            "license": "other",
            "license_name": "profluent-e1-clickthrough-license-agreement",
            "license_link": "https://huggingface.co/Profluent-Bio",
        },
        text="What derives from the weights of Profluent-E1 is governed by the Profluent-E1 Clickthrough License "
        "Agreement; the notice below goes with it wherever it goes.",
        notice_file="PROFLUENT_E1_NOTICE.txt",
    ),
)
ESM2 = Backbone(
    config=EsmConfig,
    describes=lambda content: content.get("model_type") == EsmConfig.model_type,
    model=Esm2ForMaskedLM,
    prepare=lambda _, name: Esm2BatchPreparer(name),
    reads_homologs=Esm2BatchPreparer.reads_homologs,
    has_tokenizer=True,
    public_class=EsmForMaskedLM,
    licence=Licence(
        header={"license": "mit"},
        text="MIT, as the weights of ESM-2 that it was made from.",
        hub_names="facebook/esm2_*",
    ),
)
BACKBONES: Mapping[str, Backbone] = {backbone.config.model_type: backbone for backbone in (E1, ESM2)}
"""The encoders by model type."""


def read_config(name: str) -> dict[str, Any]:
    """The content of a model's config.json.

    Raises:
        CheckpointError: there is no such model.
    """
    check_reachable(name)
    with loading(name, "no model"):
        check_model(name)
        config, _ = PreTrainedConfig.get_config_dict(name)
    content: dict[str, Any] = config
    return content


def recognise(config: Mapping[str, Any]) -> Backbone | None:
    """The encoder of a config.json with this content; None for a model of another kind."""
    return next((backbone for backbone in BACKBONES.values() if backbone.describes(config)), None)


def find_backbone(name: str) -> Backbone:
    """The encoder of a hub name or folder.

    Raises:
        CheckpointError: there is no such model, or it is of another kind.
    """
    config = read_config(name)
    backbone = recognise(config)
    if backbone is None:
        kind = config.get("model_type")
        problem = "the configuration names no model type" if kind is None else f"the checkpoint is a '{kind}' model"
        raise CheckpointError(f"{name}: no model: {problem}, expected {' or '.join(map(repr, BACKBONES))}")
    return backbone


def load_backbone(name: str, *, finite: bool = True) -> tuple[Any, BatchPreparer]:
    """Load an encoder with its masked-LM head in fp32, and its batch preparer. No code from the hub runs.

    Args:
        name: hub name or folder.
        finite: refuse weights that are nan or infinity.

    Raises:
        CheckpointError: as in `load_encoder`, or there is no tokenizer.
    """
    model = load_encoder(name, finite=finite)
    return model, preparer_for(model, name)


def load_encoder(name: str, *, finite: bool = True) -> Any:
    """Load an encoder with its masked-LM head in fp32. No code from the hub runs.

    Args:
        name: hub name or folder.
        finite: refuse weights that are nan or infinity.

    Raises:
        CheckpointError: there is no such model, it is of another kind, or its weights are missing, damaged
            or not finite.
    """
    model = find_backbone(name).model.from_pretrained(name)
    if finite:
        check_finite_model(model, name)
    return model


def empty_encoder(name: str) -> Any:
    """An encoder on the meta device, as its configuration describes it: shapes, no weights.

    Raises:
        CheckpointError: there is no such model, or it is of another kind.
    """
    backbone = find_backbone(name)
    with loading(name, "no model"):
        config = backbone.config.from_pretrained(name)
        with torch.device("meta"):
            return backbone.model(config)


def backbone_of(model: Any) -> Backbone:
    """The encoder's record of a loaded model, with or without adapters."""
    return BACKBONES[str(model.config.model_type)]


def preparer_for(model: Any, name: str) -> BatchPreparer:
    """The batch preparer of a loaded encoder.

    Args:
        model: the encoder, with or without adapters.
        name: the name that it was loaded by; a tokenizer may lie there.
    """
    return backbone_of(model).prepare(model.config, name)
