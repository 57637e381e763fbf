"""Random numbers as functions of a key and a counter, so that no draw depends on earlier draws.

The generator is SplitMix64 (Steele, Lea and Flood 2014, doi 10.1145/2660193.2660195) read at chosen counters.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Keys = NDArray[np.uint64]


def digest(*parts: object) -> int:
    """A 64-bit number that depends on every part and on nothing else; stable across processes and machines."""
    text = "\x1f".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def derive(keys: Keys, ids: Keys) -> Keys:
    """One key (R,) for each id (R,) from the key (R,) that stands above it."""
    return _scramble(_scramble(ids) ^ keys)


def uniform(keys: Keys, stream: int, width: int) -> Floats:
    """Independent numbers in [0, 1), (B, width), for keys (B,); other streams of a key are independent of it."""
    return fractions(words_at(np.asarray(keys, np.uint64)[:, None], stream, np.arange(width)))


def words_at(keys: Keys, stream: int, places: NDArray[np.int64]) -> Keys:
    """64 random bits for each key and place, which broadcast."""
    counters = places.astype(np.uint64) + np.uint64((stream << 32) + 1)
    return _scramble(keys + counters * np.uint64(0x9E3779B97F4A7C15))


def fractions(words: Keys) -> Floats:
    """Numbers in [0, 1) from 64 random bits each."""
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _scramble(words: Keys) -> Keys:
    words = words ^ (words >> np.uint64(30))
    words *= np.uint64(0xBF58476D1CE4E5B9)
    words ^= words >> np.uint64(27)
    words *= np.uint64(0x94D049BB133111EB)
    words ^= words >> np.uint64(31)
    return words
