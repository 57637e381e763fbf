"""Find short DNA sequences that share long words or are similar, on either strand, among hundreds of thousands."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from bindtune.data.dna.composition import letter_codes
from bindtune.io.genome import reverse_complement

Ints = NDArray[np.int64]
Words = NDArray[np.uint64]
LONGEST_WORD = 32
"""Letters of two bits each in 64 bits."""
_SEED = 12
_MOST_PARTNERS = 64
"""A word that very many sequences have (repeats of one letter) pairs each with so many of the next."""
_BLOCK_LETTERS = 1 << 22
_HALF_OVERLAP = 0.5


def _blocks(sequences: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
    step = max(1, _BLOCK_LETTERS // max(1, max(map(len, sequences), default=1)))
    for first in range(0, len(sequences), step):
        yield first, sequences[first : first + step]


def _both_strands(sequences: Sequence[str], size: int) -> tuple[Ints, Words, Words]:
    """(W,) owner, word and its reverse complement."""
    codes = letter_codes("".join(sequences))
    owner = np.repeat(np.arange(len(sequences)), [len(sequence) for sequence in sequences])
    count = max(len(codes) - size + 1, 0)
    forward, backward = np.zeros(count, np.uint64), np.zeros(count, np.uint64)
    whole = owner[size - 1 :] == owner[:count] if count else np.zeros(0, bool)
    for offset in range(size):
        letters = codes[offset : offset + count]
        whole &= letters < 4
        forward = (forward << np.uint64(2)) | (letters & 3).astype(np.uint64)
        backward |= (np.uint64(3) - (letters & 3).astype(np.uint64)) << np.uint64(2 * offset)
    return owner[:count][whole], forward[whole], backward[whole]


def shared_across(sequences: Sequence[str], parts: Ints, *, size: int) -> tuple[Ints, Ints]:
    """Words that sequences of different parts share.

    Args:
        sequences: N, distinct.
        parts: (N,) part of each.
        size: letters of a word, at most 32.

    Returns:
        Pairs that chain all sequences with such a word: (S,) sequences, and (S,) numbers of the words.
    """
    owners, numbers = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    count = 0
    for owner, word in _partitions(sequences, size):
        order = np.argsort(word, kind="stable")
        owner, word = owner[order], word[order]
        first = np.flatnonzero(np.append(True, word[1:] != word[:-1])) if len(word) else np.empty(0, np.int64)
        part = parts[owner]
        mixed = np.minimum.reduceat(part, first) != np.maximum.reduceat(part, first) if len(first) else first > 0
        number = np.repeat(np.cumsum(mixed) - 1, np.diff(np.append(first, len(word))))
        chosen = np.repeat(mixed, np.diff(np.append(first, len(word))))
        owners.append(owner[chosen])
        numbers.append(number[chosen] + count)
        count += int(mixed.sum())
    return np.concatenate(owners), np.concatenate(numbers)


def _partitions(sequences: Sequence[str], size: int) -> Iterator[tuple[Ints, Words]]:
    """All words, a share of the possible ones at a time, so that memory is bounded."""
    letters = sum(map(len, sequences))
    shares = np.uint64(-(-letters // (4 * _BLOCK_LETTERS)) or 1)
    for share in range(int(shares)):
        owners, words = [np.empty(0, np.int64)], [np.empty(0, np.uint64)]
        for first, block in _blocks(sequences):
            owner, forward, backward = _both_strands(block, size)
            word = np.minimum(forward, backward)
            own = (word ^ (word >> np.uint64(29))) % shares == np.uint64(share)
            owners.append(owner[own] + first)
            words.append(word[own])
        yield np.concatenate(owners), np.concatenate(words)


def similarity_groups(sequences: Sequence[str], *, identity: float) -> Ints:
    """Group sequences by chains of similar ones.

    Two sequences are similar where they lie side by side without gaps, half of the shorter one is covered, and the
    share of equal letters there is at least `identity`; one of them may be reversed and complemented. Candidates share
    a word of 12 letters. Sequences that share a word of 32 letters are of one group in any case.

    Args:
        sequences: N.
        identity: least share of equal letters, above one half.

    Returns:
        (N,) number of each sequence's group, in the order in which groups begin.
    """
    distinct = list(dict.fromkeys(sequences))
    index = {sequence: number for number, sequence in enumerate(distinct)}
    first, second = _similar_pairs(distinct, identity=identity)
    size = min([LONGEST_WORD, *map(len, distinct)])
    owner, word = shared_across(distinct, np.arange(len(distinct)), size=size) if size else (first[:0], first[:0])
    joined = join(len(distinct), np.concatenate([first, owner]), np.concatenate([second, _leaders(owner, word)]))
    group = joined[[index[sequence] for sequence in sequences]]
    _, begin, number = np.unique(group, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(begin))[number]


def join(count: int, first: Ints, second: Ints) -> Ints:
    """(N,) number of the set of each of N things, given pairs that belong together."""
    edges = coo_matrix((np.ones(len(first), np.int8), (first, second)), shape=(count, count))
    return np.asarray(connected_components(edges, directed=False)[1], np.int64)


def _leaders(owner: Ints, word: Ints) -> Ints:
    """(S,) for each pair of a sequence and a word, the first sequence with that word."""
    leader = np.zeros(int(word.max(initial=-1)) + 1, np.int64)
    leader[word[::-1]] = owner[::-1]
    return leader[word]


def _similar_pairs(sequences: Sequence[str], *, identity: float) -> tuple[Ints, Ints]:
    """Pairs of similar sequences; a sequence with itself is none."""
    count = len(sequences)
    turned = [reverse_complement(sequence.encode()).decode("ascii") for sequence in sequences]
    both = [*sequences, *turned]
    lengths = np.array([len(sequence) for sequence in both], np.int64)
    codes = letter_codes("".join(both))
    starts = np.cumsum(lengths) - lengths
    owner, word, position = _forward_words(codes, lengths)
    order = np.argsort(word, kind="stable")
    owner, word, position = owner[order], word[order], position[order]
    pairs = [np.empty((2, 0), np.int64)]
    seen = np.empty(0, np.int64)
    reach = int(lengths.max(initial=0)) + 1
    for step in range(1, _MOST_PARTNERS + 1):
        same = np.flatnonzero(word[step:] == word[:-step]) if step < len(word) else np.empty(0, np.int64)
        if not len(same):
            break
        one, two = same, same + step
        # Of the two strands of a pair one is enough: the lesser sequence is read forward.
        low = np.where(owner[one] % count <= owner[two] % count, one, two)
        high = np.where(low == one, two, one)
        keep = (owner[low] < count) & (owner[low] % count != owner[high] % count)
        low, high = low[keep], high[keep]
        keys = np.unique((owner[low] * 2 * count + owner[high]) * 2 * reach + position[low] - position[high] + reach)
        keys = keys[~np.isin(keys, seen, assume_unique=True)]
        seen = np.union1d(seen, keys)
        pair, shift = np.divmod(keys, 2 * reach)
        first, second = np.divmod(pair, 2 * count)
        good = _alike(codes, starts, lengths, first=first, second=second, shift=shift - reach, identity=identity)
        pairs.append(np.stack([first[good], second[good] % count]))
    joined = np.concatenate(pairs, axis=1)
    return joined[0], joined[1]


def _forward_words(codes: NDArray[np.int8], lengths: Ints) -> tuple[Ints, Words, Ints]:
    """(W,) owner, word and position of every word of 12 letters."""
    owner = np.repeat(np.arange(len(lengths)), lengths)
    position = np.arange(len(codes)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    count = max(len(codes) - _SEED + 1, 0)
    word, whole = np.zeros(count, np.uint64), owner[_SEED - 1 :] == owner[:count]
    for offset in range(_SEED):
        letters = codes[offset : offset + count]
        word, whole = (word << np.uint64(2)) | (letters & 3).astype(np.uint64), whole & (letters < 4)
    return owner[:count][whole], word[whole], position[:count][whole]


def _alike(
    codes: NDArray[np.int8],
    starts: Ints,
    lengths: Ints,
    *,
    first: Ints,
    second: Ints,
    shift: Ints,
    identity: float,
) -> NDArray[np.bool_]:
    """Which pairs have enough equal letters where they lie side by side; the second begins at `shift` of the first."""
    low = np.maximum(shift, 0)
    span = np.minimum(lengths[first], shift + lengths[second]) - low
    shorter = np.minimum(lengths[first], lengths[second])
    good = np.zeros(len(first), bool)
    rows = np.flatnonzero(span >= _HALF_OVERLAP * shorter)
    step = max(1, _BLOCK_LETTERS // max(1, int(lengths.max(initial=1))))
    for begin in range(0, len(rows), step):
        some = rows[begin : begin + step]
        columns = np.arange(int(span[some].max()))
        inside = columns < span[some, None]
        one = np.where(inside, starts[first[some], None] + low[some, None] + columns, 0)
        two = np.where(inside, starts[second[some], None] + (low - shift)[some, None] + columns, 0)
        equal = (codes[one] == codes[two]) & (codes[one] < 4) & inside
        good[some] = equal.sum(axis=1) >= identity * span[some]
    return good
