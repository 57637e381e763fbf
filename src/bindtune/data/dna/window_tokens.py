"""Make rows of token ids and token spans of peaks from windows, cached on disk and memory-mapped.

A batch is tokenised without a loop over its tokens.
"""

import errno
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerBase

from bindtune.data.dna.tokens import check_offsets, encode, special_ids, tokenizer_identity
from bindtune.data.keyed_random import digest
from bindtune.data.workers import begin_worker, reading
from bindtune.errors import ConfigError, InputError
from bindtune.io.records import Window, read_windows
from bindtune.models.load_errors import tokenising
from bindtune.progress import progress
from bindtune.regions import Overlap, regions_to_token_spans
from bindtune.runs.exclusive import taking_turns
from bindtune.runs.provenance import sha256
from bindtune.runs.writing import atomic_stream, writing

log = logging.getLogger(__name__)

VERSION = 3  # part of every cache name: raise it when the columns, their meaning or what is refused change
COLUMNS = ("input_ids", "eclip_token_starts", "eclip_token_ends", "length", "maskable", "record")
_ROWS_OF_A_BATCH = 1000
_UPPER = {code: code - 32 for code in range(ord("a"), ord("z") + 1)}
_TO_DNA = _UPPER | {ord("u"): ord("T"), ord("U"): ord("T")}

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class TokenReport:
    """What tokenising met, added up over all windows.

    Args:
        windows: windows read.
        letters: letters read.
        lower_case: letters that were upper-cased.
        uracil: letters U that were read as T.
        tokens: tokens made, special ones included.
        unknown: tokens that the tokenizer does not know (N, other letters); they are never masked.
        truncated: windows longer than the token limit.
        peaks: peaks listed in the file.
        peaks_without_token: peaks that touch no token: empty, outside their window, or cut off by the limit.
    """

    windows: int
    letters: int
    lower_case: int
    uracil: int
    tokens: int
    unknown: int
    truncated: int
    peaks: int
    peaks_without_token: int


_ROWS = 8192
"""Windows whose peaks are counted at once."""
_COUNTED = tuple(field.name for field in fields(TokenReport) if field.name != "windows")
_WINDOW_FEATURES = datasets.Features(
    {
        "seq_id": datasets.Value("string"),
        "sequence": datasets.Value("large_string"),
        "peaks": datasets.List(datasets.List(datasets.Value("int64"))),
    }
)
_TOKEN_FEATURES = datasets.Features(
    {
        "input_ids": datasets.List(datasets.Value("int32")),
        "eclip_token_starts": datasets.List(datasets.Value("int32")),
        "eclip_token_ends": datasets.List(datasets.Value("int32")),
        "length": datasets.Value("int32"),
        "maskable": datasets.Value("int32"),
        "record": datasets.Value("int64"),  # Arrow cannot take all of uint64 from Python
        **{name: datasets.Value("int64") for name in _COUNTED},
    }
)


def tokenise_file(
    path: Path, tokenizer: PreTrainedTokenizerBase, *, max_length: int, overlap: Overlap, processes: int
) -> tuple[datasets.Dataset, TokenReport]:
    """Tokenise a training file, or take it from the cache if the same file was tokenised alike before.

    Args:
        path: a training file.
        tokenizer: any fast tokenizer, or a slow one with one letter a token.
        max_length: tokens a window may have, special ones included; what lies beyond is cut off.
        overlap: when a token belongs to a peak.
        processes: how many tokenise at a time.

    Returns:
        A memory-mapped dataset with COLUMNS, and the counts.

    Raises:
        InputError: a record is not as expected.
        OSError: the disk of the cache is full.
        ConfigError: the cache may not be written, or the tokenizer cannot say where its tokens stand.
    """
    check_offsets(tokenizer)
    content = sha256(path)
    if next(read_windows(path), None) is None:
        raise InputError(path, None, "holds no windows")
    with writing(Path(datasets.config.HF_DATASETS_CACHE)):
        tokenised = _tokenised(path, content, tokenizer, max_length=max_length, overlap=overlap, processes=processes)
    sums = {name: pc.sum(tokenised.data.column(name)).as_py() or 0 for name in _COUNTED}
    return tokenised.select_columns(list(COLUMNS)), TokenReport(windows=len(tokenised), **sums)


