"""Place groups of proteins in folds: one partition for all ions, with about equal shares of each ion's positives."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bindtune.data.keyed_random import digest, fractions
from bindtune.data.protein.proteins import Proteins
from bindtune.errors import ConfigError, InputError, Problems
from bindtune.io.text import LONGEST_LINE, numbered_lines
from bindtune.runs.cells import name_cell, read_cell
from bindtune.runs.reading import read_csv
from bindtune.runs.writing import write_text

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_PROTEIN_HEADERS, _FOLD_HEADER = ("protein", "id"), "fold"
_FOLD = re.compile(r"[1-9][0-9]*")
_MOST_DIGITS = 9


@dataclass(frozen=True)
class FoldCounts:
    """Contents of each of F folds.

    Args:
        folds: F, their numbers.
        ions: K.
        proteins: F.
        residues: F.
        labelled: F rows of K: number of proteins that were examined for the ion.
        positives: F rows of K: number of residues that bind the ion.
    """

    folds: tuple[int, ...]
    ions: tuple[str, ...]
    proteins: tuple[int, ...]
    residues: tuple[int, ...]
    labelled: tuple[tuple[int, ...], ...]
    positives: tuple[tuple[int, ...], ...]

    def without_positives(self) -> tuple[tuple[int, str], ...]:
        """The (fold, ion) without defined metrics, because no held-out residue binds the ion."""
        return tuple(
            (fold, ion)
            for fold, row in zip(self.folds, self.positives, strict=True)
            for ion, positives in zip(self.ions, row, strict=True)
            if not positives
        )


def assign_folds(proteins: Proteins, groups: Ints, *, num_folds: int, seed: int) -> Ints:
    """Divide proteins into folds that share no group.

    Large groups are placed first. Each group goes to the fold where it reduces the imbalance most. The folds get equal
    shares of the proteins, the residues and, for each ion, the labelled proteins and the positives. The result does not
    depend on the order of the proteins or on the numbers of the groups.

    Args:
        proteins: N proteins.
        groups: (N,) number of each protein's group.
        num_folds: at least 2.
        seed: other numbers give other partitions, as balanced.

    Returns:
        (N,) folds, from 1.

    Raises:
        ConfigError: there are fewer groups than folds.
    """
    group_numbers, group = np.unique(groups, return_inverse=True)
    if num_folds < 2 or len(group_numbers) < num_folds:
        raise ConfigError(
            f"{num_folds} folds cannot be made of {len(group_numbers)} groups of proteins, expected 2 or more"
        )
    weights, order = _ordered(proteins, group, seed=seed)
    target = np.full(num_folds, 1 / num_folds)
    ties = np.argsort([digest(seed, "fold", fold) for fold in range(num_folds)], kind="stable")
    placed = _part_of_groups(weights[order], target=target, ties=ties)
    fold_of_group = np.empty(len(group_numbers), np.int64)
    fold_of_group[order] = placed + 1
    return fold_of_group[group]


def inner_validation(proteins: Proteins, groups: Ints, *, fraction: float, seed: int) -> NDArray[np.bool_]:
    """Take a share of the training proteins of a fold: whole groups, balanced as folds are.

    Args:
        proteins: N training proteins.
        groups: (N,) number of each protein's group.
        fraction: share to take, above 0 and below 1.
        seed: other numbers give other partitions, as balanced.

    Returns:
        (N,) whether the protein is taken.

    Raises:
        ConfigError: the fraction is not between 0 and 1, or there is only one group.
    """
    group_numbers, group = np.unique(groups, return_inverse=True)
    if not 0 < fraction < 1 or len(group_numbers) < 2:
        raise ConfigError(
            f"a fraction of {fraction} cannot be taken out of {len(group_numbers)} groups of proteins, "
            "expected a number between 0 and 1, and 2 groups or more"
        )
    weights, order = _ordered(proteins, group, seed=seed)
    placed = _part_of_groups(weights[order], target=np.array([1 - fraction, fraction]), ties=np.arange(2))
    taken = np.empty(len(group_numbers), bool)
    taken[order] = placed == 1
    return taken[group]


def count_folds(proteins: Proteins, folds: Ints) -> FoldCounts:
    """Count the proteins, residues, labels and positives of each fold.

    Args:
        proteins: N proteins.
        folds: (N,) their folds.
    """
    labelled, positives, residues = proteins.labelled(), proteins.positives(), proteins.residues()
    numbers = np.unique(folds).tolist()
    members = [folds == number for number in numbers]
    return FoldCounts(
        folds=tuple(numbers),
        ions=proteins.ions,
        proteins=tuple(int(inside.sum()) for inside in members),
        residues=tuple(int(residues[inside].sum()) for inside in members),
        labelled=tuple(tuple(labelled[inside].sum(axis=0).tolist()) for inside in members),
        positives=tuple(tuple(positives[inside].sum(axis=0).tolist()) for inside in members),
    )


def read_folds(path: Path, *, names: Sequence[str]) -> Ints:
    """Read predefined folds.

    Args:
        path: a table with commas or tabs and a header with `protein` (or `id`) and `fold`. Other columns and other
            proteins are ignored. Folds are numbers from 1.
        names: N, unique.

    Returns:
        (N,) folds.

    Raises:
        InputError: lists malformed rows, rows that give a protein a second fold, and proteins without a row; or the
            folds are not numbered from 1 without a gap.
    """
    problems = Problems(path)
    fold_of: dict[str, int] = {}
    for line, name, text in _rows(path, problems):
        if _FOLD.fullmatch(text) is None or len(text) > _MOST_DIGITS:
            problems.add(line, f"fold {text[:40]!r} of protein {name!r}, expected a number from 1")
        elif fold_of.setdefault(name, int(text)) != int(text):
            problems.add(line, f"protein {name!r} is in fold {text}, and in fold {fold_of[name]} before")
    problems.raise_any()
    for name in names:
        if name not in fold_of:
            problems.add(None, f"protein {name!r} has no fold")
    problems.raise_any()
    folds = np.array([fold_of[name] for name in names], np.int64)
    numbers = np.unique(folds).tolist()
    if numbers != list(range(1, len(numbers) + 1)) or len(numbers) < 2:
        problems.add(None, f"the proteins lie in the folds {numbers}, expected 1, 2 and so on without a gap")
    problems.raise_any()
    return folds


def read_lengths(path: Path) -> dict[str, int]:
    """Number of residues of each protein in the folds.csv of a run; empty if the file or the column is missing.

    Raises:
        InputError: the table is damaged, or a length is no possible number of residues.
    """
    rows = read_csv(path, ("protein", "fold")) or []
    texts = {row["protein"]: row["residues"] for row in rows if row.get("residues")}
    for name, text in texts.items():
        if not (text.isdecimal() and len(text) <= _MOST_DIGITS and 0 < int(text) <= LONGEST_LINE):
            raise InputError(path, None, f"{name!r}: expected a number of residues, found {text[:40]!r}")
    return {name: int(text) for name, text in texts.items()}


def write_folds(path: Path, proteins: Proteins, *, folds: Ints, groups: Ints) -> None:
    """Write `protein,fold,group,ions,residues`, which `read_folds` reads.

    `ions` are the ions that the protein has labels for; `residues` is the protein's length.
    A protein name that looks like a spreadsheet formula gets an apostrophe in front; see `runs.cells`.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("protein", "fold", "group", "ions", "residues"))
    is_labelled = proteins.labelled().tolist()
    ions = [" ".join(ion for ion, there in zip(proteins.ions, row, strict=True) if there) for row in is_labelled]
    names = map(name_cell, proteins.names)
    writer.writerows(zip(names, folds.tolist(), groups.tolist(), ions, proteins.residues().tolist(), strict=True))
    write_text(path, text.getvalue())


