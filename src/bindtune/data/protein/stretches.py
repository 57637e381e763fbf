"""An index that finds the proteins with a given stretch of residues, letter by letter."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

SHORTEST_STRETCH = 20
"""Residues of the shortest stretch that is looked for; shorter ones stand in unrelated proteins too."""
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
# MMseqs2 reads these letters so, and writes them so into its alignments.
_AS_READ = bytes.maketrans(b"UOBZJ*", b"XXDELX")


class StretchIndex:
    """Finds the proteins that hold a stretch; 24 bytes of memory for each residue.

    Args:
        sequences: upper-case letters. U, O, B, Z and J are compared as MMseqs2 writes them: X, X, D, E and L.

    Examples:
        >>> index = StretchIndex(["MKTAYIAKQRQISFVKSHFSRQLEERLG", "GGGGGGGG"])
        >>> list(index.holders(b"AYIAKQRQISFVKSHFSRQLEE")), list(index.holders(b"GGGG"))
        ([0], [])
    """

    def __init__(self, sequences: Sequence[str]) -> None:
        texts = [sequence.encode("ascii").translate(_AS_READ) for sequence in sequences]
        self._text = b"".join(texts)
        self._ends = np.cumsum([len(text) for text in texts], dtype=np.int64)
        hashes = _word_hashes(self._text)
        self._order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._order]

    def holders(self, stretch: bytes) -> Iterator[int]:
        """Numbers of the sequences that hold a stretch, each once; none for one below `SHORTEST_STRETCH` residues."""
        stretch = stretch.translate(_AS_READ)
        if len(stretch) < SHORTEST_STRETCH:
            return
        word = _word_hashes(stretch[:SHORTEST_STRETCH])[0]
        first, last = (int(np.searchsorted(self._hashes, word, side=side)) for side in ("left", "right"))
        before = -1
        for start in np.sort(self._order[first:last]).tolist():
            number = int(np.searchsorted(self._ends, start, side="right"))
            end = start + len(stretch)
            if number != before and end <= self._ends[number] and self._text[start:end] == stretch:
                before = number
                yield number


def _word_hashes(text: bytes) -> NDArray[np.uint64]:
    """A hash of each word of `SHORTEST_STRETCH` letters; words that differ rarely share one."""
    letters = np.frombuffer(text, np.uint8).astype(np.uint64)
    count = max(len(letters) - SHORTEST_STRETCH + 1, 0)
    hashes = np.zeros(count, np.uint64)
    for offset in range(SHORTEST_STRETCH):
        hashes *= _FACTOR
        hashes += letters[offset : offset + count]
    return hashes