def windows_with_peaks(rows: datasets.Dataset) -> int:
    """How many tokenised windows have a token in a peak."""
    starts = rows.select_columns(["eclip_token_starts"]).with_format("arrow")
    return sum(
        pc.sum(pc.greater(pc.list_value_length(some["eclip_token_starts"]), 0)).as_py() or 0
        for some in starts.iter(batch_size=_ROWS)
    )


def _tokenised(
    path: Path, content: str, tokenizer: PreTrainedTokenizerBase, *, max_length: int, overlap: Overlap, processes: int
) -> datasets.Dataset:
    name = digest(content, VERSION, tokenizer_identity(tokenizer), max_length, overlap)
    collate = partial(_tokenise, tokenizer=tokenizer, max_length=max_length, overlap=overlap)

    def write(target: Path) -> None:
        windows = _cached(f"windows-{digest(content, VERSION):016x}", partial(_write_windows, path))
        _write_tokens(target, _Batches(windows), collate, file=path, processes=processes)

    return datasets.Dataset.from_file(str(_cached(f"tokens-{name:016x}", write)))


class _Batches:
    """Windows of a cache file, a batch at a time."""

    def __init__(self, path: Path) -> None:
        self.windows = datasets.Dataset.from_file(str(path)).with_format("arrow")

    def __len__(self) -> int:
        return -(-len(self.windows) // _ROWS_OF_A_BATCH)

    def __getitem__(self, number: int) -> pa.Table:
        if not 0 <= number < len(self):
            raise IndexError(number)
        return self.windows[number * _ROWS_OF_A_BATCH : (number + 1) * _ROWS_OF_A_BATCH]


def _write_tokens(
    target: Path, batches: _Batches, collate: Callable[[pa.Table], dict[str, pa.Table]], *, file: Path, processes: int
) -> None:
    workers = min(processes, len(batches)) if processes > 1 else 0
    arguments = reading(workers, collate, setting="--preprocessing_num_workers=1")
    if workers:
        arguments["worker_init_fn"] = _begin_worker
    loader: DataLoader[Any] = DataLoader(batches, batch_size=None, **arguments)  # type: ignore[arg-type]
    total = len(batches.windows)
    log.info("tokenising %s windows of %s with %d processes", f"{total:,}", file, max(workers, 1))
    schema = _TOKEN_FEATURES.arrow_schema
    with (
        atomic_stream(target) as stream,
        pa.ipc.new_stream(stream, schema) as writer,
        progress("tokenising", total, unit="windows", log=log) as advance,
    ):
        for batch in loader:
            writer.write_table(batch["rows"])
            advance(len(batch["rows"]))


def _begin_worker(worker: int) -> None:
    """One thread for each worker, because there are as many workers as the user wants to use cores."""
    begin_worker(worker)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


@dataclass(frozen=True)
class _Tokens:
    """Tokens of B sequences, N in all, one sequence after the other.

    Args:
        ids: (N,) token ids.
        bounds: (B + 1,) where the tokens of each sequence begin, and N.
        starts: (N,) first letter of each token in its sequence.
        ends: (N,) one past its last letter; equal to `starts` for special tokens.
    """

    ids: Ints
    bounds: Ints
    starts: Ints
    ends: Ints

    @property
    def rows(self) -> Ints:
        """(N,) the sequence of each token."""
        return np.repeat(np.arange(len(self.bounds) - 1), np.diff(self.bounds))


def _tokenise(windows: pa.Table, *, tokenizer: PreTrainedTokenizerBase, max_length: int, overlap: Overlap) -> pa.Table:
    """Tokenise a batch of B windows.

    Args:
        windows: columns `seq_id`, `sequence`, and `peaks` with lists of [start, end].
        tokenizer: any fast tokenizer, or a slow one with one letter a token.
        max_length: tokens a window may have, special ones included.
        overlap: when a token belongs to a peak.

    Returns:
        `rows`: B rows of _TOKEN_FEATURES.

    Raises:
        CheckpointError: the tokenizer fails on a window.
    """
    sequences = windows["sequence"].to_pylist()
    reads_rna = tokenizer.convert_tokens_to_ids("U") not in (None, tokenizer.unk_token_id)
    clean = [sequence.translate(_UPPER if reads_rna else _TO_DNA) for sequence in sequences]
    tokens = _tokens(tokenizer, clean, max_length)
    peaks = windows["peaks"].to_pylist()
    spans, span_bounds = _peak_spans(tokens, peaks, overlap)
    letters = _bounds(map(len, sequences))
    codes = np.frombuffer("".join(sequences).encode("latin-1", "replace"), np.uint8)
    read_to = np.zeros(len(sequences), np.int64)
    np.maximum.at(read_to, tokens.rows, tokens.ends)
    special = np.isin(tokens.ids, sorted(special_ids(tokenizer)))
    uracil = np.zeros(len(codes), bool) if reads_rna else (codes | 32) == ord("u")
    peak_counts = np.fromiter(map(len, peaks), np.int64, len(peaks))
    columns = {
        "input_ids": _lists(tokens.ids, tokens.bounds),
        "eclip_token_starts": _lists(spans[:, 0], span_bounds),
        "eclip_token_ends": _lists(spans[:, 1], span_bounds),
        "length": np.diff(tokens.bounds),
        "maskable": _sums(~special, tokens.bounds),
        "record": np.array(
            [digest(*key) - 2**63 for key in zip(windows["seq_id"].to_pylist(), clean, strict=True)], np.int64
        ),
        "letters": np.diff(letters),
        "lower_case": _sums((codes >= ord("a")) & (codes <= ord("z")), letters),
        "uracil": _sums(uracil, letters),
        "tokens": np.diff(tokens.bounds),
        "unknown": _sums(tokens.ids == tokenizer.unk_token_id, tokens.bounds),
        "truncated": read_to < np.diff(letters),
        "peaks": peak_counts,
        "peaks_without_token": peak_counts - np.diff(span_bounds),
    }
    schema = _TOKEN_FEATURES.arrow_schema
    return {"rows": pa.table([_array(columns[name], schema.field(name).type) for name in schema.names], schema=schema)}


def _array(values: Any, kind: pa.DataType) -> pa.Array:
    return values.cast(kind) if isinstance(values, pa.Array) else pa.array(values.astype(np.int64)).cast(kind)


def _lists(values: Ints, bounds: Ints) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(bounds.astype(np.int32)), pa.array(values))


