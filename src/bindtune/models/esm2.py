"""ESM-2 (Lin et al. 2023, doi 10.1126/science.ade2574) as an encoder for the ion heads, from transformers' own code."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoTokenizer, EsmForMaskedLM

from bindtune.errors import CheckpointError, InputError
from bindtune.models.e1_tokens import ProteinRow, sequences_of
from bindtune.models.foreign_files import check_model, check_tokenizer
from bindtune.models.load_errors import loading, tokenising
from bindtune.models.strict import ALL_INFO, check_complete

_AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
_MAX_RESIDUES = 1022
"""Most residues of a protein in the training of ESM-2; longer proteins are read in chunks."""


class Esm2ForMaskedLM(EsmForMaskedLM):
    """ESM-2 with the methods that `models.backbones.Encoder` asks for."""

    unused = ("esm.contact_head",)
    """Parts without a use here: they are frozen and get no adapters."""

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> Self:
        """Load in fp32; a checkpoint without the masked-LM head is refused.

        Raises:
            CheckpointError: the model cannot be loaded completely.
        """
        name = pretrained_model_name_or_path
        with loading(name, "no model"):
            check_model(str(name))
            loaded: Any = super().from_pretrained(name, *args, dtype="float32", **ALL_INFO, **kwargs)
        model, info = loaded
        check_complete(str(name), info)
        for part in cls.unused:
            model.get_submodule(part).requires_grad_(False)
        encoder: Self = model
        return encoder

    @property
    def encoder(self) -> nn.Module:
        """The encoder without the masked-LM head."""
        return self.esm

    @property
    def mlm_head(self) -> nn.Module:
        """The masked-LM head."""
        return self.lm_head

    def encode(
        self,
        input_ids: Tensor,
        within_seq_position_ids: Tensor,
        global_position_ids: Tensor,
        sequence_ids: Tensor,
        *,
        layer: int | None = None,
    ) -> Tensor:
        """Hidden states (B, T, D) of a layer, by default the last, 0 at padding; the positions follow from the ids."""
        real = sequence_ids >= 0
        output = self.esm(input_ids, attention_mask=real.long(), output_hidden_states=layer is not None)
        hidden: Tensor = output.last_hidden_state if layer is None else output.hidden_states[layer]
        return hidden * real[..., None]


class Esm2BatchPreparer:
    """Makes ESM-2's input tensors from proteins: each row is ``<cls> residues <eos>`` of one protein.

    Args:
        name: hub name or folder with the tokenizer.

    Raises:
        CheckpointError: there is no tokenizer.
    """

    frame = 2
    reads_homologs = False
    max_num_sequences = 1
    max_residues = _MAX_RESIDUES

    def __init__(self, name: str) -> None:
        with loading(name, "no tokenizer"):
            check_tokenizer(name)
            tokenizer: Any = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
        self._tokenizer = tokenizer
        self._special = torch.tensor(sorted({tokenizer.pad_token_id, tokenizer.cls_token_id, tokenizer.eos_token_id}))
        self.amino_acids = np.array(tokenizer.convert_tokens_to_ids(list(_AMINO_ACIDS)), dtype=np.int64)
        if tokenizer.mask_token_id is None or tokenizer.unk_token_id in self.amino_acids:
            raise CheckpointError(f"{name}: the tokenizer is not ESM-2's: a residue or <mask> is no token of it")
        self.mask_id = int(tokenizer.mask_token_id)
        self.num_tokens = 1 + int(max(self.mask_id, *self.amino_acids))

    def get_batch_kwargs(
        self, sequences: Sequence[ProteinRow], device: torch.device | str = "cpu", *, names: Sequence[str] | None = None
    ) -> dict[str, Tensor]:
        """Tokenise a batch; see `models.backbones.BatchPreparer`.

        Raises:
            InputError: a row holds context, is empty or is too long.
            CheckpointError: the tokenizer fails.
        """
        proteins = []
        for number, row in enumerate(sequences):
            name = names[number] if names is not None else f"row {number + 1}"
            protein, *context = sequences_of(row)
            if context or not 0 < len(protein) <= self.max_residues:
                raise InputError(None, None, f"{name}: expected one protein of at most {self.max_residues} residues")
            proteins.append(protein)
        # A blank between residues: each letter is a token of its own, unknown ones included.
        with tokenising(self._tokenizer):
            batch = self._tokenizer([" ".join(protein) for protein in proteins], padding=True, return_tensors="pt")
        real = batch["attention_mask"].bool()
        positions = torch.arange(real.shape[1]).expand_as(real).masked_fill(~real, -1)
        tensors = {
            "input_ids": batch["input_ids"],
            "within_seq_position_ids": positions,
            "global_position_ids": positions,
            "sequence_ids": torch.where(real, 0, -1),
        }
        return {key: tensor.to(device) for key, tensor in tensors.items()}

    def residue_mask(self, input_ids: Tensor, sequence_ids: Tensor) -> Tensor:
        """True at residues (B, T)."""
        return (sequence_ids >= 0) & ~torch.isin(input_ids, self._special.to(input_ids.device))
