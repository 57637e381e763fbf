"""Turn text into tensors for E1: the vocabulary, and the row of a query and its homologs.

A row is zero or more context sequences and then the query. Each sequence is written ``<bos> 1 residues 2 <eos>``.
There is no attention mask; the sequence id -1 marks padding.
"""

import string
import warnings
from collections.abc import Sequence
from typing import NamedTuple, Self, TypedDict, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bindtune.errors import InputError

SPECIAL = ("<pad>", "<bos>", "<eos>", "<bos_glm>", "<eos_span>")
VOCABULARY = (*SPECIAL, "?", "1", "2", *string.ascii_uppercase)
PAD, BOS, EOS, MASK, HEAD, TAIL = (VOCABULARY.index(token) for token in ("<pad>", "<bos>", "<eos>", "?", "1", "2"))
TOKEN_ID = {token: index for index, token in enumerate(VOCABULARY)}
FRAME = 4
"""Number of special tokens of a sequence."""
NO_SEQUENCE = -1
"""Position and sequence id of padding."""
IDS = ("input_ids", "within_seq_position_ids", "global_position_ids", "sequence_ids")
"""The input tensors of an encoder of proteins, (B, T) each."""

Ints = NDArray[np.int64]
R = TypeVar("R")
_ID_OF_BYTE = np.full(256, -1, dtype=np.int64)
_ID_OF_BYTE[[ord(letter) for letter in string.ascii_uppercase + "?"]] = [
    TOKEN_ID[letter] for letter in string.ascii_uppercase + "?"
]
_BOUNDARY = torch.zeros(len(VOCABULARY), dtype=torch.bool)
_BOUNDARY[[PAD, BOS, EOS, HEAD, TAIL]] = True


ProteinRow = str | Sequence[str]
"""Zero or more context sequences, then the query: a list, or a text that joins them with commas."""


def sequences_of(row: ProteinRow) -> Sequence[str]:
    """The sequences of a row, the query last.

    Example:
        >>> sequences_of("MKTAY,MKTAW"), sequences_of(["MKTAY", "MKTAW"])
        (['MKTAY', 'MKTAW'], ['MKTAY', 'MKTAW'])
    """
    return row.split(",") if isinstance(row, str) else row


class E1Batch(TypedDict):
    """Input of a model: five (B, T) int64 tensors, and for each row the context's text and number of tokens."""

    input_ids: Tensor
    within_seq_position_ids: Tensor
    global_position_ids: Tensor
    sequence_ids: Tensor
    labels: Tensor
    context: list[str]
    context_len: list[int]


class _Row(NamedTuple):
    """One row: (T,) arrays, and the number of tokens before the query."""

    input_ids: Ints
    within_seq_position_ids: Ints
    global_position_ids: Ints
    sequence_ids: Ints
    labels: Ints
    context_len: int

    def after_context(self) -> "_Row":
        """The query's tokens alone."""
        start = self.context_len
        return _Row(
            self.input_ids[start:],
            self.within_seq_position_ids[start:],
            self.global_position_ids[start:],
            self.sequence_ids[start:],
            self.labels[start:],
            context_len=0,
        )


_FILLERS = (PAD, NO_SEQUENCE, NO_SEQUENCE, NO_SEQUENCE, PAD)
"""The value at padding of each field of a row."""


def boundary_mask(input_ids: Tensor) -> Tensor:
    """True at padding and at the four special tokens of a sequence; same shape as `input_ids`."""
    return _BOUNDARY.to(input_ids.device)[input_ids]


def last_sequence_mask(sequence_ids: Tensor) -> Tensor:
    """True at every token of the query, which is the last sequence of its row (B, T)."""
    return (sequence_ids == sequence_ids.amax(dim=-1, keepdim=True)) & (sequence_ids != NO_SEQUENCE)


def query_residue_mask(input_ids: Tensor, sequence_ids: Tensor) -> Tensor:
    """True at the residues of the query, `?` included, and nowhere else (B, T)."""
    return last_sequence_mask(sequence_ids) & ~boundary_mask(input_ids)