def _bounds(lengths: Any) -> Ints:
    """Where each of some stretches begins if one stands behind the other, and where the last ends."""
    return np.concatenate([[0], np.cumsum(np.fromiter(lengths, np.int64))])


def _sums(chosen: NDArray[np.bool_], bounds: Ints) -> Ints:
    """How many are chosen in each stretch."""
    return np.diff(np.concatenate([[0], np.cumsum(chosen)])[bounds])


def _tokens(tokenizer: PreTrainedTokenizerBase, sequences: list[str], max_length: int) -> _Tokens:
    """The tokens of sequences; a token's place follows from the letters that it is written with, where it can."""
    if not tokenizer.is_fast:
        return _with_offsets(*encode(tokenizer, sequences, max_length))
    special = special_ids(tokenizer)
    names = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    spelling = ["" if number in special else name for number, name in enumerate(names)]
    ids = _fast_ids(tokenizer, sequences, max_length)
    spelt = ["".join(map(spelling.__getitem__, row)) for row in ids]
    # Tokens that spell the sequence stand where they are spelt. The tokenizer is asked about the others.
    unclear = [
        n
        for n, text in enumerate(spelt)
        if tokenizer.unk_token_id in ids[n] or not _begins(sequences[n], text, cut=len(ids[n]) == max_length)
    ]
    flat = np.fromiter(chain.from_iterable(ids), np.int64)
    bounds = _bounds(map(len, ids))
    length = np.fromiter(map(len, spelling), np.int64, len(spelling))[flat]
    read = np.concatenate([[0], np.cumsum(length)])
    starts = read[:-1] - np.repeat(read[bounds[:-1]], np.diff(bounds))
    ends = starts + length
    if unclear:
        asked = _with_offsets(*encode(tokenizer, [sequences[n] for n in unclear], max_length))
        of_unclear = np.isin(np.repeat(np.arange(len(ids)), np.diff(bounds)), unclear)
        starts[of_unclear], ends[of_unclear] = asked.starts, asked.ends
    return _Tokens(flat, bounds, starts, ends)


