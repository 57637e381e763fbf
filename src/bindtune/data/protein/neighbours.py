"""The similarity of each row of an alignment to the first row, and its number of near neighbours.

Row j is a near neighbour of row i where the columns in which both have the same letter are at least some share of the
letters of j. Pairs are compared in two steps. A matrix product of random signs dismisses most pairs: each letter of a
column becomes +1 or -1, so that equal letters add 1 and different letters add 0 on average. Then the equal columns of
the remaining pairs are counted.

Up to `EXACT_ROWS` rows the counts are exact: the product is over all columns, and a dismissed pair cannot be one of
neighbours. Beyond, the counts are an estimate. The product is then over some columns, drawn for rows of like length and
place. A pair at the bound passes with a probability of 99.8 %, a closer pair more often. Where two rows both have many
candidates, a sample of their pairs is compared, and each counts for several. Closer screens divide such pairs into
classes, from which is sampled apart: pairs of the closest class are most likely neighbours, and few. What is drawn
follows from the alignment.

The estimate of a count has no bias. In families of clusters its standard error is below 20 %. The weight of a row is
one over its count, so the weight is too large where no neighbour of a row is sampled. This happens where nearly all
pairs of an alignment lie at the bound. The summed weights are then up to 1.5 times too large if rows form clusters, and
up to three times if no clusters stand out. Tests compare all this with exact counts.
"""

import logging
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from bindtune.progress import progress

log = logging.getLogger(__name__)

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]
Counts = NDArray[np.float64]

EXACT_ROWS = 20_000
"""Most rows whose near neighbours are counted exactly."""
_GAP = ord("-")
_BLOCK_ROWS = 4096
_PRODUCT_ROWS = 256
"""Rows of a block whose products are held at a time; few, so that they stay in a processor's cache."""
_BLOCK_BYTES = 48 * 2**20
"""Size of the signs of one block; two of them and their product are held at a time."""
_SIGNS = 128
"""Signs of a row in a product, at least; in an estimate about as many stand for letters and not for gaps."""
_MASKS = 32
"""Signs are the parity of some of a letter's last five bits, in which letters differ; a mask says of which bits."""
_DEVIATIONS = (-3.0, 0.0, 1.5)
"""Screens of an estimate, in standard deviations from the expected sum of a pair at the bound. The first dismisses
pairs; the closer ones divide the others into classes."""
_CROWD = 4
"""Rows are crowded if half of them have more than so many times the candidates that each is compared with."""
_COMPARED_PAIRS = 30_000_000
"""Pairs that an estimate compares, about."""
_CLASSES = 5
"""Classes of letters in the second, closer screen of rows that are alike."""
_FEW = 0.05
"""Share of a block's pairs up to which comparing them one by one is faster than a product for each letter."""


def query_similarity(aligned: Bytes) -> Floats:
    """Share of columns in which each row equals the first, a gap being equal to a gap: (N, L) to (N,)."""
    equal = np.empty(len(aligned), dtype=np.int64)
    for part in _slices(len(aligned), _BLOCK_ROWS):
        equal[part] = _count(aligned[part] == aligned[0], axis=1)
    return equal.astype(np.float32) / np.float32(max(aligned.shape[1], 1))


