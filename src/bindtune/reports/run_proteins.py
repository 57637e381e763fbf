"""The proteins of a run, from its out-of-fold predictions."""

from pathlib import Path

import numpy as np

from bindtune.data.protein.folds import read_lengths
from bindtune.data.protein.proteins import Proteins
from bindtune.runs.names import FOLDS
from bindtune.runs.out_of_fold import OutOfFold

_UNKNOWN_LETTER = b"X"


def run_proteins(table: OutOfFold, run: Path) -> Proteins:
    """The proteins of a run, with X for residues without a row.

    Args:
        table: the out-of-fold predictions of the run.
        run: its folder; the folds.csv of newer runs has the lengths of the proteins.

    Raises:
        InputError: folds.csv is damaged.
    """
    lengths = read_lengths(run / FOLDS)
    last = np.zeros(len(table.proteins), np.int64)
    np.maximum.at(last, table.protein, table.position)
    sequences = [np.full(max(int(end), lengths.get(name, 0)), _UNKNOWN_LETTER)
                 for name, end in zip(table.proteins, last, strict=True)]  # fmt: skip
    letters, order = table.letters(), np.argsort(table.protein, kind="stable")
    starts = np.searchsorted(table.protein[order], np.arange(len(table.proteins) + 1))
    for number, sequence in enumerate(sequences):
        rows = order[starts[number] : starts[number + 1]]
        sequence[table.position[rows] - 1] = letters[rows]
    texts = tuple(sequence.tobytes().decode("ascii") for sequence in sequences)
    return Proteins(table.proteins, texts, (), tuple(np.empty((len(text), 0), np.int8) for text in texts))
