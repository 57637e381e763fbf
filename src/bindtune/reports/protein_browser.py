"""Every protein of a binding run, packed for a page: a table of figures, and letters and probabilities of each residue.

A residue and ion take one byte. Levels 0 to 100 are the probability in hundredths, or levels 0 to 50 the probability in
fiftieths where there are many residues. The number of levels is added where the residue binds; 255 says that its label
is not known. One edge between two levels is moved to the ion's threshold, so that calls at this threshold are exact.
Bytes of some proteins together are packed by zlib and written in base64. The page unpacks those of one protein when it
is opened (`templates/proteins.js`).
"""

import base64
import json
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindtune.evaluation.figure_text import number
from bindtune.reports.page import ProteinBrowser
from bindtune.reports.structure_views import PageProtein, ProteinStructure, structure_views
from bindtune.runs.out_of_fold import OutOfFold

FINE, COARSE = 101, 51
"""Levels of a probability."""
UNKNOWN = 255
_MOST_FINE = 4_000_000  # bytes of all residues: with more, hundredths would make the page larger than 6 MB
_NO_LETTER = ord("-")
_MOST_ROWS = 20_000  # of the table
_MOST_BYTES = 5_400_000  # of the table and the packed residues: the page stays under 6 MB
_MOST_GAPS = 8  # places of residues for each row of the table
_LEAST_SHOWN = 0.1  # probability from which on a structure shows a side chain
_CHUNK = 100_000  # residues that are packed together, which a browser unpacks in some milliseconds
Bytes = NDArray[np.uint8]
NO_STRUCTURES: Mapping[str, ProteinStructure] = MappingProxyType({})


def protein_browser(
    predictions: OutOfFold,
    scores: Mapping[str, Mapping[int, float]],
    thresholds: Mapping[str, float],
    structures: Mapping[str, ProteinStructure] = NO_STRUCTURES,
    *,
    labelled: bool = True,
) -> ProteinBrowser:
    """Pack the proteins of a run; proteins without room in the page are left out and counted.

    Args:
        predictions: out of fold.
        scores: average precision by ion and number of the protein, as `average_precisions` has it; the ions that are
            shown, in this order.
        thresholds: by ion; nan or missing where nothing is called.
        structures: structures, by name of the protein.
        labelled: whether labels are known; a prediction has none.

    Raises:
        InputError: a structure is damaged, or of another protein.
    """
    ions = tuple(scores)
    count = min(len(predictions.proteins), _MOST_ROWS)
    lengths = _lengths(predictions)
    folds = np.zeros(len(lengths), np.int64)
    folds[predictions.protein] = predictions.fold
    starts = np.append(0, np.cumsum(lengths))
    # A damaged table may have a few rows at huge positions: letters between them are not made up.
    packable = min(count, int(np.searchsorted(starts, _MOST_GAPS * len(predictions) + _CHUNK, side="right")) - 1)
    starts = starts[: packable + 1]
    letters = np.full(starts[-1], _NO_LETTER, np.uint8)
    level_count = FINE if int(starts[-1]) * (1 + len(ions)) <= _MOST_FINE else COARSE
    columns, tables = [], []
    for ion in ions:
        rows = predictions.of(ion)
        threshold = thresholds.get(ion, math.nan)
        edges, called_level = level_edges(threshold, level_count, rows.probability.dtype)
        levels = _levels(rows.probability, edges)
        columns.append(np.full(starts[-1], UNKNOWN, np.uint8))
        _fill(letters, columns[-1], rows, levels + level_count * (rows.label == 1).astype(np.uint8), starts)
        tables.append(
            {
                "name": ion,
                "edges": [float(f"{edge:.6g}") for edge in edges.tolist()],
                "level": called_level,
                "threshold": number(threshold, 4),
                "others": np.bincount(levels[rows.label == 0], minlength=level_count).tolist(),
                "sites": np.bincount(levels[rows.label == 1], minlength=level_count).tolist(),
                "table": _table(rows, scores[ion], threshold, count),
            }
        )
    table = {
        "names": list(predictions.proteins[:count]),
        "lengths": lengths[:count].tolist(),
        "folds": folds[:count].tolist(),
        "ions": tables,
        "labelled": labelled,
    }
    room = _MOST_BYTES - len(json.dumps(table, separators=(",", ":")))
    proteins = _page_proteins(predictions.proteins, letters, columns, starts, level_count)
    views = structure_views((each for each in proteins if each.name in structures), structures) if structures else None
    if views is not None:
        room -= views.size
    chunks, first, shown = _packed(letters, columns, starts, room)
    return ProteinBrowser(
        data={**table, "first": first, "chunks": chunks, "shown": shown},
        proteins=len(predictions.proteins),
        rows=count,
        with_residues=shown,
        structures=views,
    )


