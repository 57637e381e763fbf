"""Make padded, masked batches from records with token ids."""

import os
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from bindtune.data.dna.tokens import special_ids
from bindtune.data.keyed_random import Keys, derive, digest
from bindtune.data.masking import (
    FLANK,
    PEAK,
    Ints,
    Replacement,
    choose_masked,
    replace_selected,
)
from bindtune.data.masking_strategies import MaskingRates, StrategyName, strategy_name
from bindtune.errors import ConfigError
from bindtune.models.token_loss import IGNORED
from bindtune.regions import span_mask

Example = Mapping[str, Any]


def check_special_tokens(tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse a tokenizer without a mask or a padding token.

    Raises:
        ConfigError: it has none.
    """
    for name in ("mask_token_id", "pad_token_id"):
        if getattr(tokenizer, name) is None:
            raise ConfigError(f"the tokenizer has no {name.removesuffix('_id').replace('_', ' ')}")


class EclipAdaptiveMLMCollator:
    """Pad examples and mask them: more inside peaks, less in the flanks, exactly `target_mlm_prob` in all.

    An example holds `input_ids` and may hold `attention_mask` (all ones without it). Unless masking is uniform, it also
    holds `eclip_token_starts` and `eclip_token_ends`: half-open token spans of its peaks. Special tokens, [UNK] and
    padding are never selected. Examples are not changed.

    An example that carries `mask_key` (a whole number below 2^64) is masked by that key alone. Otherwise the masks
    come from `seed`, the number of the call, the rank, and inside a DataLoader worker from the worker's own seed, which
    the loader draws anew from torch's generator each epoch; without `seed` from torch's generator and the rank.

    Args:
        tokenizer: gives the mask, padding and special ids.
        target_mlm_prob: share of a sequence's maskable tokens that is selected, exactly (nearest whole number, ties to
            the even one).
        eclip_mlm_range: lowest and highest rate inside peaks; each sequence draws its own.
        min_flanking_prob: lowest rate in the flanks.
        adaptive: False masks uniformly.
        mask_replace_prob: share of the selected tokens that becomes the mask token.
        random_replace_prob: share that becomes a random token that is not special; what is left is kept.
        seed: see above.
        masking: name in `data.masking_strategies.STRATEGIES`; it replaces `adaptive`.
        report: also return `region` (B, T), FLANK or PEAK and 0 where nothing can be masked, and `relaxed` (B,), for
            logging.

    Raises:
        ConfigError: rates that cannot hold, or a tokenizer without a mask or padding token.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        target_mlm_prob: float = 0.15,
        eclip_mlm_range: tuple[float, float] = (0.20, 0.25),
        min_flanking_prob: float = 0.05,
        adaptive: bool = True,
        mask_replace_prob: float = 0.8,
        random_replace_prob: float = 0.1,
        seed: int | None = None,
        *,
        masking: StrategyName | None = None,
        report: bool = False,
    ) -> None:
        lo, hi = eclip_mlm_range
        self.rates = MaskingRates(
            target=target_mlm_prob,
            peak_range=(lo, hi),
            floor=min_flanking_prob,
            strategy=strategy_name(masking, adaptive=adaptive),
        )
        self.replacement = Replacement(mask=mask_replace_prob, random=random_replace_prob)
        check_special_tokens(tokenizer)
        self.mask_id, self.pad_id = int(tokenizer.mask_token_id), int(tokenizer.pad_token_id)
        special = np.zeros(len(tokenizer), bool)
        special[[token for token in special_ids(tokenizer) if token < len(special)]] = True
        self.is_special = special
        self.ordinary = np.flatnonzero(~special)
        self.seed = seed
        self.report = report
        self._calls = 0

    def __call__(self, examples: Sequence[Example]) -> dict[str, torch.Tensor]:
        """Return input_ids, attention_mask and labels, each (B, T) int64; T is the longest example's length."""
        ids, attended = self._pad(examples)
        in_peak = self._peaks(examples, shape=(ids.shape[0], ids.shape[1]))
        keys = self._keys(examples)
        maskable = attended & ~self.is_special[ids]
        selected, relaxed = choose_masked(in_peak, maskable, rates=self.rates, keys=keys)
        masked = replace_selected(
            ids,
            selected,
            mask_id=self.mask_id,
            ordinary=self.ordinary,
            replacement=self.replacement,
            keys=keys,
        )
        batch: dict[str, NDArray[Any]] = {"input_ids": masked, "attention_mask": attended.astype(np.int64)}
        batch["labels"] = np.where(selected, ids, IGNORED)
        if self.report:
            batch["region"], batch["relaxed"] = np.where(in_peak, PEAK, FLANK) * maskable, relaxed
        return {name: torch.from_numpy(values) for name, values in batch.items()}

    def _pad(self, examples: Sequence[Example]) -> tuple[Ints, NDArray[np.bool_]]:
        rows = [example["input_ids"] for example in examples]
        lengths = np.array([len(row) for row in rows])
        filled = np.arange(lengths.max()) < lengths[:, None]
        ids = np.full(filled.shape, self.pad_id, dtype=np.int64)
        ids[filled] = _flat(rows)
        masks = [example.get("attention_mask") for example in examples]
        if all(mask is None or all(mask) for mask in masks):
            return ids, filled
        attended = np.zeros(filled.shape, dtype=bool)
        attended[filled] = _flat([[1] * n if mask is None else mask for mask, n in zip(masks, lengths, strict=True)])
        return ids, attended

    def _peaks(self, examples: Sequence[Example], *, shape: tuple[int, int]) -> NDArray[np.bool_]:
        if not all("eclip_token_starts" in example and "eclip_token_ends" in example for example in examples):
            if self.rates.uses_peaks:
                raise ValueError("masking by region needs eclip_token_starts and eclip_token_ends in every example")
            return np.zeros(shape, dtype=bool)
        starts = [example["eclip_token_starts"] for example in examples]
        ends = [example["eclip_token_ends"] for example in examples]
        rows = np.repeat(np.arange(len(examples)), [len(one) for one in starts])
        return span_mask(rows, _flat(starts), _flat(ends), shape=shape)

    def _keys(self, examples: Sequence[Example]) -> Keys:
        if any("mask_key" in example for example in examples):
            return np.array([example["mask_key"] for example in examples], dtype=np.uint64)
        rank = os.environ.get("RANK", "0")
        if self.seed is None:
            drawn = torch.randint(-(2**63), 2**63 - 1, (len(examples),)).numpy().view(np.uint64)
            # Ranks that were given the same seed would otherwise draw the same masks.
            return derive(np.array([digest("rank", rank)], np.uint64), drawn)
        worker = torch.utils.data.get_worker_info()
        stream = digest(self.seed, rank, worker.seed if worker else None, self._calls)
        self._calls += 1
        return derive(np.array([stream], np.uint64), np.arange(len(examples), dtype=np.uint64))


def _flat(rows: Sequence[Any]) -> Ints:
    if isinstance(rows[0], np.ndarray):
        # Without the empty ones: `np.array([])` is of floats, which are refused.
        return np.concatenate([np.zeros(0, np.int64), *(row for row in rows if len(row))], dtype=np.int64)
    return np.fromiter(chain.from_iterable(rows), dtype=np.int64)
