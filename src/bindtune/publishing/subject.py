"""The model that `bindtune verify` checks, loaded as in training and prediction, with its tokens and outputs."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig

from bindtune.data.dna.tokens import load_tokenizer
from bindtune.models.backbones import load_backbone, read_config, recognise
from bindtune.models.e1_tokens import IDS
from bindtune.models.load_errors import tokenising
from bindtune.models.loading import load_masked_lm

LOGITS, HIDDEN = "logits", "hidden states"


class Subject(ABC):
    """A loaded model.

    Args:
        name: hub name or folder.
    """

    sequences: tuple[str, ...]
    """Inputs of different lengths, for models without a release."""
    model: Any
    vocabulary: int
    """Tokens that its tokeniser makes."""

    @abstractmethod
    def tokens(self, sequences: Sequence[str]) -> tuple[dict[str, Tensor], Tensor]:
        """A batch, and its mask (B, T), 0 at padding."""

    @abstractmethod
    def run(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Outputs by name, (B, T, width) each."""

    @abstractmethod
    def read(self, folder: Path) -> Any:
        """The model in `folder`, loaded in the same way."""

    @property
    def architecture(self) -> tuple[str, int, int, int]:
        """Model type, layers, width, size of the vocabulary."""
        config: PreTrainedConfig = self.model.config
        return str(config.model_type), config.num_hidden_layers, config.hidden_size, config.vocab_size

    @property
    def widest_sum(self) -> int:
        """The most products that a linear layer adds up."""
        layers = (part for part in self.model.modules() if isinstance(part, nn.Linear))
        return max((layer.in_features for layer in layers), default=1)

    def ids(self, sequences: Sequence[str]) -> list[list[int]]:
        """Token ids of each sequence."""
        batch, real = self.tokens(sequences)
        return [row[mask].tolist() for row, mask in zip(batch["input_ids"], real, strict=True)]

    @torch.no_grad()
    def outputs(self, sequences: Sequence[str]) -> dict[str, Tensor]:
        """Outputs (N, width) of the tokens of all sequences, computed as one batch, without padding."""
        batch, real = self.tokens(sequences)
        return {name: tensor[real].float() for name, tensor in self.run(batch).items()}


class ProteinModel(Subject):
    """Profluent-E1 or ESM-2."""

    # Stretches of human carbonic anhydrase 2 (P00918).
    sequences = (
        "MSHHWGYGKHNGPEHWHKDFPIAKGERQSPVDIDTHTAKYDPSLKPLSVSYDQATSLRILNNGHAFNVEFDDSQDKAVLKGG",
        "MSHHWGYGKHNGPEHWHKDFPIAKGERQSP",
        "HWGYGKH",
    )

    def __init__(self, name: str) -> None:
        self.model, self._preparer = load_backbone(name, finite=False)  # a check of its own looks at the values
        self.model.eval()
        self.vocabulary = self._preparer.num_tokens

    def tokens(self, sequences: Sequence[str]) -> tuple[dict[str, Tensor], Tensor]:
        """See `Subject`."""
        batch = self._preparer.get_batch_kwargs(sequences)
        return {name: batch[name] for name in IDS}, batch["sequence_ids"] >= 0

    def run(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """See `Subject`."""
        hidden = self.model.encode(**batch)
        return {LOGITS: self.model.mlm_head(hidden), HIDDEN: hidden}

    def read(self, folder: Path) -> Any:
        """See `Subject`."""
        return type(self.model).from_pretrained(folder)


class DnaModel(Subject):
    """DNABERT-2, or another masked language model with a tokenizer."""

    sequences = ("ACGATTAAGTCACAACCAAACCATGGATTAGCTTAGCATCGATCGGATATCTAGC", "ACGTAGCATCGGATTAGC", "ACGT")

    def __init__(self, name: str) -> None:
        self.model = load_masked_lm(name, finite=False)
        self.model.train(False)
        self._tokenizer = load_tokenizer(name)
        self.vocabulary = len(self._tokenizer)

    def tokens(self, sequences: Sequence[str]) -> tuple[dict[str, Tensor], Tensor]:
        """See `Subject`."""
        with tokenising(self._tokenizer):
            batch = self._tokenizer(list(sequences), padding=True, return_tensors="pt")
        both = {name: batch[name] for name in ("input_ids", "attention_mask")}
        return both, both["attention_mask"].bool()

    def run(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """See `Subject`."""
        return {LOGITS: self.model(**batch).logits}

    def read(self, folder: Path) -> Any:
        """See `Subject`."""
        return load_masked_lm(str(folder), finite=False)


def load_subject(name: str) -> Subject:
    """Load a model by hub name or folder, through the code that training uses.

    Raises:
        CheckpointError: there is no such model, it does not load completely, or it has no tokenizer.
    """
    return DnaModel(name) if recognise(read_config(name)) is None else ProteinModel(name)
