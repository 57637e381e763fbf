"""Windows become rows of token ids and token spans of their peaks, cached on disk and memory-mapped."""

import errno
import json
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from bindtune.data.keyed_random import digest
from bindtune.data.workers import check_semaphores
from bindtune.errors import ConfigError, InputError
from bindtune.io.records import Window, read_windows
from bindtune.models.base_files import check_reachable
from bindtune.models.foreign_files import check_tokenizer
from bindtune.models.load_errors import loading, tokenising
from bindtune.regions import Overlap, regions_to_token_spans
from bindtune.runs.exclusive import taking_turns
from bindtune.runs.provenance import sha256
from bindtune.runs.writing import atomic_stream, writing

VERSION = 3  # part of every cache name: raise it when the columns, their meaning or what is refused change
COLUMNS = ("input_ids", "eclip_token_starts", "eclip_token_ends", "length", "maskable", "record")
_ROWS_OF_A_BATCH = 1000
_UPPER = {code: code - 32 for code in range(ord("a"), ord("z") + 1)}
_TO_DNA = _UPPER | {ord("u"): ord("T"), ord("U"): ord("T")}


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


def load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """Load a tokenizer by hub name or folder.

    Raises:
        CheckpointError: there is none.
    """
    check_reachable(name)
    with loading(name, "no tokenizer could be loaded"):
        check_tokenizer(name)
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    return tokenizer


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
    windows = datasets.Dataset.from_file(str(_cached_windows(path, content)))
    if processes > 1:
        check_semaphores(processes, setting="--preprocessing_num_workers=1")
    return windows.map(
        _tokenise,
        batched=True,
        num_proc=min(processes, len(windows)) if processes > 1 else None,
        remove_columns=windows.column_names,
        features=_TOKEN_FEATURES,
        fn_kwargs={"tokenizer": tokenizer, "max_length": max_length, "overlap": overlap},
        new_fingerprint=f"{digest(content, VERSION, tokenizer_identity(tokenizer), max_length, overlap):016x}",
        desc="tokenising",
    )


