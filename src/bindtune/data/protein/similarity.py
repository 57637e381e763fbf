"""Find pairs of similar proteins: shared words give the candidates, alignments decide.

Two proteins are candidates if words of four residues match twice on one diagonal, and the best stretch without gaps on
this diagonal has a BLOSUM62 score that is rare by chance. Nearly every pair above 50 % identity becomes a candidate.
At 30 % some pairs are missed; MMseqs2 is more sensitive there.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from biotite.sequence import ProteinSequence
from biotite.sequence.align import SubstitutionMatrix, align_banded
from numpy.typing import NDArray

from bindtune.progress import progress

log = logging.getLogger(__name__)

Ints = NDArray[np.int64]

# Time grows with the square of their number: 5,000 proteins take about a minute.
MOST_SEQUENCES = 20_000

_WORD = 4
_LETTERS = 26
_PADDING = _LETTERS
# If very many proteins share a word, each of them is paired with only so many of the next ones.
_MAX_PARTNERS = 512
_MIN_SCORE, _SCORE_PER_RESIDUE = 45, 2
_HALF_BAND = 32
_GAP_PENALTY = (-11, -1)
_BLOCK_HITS = 1 << 22
_BLOCK_CELLS = 1 << 22
# Letters without a row in BLOSUM62: selenocysteine, pyrrolysine, leucine or isoleucine.
_STAND_INS = str.maketrans("UOJ", "CKL")


class Candidates(NamedTuple):
    """Pairs that may be similar, the most probable first.

    Args:
        first: (P,) index of one sequence.
        second: (P,) index of the other sequence, which is greater.
        diagonal: (P,) position in the first minus position in the second.
        score: (P,) BLOSUM62 score of the best stretch without gaps.
    """

    first: Ints
    second: Ints
    diagonal: Ints
    score: Ints


class Alignment(NamedTuple):
    """A local alignment.

    Args:
        identity: share of identical columns.
        coverage: share of the shorter sequence's residues that are aligned.
    """

    identity: float
    coverage: float


class _Words(NamedTuple):
    """Every word of every sequence, in the order of the sequences.

    Args:
        owner: (W,) sequence of the word.
        position: (W,) position in it.
        rank: (W,) rank of the word when all words are sorted by their letters.
        by_rank: (W,) the word at each rank.
        partners: (W,) number of following ranks with the same word, at most _MAX_PARTNERS.
    """

    owner: Ints
    position: Ints
    rank: Ints
    by_rank: Ints
    partners: Ints


def candidate_pairs(sequences: Sequence[str], *, parts: Ints | None = None) -> Candidates:
    """Find pairs to align.

    Args:
        sequences: N, upper case.
        parts: (N,) if given, only pairs of different parts are returned.
    """
    codes = np.frombuffer("".join(sequences).encode("ascii"), np.uint8).astype(np.int64) - ord("A")
    lengths = np.array([len(sequence) for sequence in sequences], np.int64)
    words = _words(codes, lengths)
    with progress("comparing proteins", len(sequences), unit="proteins", log=log) as advance:
        blocks = [
            _best_diagonals(diagonals, codes=codes, lengths=lengths)
            for diagonals in _double_hits(words, lengths=lengths, parts=parts, advance=advance)
        ]
    if not blocks:
        return Candidates(*(np.empty(0, np.int64) for _ in range(4)))
    columns = [np.concatenate(column) for column in zip(*blocks, strict=True)]
    order = np.lexsort((columns[1], columns[0], -columns[3]))
    return Candidates(*(column[order] for column in columns))


def align(first: str, second: str, *, diagonal: int) -> Alignment:
    """Align two proteins in a band about a diagonal (BLOSUM62, gaps 11 and 1)."""
    matrix = SubstitutionMatrix.std_protein_matrix()
    band = (-diagonal - _HALF_BAND, -diagonal + _HALF_BAND)
    first_codes, second_codes = _sequence(first), _sequence(second)
    # By name: biotite 2 has them in another order.
    alignments = align_banded(
        first_codes, second_codes, matrix=matrix, band=band, gap_penalty=_GAP_PENALTY, local=True, max_number=1
    )
    if not alignments:
        return Alignment(0.0, 0.0)
    trace = alignments[0].trace
    paired = trace[(trace >= 0).all(axis=1)]
    same = int((first_codes.code[paired[:, 0]] == second_codes.code[paired[:, 1]]).sum())
    shorter = 0 if len(first) <= len(second) else 1
    covered = int((trace[:, shorter] >= 0).sum())
    return Alignment(same / max(len(trace), 1), covered / min(len(first), len(second)))


def _words(codes: Ints, lengths: Ints) -> _Words:
    owner = np.repeat(np.arange(len(lengths)), lengths)
    position = np.arange(len(codes)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    count = max(len(codes) - _WORD + 1, 0)
    word = np.zeros(count, np.int64)
    whole = np.ones(count, bool)
    for offset in range(_WORD):
        letters = codes[offset : offset + count]
        word = word * _LETTERS + letters
        whole &= (letters != ord("X") - ord("A")) & (owner[offset : offset + count] == owner[:count])
    word, owner, position = word[whole], owner[:count][whole], position[:count][whole]
    by_rank = np.argsort(word, kind="stable")
    rank = np.empty_like(by_rank)
    rank[by_rank] = np.arange(len(by_rank))
    ordered = word[by_rank]
    last = np.searchsorted(ordered, ordered, side="right")
    partners = np.minimum(last - np.arange(len(ordered)) - 1, _MAX_PARTNERS)[rank]
    return _Words(owner, position, rank, by_rank, partners)


def _double_hits(
    words: _Words, *, lengths: Ints, parts: Ints | None, advance: Callable[[int], object]
) -> Iterator[tuple[Ints, Ints, Ints]]:
    """Yield the (first, second, diagonal) with at least two matching words, a block of first sequences at a time.

    `advance` is called with the number of sequences of each block.
    """
    count, reach = len(lengths), int(lengths.max(initial=0)) + 1
    hits = np.bincount(words.owner, weights=words.partners, minlength=count)
    block = (np.cumsum(hits) // _BLOCK_HITS).astype(np.int64)[words.owner]
    edges = np.flatnonzero(np.diff(block)) + 1
    for begin, end in zip([0, *edges.tolist()], [*edges.tolist(), len(words.owner)], strict=True):
        partners = words.partners[begin:end]
        source = np.repeat(np.arange(begin, end), partners)
        step = np.arange(len(source)) - np.repeat(np.cumsum(partners) - partners, partners) + 1
        target = words.by_rank[words.rank[source] + step]
        first, second = words.owner[source], words.owner[target]
        allowed = first != second
        if parts is not None:
            allowed &= parts[first] != parts[second]
        diagonal = words.position[source] - words.position[target] + reach
        keys = ((first * count + second) * (2 * reach) + diagonal)[allowed]
        keys.sort()
        # Keep each diagonal once, by its second hit.
        keys = (
            keys[1:][(keys[1:] == keys[:-1]) & np.append(True, keys[1:-1] != keys[:-2])] if len(keys) > 1 else keys[:0]
        )
        pair, shifted = np.divmod(keys, 2 * reach)
        yield pair // count, pair % count, shifted - reach
        if begin < end:
            advance(int(words.owner[end - 1]) - int(words.owner[begin]) + 1)


def _best_diagonals(diagonals: tuple[Ints, Ints, Ints], *, codes: Ints, lengths: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """The best diagonal of each pair and its score; pairs with too low a score are left out."""
    first, second, diagonal = diagonals
    score = _segment_scores(diagonals, codes=codes, lengths=lengths)
    needed = np.minimum(_MIN_SCORE, _SCORE_PER_RESIDUE * np.minimum(lengths[first], lengths[second]))
    keep = np.flatnonzero(score >= needed)
    order = keep[np.lexsort((-score[keep], second[keep], first[keep]))]
    new = np.ones(len(order), bool)
    new[1:] = (first[order][1:] != first[order][:-1]) | (second[order][1:] != second[order][:-1])
    best = order[new]
    return first[best], second[best], diagonal[best], score[best]


def _segment_scores(diagonals: tuple[Ints, Ints, Ints], *, codes: Ints, lengths: Ints) -> Ints:
    """(P,) highest score of a gapless stretch on each diagonal."""
    first, second, diagonal = diagonals
    offsets = np.cumsum(lengths) - lengths
    start_first, start_second = np.maximum(diagonal, 0), np.maximum(-diagonal, 0)
    span = np.minimum(lengths[first] - start_first, lengths[second] - start_second)
    start_first, start_second = start_first + offsets[first], start_second + offsets[second]
    padded = np.append(codes, np.full(int(lengths.max(initial=0)), _PADDING))
    score = np.zeros(len(first), np.int64)
    order = np.argsort(span, kind="stable")
    begin = 0
    while begin < len(order):
        width = int(span[order[min(begin + _BLOCK_CELLS // 1024, len(order)) - 1]])
        rows = order[begin : begin + max(_BLOCK_CELLS // max(width, 1024), 1)]
        width = int(span[rows[-1]])
        columns = np.arange(width)
        cells = _scores()[padded[start_first[rows, None] + columns], padded[start_second[rows, None] + columns]]
        cells[columns >= span[rows, None]] = 0
        total = np.cumsum(cells, axis=1, dtype=np.int32)
        lowest = np.minimum.accumulate(
            np.concatenate([np.zeros((len(rows), 1), np.int32), total[:, :-1]], axis=1), axis=1
        )
        score[rows] = (total - lowest).max(axis=1)
        begin += len(rows)
    return score


@cache
def _scores() -> NDArray[np.int8]:
    """BLOSUM62 by letter, A to Z and padding."""
    matrix = SubstitutionMatrix.std_protein_matrix()
    table = np.zeros((_LETTERS + 1, _LETTERS + 1), np.int8)
    letters = [chr(ord("A") + code) for code in range(_LETTERS)]
    for row, row_letter in enumerate(letters):
        for column, column_letter in enumerate(letters):
            table[row, column] = matrix.get_score(row_letter.translate(_STAND_INS), column_letter.translate(_STAND_INS))
    return table


def _sequence(text: str) -> Any:
    return ProteinSequence(text.translate(_STAND_INS))
