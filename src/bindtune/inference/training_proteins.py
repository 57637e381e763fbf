"""The training proteins of a run, rebuilt from its out-of-fold table, for audits and baselines of test proteins."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bindtune.data.protein.folds import read_lengths
from bindtune.data.protein.proteins import Proteins
from bindtune.errors import InputError
from bindtune.evaluation import residue_baseline
from bindtune.inference.trained_run import TrainedRun
from bindtune.io.labels import UNKNOWN
from bindtune.runs.names import FOLDS, OUT_OF_FOLD
from bindtune.runs.out_of_fold import read_table

_MOST_LETTERS = 1 << 28
"""Most residues of all training proteins; a damaged table may have large positions."""


def training_proteins(run: TrainedRun, test: Proteins) -> tuple[Proteins, dict[str, NDArray[np.float64]]]:
    """The training proteins, rebuilt from the out-of-fold table, and the composition baseline of each ion.

    The table has no residues with unknown labels. They are taken from a test protein that agrees with all other
    residues; without such a protein they are X.

    Args:
        run: a binding run.
        test: the test proteins.

    Returns:
        The proteins, without labels, and for each ion the log odds of each letter (128, 1).

    Raises:
        InputError: the table or folds.csv is damaged.
    """
    table = read_table(run.folder / OUT_OF_FOLD)
    names, ions = table["protein"].to_numpy(), table["ion"].to_numpy()
    letters, labels = table["residue"].to_numpy().astype(np.str_), table["label"].to_numpy()
    positions = table["position"].to_numpy()
    odds = {}
    for ion in run.ions:
        own = ions == ion
        text = "".join(letters[own])
        odds[ion] = residue_baseline.fit([text], [labels[own][:, None]]) if text else np.zeros((128, 1))
    order = np.argsort(names, kind="stable")
    names, positions, letters = names[order], positions[order], letters[order]
    breaks = np.flatnonzero(names[1:] != names[:-1]) + 1
    lengths, by_length = read_lengths(run.folder / FOLDS), _by_length(test)
    starts = np.append(0, breaks)
    if len(names) and int(np.maximum.reduceat(positions, starts).sum()) > _MOST_LETTERS:
        problem = f"the positions of {len(starts)} proteins are too large, expected {_MOST_LETTERS:,} residues at most"
        raise InputError(run.folder / OUT_OF_FOLD, None, problem)
    sequences = {
        str(names[start]): _sequence(
            letters[start:end], positions[start:end] - 1, length=lengths.get(str(names[start]), 0), candidates=by_length
        )
        for start, end in zip(starts, [*breaks, len(names)], strict=True)
        if end > start
    }
    blank = tuple(np.full((len(sequence), 0), UNKNOWN, np.int8) for sequence in sequences.values())
    return Proteins(tuple(sequences), tuple(sequences.values()), (), blank), odds


def _by_length(proteins: Proteins) -> dict[int, list[NDArray[np.str_]]]:
    letters: dict[int, list[NDArray[np.str_]]] = {}
    for sequence in dict.fromkeys(proteins.sequences):
        letters.setdefault(len(sequence), []).append(np.array(list(sequence)))
    return letters


def _sequence(
    letters: NDArray[np.str_],
    places: NDArray[np.int64],
    *,
    length: int,
    candidates: Mapping[int, Sequence[NDArray[np.str_]]],
) -> str:
    """A protein from some of its residues (R,) and their positions (R,); see `training_proteins`."""
    own = np.full(max(length, int(places.max()) + 1), "X")
    own[places] = letters
    if len(np.unique(places)) < len(own):
        same = (each for each in candidates.get(len(own), ()) if np.array_equal(each[places], letters))
        own = next(same, own)
    return "".join(own)
