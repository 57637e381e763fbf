"""Motifs as MEME text, the minimal format: https://meme-suite.org/meme/doc/meme-format.html."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_LETTERS = "ACGT"


class MemeMotif(NamedTuple):
    """A motif.

    Args:
        name: one word.
        counts: (W, 4) how often A, C, G and T stand at each place.
    """

    name: str
    counts: NDArray[np.int64]


def meme_text(motifs: Sequence[MemeMotif], background: NDArray[np.float64]) -> str:
    """MEME text of motifs, with the number of places that each was counted from.

    Probabilities are the counts divided by the places; so `nsites` times a probability is a count.

    Args:
        motifs: in the order of the file.
        background: (4,) frequencies of A, C, G and T.

    Example:
        >>> text = meme_text([MemeMotif("a", np.array([[3, 0, 1, 0], [0, 0, 0, 4]]))], np.full(4, 0.25))
        >>> text.splitlines()[-3:-1]
        ['letter-probability matrix: alength= 4 w= 2 nsites= 4', ' 0.750000  0.000000  0.250000  0.000000']
    """
    shares = " ".join(f"{letter} {share:.5f}" for letter, share in zip(_LETTERS, background.tolist(), strict=True))
    lines = [
        "MEME version 4",
        "",
        f"ALPHABET= {_LETTERS}",
        "",
        "strands: +",
        "",
        "Background letter frequencies",
        shares,
    ]
    for motif in motifs:
        places = motif.counts.sum(axis=1)
        head = f"letter-probability matrix: alength= 4 w= {len(places)} nsites= {int(places.max())}"
        lines += ["", f"MOTIF {'_'.join(motif.name.split())}", head]
        rows = motif.counts / np.maximum(places, 1)[:, None]
        lines += [" " + "  ".join(f"{value:.6f}" for value in row) for row in rows.tolist()]
    return "\n".join(lines) + "\n"