def check_offsets(tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse a tokenizer that cannot say which letters a token stands for.

    Raises:
        ConfigError: it is neither fast nor gives one token a letter.
    """
    probe = "ACGTGCAT"
    if tokenizer.is_fast:
        return
    if tokenizer(probe, add_special_tokens=False)["input_ids"] != tokenizer.convert_tokens_to_ids(list(probe)):
        raise ConfigError(
            f"{type(tokenizer).__name__} gives no character offsets and other tokens than letters, so peaks "
            "cannot be placed on its tokens; use a fast tokenizer (tokenizer.json)"
        )


def special_ids(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """Tokens that stand for no letters, [UNK] among them: never masked, and never a random replacement."""
    # A tokenizer.json may call a token special, [UNK] above all, that tokenizer_config.json does not name.
    ids = {*tokenizer.all_special_ids, *(i for i, token in tokenizer.added_tokens_decoder.items() if token.special)}
    if tokenizer.is_fast and (unknown := getattr(tokenizer.backend_tokenizer.model, "unk_token", None)):
        ids.add(tokenizer.backend_tokenizer.token_to_id(unknown))
    return {int(token) for token in ids if token is not None}


def spelled_for(tokenizer: PreTrainedTokenizerBase, sequences: list[str]) -> list[str]:
    """DNA with U in the place of T where a tokenizer reads U alone.

    Args:
        tokenizer: of the model that reads them.
        sequences: upper-case letters with T.
    """
    unknown = tokenizer.unk_token_id
    if tokenizer.convert_tokens_to_ids("T") in (None, unknown) and tokenizer.convert_tokens_to_ids("U") != unknown:
        return [each.replace("T", "U") for each in sequences]
    return sequences


def encode(
    tokenizer: PreTrainedTokenizerBase, sequences: list[str], max_length: int
) -> tuple[list[list[int]], list[Any]]:
    """Token ids and (start, end) offsets of each sequence, cut to `max_length` tokens.

    Raises:
        CheckpointError: the tokenizer fails on one of them.
    """
    with tokenising(tokenizer):
        if not tokenizer.is_fast:
            rows = [_encode_letters(tokenizer, sequence, max_length) for sequence in sequences]
            return [ids for ids, _ in rows], [offsets for _, offsets in rows]
        batch = tokenizer(
            sequences,
            truncation=True,
            max_length=max_length,
            return_offsets_mapping=True,
            return_attention_mask=False,
            return_token_type_ids=False,
        )
    return batch["input_ids"], batch["offset_mapping"]


def _encode_letters(
    tokenizer: PreTrainedTokenizerBase, sequence: str, max_length: int
) -> tuple[list[int], list[tuple[int, int]]]:
    """Ids and offsets with one letter a token. A slow tokenizer itself makes one token of a run of unknown letters."""
    room = max(max_length - tokenizer.num_special_tokens_to_add(), 0)
    letters = [int(tokenizer.convert_tokens_to_ids(letter)) for letter in sequence[:room]]  # type: ignore[arg-type]
    added = tokenizer.get_special_tokens_mask(letters)
    positions = iter(range(len(letters)))
    offsets = [(0, 0) if special else (position := next(positions), position + 1) for special in added]
    return tokenizer.build_inputs_with_special_tokens(letters), offsets


def _tokenise(
    batch: dict[str, list[Any]], *, tokenizer: PreTrainedTokenizerBase, max_length: int, overlap: Overlap
) -> dict[str, list[Any]]:
    reads_rna = tokenizer.convert_tokens_to_ids("U") not in (None, tokenizer.unk_token_id)
    table = _UPPER if reads_rna else _TO_DNA
    letters = [sequence.translate(table) for sequence in batch["sequence"]]
    ids, offsets = encode(tokenizer, letters, max_length)
    special = special_ids(tokenizer)
    rows: dict[str, list[Any]] = {name: [] for name in (*COLUMNS, *_COUNTED)}
    for seq_id, sequence, clean, peaks, row, spans in zip(
        batch["seq_id"], batch["sequence"], letters, batch["peaks"], ids, offsets, strict=True
    ):
        starts, ends = regions_to_token_spans(spans, peaks, overlap)
        codes = np.frombuffer(sequence.encode("latin-1", "replace"), dtype=np.uint8)
        whole = len(codes)
        values = {
            "input_ids": row,
            "eclip_token_starts": starts,
            "eclip_token_ends": ends,
            "length": len(row),
            "maskable": sum(token not in special for token in row),
            "record": digest(seq_id, clean) - 2**63,
            "letters": whole,
            "lower_case": int(((codes >= ord("a")) & (codes <= ord("z"))).sum()),
            "uracil": 0 if reads_rna else int(((codes | 32) == ord("u")).sum()),
            "tokens": len(row),
            "unknown": row.count(tokenizer.unk_token_id),
            "truncated": int(max(end for _, end in spans) < len(clean)),
            "peaks": len(peaks),
            "peaks_without_token": len(peaks) - len(starts),
        }
        for name, value in values.items():
            rows[name].append(value)
    return rows


def _cached_windows(path: Path, content: str) -> Path:
    """The windows of a training file as an Arrow stream, which is written where the cache lacks it.

    The builders of `datasets` would do the same, and fail on a disk that has no file locks.
    """
    folder = Path(datasets.config.HF_DATASETS_CACHE) / "bindtune" / f"windows-{digest(content, VERSION):016x}"
    target = folder / "windows.arrow"
    try:
        with taking_turns(folder):
            if not target.is_file():
                _write_windows(path, target)
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


def tokenizer_identity(tokenizer: PreTrainedTokenizerBase) -> str:
    """What decides which tokens a sequence becomes; not how an earlier call happened to cut or pad."""
    if tokenizer.is_fast:
        settings = json.loads(tokenizer.backend_tokenizer.to_str())
        settings |= {"truncation": None, "padding": None, "unknown": tokenizer.unk_token_id}
        return json.dumps(settings, sort_keys=True)
    return f"{type(tokenizer).__name__} {sorted(tokenizer.get_vocab().items())}"
