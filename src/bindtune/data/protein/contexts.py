"""Choose homologs from an alignment as context for E1, within a budget of residues.

Rows are drawn without replacement, a row with many near neighbours less likely: its weight is one over their number.
All shares are float32, as the golden draws have them, and are compared as float32.
"""

import logging
import sys
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from bindtune.data.protein.neighbours import EXACT_ROWS, Bytes, Floats, Ints, neighbour_counts, query_similarity
from bindtune.errors import InputError
from bindtune.io.a3m import ANNOTATION, CONSENSUS, OTHER_QUERY, match_columns, read_rows, residues
from bindtune.runs.provenance import sha256
from bindtune.runs.writing import atomic_path

log = logging.getLogger(__name__)

_MOST_ROWS = 500_000
"""Of an alignment; the time to weigh them grows with their square."""
_LEFT_OUT = (ANNOTATION, CONSENSUS, OTHER_QUERY)
"""Why rows are no homologs, in the order in which `Homologs` counts them."""
_FORMAT = "8"
"""Part of the cache's key: to be changed with what is stored."""
_CHECKSUM = "checksum"
_ARRAYS = ("text", "bounds", "similarity", "neighbours", "query", "left_out")
_REWRITTEN = {"U": "X-", "O": "X-", "X": "-", "B": "D", "Z": "E", "J": "L"}
"""Letters of a protein, and what MMseqs2 writes for them in the first row of its alignment."""