def row_ids(input_ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Derive positions and sequence ids from the tokens of rows without removed residues; <bos> begins a sequence.

    Args:
        input_ids: (B, T), <pad> at padding.

    Returns:
        Positions in the sequence, positions in the row, and numbers of the sequences, (B, T) each, -1 at padding.
    """
    real, begins = input_ids != PAD, input_ids == BOS
    across = real.long().cumsum(dim=1) - 1
    first = torch.where(begins, across, 0).cummax(dim=1).values
    sequence = (begins.long().cumsum(dim=1) - 1).clamp(min=0)
    within, across, sequence = (ids.masked_fill(~real, NO_SEQUENCE) for ids in (across - first, across, sequence))
    return within, across, sequence


def complete_ids(
    input_ids: Tensor | None, within: Tensor | None, across: Tensor | None, sequence: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Fill in missing positions and sequence ids with those of `row_ids`.

    Raises:
        ValueError: some are missing, and there are no input_ids.
    """
    if within is not None and across is not None and sequence is not None:
        return within, across, sequence
    if input_ids is None:
        raise ValueError("positions and sequence ids follow from input_ids alone: give all three with inputs_embeds")
    derived = row_ids(input_ids)
    return (
        derived[0] if within is None else within,
        derived[1] if across is None else across,
        derived[2] if sequence is None else sequence,
    )


class E1BatchPreparer:
    """Turn text into the input tensors of E1.

    Args:
        remove_X_tokens: leave out X residues; the other residues keep their positions.
        preserve_context_labels: give context tokens labels too, instead of 0.
        max_num_sequences: most sequences in a row, including the query.
        max_num_positions_within_seq: most positions in a sequence, including its four special tokens.
        max_num_positions_global: a row with more positions gives a warning, because E1 was not trained on it.
    """

    frame = FRAME
    reads_homologs = True
    num_tokens = len(VOCABULARY)
    mask_id = MASK
    amino_acids = np.array([TOKEN_ID[letter] for letter in "ACDEFGHIKLMNPQRSTVWY"], dtype=np.int64)
    residue_mask = staticmethod(query_residue_mask)

    def __init__(
        self,
        remove_X_tokens: bool = False,  # noqa: N803 - the name users know
        preserve_context_labels: bool = False,
        *,
        max_num_sequences: int = 512,
        max_num_positions_within_seq: int = 8192,
        max_num_positions_global: int = 65536,
    ) -> None:
        self.remove_x = remove_X_tokens
        self.preserve_context_labels = preserve_context_labels
        self.max_num_sequences = max_num_sequences
        self.max_num_positions_within_seq = max_num_positions_within_seq
        self.max_num_positions_global = max_num_positions_global

    @property
    def max_residues(self) -> int:
        """The longest sequence that fits."""
        return self.max_num_positions_within_seq - FRAME

    def get_batch_kwargs(
        self, sequences: Sequence[ProteinRow], device: torch.device | str = "cpu", *, names: Sequence[str] | None = None
    ) -> E1Batch:
        """Tokenise a batch.

        Args:
            sequences: rows; each is a list of sequences with the query last, or a text that joins them with commas.
            device: where the tensors are to be.
            names: names of the rows for messages; "row 1" and so on by default.

        Returns:
            The tensors, padded on the right to the longest row. Labels are the input ids, 0 over the context.

        Raises:
            InputError: a sequence is empty, too long, or holds other characters than A-Z and `?`; a row has too many.
        """
        rows = [sequences_of(row) for row in _not_one_text(sequences)]
        return self._batch([self._row(*row) for row in zip(rows, names or _numbered(rows), strict=True)], device)

    def get_query_kwargs(
        self, queries: Sequence[str], context: ProteinRow, device: torch.device | str = "cpu"
    ) -> E1Batch:
        """Tokenise queries that follow one shared context, without the context's tokens.

        The queries have the positions and sequence ids of whole rows. So a model with the cached context computes the
        same as on whole rows.

        Args:
            queries: one protein a row.
            context: a list of sequences, or a text that joins them with commas; empty for none.
            device: where the tensors are to be.

        Raises:
            InputError: as `get_batch_kwargs`.
        """
        rows, before = [], sequences_of(context) if context else []
        for query, name in zip(_not_one_text(queries), _numbered(queries), strict=True):
            if "," in query:
                raise ValueError(f"{name} holds a comma: give the context in `context`")
            rows.append(self._row([*before, query], name).after_context())
        return self._batch(rows, device)

    @classmethod
    def for_model(cls, config: object, *, remove_X_tokens: bool = False) -> Self:  # noqa: N803
        """A preparer with the limits of a model's configuration."""
        limits = ("max_num_sequences", "max_num_positions_within_seq", "max_num_positions_global")
        return cls(remove_X_tokens, **{name: getattr(config, name) for name in limits})

    def _row(self, sequences: Sequence[str], name: str) -> _Row:
        if len(sequences) > self.max_num_sequences:
            raise _refused(name, None, f"{len(sequences)} sequences, at most {self.max_num_sequences} fit")
        tokens, positions, sizes, offsets = [], [], [], [0]
        for index, sequence in enumerate(sequences):
            ids = self._ids(sequence, name, index + 1 if len(sequences) > 1 else None)
            shown = np.flatnonzero(ids != TOKEN_ID["X"]) if self.remove_x else np.arange(len(ids))
            tokens.append(ids[shown])
            positions.append(shown)
            sizes.append(len(shown))
            offsets.append(offsets[-1] + len(ids))
        if offsets[-1] > self.max_num_positions_global:
            warnings.warn(
                f"{name} spans {offsets[-1]} positions, the model was made for {self.max_num_positions_global}",
                stacklevel=4,
            )
        input_ids, within = np.concatenate(tokens), np.concatenate(positions)
        context_len = sum(sizes[:-1])
        labels = input_ids.copy()
        if not self.preserve_context_labels:
            labels[:context_len] = PAD
        return _Row(
            input_ids=input_ids,
            within_seq_position_ids=within,
            global_position_ids=within + np.repeat(offsets[:-1], sizes),
            sequence_ids=np.repeat(np.arange(len(sizes)), sizes),
            labels=labels,
            context_len=context_len,
        )

    def _ids(self, sequence: str, name: str, index: int | None) -> Ints:
        """Ids of a framed sequence (n + 4,)."""
        if not sequence:
            raise _refused(name, index, "the sequence is empty")
        if len(sequence) > self.max_residues:
            raise _refused(name, index, f"{len(sequence)} residues, at most {self.max_residues} fit")
        letters = np.frombuffer(sequence.encode("latin-1", errors="replace"), dtype=np.uint8)
        ids = np.empty(len(sequence) + FRAME, dtype=np.int64)
        ids[:2], ids[-2:] = (BOS, HEAD), (TAIL, EOS)
        # Letters outside latin-1 become "?", which is a token, so the text itself is checked.
        ids[2:-2] = _ID_OF_BYTE[letters]
        if (ids < 0).any() or not sequence.isascii():
            first = next(i for i, letter in enumerate(sequence) if letter not in TOKEN_ID or letter in "12")
            advice = "; write it in upper case" if sequence[first].isascii() and sequence[first].islower() else ""
            problem = f"{sequence[first]!r} at residue {first + 1}, expected A-Z or ?{advice}"
            raise _refused(name, index, problem)
        return ids

    def _batch(self, rows: Sequence[_Row], device: torch.device | str) -> E1Batch:
        width = max(len(row.input_ids) for row in rows)
        columns = []
        for column, filler in enumerate(_FILLERS):
            padded = np.full((len(rows), width), filler, dtype=np.int64)
            for target, row in zip(padded, rows, strict=True):
                target[: len(row.input_ids)] = row[column]
            columns.append(torch.from_numpy(padded).to(device))
        return E1Batch(
            input_ids=columns[0],
            within_seq_position_ids=columns[1],
            global_position_ids=columns[2],
            sequence_ids=columns[3],
            labels=columns[4],
            context=["".join(VOCABULARY[i] for i in row.input_ids[: row.context_len]) for row in rows],
            context_len=[row.context_len for row in rows],
        )


def _not_one_text(rows: Sequence[R]) -> Sequence[R]:
    if isinstance(rows, str):
        raise ValueError("expected a list of texts, one a row, found one text")
    if not rows:
        raise ValueError("expected at least one text")
    return rows


def _numbered(rows: Sequence[object]) -> list[str]:
    return [f"row {number}" for number in range(1, len(rows) + 1)]


def _refused(name: str, index: int | None, problem: str) -> InputError:
    where = "" if index is None else f", sequence {index}"
    return InputError(None, None, f"{name}{where}: {problem}")