def _ordered(proteins: Proteins, group: Ints, *, seed: int) -> tuple[Floats, Ints]:
    """(G, M) share of each group in each quantity, and the groups in about descending order of size.

    The size of a group is multiplied by a random factor. The seed and the group's first name decide the factor, so
    numbers and order have no influence.
    """
    is_labelled, positives = proteins.labelled().astype(np.float64), proteins.positives().astype(np.float64)
    each = np.column_stack([np.ones(len(proteins)), proteins.residues(), is_labelled, positives])
    count = int(group.max()) + 1
    totals = np.zeros((count, each.shape[1]))
    np.add.at(totals, group, each)
    shares = totals / np.maximum(totals.sum(axis=0), 1)
    first: dict[int, str] = {}
    for name, number in sorted(zip(proteins.names, group.tolist(), strict=True)):
        first.setdefault(number, name)
    drawn = np.array([digest(seed, first[number]) for number in range(count)], np.uint64)
    # Rounded, so that rounding errors of the sum do not decide.
    size = shares.max(axis=1).round(12) * (1 + fractions(drawn))
    return shares, np.lexsort((drawn, -size))


def _part_of_groups(shares: Floats, *, target: Floats, ties: Ints) -> Ints:
    """(G,) part of each group: the one where the group reduces the imbalance most. Groups come in the order of placing.

    The imbalance is the sum over quantities of (share held - target share) squared, divided by the target share.

    Args:
        shares: (G, M) share of each group in each quantity.
        target: (F,) target share of each part.
        ties: (F,) order of parts that are equally good.
    """
    held = np.zeros((len(target), shares.shape[1]))
    placed = np.empty(len(shares), np.int64)
    empty = np.ones(len(target), bool)
    for number, share in enumerate(shares):
        # The part of ((held + share - target)^2 - (held - target)^2) / target that differs between parts.
        change = ((2 * (held - target[:, None]) + share) * share).sum(axis=1) / target
        # No part stays empty.
        if int(empty.sum()) >= len(shares) - number:
            change[~empty] = np.inf
        part = int(ties[np.argmin(change[ties].round(12))])
        placed[number] = part
        held[part] += share
        empty[part] = False
    return placed


def _rows(path: Path, problems: Problems) -> list[tuple[int, str, str]]:
    """(line, protein, fold) of each row."""
    rows: list[tuple[int, str, str]] = []
    columns: tuple[int, int] | None = None
    for number, line in numbered_lines(path):
        if not line.strip():
            continue
        try:
            words = [word.strip() for word in next(csv.reader([line], delimiter="\t" if "\t" in line else ","))]
        except csv.Error as error:
            problems.add(number, f"not a row of a table: {error}, found {line[:40]!r}")
            continue
        if columns is None:
            columns = _header([word.lower() for word in words])
            if columns is None:
                problems.add(number, f"expected a header with the columns protein and fold, found {line[:40]!r}")
                break
        elif len(words) <= max(columns) or not words[columns[0]]:
            problems.add(number, f"expected a protein and a fold, found {line[:40]!r}")
        else:
            rows.append((number, read_cell(words[columns[0]]), words[columns[1]]))
    return rows


def _header(words: Sequence[str]) -> tuple[int, int] | None:
    protein = next((column for column, word in enumerate(words) if word in _PROTEIN_HEADERS), None)
    return None if protein is None or _FOLD_HEADER not in words else (protein, words.index(_FOLD_HEADER))