@dataclass(frozen=True)
class ContextSpec:
    """How a context is drawn.

    Args:
        max_num_samples: most sequences in a context.
        max_token_length: most residues in a context; frame tokens are counted where `frame` says so.
        max_query_similarity: rows that share more of the query's columns than this are left out.
        min_query_similarity: rows that share less are left out.
        neighbor_similarity_lower_bound: share of its residues from which on a row is another's near neighbour.
        seed: of the draw.
        exclude_query: leave out rows that are the query again.
        frame: tokens that a sequence takes of the budget beside its residues.
        max_residues: longer rows are left out; None for no limit.
    """

    max_num_samples: int
    max_token_length: int
    max_query_similarity: float
    min_query_similarity: float
    neighbor_similarity_lower_bound: float
    seed: int = 0
    exclude_query: bool = False
    frame: int = 0
    max_residues: int | None = None

    def __post_init__(self) -> None:
        for name in ("max_query_similarity", "min_query_similarity", "neighbor_similarity_lower_bound"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must lie between 0 and 1, found {getattr(self, name)}")
        for name in ("max_num_samples", "max_token_length", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, found {getattr(self, name)}")


class Context(NamedTuple):
    """A drawn context.

    Args:
        sequences: of homologs; none where there is no context.
        names: their headers, in the same order.
        reason: why there is no context, "" where there is one.
    """

    sequences: list[str]
    names: list[str]
    reason: str = ""


@dataclass(frozen=True)
class Homologs:
    """What draws need of an alignment of N rows; small enough to keep for many proteins.

    Args:
        names: header of each row; equal ones are kept apart.
        text: residues of all rows, one after the other, insertions included.
        bounds: where each row begins and ends in `text` (N + 1,).
        similarity: share of the query's columns in which a row is equal to it (N,).
        neighbours: near neighbours of each row, itself included (N,).
        query: the first row in upper case, its gaps included.
        left_out: rows of the file that are no homologs (3,): they annotate columns, are a consensus, or stand below
            another query.
    """

    names: tuple[str, ...]
    text: Bytes
    bounds: Ints
    similarity: Floats
    neighbours: Ints
    query: Bytes
    left_out: Ints

    @property
    def held_bytes(self) -> int:
        """Memory that the rows take, about."""
        arrays = (self.text, self.bounds, self.similarity, self.neighbours, self.query, self.left_out)
        return sum(array.nbytes for array in arrays) + sum(map(sys.getsizeof, self.names)) + 8 * len(self.names)

    @property
    def estimated(self) -> bool:
        """Whether there are too many rows to count near neighbours exactly."""
        return len(self.names) > EXACT_ROWS

    def residues(self, row: int | np.integer) -> str:
        """One row as a protein."""
        return self.text[self.bounds[row] : self.bounds[row + 1]].tobytes().decode("ascii")


def sample_context(
    msa_path: Path | str,
    max_num_samples: int = 511,
    max_token_length: int = 32768,
    max_query_similarity: float = 1.0,
    min_query_similarity: float = 0.0,
    neighbor_similarity_lower_bound: float = 0.8,
    seed: int = 0,
    *,
    exclude_query: bool = False,
    cache_dir: Path | None = None,
) -> tuple[str, list[str]]:
    """Draw a context from an A3M file; see `ContextSpec` for the arguments and `draw_context` for the rule.

    Args:
        msa_path: the alignment; its first row is the query.
        max_num_samples: most sequences.
        max_token_length: most residues.
        max_query_similarity: most similar row.
        min_query_similarity: least similar row.
        neighbor_similarity_lower_bound: what counts as a near neighbour.
        seed: of the draw.
        exclude_query: leave out rows that are the query again.
        cache_dir: a folder that keeps what was read from alignments; None for none.

    Returns:
        The sequences joined with commas, and their headers; ("", []) where none is left, with the reason in the log.

    Raises:
        InputError: the alignment cannot be read.
    """
    spec = ContextSpec(
        max_num_samples=max_num_samples,
        max_token_length=max_token_length,
        max_query_similarity=max_query_similarity,
        min_query_similarity=min_query_similarity,
        neighbor_similarity_lower_bound=neighbor_similarity_lower_bound,
        seed=seed,
        exclude_query=exclude_query,
    )
    homologs = read_homologs(
        msa_path, neighbor_similarity_lower_bound=neighbor_similarity_lower_bound, cache_dir=cache_dir
    )
    warn_of_other_queries(homologs, msa_path)
    context = draw_context(homologs, spec)
    if context.reason:
        log.warning("%s: no context: %s", msa_path, context.reason)
    return ",".join(context.sequences), context.names


def draw_context(homologs: Homologs, spec: ContextSpec) -> Context:
    """Draw rows by weight, then take them in order up to the first that would exceed the budget.

    Args:
        homologs: read with the spec's `neighbor_similarity_lower_bound`.
        spec: how to draw.
    """
    may_be_drawn = _drawable(homologs, spec)
    if not may_be_drawn.any():
        limits = f"{spec.min_query_similarity} to {spec.max_query_similarity}"
        return Context([], [], f"none of {len(may_be_drawn)} rows has a similarity to the query of {limits}")
    weights = np.where(may_be_drawn, 1.0 / homologs.neighbours, 0.0)
    size = min(spec.max_num_samples, int(may_be_drawn.sum()))
    order = np.random.default_rng(spec.seed).choice(
        len(may_be_drawn), size=size, replace=False, shuffle=True, p=weights / weights.sum()
    )
    lengths = np.diff(homologs.bounds)[order] + spec.frame
    chosen = order[: int(np.searchsorted(lengths.cumsum(), spec.max_token_length, side="right"))]
    if not len(chosen):
        cause = f"the first row drawn has {lengths[0]}" if len(order) else "max_num_samples is 0"
        return Context([], [], f"at most {spec.max_token_length} residues fit; {cause}")
    return Context([homologs.residues(row) for row in chosen], [homologs.names[row] for row in chosen])


def gives_homolog(homologs: Homologs, spec: ContextSpec) -> bool:
    """Whether any row beside the query itself may be drawn and fits into the budget."""
    fits = np.diff(homologs.bounds) + spec.frame <= spec.max_token_length
    return spec.max_num_samples > 0 and bool((_drawable(homologs, replace(spec, exclude_query=True)) & fits).any())


def _drawable(homologs: Homologs, spec: ContextSpec) -> NDArray[np.bool_]:
    similarity, lengths = homologs.similarity, np.diff(homologs.bounds)
    low, high = np.float32(spec.min_query_similarity), np.float32(spec.max_query_similarity)
    may_be_drawn = (similarity >= low) & (similarity <= high) & (lengths > 0)
    if spec.max_residues is not None:
        may_be_drawn &= lengths <= spec.max_residues
    if spec.exclude_query:
        # Equal in every column, or the same protein aligned to itself in another way.
        query = homologs.residues(0)
        may_be_drawn &= similarity < 1.0
        for row in np.flatnonzero(may_be_drawn & (lengths == len(query))):
            may_be_drawn[row] = homologs.residues(row) != query
    return may_be_drawn


def read_homologs(
    path: Path | str, *, neighbor_similarity_lower_bound: float, cache_dir: Path | None = None
) -> Homologs:
    """Read an alignment and count near neighbours.

    Args:
        path: the alignment; its first row is the query.
        neighbor_similarity_lower_bound: see `neighbour_counts`.
        cache_dir: a folder of results by content of the file; a copy or a renamed file finds them too.

    Raises:
        InputError: the file is no alignment; with file and line.
    """
    entry = None if cache_dir is None else cache_entry(path, neighbor_similarity_lower_bound, cache_dir)
    if entry is not None and entry.is_file():
        cached = read_entry(entry)
        if cached is not None:
            return cached
        log.warning("%s is damaged and is written anew", entry)
    homologs = _read(path, neighbor_similarity_lower_bound)
    if entry is not None:
        with atomic_path(entry) as temporary:
            save_file(_flatten(homologs), temporary)
    return homologs


def of_protein(homologs: Homologs, sequence: str, *, name: str, path: Path | str) -> Homologs:
    """The same rows, the first of which is a protein letter by letter.

    MMseqs2 rewrites the first row: U and O as X, X as a gap, B as D, Z as E, J as L. A row that differs from the
    protein only so gets the protein's letters.

    Args:
        homologs: of the protein's alignment.
        sequence: the protein, in upper case.
        name: its name, for messages.
        path: the alignment, for messages.

    Raises:
        InputError: the first row is another protein; says where the first difference is.
    """
    if homologs.residues(0) == sequence:
        return homologs
    row = homologs.query.tobytes().decode("ascii")
    differing = (
        index
        for index, (letter, own) in enumerate(zip_longest(row, sequence, fillvalue=""))
        if letter != own and (not letter or letter not in _REWRITTEN.get(own, ""))
    )
    index = next(differing, None)
    if index is not None:
        letter, own = row[index : index + 1] or "its end", sequence[index : index + 1] or "its end"
        raise InputError(
            path,
            None,
            f"the first row is not {name!r}, for which the alignment is: at position {index + 1} the row has {letter} "
            f"and the protein {own}; they have {len(row)} and {len(sequence)} letters",
        )
    own_text = np.frombuffer(sequence.encode("ascii"), dtype=np.uint8)
    bounds = homologs.bounds + (len(sequence) - homologs.bounds[1])
    bounds[0] = 0
    return replace(homologs, text=np.concatenate([own_text, homologs.text[homologs.bounds[1] :]]), bounds=bounds)


def _read(path: Path | str, bound: float) -> Homologs:
    names, rows, proteins, query = list[str](), bytearray(), bytearray(), b""
    lengths = [0]
    left_out = Counter[str]()
    for record, reason in read_rows(path):
        if reason:
            left_out[reason] += 1
            continue
        if len(names) >= _MOST_ROWS:
            raise InputError(
                path, record.line, f"more than {_MOST_ROWS:,} rows: filter the alignment, as with hhfilter"
            )
        if not names:
            query = record.sequence
        rows += match_columns(record, query=query, path=path)
        proteins += residues(record)
        lengths.append(len(proteins))
        names.append(record.name)
    aligned = np.frombuffer(rows, dtype=np.uint8).reshape(len(names), len(rows) // max(len(names), 1))
    return Homologs(
        names=tuple(names),
        text=np.frombuffer(proteins, dtype=np.uint8),
        bounds=np.array(lengths, dtype=np.int64),
        similarity=query_similarity(aligned),
        neighbours=neighbour_counts(aligned, lower_bound=bound),
        query=np.frombuffer(query.translate(None, b".").removesuffix(b"*").upper(), dtype=np.uint8),
        left_out=np.array([left_out[reason] for reason in _LEFT_OUT], dtype=np.int64),
    )


def warn_of_other_queries(homologs: Homologs, path: Path | str) -> None:
    """Say that rows of an alignment are not used because they stand below other queries."""
    rows = int(homologs.left_out[_LEFT_OUT.index(OTHER_QUERY)])
    if rows:
        log.warning("%s: %d rows stand after a NUL byte below another query; they are left out", path, rows)


def cache_entry(path: Path | str, bound: float, cache_dir: Path) -> Path:
    """Where `read_homologs` keeps what it read of an alignment."""
    return cache_dir / f"{sha256(Path(path))}-{float(bound)!r}-{_FORMAT}.safetensors"


def read_entry(entry: Path) -> Homologs | None:
    """What a cache holds of an alignment, or None where that is damaged or gone."""
    try:
        arrays = load_file(entry)
        if arrays.pop(_CHECKSUM).tolist() != [_checksum(arrays)]:
            return None
        return _unflatten(arrays)
    except (OSError, SafetensorError, KeyError, ValueError):
        return None


def _checksum(arrays: Mapping[str, NDArray[np.generic]]) -> int:
    """CRC-32 of names, types, shapes and values; it finds every change of a few bytes."""
    checksum = 0
    for name, array in sorted(arrays.items()):
        checksum = zlib.crc32(f"{name} {array.dtype} {array.shape}".encode(), checksum)
        checksum = zlib.crc32(array.tobytes(), checksum)
    return checksum


def _flatten(homologs: Homologs) -> dict[str, NDArray[np.generic]]:
    arrays: dict[str, NDArray[np.generic]] = {name: getattr(homologs, name) for name in _ARRAYS}
    arrays["names"] = np.frombuffer("\n".join(homologs.names).encode(), dtype=np.uint8)
    return arrays | {_CHECKSUM: np.array([_checksum(arrays)], dtype=np.int64)}


def _unflatten(arrays: Mapping[str, NDArray[np.generic]]) -> Homologs:
    names = tuple(arrays["names"].tobytes().decode().split("\n"))
    parts = {name: arrays[name] for name in _ARRAYS}
    return Homologs(names=names, **parts)  # type: ignore[arg-type]
