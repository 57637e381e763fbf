"""Recognise whether a masked language model reads proteins or DNA, from its config.json and its tokenizer."""

from collections.abc import Collection
from typing import Any, Literal

from transformers import CONFIG_MAPPING, MODEL_FOR_MASKED_LM_MAPPING

from bindtune.config import EmbedConfig, ScoreConfig
from bindtune.data.dna.tokens import load_tokenizer
from bindtune.errors import CheckpointError, ConfigError
from bindtune.models.backbones import E1, read_config, recognise
from bindtune.models.dnabert2 import DNABert2Config

Alphabet = Literal["protein", "DNA"]
_AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
_EXPECTED = (
    "expected DNABERT-2 or another masked language model of DNA (any that `bindtune pretrain` accepts), or an "
    "encoder of proteins (Profluent-E1, ESM-2)"
)


def alphabet_of(name: str) -> Alphabet:
    """Whether a model reads proteins or DNA. Models of the type `esm` read proteins, but the Nucleotide Transformer of
    this type reads DNA. The tokenizer shows which.

    Args:
        name: hub name or folder.

    Raises:
        CheckpointError: there is no such model, or it is no masked language model.
    """
    config = read_config(name)
    backbone = recognise(config)
    if backbone is E1:
        return "protein"
    if backbone is not None:
        return "protein" if _has_tokens(name, _AMINO_ACIDS) else "DNA"
    kind = config.get("model_type")
    if "alibi_starting_size" not in config and kind != DNABert2Config.model_type and not _is_masked_lm(kind):
        problem = "the configuration names no model type" if kind is None else f"the checkpoint is a '{kind}' model"
        raise CheckpointError(f"{name}: no masked language model: {problem}, {_EXPECTED}")
    return "DNA"


def _is_masked_lm(kind: Any) -> bool:
    return kind in CONFIG_MAPPING and CONFIG_MAPPING[kind] in MODEL_FOR_MASKED_LM_MAPPING


def _has_tokens(name: str, letters: str) -> bool:
    tokenizer = load_tokenizer(name)
    vocabulary = tokenizer.get_vocab()
    return all(letter in vocabulary for letter in letters)


def refuse_settings(settings: EmbedConfig | ScoreConfig, names: Collection[str], alphabet: Alphabet) -> None:
    """Refuse settings of the other alphabet.

    Args:
        settings: the settings.
        names: names of the settings of the other alphabet.
        alphabet: alphabet of the model.

    Raises:
        ConfigError: one of them is set.
    """
    stray = sorted(settings.model_fields_set.intersection(names))
    stray = [name for name in stray if getattr(settings, name) is not None]
    if stray:
        option = f"--{stray[0].replace('_', '-')}"
        raise ConfigError(
            f"{settings.model} reads {'proteins' if alphabet == 'protein' else 'DNA'}: leave out {option}"
        )
