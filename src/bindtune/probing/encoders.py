"""Load the encoders of a probe, or the same architectures with random weights, and compute their identities."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bindtune.data.dna.tokens import load_tokenizer, tokenizer_identity
from bindtune.errors import CheckpointError
from bindtune.models.backbones import E1, read_config, recognise
from bindtune.models.loading import empty_masked_lm, layer_number, layers_of, load_masked_lm

_AMINO_ACIDS = frozenset("ACDEFGHIKLMNPQRSTVWY")
_BF16 = "-bf16"
"""The end of the identity of an encoder that computes in bfloat16; its vectors have files of their own."""


@dataclass(frozen=True)
class Encoder:
    """A masked language model without its head.

    Args:
        name: what the user calls it.
        model: in evaluation mode.
        tokenizer: its tokenizer.
        identity: hash of weights, settings, tokenizer and precision.
        bf16: hidden states are computed in bfloat16.
    """

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    identity: str
    bf16: bool = False


def load_encoder(name: str, path: str, *, device: torch.device, bf16: bool = False) -> Encoder:
    """Load a model.

    Args:
        name: what the user calls it.
        path: hub name or folder.
        device: where it goes.
        bf16: compute hidden states in bfloat16.

    Raises:
        CheckpointError: there is no such model.
    """
    model, tokenizer = load_masked_lm(path), load_tokenizer(path)
    return _encoder(name, model, tokenizer, device=device, bf16=bf16)


def random_encoder(name: str, like: str, *, seed: int, device: torch.device, bf16: bool = False) -> Encoder:
    """The architecture of a model with random weights.

    Args:
        name: what it is called.
        like: hub name or folder of the model.
        seed: of the weights.
        device: where it goes.
        bf16: compute hidden states in bfloat16.
    """
    trained, tokenizer = load_masked_lm(like), load_tokenizer(like)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = type(trained)(trained.config)
    return _encoder(name, model, tokenizer, device=device, bf16=bf16)


def _encoder(name: str, model: Any, tokenizer: PreTrainedTokenizerBase, *, device: torch.device, bf16: bool) -> Encoder:
    identity = _identity(model, tokenizer) + (_BF16 if bf16 else "")
    encoder = model.base_model.float().eval()
    if bf16:  # once; autocast would make these copies anew for every batch
        for part in encoder.modules():
            if isinstance(part, nn.Linear):
                part.to(torch.bfloat16)
    return Encoder(name, encoder.to(device), tokenizer, identity, bf16)


def without_precision(identity: str) -> str:
    """The part of an encoder's identity that its weights, settings and tokenizer decide.

    Example:
        >>> without_precision("ab12-bf16") == without_precision("ab12")
        True
    """
    return identity.removesuffix(_BF16)


def check_probed(name: str, path: str, *, layer: int | None) -> None:
    """Refuse a model that cannot be probed; no weights are loaded.

    Args:
        name: what the user calls it.
        path: hub name or folder.
        layer: whose hidden states are wanted.

    Raises:
        CheckpointError: there is no such model, or it reads proteins.
        ConfigError: it has no such layer.
    """
    architecture_of(path)
    layer_number(name, layers_of(empty_masked_lm(path)), layer)


def architecture_of(path: str) -> str:
    """Hash of a model's settings and tokenizer; no weights are loaded.

    Args:
        path: hub name or folder.

    Raises:
        CheckpointError: there is no such model, or it reads proteins.
    """
    backbone = recognise(read_config(path))
    if backbone is E1 or (backbone is not None and load_tokenizer(path).get_vocab().keys() >= _AMINO_ACIDS):
        raise CheckpointError(f"{path}: reads proteins, expected DNABERT-2 or another masked language model of DNA")
    return _architecture(empty_masked_lm(path), load_tokenizer(path))


def _architecture(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> str:
    apart = ("transformers_version", "dtype", "torch_dtype", "architectures")
    settings = {name: value for name, value in model.config.to_dict().items() if name not in apart and name[0] != "_"}
    text = json.dumps(settings, sort_keys=True, default=str) + tokenizer_identity(tokenizer)
    return hashlib.sha256(text.encode()).hexdigest()


def _identity(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> str:
    content = hashlib.sha256(_architecture(model, tokenizer).encode())
    for name, value in sorted(model.state_dict().items()):
        content.update(name.encode())
        content.update(_bytes(value))
    return content.hexdigest()


def _bytes(value: Tensor) -> bytes:
    return np.ascontiguousarray(value.detach().float().cpu().numpy()).tobytes()