def neighbour_counts(aligned: Bytes, *, lower_bound: float, exact_rows: int = EXACT_ROWS) -> Ints:
    """Near neighbours of each row, itself included: (N, L) to (N,).

    Time grows with N squared, memory with N times L.

    Args:
        aligned: letters and `-`.
        lower_bound: share of its letters from which on a row is another's near neighbour.
        exact_rows: of more rows than this, the counts are an estimate.

    Example:
        >>> rows = np.array([list(b"MKTAY"), list(b"MKTAW"), list(b"WWWWW")], dtype=np.uint8)
        >>> neighbour_counts(rows, lower_bound=0.8).tolist()
        [2, 2, 1]
    """
    estimated = len(aligned) > exact_rows
    generator = np.random.default_rng(0)
    lengths = _letters(aligned)
    needed = _needed(lengths, lower_bound)
    order = _by_place(aligned, lengths, generator) if estimated else np.arange(len(aligned))
    letters = _by_frequency(aligned)
    exact = _ExactScreen(_drawn_masks(aligned.shape[1], aligned.shape[1], generator))
    blocks = [order[part] for part in _slices(len(aligned), _block_rows(aligned.shape[1]))]
    most = max(2, _COMPARED_PAIRS // max(len(aligned) * len(blocks), 1))
    counts = (lengths > 0).astype(np.float64)
    pairs = len(blocks) * (len(blocks) + 1) // 2
    with progress("counting near neighbours", pairs, unit="pairs of blocks", log=log, delay=2) as advance:
        for number, one in enumerate(blocks):
            left = _Block(aligned[one], needed[one])
            screen = _drawn_screen(left.rows, lower_bound, generator) if estimated else exact
            signs, least = screen.signs(left.rows), screen.least(left)
            for two in blocks[: number + 1]:
                same = two is one
                right = left if same else _Block(aligned[two], needed[two])
                others, needs = (signs, least) if same else (screen.signs(right.rows), screen.least(right))
                passed = _passed(signs, others, least, needs, crowd=_CROWD * most)
                if same:
                    for table in passed:
                        np.fill_diagonal(table, False)
                if estimated:
                    near = _near_of_pairs(left, right, _sampled(passed, most, generator))
                else:
                    near = _near_exactly(left, right, passed[0], letters)
                counts[one] += near[0]
                if not same:
                    counts[two] += near[1]
                advance(1)
    # A row of gaps has no letter to share, not even with itself.
    return np.maximum(np.rint(counts), 1).astype(np.int64)


class _Block(NamedTuple):
    """Some rows (n, L), and the fewest equal columns with which each is a neighbour of another row (n,)."""

    rows: Bytes
    needed: Floats


class _Pairs(NamedTuple):
    """Pairs of rows of two blocks, and for how many pairs each stands."""

    left: Ints
    right: Ints
    weight: Counts


class _ExactScreen(NamedTuple):
    """Dismisses pairs that cannot be neighbours.

    The sum of signs is the equal columns, plus columns in which other letters have one sign, less those in which they
    differ. So it is at least twice the equal columns less the letters of either row.

    Args:
        masks: some for each column (H, L).
    """

    masks: Bytes

    def signs(self, rows: Bytes) -> Floats:
        """Letters (n, L) as signs (n, H * L), gaps as 0."""
        return _signs(rows, self.masks)

    def least(self, block: _Block) -> Floats:
        """The smallest sum of signs with which each row may be a neighbour of another (1, n)."""
        least: Floats = np.float32(len(self.masks)) * (2 * block.needed - _letters(block.rows).astype(np.float32))
        return least[None]


class _DrawnScreen(NamedTuple):
    """Dismisses pairs that are hardly neighbours, by some of the columns.

    Args:
        masks: some for each drawn column (H, D).
        drawn: the drawn columns (D,).
        columns: all columns in which a row of the block has a letter (C,).
        lower_bound: share of equal letters of a neighbour.
    """

    masks: Bytes
    drawn: Ints
    columns: Ints
    lower_bound: float

    def signs(self, rows: Bytes) -> Floats:
        """Letters (n, L) as signs of the drawn columns (n, H * D), gaps as 0."""
        return _signs(rows[:, self.drawn], self.masks)

    def least(self, block: _Block) -> Floats:
        """The sums of signs that each screen needs, by standard deviations of the draw and of the signs (C, n)."""
        share, copies = self.lower_bound, len(self.masks)
        letters = _letters(block.rows[:, self.drawn])
        left_out = 1.0 - len(self.drawn) / len(self.columns)
        variance = letters * (share * (1.0 - share) * left_out + (1.0 - share) / copies)
        least = copies * (share * letters + np.array(_DEVIATIONS)[:, None] * np.sqrt(variance))
        if len(self.columns) < block.rows.shape[1]:
            # Of these rows, too many letters stand where no row of the block has any.
            least[:, _letters(block.rows[:, self.columns]) < block.needed] = np.inf
        return np.asarray(least, dtype=np.float32)


def _drawn_screen(rows: Bytes, lower_bound: float, generator: np.random.Generator) -> _DrawnScreen:
    columns = np.flatnonzero((rows != _GAP).any(axis=0))
    if not len(columns):
        columns = np.arange(1)
    median = max(1.0, float(np.median(_letters(rows))))
    size = min(len(columns), int(np.ceil(_SIGNS * len(columns) / median)))
    drawn = np.sort(generator.choice(columns, size=size, replace=False))
    return _DrawnScreen(_drawn_masks(size, median * size / len(columns), generator), drawn, columns, lower_bound)


def _drawn_masks(columns: int, letters: float, generator: np.random.Generator) -> Bytes:
    """So many masks for each column that a row with some letters in them has `_SIGNS` signs."""
    return generator.integers(_MASKS, size=(max(1, round(_SIGNS / max(letters, 1.0))), columns), dtype=np.uint8)


def _passed(left: Floats, right: Floats, left_least: Floats, right_least: Floats, *, crowd: int) -> list[Flags]:
    """Whether the products of signs (n, S) and (m, S) reach what either row needs: (n, m) for each of C screens.

    A closer screen is left out for rows most of which pass the one before with at most `crowd` others.
    """
    passed = [np.zeros((len(left), len(right)), dtype=bool) for _ in left_least]
    for part in _slices(len(left), _PRODUCT_ROWS):
        sums = left[part] @ right.T
        for table, one, two in zip(passed, left_least, right_least, strict=True):
            np.greater_equal(sums, one[part, None], out=table[part])
            table[part] |= sums >= two
            if np.median(_count(table[part], axis=1)) <= crowd:
                break
    return passed


def _signs(rows: Bytes, masks: Bytes) -> Floats:
    signs = np.empty((len(rows), *masks.shape), dtype=np.float32)
    gaps = rows == _GAP
    for copy, mask in enumerate(masks):
        signs[:, copy] = 1 - 2 * (np.bitwise_count(rows & mask) & 1).astype(np.int8)
        signs[:, copy][gaps] = 0
    return signs.reshape(len(rows), masks.size)


def _sampled(passed: Sequence[Flags], most: int, generator: np.random.Generator) -> _Pairs:
    """The pairs of two blocks that are compared.

    Pairs of rows that both have more than `most` candidates are thinned out. In a crowd, closer screens first divide
    them into classes, so that a few neighbours are not lost among many rows that are nearly neighbours.
    """
    nested = [table for table in passed if table.any()]
    classes = [*(wider ^ closer for wider, closer in pairwise(nested)), *nested[-1:]]
    parts = [_thinned(pairs, most, generator) for pairs in classes] or [_all_pairs(passed[0])]
    return _Pairs(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _all_pairs(likely: Flags) -> _Pairs:
    left, right = _places(likely)
    return _Pairs(left, right, np.ones(len(left)))


def _thinned(likely: Flags, most: int, generator: np.random.Generator) -> _Pairs:
    """Pairs of rows that both have more than `most` candidates are thinned out, by a power of two for each doubling.

    The rows stand in a random order, so every 2^k-th diagonal of the table is a sample of its pairs.
    """
    levels = [_doublings(_count(likely, axis=axis), most) for axis in (1, 0)]
    deepest = int(min(level.max() for level in levels))
    orders = [np.argsort(level, kind="stable") for level in levels]
    if not deepest:
        orders = [np.arange(len(level)) for level in levels]
    else:
        likely = likely.take(orders[0], axis=0).take(orders[1], axis=1)
        first = int(generator.integers(2**deepest))
        for level in range(1, deepest + 1):
            row, column = (int(np.searchsorted(each[order], level)) for each, order in zip(levels, orders, strict=True))
            part = likely[row:, column:]
            diagonals = (np.arange(row + column + first, row + column + first + sum(part.shape)) % 2**level) == 0
            part &= sliding_window_view(diagonals, part.shape[1])[: part.shape[0]]
    left, right = (order[index] for order, index in zip(orders, _places(likely), strict=True))
    return _Pairs(left, right, np.exp2(np.minimum(levels[0][left], levels[1][right])))


def _places(likely: Flags) -> tuple[Ints, Ints]:
    row, column = np.divmod(np.flatnonzero(likely), likely.shape[1])
    return row, column


def _doublings(counts: Ints, most: int) -> Ints:
    return np.ceil(np.log2(np.maximum(counts, most) / most)).astype(np.int64)


def _near_of_pairs(left: _Block, right: _Block, pairs: _Pairs) -> tuple[Counts, Counts]:
    """Neighbours of the rows of two blocks among some pairs."""
    equal = np.empty(len(pairs.left), dtype=np.int64)
    # Another byte for gaps on one side, so that no gap equals a gap.
    others = np.where(right.rows == _GAP, 0, right.rows).astype(np.uint8)
    for part in _slices(len(equal), max(1, _BLOCK_BYTES // (32 * max(others.shape[1], 1)))):
        same = left.rows[pairs.left[part]] == others[pairs.right[part]]
        equal[part] = _count(same, axis=1)
    ahead = pairs.weight * (equal >= right.needed[pairs.right])
    back = pairs.weight * (equal >= left.needed[pairs.left])
    near: Counts = np.bincount(pairs.left, ahead, minlength=len(left.rows)).astype(np.float64)
    near_back: Counts = np.bincount(pairs.right, back, minlength=len(right.rows)).astype(np.float64)
    return near, near_back


def _near_exactly(left: _Block, right: _Block, likely: Flags, letters: Bytes) -> tuple[Counts, Counts]:
    """Neighbours of the rows of two blocks; a row is not its own where they are one."""
    if np.count_nonzero(likely) > _FEW * likely.size:
        # The commonest letters go to different classes, so that few different letters are of one class.
        classes = [letters[first::_CLASSES] for first in range(min(_CLASSES, len(letters)))]
        likely &= _shared_columns(left, right, classes) >= np.minimum(left.needed[:, None], right.needed)
    if np.count_nonzero(likely) <= _FEW * likely.size:
        return _near_of_pairs(left, right, _all_pairs(likely))
    equal = _shared_columns(left, right, [letters[index : index + 1] for index in range(len(letters))])
    if left is right:
        np.fill_diagonal(equal, -1)
    ahead, back = equal >= right.needed, equal >= left.needed[:, None]
    return _count(ahead, axis=1).astype(np.float64), _count(back, axis=0).astype(np.float64)


def _shared_columns(left: _Block, right: _Block, classes: Sequence[Bytes]) -> Floats:
    """Columns in which two rows have letters of one class (n, m): those with equal letters, and maybe more."""
    shared = np.zeros((len(left.rows), len(right.rows)), dtype=np.float32)
    for letters in classes:
        member = np.zeros(256, dtype=np.float32)
        member[letters] = 1.0
        shared += member[left.rows] @ member[right.rows].T
    return shared


def _by_frequency(aligned: Bytes) -> Bytes:
    """The letters of an alignment, the commonest first."""
    counts = np.zeros(256, dtype=np.int64)
    for part in _slices(len(aligned), _BLOCK_ROWS):
        counts += np.bincount(aligned[part].ravel(), minlength=256)
    counts[_GAP] = 0
    order = np.argsort(-counts, kind="stable")
    return order[: np.count_nonzero(counts)].astype(np.uint8)


def _letters(rows: Bytes) -> Ints:
    """Letters of each row (n,)."""
    return _count(rows != _GAP, axis=1)


def _count(flags: Flags, *, axis: int) -> Ints:
    """True flags along an axis; `np.count_nonzero` takes several times as long."""
    counts: Ints = np.add.reduce(flags.view(np.uint8), axis=axis, dtype=np.uint32).astype(np.int64)
    return counts


def _by_place(aligned: Bytes, lengths: Ints, generator: np.random.Generator) -> Ints:
    """Rows with letters in most columns in a random order, then shorter ones by length, halving, and by place (N,)."""
    width = aligned.shape[1]
    halvings = np.ceil(np.log2(width / np.maximum(lengths, 0.5)))
    middle = generator.random(len(aligned))
    for part in _slices(len(aligned), _BLOCK_ROWS):
        present = aligned[part] != _GAP
        short = halvings[part] > 1
        ends = width - present[:, ::-1].argmax(axis=1)
        middle[part] = np.where(short, present.argmax(axis=1) + ends, middle[part])
    order: Ints = np.lexsort((middle, halvings)).astype(np.int64)
    return order


def _needed(lengths: Ints, lower_bound: float) -> Floats:
    """Fewest equal columns with which a row of so many letters is a neighbour (N,); the division is float32's."""
    distinct, position = np.unique(lengths, return_inverse=True)
    fewest = np.full(len(distinct), np.inf, dtype=np.float32)
    for index, length in enumerate(distinct):
        if length:
            shares = np.arange(length + 1, dtype=np.float32) / np.float32(length)
            fewest[index] = np.searchsorted(shares, np.float32(lower_bound))
    return fewest[position]


def _block_rows(width: int) -> int:
    return max(64, min(_BLOCK_ROWS, _BLOCK_BYTES // (4 * max(width, _SIGNS))))


def _slices(stop: int, size: int) -> Iterator[slice]:
    return (slice(first, min(first + size, stop)) for first in range(0, stop, size))
