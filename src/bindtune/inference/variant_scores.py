"""Scores of variants: how much likelier a model of DNA finds one allele than the other, in nats.

Both alleles are placed in the same stretch. Their common first and last tokens are removed; D are the remaining tokens.
All of D are masked together. The score is the sum of log P over the D of the other allele, minus the same sum for the
reference. If each D is one token, the score is the log-odds of the two tokens at one masked position.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from transformers import PreTrainedTokenizerBase

from bindtune.data.dna.alleles import (
    Change,
    MaskedRow,
    allele_sequences,
    changed_tokens,
    masked_rows,
    stretches,
)
from bindtune.data.dna.tokens import encode, special_ids, spelled_for
from bindtune.errors import CheckpointError, ConfigError
from bindtune.inference.masked_tokens import log_probabilities
from bindtune.models.loading import usable_positions

UNKNOWN_NEARBY = "unknown_letters_nearby"
_MANY_TOKENS = 1 << 20


class Reading(NamedTuple):
    """A variant in one stretch, as one strand reads it.

    Args:
        owner: index of the variant.
        ref: the stretch with the reference allele.
        alt: the stretch with the other one.
    """

    owner: int
    ref: str
    alt: str


class VariantScore(NamedTuple):
    """The score of a variant; numbers are means over its readings.

    Args:
        score: in nats; above 0 the model prefers the other allele. NaN if a reading has unknown letters in D.
        tokens_ref: tokens that only the reference has; None if tokens are not compared.
        tokens_alt: tokens that only the other allele has.
    """

    score: float
    tokens_ref: float | None
    tokens_alt: float | None


def readings(
    owner: int, change: Change, *, fetch: Callable[[int, int], str], size: int, width: int, strand: int, phases: int
) -> list[Reading]:
    """All readings of a variant: each strand, each phase.

    Args:
        owner: index of the variant.
        change: the variant.
        fetch: letters of [start, end) of its sequence.
        size: of the sequence.
        width: nucleotides of a stretch.
        strand: 1, -1, or 0 for both.
        phases: stretches of a strand.
    """
    rows = []
    for side in (1, -1) if strand == 0 else (strand,):
        for start, end in stretches(change, size=size, width=width, strand=side, phases=phases):
            rows.append(Reading(owner, *allele_sequences(change, start=start, letters=fetch(start, end), strand=side)))
    return rows


@dataclass(frozen=True)
class VariantScorer:
    """A masked language model of DNA that scores variants.

    Args:
        name: what the user calls the model.
        model: in evaluation mode.
        tokenizer: its tokenizer.
        batch_tokens: tokens that are computed at once.
    """

    name: str
    model: Any
    tokenizer: PreTrainedTokenizerBase
    batch_tokens: int

    def __post_init__(self) -> None:
        if self.tokenizer.mask_token_id is None:
            raise CheckpointError(f"{self.name}: the tokenizer has no mask token, so variants cannot be scored")

    def score(
        self, rows: Sequence[Reading], *, count: int, done: Callable[[int], None] = lambda count: None
    ) -> list[VariantScore]:
        """Score variants.

        Args:
            rows: their readings, at least one for each variant.
            count: how many variants there are.
            done: gets the number of variants that were finished.

        Raises:
            ConfigError: a stretch has more tokens than the model has positions for.
            BindtuneError: an output is not finite.
        """
        ids = self._tokens([row.ref for row in rows] + [row.alt for row in rows])
        special = special_ids(self.tokenizer)
        mask = int(self.tokenizer.mask_token_id)
        requests: list[tuple[MaskedRow, tuple[int, ...]]] = []
        tokens, unknown = np.zeros((2, count)), np.zeros(count, bool)
        owner = np.array([row.owner for row in rows], np.int64)
        for index, (ref, alt) in enumerate(zip(ids[: len(rows)], ids[len(rows) :], strict=True)):
            changed = changed_tokens(ref, alt)
            requests += masked_rows(ref, alt, changed, mask=mask)
            tokens[:, owner[index]] += len(changed.ref), len(changed.alt)
            unknown[owner[index]] |= not special.isdisjoint(changed.ref + changed.alt)
        masked_row_count = len({row for row, _ in requests if row.masked})
        computed = _Share(count, masked_row_count, done)
        sums = log_probabilities(
            self.model, requests, batch_tokens=self.batch_tokens, name=self.name, done=computed.add
        )
        difference = sums[1::2] - sums[::2]
        number = np.bincount(owner, minlength=count)
        score = np.bincount(owner, weights=difference, minlength=count) / number
        score[unknown] = np.nan
        return [VariantScore(*each) for each in zip(score.tolist(), *(tokens / number).tolist(), strict=True)]

    def _tokens(self, sequences: list[str]) -> list[list[int]]:
        ids, _ = encode(self.tokenizer, spelled_for(self.tokenizer, sequences), _MANY_TOKENS)
        most, longest = usable_positions(self.model), max(map(len, ids), default=0)
        if most is not None and longest > most:
            raise ConfigError(
                f"{self.name}: a stretch has {longest} tokens, and the model has positions for {most}: lower --width"
            )
        return ids


class _Share:
    """Report progress in variants while rows are counted."""

    def __init__(self, variants: int, rows: int, done: Callable[[int], None]) -> None:
        self._variants, self._rows, self._done, self._seen = variants, max(1, rows), done, 0

    def add(self, rows: int) -> None:
        """Count some rows."""
        before, self._seen = self._seen, self._seen + rows
        self._done(self._seen * self._variants // self._rows - before * self._variants // self._rows)