def _begins(sequence: str, text: str, *, cut: bool) -> bool:
    """Whether a text is the sequence, or the beginning of one that is cut off."""
    return sequence.startswith(text) if cut else sequence == text


def _fast_ids(tokenizer: PreTrainedTokenizerBase, sequences: list[str], max_length: int) -> list[list[int]]:
    backend = tokenizer.backend_tokenizer
    with tokenising(tokenizer):
        backend.no_padding()
        backend.enable_truncation(max_length)
        try:
            return [encoding.ids for encoding in backend.encode_batch_fast(sequences)]
        finally:
            backend.no_truncation()


def _with_offsets(ids: Sequence[Sequence[int]], offsets: Sequence[Sequence[tuple[int, int]]]) -> _Tokens:
    flat = np.fromiter(chain.from_iterable(ids), np.int64)
    spans = np.array(list(chain.from_iterable(offsets)), np.int64).reshape(-1, 2)
    return _Tokens(flat, _bounds(map(len, ids)), spans[:, 0], spans[:, 1])


def _peak_spans(tokens: _Tokens, peaks: list[list[list[int]]], overlap: Overlap) -> tuple[NDArray[np.int64], Ints]:
    """Token spans of the peaks that touch a token, (S, 2), and where the spans of each window begin."""
    counts = np.fromiter(map(len, peaks), np.int64, len(peaks))
    regions = np.array(list(chain.from_iterable(peaks)), np.int64).reshape(-1, 2)
    # All windows on one line, each in a stretch of its own. A peak that ends beyond its window is cut there.
    stretch = int(tokens.ends.max(initial=0)) + 1
    windows = np.repeat(np.arange(len(peaks)), counts)
    regions = np.clip(regions, -1, stretch - 1) + (windows * (stretch + 1))[:, None]
    shift = tokens.rows * (stretch + 1)
    starts, ends = regions_to_token_spans(np.stack([tokens.starts + shift, tokens.ends + shift], 1), regions, overlap)
    spans = np.array([starts, ends], np.int64).T.reshape(-1, 2)
    rows = np.searchsorted(tokens.bounds, spans[:, 0], side="right") - 1
    bounds = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(peaks)))])
    return spans - tokens.bounds[rows][:, None], bounds


def _cached(name: str, write: Callable[[Path], None]) -> Path:
    """An Arrow stream of the cache, which is written where the cache lacks it.

    The builders of `datasets` would do the same, and fail on a disk that has no file locks.
    """
    folder = Path(datasets.config.HF_DATASETS_CACHE) / "bindtune" / name
    target = folder / "rows.arrow"
    try:
        with taking_turns(folder):
            if not target.is_file():
                write(target)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            advice = "set HF_DATASETS_CACHE to a folder that can be written"
            raise ConfigError(f"{folder}: {error.strerror}; {advice}") from error
        raise OSError(error.errno, error.strerror, str(datasets.config.HF_DATASETS_CACHE)) from error
    return target


def _write_windows(path: Path, target: Path) -> None:
    windows, schema = read_windows(path), _WINDOW_FEATURES.arrow_schema
    with atomic_stream(target) as stream, pa.ipc.new_stream(stream, schema) as writer:
        while rows := [_row(window) for window in islice(windows, _ROWS_OF_A_BATCH)]:
            writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=schema))


def _row(window: Window) -> dict[str, Any]:
    return {"seq_id": window.seq_id, "sequence": window.sequence, "peaks": [list(peak) for peak in window.peaks]}
