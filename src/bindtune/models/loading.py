"""Choose the class of a masked language model by its folder or hub name."""

from typing import Any

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
)

from bindtune.errors import ConfigError
from bindtune.models.base_files import check_reachable
from bindtune.models.dnabert2 import DNABert2Config, DNABert2ForMaskedLM
from bindtune.models.dnabert2_classifiers import DNABert2ForSequenceClassification
from bindtune.models.finite import check_finite_model
from bindtune.models.foreign_files import check_model
from bindtune.models.load_errors import loading
from bindtune.models.strict import ALL_INFO, check_complete

_POSITION_TABLES = ("position_embeddings", "embed_positions")


def load_masked_lm(name: str, *, finite: bool = True) -> PreTrainedModel:
    """Load a masked language model in fp32; no code from the hub is run.

    DNABERT-2 is loaded by the native implementation. It is recognised by its configuration, because the hub's file
    names no model type. `AutoModelForMaskedLM` loads all other models.

    Args:
        name: hub name or folder.
        finite: refuse weights that are nan or infinity.

    Raises:
        CheckpointError: there is no such model, it has no masked-LM head, or weights are missing or not finite.
    """
    model = _loaded(name)
    if finite:
        check_finite_model(model, name)
    return model


def _loaded(name: str) -> PreTrainedModel:
    check_reachable(name)
    with loading(name, "no masked language model could be loaded"):
        if _is_dnabert2(name):
            native: PreTrainedModel = DNABert2ForMaskedLM.from_pretrained(name)
            return native
        loaded: Any = AutoModelForMaskedLM.from_pretrained(name, dtype="float32", trust_remote_code=False, **ALL_INFO)
    model, info = loaded
    check_complete(name, info)
    return model


def load_classifier(name: str) -> PreTrainedModel:
    """Load an encoder with a new head that gives each row one value, in fp32; no code from the hub is run.

    The head begins with random numbers.

    Args:
        name: hub name or folder of a masked language model.

    Raises:
        CheckpointError: there is no such model, or transformers has no such head for it.
    """
    check_reachable(name)
    with loading(name, "no model with a classification head could be loaded"):
        if _is_dnabert2(name):
            native: PreTrainedModel = DNABert2ForSequenceClassification.from_pretrained(name, num_labels=1)
            return native
        model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(
            name, num_labels=1, dtype="float32", trust_remote_code=False
        )
    return model


def empty_masked_lm(name: str) -> PreTrainedModel:
    """The model that `load_masked_lm` would load, on the meta device: shapes, no weights.

    Raises:
        CheckpointError: there is no such model, or it has no masked-LM head.
    """
    check_reachable(name)
    with loading(name, "no masked language model"):
        if _is_dnabert2(name):
            settings = DNABert2Config.from_pretrained(name)
            with torch.device("meta"):
                return DNABert2ForMaskedLM(settings)
        config = AutoConfig.from_pretrained(name, trust_remote_code=False)
        with torch.device("meta"):
            return AutoModelForMaskedLM.from_config(config, trust_remote_code=False)


def layers_of(model: nn.Module) -> int:
    """How many layers an encoder has."""
    return int(model.config.num_hidden_layers)  # type: ignore[union-attr,arg-type]


def layer_number(name: str, count: int, layer: int | None) -> int | None:
    """The layer whose hidden states are wanted, from 0 for the embeddings; None for the last.

    Args:
        name: of the model, for the message.
        count: how many layers it has.
        layer: as the user says it: below 0 from the end, or None for the last.

    Raises:
        ConfigError: there is no such layer.

    Examples:
        >>> [layer_number("base", 12, layer) for layer in (0, -2, 12, None)]
        [0, 11, None, None]
    """
    if layer is None or layer in (count, -1):
        return None
    if not -count - 1 <= layer <= count:
        raise ConfigError(f"{name} has layers 0 (the embeddings) to {count}, and no layer {layer}")
    return layer if layer >= 0 else count + 1 + layer


def usable_positions(model: nn.Module) -> int | None:
    """The most tokens of a row; None where a model has no table of positions, as with ALiBi or rotary ones.

    RoBERTa and similar models count
    positions from after that of padding, so they have `pad_token_id` + 1 fewer.
    """
    tables = [
        part
        for name, part in model.named_modules()
        if name.endswith(_POSITION_TABLES) and isinstance(part, nn.Embedding)
    ]
    rows = [table.num_embeddings - (0 if table.padding_idx is None else table.padding_idx + 1) for table in tables]
    return min(rows, default=None)


def _is_dnabert2(name: str) -> bool:
    check_model(name)
    config, _ = PreTrainedConfig.get_config_dict(name)
    return "alibi_starting_size" in config or config.get("model_type") == "dnabert2"
