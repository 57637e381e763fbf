"""Values along chromosomes: bedGraph as text, bigWig through pybigtools.

Formats: https://genome.ucsc.edu/goldenPath/help/bedgraph.html and https://genome.ucsc.edu/goldenPath/help/bigWig.html.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bindtune.errors import ConfigError
from bindtune.runs.writing import atomic_folder, atomic_stream

BIGWIG = ".bw"


class Track(NamedTuple):
    """Values of V nucleotides, each once, sorted by chromosome and position.

    Args:
        names: chromosomes.
        chrom: (V,) index into `names`.
        position: (V,) from 0.
        value: (V,).
    """

    names: Sequence[str]
    chrom: NDArray[np.int64]
    position: NDArray[np.int64]
    value: NDArray[np.float64]

    def rows(self) -> Iterator[tuple[str, int, int, float]]:
        """Chromosome, start, end and value of each nucleotide."""
        columns = (self.chrom.tolist(), self.position.tolist(), self.value.tolist())
        for chrom, position, value in zip(*columns, strict=True):
            yield self.names[chrom], position, position + 1, value


def mean_track(
    names: Sequence[str], chrom: NDArray[np.int64], position: NDArray[np.int64], value: NDArray[np.float64]
) -> Track:
    """A track of values (R,) at nucleotides (R,), averaged where a nucleotide has several; nan is left out.

    Args:
        names: chromosomes in the order of the track.
        chrom: (R,) index into `names`.
        position: (R,) from 0.
        value: (R,).

    Example:
        >>> track = mean_track(["chr1"], np.zeros(3, int), np.array([5, 4, 5]), np.array([1.0, 7.0, 2.0]))
        >>> list(track.rows())
        [('chr1', 4, 5, 7.0), ('chr1', 5, 6, 1.5)]
    """
    is_number = ~np.isnan(value)
    chrom, position, value = chrom[is_number], position[is_number], value[is_number]
    order = np.lexsort((position, chrom))
    chrom, position, value = chrom[order], position[order], value[order]
    new = np.ones(len(value), bool)
    new[1:] = (np.diff(chrom) != 0) | (np.diff(position) != 0)
    first = np.flatnonzero(new)
    counts = np.diff([*first.tolist(), len(value)])
    means = np.add.reduceat(value, first) / counts if len(first) else value
    return Track(names, chrom[first], position[first], means)


def write_bedgraph(path: Path, track: Track, *, name: str) -> None:
    """Write a track as bedGraph, whole or not at all.

    Args:
        path: the file.
        track: the values.
        name: what a browser calls it; quotes and control characters are left out.
    """
    shown = "".join(letter for letter in name if letter.isprintable() and letter not in "\"'")
    with atomic_stream(path) as stream:
        stream.write(f'track type=bedGraph name="{shown}"\n'.encode())
        for chrom, start, end, value in track.rows():
            stream.write(f"{chrom}\t{start}\t{end}\t{value:.6g}\n".encode())


def require_pybigtools() -> None:
    """Refuse to begin where pybigtools is missing.

    Raises:
        ConfigError: it is.
    """
    if find_spec("pybigtools") is None:
        raise ConfigError('--bigwig needs pybigtools: pip install "bindtune[explain]"; bedGraph is written without it')


def write_bigwigs(folder: Path, tracks: Mapping[str, Track], *, sizes: Mapping[str, int]) -> None:
    """Write a folder of bigWig files, all of them or none; one that stands there is replaced.

    Args:
        folder: the folder.
        tracks: by the file's name without its ending; chromosomes in alphabetical order, as the format has them.
        sizes: lengths of all chromosomes.
    """
    import pybigtools

    shutil.rmtree(folder, ignore_errors=True)
    with atomic_folder(folder) as new:
        for name, track in tracks.items():
            pybigtools.open(str(new / f"{name}{BIGWIG}"), "w").write(dict(sizes), track.rows())