def _page_proteins(
    names: Sequence[str], letters: Bytes, columns: list[Bytes], starts: NDArray[np.int64], level_count: int
) -> Iterator[PageProtein]:
    """The proteins whose residues may be packed; side chains are shown of sites and of residues that may be some."""
    for index, (start, end) in enumerate(pairwise(starts.tolist())):
        detailed = np.zeros(end - start, bool)
        for column in columns:
            own = column[start:end]
            share = (own % level_count) / (level_count - 1)
            detailed |= (own != UNKNOWN) & ((own >= level_count) | (share >= _LEAST_SHOWN))
        yield PageProtein(index, names[index], letters[start:end].tobytes().decode("ascii"), detailed)


def _fill(letters: Bytes, column: Bytes, rows: OutOfFold, values: Bytes, starts: NDArray[np.int64]) -> None:
    """Write letters and bytes of residues; `starts` has the first place of each protein, and the end of the last."""
    if len(starts) - 1 < len(rows.proteins):
        inside = np.flatnonzero(rows.protein < len(starts) - 1)
        rows, values = rows.take(inside), values[inside]
    places = starts[rows.protein] + rows.position.astype(np.int64) - 1
    letters[places] = rows.letters().view(np.uint8)
    column[places] = values


def level_edges(threshold: float, count: int, kind: Any = np.float64) -> tuple[NDArray[Any], int | None]:
    """Lower ends (count,) of the levels of probability, and the level from which on residues are called.

    Args:
        threshold: from 0 to 1; nan where nothing is called.
        count: of levels, `FINE` or `COARSE`.
        kind: type of the probabilities, in which they are compared with the threshold.

    Example:
        >>> edges, level = level_edges(0.203, FINE)
        >>> level, float(edges[level]), float(edges[22])
        (21, 0.203, 0.215)
    """
    edges = (np.arange(count) - 0.5) / (count - 1)
    edges[0] = 0
    if math.isnan(threshold):
        return edges.astype(kind), None
    level = 0 if threshold <= 0 else 1 + int(np.argmin(np.abs(edges[1:] - threshold)))
    edges[level] = threshold
    return edges.astype(kind), level


def _levels(probability: NDArray[Any], edges: NDArray[Any]) -> Bytes:
    """The level (R,) of each probability."""
    if len(probability) and (probability[1:] <= probability[:-1]).all():
        # Sorted: only the places of the edges are looked up.
        at_least = len(probability) - np.searchsorted(probability[::-1], edges)
        counts = -np.diff(np.append(at_least, 0))
        return np.repeat(np.arange(len(edges), dtype=np.uint8)[::-1], counts[::-1])
    return (np.searchsorted(edges, probability, side="right") - 1).astype(np.uint8)


def _lengths(predictions: OutOfFold) -> NDArray[np.int64]:
    """The last position (P,) of each protein that has a prediction."""
    lengths = np.zeros(len(predictions.proteins), np.int64)
    for ion in predictions.ions:
        rows = predictions.of(ion)
        # Of equal types, numpy goes ten times as fast here.
        np.maximum.at(lengths, rows.protein.astype(np.intp), rows.position.astype(np.int64))
    return lengths


def _table(rows: OutOfFold, scores: Mapping[int, float], threshold: float, count: int) -> dict[str, list[Any]]:
    """Figures of the first proteins for one ion: counts, and average precision in thousandths, -1 where not defined."""
    size = len(rows.proteins)
    binds, called = rows.label == 1, rows.probability >= threshold
    counts = {
        "residues": np.bincount(rows.protein, minlength=size),
        "sites": np.bincount(rows.protein[binds], minlength=size),
        "hits": np.bincount(rows.protein[binds & called], minlength=size),
        "false": np.bincount(rows.protein[called & ~binds], minlength=size),
    }
    highest = np.zeros(size)
    np.maximum.at(highest, rows.protein.astype(np.intp), rows.probability)
    counts["highest"] = np.rint(1000 * highest).astype(int)
    precision = np.full(size, -1)
    precision[list(scores)] = np.rint(1000 * np.array(list(scores.values())))
    return {name: values[:count].tolist() for name, values in {**counts, "precision": precision}.items()}


def _packed(
    letters: Bytes, columns: list[Bytes], starts: NDArray[np.int64], room: int
) -> tuple[list[str], list[int], int]:
    """Chunks in base64 with no more than `room` letters, the first protein of each, and how many proteins they hold."""
    chunks: list[str] = []
    first: list[int] = []
    size = shown = 0
    for begin, end in _chunk_ends(starts):
        part = slice(starts[begin], starts[end])
        # Runs of equal bytes and rare values are all that repeats here, so looking for longer repeats gains nothing.
        packer = zlib.compressobj(9, strategy=zlib.Z_RLE)
        packed = b"".join([*(packer.compress(each[part].tobytes()) for each in (letters, *columns)), packer.flush()])
        text = base64.b64encode(packed).decode("ascii")
        size += len(text)
        if size > room:
            break
        first.append(begin)
        chunks.append(text)
        shown = end
    return chunks, first, shown


def _chunk_ends(starts: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """(first, end) of proteins that are packed together."""
    begin, count = 0, len(starts) - 1
    while begin < count:
        end = min(count, max(begin + 1, int(np.searchsorted(starts, starts[begin] + _CHUNK, side="right")) - 1))
        yield begin, end
        begin = end
