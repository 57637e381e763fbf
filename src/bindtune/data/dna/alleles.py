"""Alleles in their stretch of a genome, and the tokens in which two alleles differ.

A variant changes the tokens around it: with the vocabulary of DNABERT-2, 42 % of the substitutions in exons change
exactly one token, and 25 % change the number of tokens. So tokens are compared, not letters.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from bindtune.io.genome import reverse_complement


class Change(NamedTuple):
    """What is left of two alleles when the letters that they share at their ends are taken away.

    Args:
        start: 0-based position of the first letter of `ref` on the sequence.
        ref: letters of the reference allele; may be empty.
        alt: letters of the other allele; may be empty.
    """

    start: int
    ref: str
    alt: str

    @property
    def size(self) -> int:
        """Nucleotides that change: the longer of the two."""
        return max(len(self.ref), len(self.alt))


def trim(position: int, ref: str, alt: str) -> Change:
    """Take away the letters that two alleles share at their ends, those at the right end first.

    Args:
        position: 1-based position of the first letter of `ref`.
        ref: one allele, upper case.
        alt: the other.

    Examples:
        >>> trim(10, "CA", "C")
        Change(start=10, ref='A', alt='')
        >>> trim(10, "ACG", "ATG")
        Change(start=10, ref='C', alt='T')
    """
    behind = _shared(ref[::-1], alt[::-1])
    ref, alt = ref[: len(ref) - behind], alt[: len(alt) - behind]
    before = _shared(ref, alt)
    return Change(position - 1 + before, ref[before:], alt[before:])


def _shared(first: Sequence[object], second: Sequence[object]) -> int:
    """How many members two sequences share at their beginning."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((index for index, (one, two) in pairs if one != two), min(len(first), len(second)))


def stretches(change: Change, *, size: int, width: int, strand: int, phases: int) -> list[tuple[int, int]]:
    """Where a variant is read: stretches of the sequence that hold it, (start, end) each.

    The longer allele stands in the middle of `width` nucleotides. Each further stretch begins one nucleotide later on
    the strand. At the ends of the sequence stretches are shorter, and there may be fewer of them.

    Args:
        change: the variant.
        size: letters of the sequence.
        width: nucleotides of a stretch with the longer allele.
        strand: 1 or -1: the strand that is read.
        phases: how many stretches.

    Examples:
        >>> stretches(Change(100, "A", "G"), size=1000, width=11, strand=1, phases=2)
        [(95, 106), (96, 107)]
        >>> stretches(Change(100, "A", "G"), size=1000, width=11, strand=-1, phases=2)
        [(95, 106), (94, 105)]
    """
    flank = width - change.size
    before = flank // 2
    left, right = (before, flank - before) if strand > 0 else (flank - before, before)
    end = change.start + len(change.ref)
    first, last = max(0, change.start - left), min(size, end + right)
    if strand > 0:
        return [(first + k, min(last + k, size)) for k in range(min(phases, change.start - first + 1))]
    return [(max(first - k, 0), last - k) for k in range(min(phases, last - end + 1))]


def allele_sequences(change: Change, *, start: int, letters: str, strand: int) -> tuple[str, str]:
    """Both alleles in a stretch, as the strand reads them.

    Args:
        change: the variant.
        start: 0-based position of the stretch.
        letters: of the stretch, of the plus strand.
        strand: 1 or -1.

    Returns:
        The stretch with the reference allele, and with the other one.
    """
    offset = change.start - start
    before, behind = letters[:offset], letters[offset + len(change.ref) :]
    both = (before + change.ref + behind, before + change.alt + behind)
    if strand > 0:
        return both
    ref, alt = (reverse_complement(each.encode("ascii")).decode("ascii") for each in both)
    return ref, alt


class ChangedTokens(NamedTuple):
    """The tokens in which two alleles differ.

    Args:
        first: index of the first such token, in both rows.
        ref: ids that only the reference has there.
        alt: ids that only the other allele has there.
    """

    first: int
    ref: tuple[int, ...]
    alt: tuple[int, ...]


def changed_tokens(ref: Sequence[int], alt: Sequence[int]) -> ChangedTokens:
    """Take away the tokens that two rows share at their beginning and at their end.

    Args:
        ref: ids of one row.
        alt: ids of the other.

    Examples:
        >>> changed_tokens([1, 7, 8, 9, 2], [1, 7, 5, 9, 2])
        ChangedTokens(first=2, ref=(8,), alt=(5,))
        >>> changed_tokens([1, 7, 7, 2], [1, 7, 2])
        ChangedTokens(first=2, ref=(7,), alt=())
    """
    first = _shared(ref, alt)
    behind = _shared(ref[first:][::-1], alt[first:][::-1])
    return ChangedTokens(first, tuple(ref[first : len(ref) - behind]), tuple(alt[first : len(alt) - behind]))


class MaskedRow(NamedTuple):
    """A row of tokens whose changed ones are masked.

    Args:
        ids: T tokens.
        first: index of the first masked token.
        masked: how many tokens are masked, side by side.
    """

    ids: tuple[int, ...]
    first: int
    masked: int


def masked_rows(
    ref: Sequence[int], alt: Sequence[int], changed: ChangedTokens, *, mask: int
) -> Iterator[tuple[MaskedRow, tuple[int, ...]]]:
    """Yield the row in which each allele is looked for, the reference first, and the tokens that are looked for.

    Where both alleles have equally many changed tokens, the two rows are the same one.

    Args:
        ref: ids of the reference's row.
        alt: ids of the other's.
        changed: their difference.
        mask: id of the mask token.
    """
    for ids, tokens in ((ref, changed.ref), (alt, changed.alt)):
        hidden = (mask,) * len(tokens)
        row = (*ids[: changed.first], *hidden, *ids[changed.first + len(tokens) :])
        yield MaskedRow(row, changed.first, len(tokens)), tokens
