"""Letters of nucleotides as drawings: logos of motifs, and sequences whose letters are as high as their values."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from bindtune.reports.charts import BLUE, GREEN, ORANGE, PURPLE
from bindtune.reports.svg_charts import Glyph, glyphs_svg

_SHAPES = {
    "A": (GREEN, "M 0 0 L .38 1 L .62 1 L 1 0 L .78 0 L .7 .24 L .3 .24 L .22 0 Z M .36 .4 L .64 .4 L .5 .8 Z"),
    "C": (
        BLUE,
        "M 1 .3 C .93 .1 .76 0 .54 0 C .2 0 0 .2 0 .5 C 0 .8 .2 1 .54 1 C .76 1 .93 .9 1 .7 L .77 .64 "
        "C .73 .76 .66 .82 .54 .82 C .34 .82 .24 .7 .24 .5 C .24 .3 .34 .18 .54 .18 C .66 .18 .73 .24 .77 .36 Z",
    ),
    "G": (
        ORANGE,
        "M 1 .5 L .54 .5 L .54 .34 L .78 .34 L .78 .25 C .72 .2 .64 .18 .55 .18 C .34 .18 .24 .3 .24 .5 "
        "C .24 .7 .34 .82 .54 .82 C .66 .82 .73 .78 .77 .68 L 1 .72 C .93 .9 .78 1 .54 1 C .2 1 0 .8 0 .5 "
        "C 0 .2 .2 0 .54 0 C .72 0 .9 .06 1 .16 Z",
    ),
    "T": (PURPLE, "M .38 0 L .62 0 L .62 .82 L 1 .82 L 1 1 L 0 1 L 0 .82 L .38 .82 Z"),
}
"""Colour and outline of each letter in a box from (0, 0) to (1, 1), y upwards."""
_LETTERS = "ACGT"


class Letter(NamedTuple):
    """A letter at a place, as high as its value; a negative one hangs from 0."""

    position: int
    letter: str
    value: float


def logo_svg(counts: NDArray[np.integer]) -> Markup:
    """Draw the logo of a motif: letters as high as their share of the information of their place, in bits.

    Schneider and Stephens 1990 (doi:10.1093/nar/18.20.6097).

    Args:
        counts: (W, 4) how often A, C, G and T stand at each place.
    """
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    bits = 2 + np.sum(shares * np.log2(np.maximum(shares, 1e-12)), axis=1)
    letters = [
        Letter(index + 1, _LETTERS[letter], float(shares[index, letter] * bits[index]))
        for index in range(len(counts))
        for letter in np.argsort(shares[index], kind="stable").tolist()
    ]
    return _drawn(letters, x_label="position in the motif", y_label="bits", y_range=(0.0, 2.0))


def values_svg(sequence: str, values: Sequence[float], *, first: int) -> Markup:
    """Draw a stretch of a sequence with letters as high as their values.

    Args:
        sequence: letters; others than A, C, G and T are left out.
        values: of each letter; nan is left out.
        first: position of the first letter.
    """
    letters = [
        Letter(first + index, letter, value)
        for index, (letter, value) in enumerate(zip(sequence, values, strict=True))
        if letter in _SHAPES and value == value
    ]
    heights = [letter.value for letter in letters]
    y_range = (min([0.0, *heights]), max([0.0, *heights]))
    if y_range[0] == y_range[1]:
        y_range = (0.0, 1.0)
    return _drawn(letters, x_label="position", y_label="value", y_range=y_range)


def _drawn(letters: Sequence[Letter], *, x_label: str, y_label: str, y_range: tuple[float, float]) -> Markup:
    """Letters of one place stand on each other in the order given."""
    tops: dict[int, float] = {}
    glyphs = []
    for each in letters:
        base = tops.get(each.position, 0.0) if each.value >= 0 else 0.0
        colour, shape = _SHAPES[each.letter]
        glyphs.append(Glyph(each.letter, colour, shape, float(each.position), base, each.value))
        if each.value >= 0:
            tops[each.position] = base + each.value
    return glyphs_svg(glyphs, x_label=x_label, y_label=y_label, y_range=y_range)
