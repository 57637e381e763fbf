"""One table of proteins and the residues that bind each ion, made from one file for each ion or ion group."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bindtune.data.protein.input_files import alignment_name, label_sources
from bindtune.errors import InputError, Problems
from bindtune.io.a3m import read_a3m, residues
from bindtune.io.labels import UNKNOWN, LabelledProtein, read_labels
from bindtune.io.proteins import read_proteins

Labels = NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class Proteins:
    """Proteins and the labels of their residues.

    Args:
        names: N, unique.
        sequences: N, upper case.
        ions: K, the columns of the labels.
        labels: N arrays (L, K): 1 binds, 0 does not bind. UNKNOWN (-1) means that the protein was not examined for the
            ion, or that the residue's label is `?`.
        also_unlabelled: number of labelled proteins that are in the file of unlabelled proteins too.
    """

    names: tuple[str, ...]
    sequences: tuple[str, ...]
    ions: tuple[str, ...]
    labels: tuple[Labels, ...]
    also_unlabelled: int = 0

    def __len__(self) -> int:
        return len(self.names)

    def labelled(self) -> NDArray[np.bool_]:
        """(N, K) whether the protein was examined for the ion, so that it has labels 0 or 1."""
        return self._reduced([(labels != UNKNOWN).any(axis=0) for labels in self.labels]).astype(bool)

    def unknown(self) -> NDArray[np.int64]:
        """(N, K) number of residues with the label `?`; 0 if the protein was not examined for the ion."""
        counts = self._reduced([(labels == UNKNOWN).sum(axis=0) for labels in self.labels])
        return np.where(self.labelled(), counts, 0)

    def positives(self) -> NDArray[np.int64]:
        """(N, K) number of residues that bind the ion; 0 if the protein was not examined for it."""
        return self._reduced([(labels == 1).sum(axis=0) for labels in self.labels])

    def residues(self) -> NDArray[np.int64]:
        """(N,) number of residues of each protein."""
        return np.array([len(sequence) for sequence in self.sequences], np.int64)

    def subset(self, indices: Sequence[int] | NDArray[np.int64]) -> "Proteins":
        """The proteins with these indices, in this order."""
        rows = [int(index) for index in indices]
        return Proteins(
            names=tuple(self.names[row] for row in rows),
            sequences=tuple(self.sequences[row] for row in rows),
            ions=self.ions,
            labels=tuple(self.labels[row] for row in rows),
        )

    def index(self, name: str) -> int:
        """The index of a protein.

        Raises:
            KeyError: no protein has this name.
        """
        return self._places[name]

    def looked_for(self) -> dict[str, tuple[str, ...]]:
        """The ions that each protein is labelled for, by its name; all ions if the protein has no labels."""
        return {
            name: tuple(ion for ion, is_labelled in zip(self.ions, row, strict=True) if is_labelled) or self.ions
            for name, row in zip(self.names, self.labelled().tolist(), strict=True)
        }

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.names)}

    def _reduced(self, rows: list[NDArray[np.bool_]] | list[NDArray[np.int64]]) -> NDArray[np.int64]:
        return np.array(rows, np.int64).reshape(len(self.names), len(self.ions))


def load_proteins(
    files: Mapping[str, Path],
    *,
    ions: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    unlabelled: Path | None = None,
) -> Proteins:
    """Read the labelled files of all ions into one table.

    A group ion without its own file has the proteins of its members. A residue binds the group if it binds any labelled
    member. If it binds none and is unknown for one, it is unknown for the group. If the group has its own file too,
    both sources must agree. An unknown label takes the label of the other source. Proteins of the members are added.

    Args:
        files: ion -> labelled file.
        ions: the ions that get a column.
        groups: group ion -> its members, such as REE -> LREE, HREE.
        unlabelled: plain FASTA of proteins with unknown labels; a protein that is labelled too keeps its labels.

    Raises:
        InputError: a file has malformed records (all are listed); proteins have two sequences, or a group's label
            differs from its members' (all are listed); or neither an ion nor its members have a file.
    """
    sources: list[str] = []
    for ion in ions:
        sources += label_sources(ion, files=files, groups=groups)
        if not label_sources(ion, files=files, groups=groups):
            named = ", ".join(groups.get(ion, ()))
            also = f", and none of its members {named} has one" if named else ""
            raise InputError(None, None, f"ion {ion}: no labelled file{also}")
    table = _Table(ions)
    tables = {
        source: {protein.name: protein for protein in read_labels(files[source])} for source in dict.fromkeys(sources)
    }
    for source, proteins in tables.items():
        for protein in proteins.values():
            table.add(protein, files[source])
    for column, ion in enumerate(ions):
        members = [member for member in groups.get(ion, ()) if member in files and member != ion]
        union = _union([tables[member] for member in members])
        if ion in files:
            _check_group(tables[ion], union, ion=ion, members=members, files=files, problems=table.problems)
            union |= {
                protein.name: _completed(protein.labels, union.get(protein.name)) for protein in tables[ion].values()
            }
        table.fill(column, union)
    if unlabelled is not None:
        table.add_unlabelled(unlabelled)
    table.problems.raise_any()
    return table.freeze()


def aligned_proteins(msa_dir: Path) -> Proteins:
    """The proteins of a folder of alignments, without labels: the first row of each alignment file.

    Raises:
        InputError: the folder is missing or holds no alignment, an alignment cannot be read, or a protein has two.
    """
    if not msa_dir.is_dir():
        raise InputError(msa_dir, None, "is no folder")
    sequences: dict[str, str] = {}
    for path in sorted(msa_dir.iterdir()):
        name = alignment_name(path)
        if name is None or not path.is_file():
            continue
        if name in sequences:
            raise InputError(path, None, f"there is another alignment of {name!r}")
        sequences[name] = residues(next(read_a3m(path))).decode("ascii")
        if not sequences[name]:
            raise InputError(path, None, "the first row holds no residue")
    if not sequences:
        raise InputError(msa_dir, None, "holds no alignment, expected files such as ID.a3m")
    labels = tuple(np.full((len(sequence), 0), UNKNOWN, np.int8) for sequence in sequences.values())
    return Proteins(names=tuple(sequences), sequences=tuple(sequences.values()), ions=(), labels=labels)


class _Table:
    """The table while it is filled: the first file and line of each sequence, and its labels."""

    def __init__(self, ions: Sequence[str]) -> None:
        self.problems = Problems("the labelled files")
        self._ions = tuple(ions)
        self._origins: dict[str, tuple[str, Path, int]] = {}
        self._labels: dict[str, Labels] = {}
        self._also_unlabelled = 0

    def add(self, protein: LabelledProtein, path: Path) -> None:
        """Add a labelled protein; other files may hold it too."""
        if self._is_new(protein.name, protein.sequence, path=path, line=protein.line):
            self._labels[protein.name] = np.full((len(protein.sequence), len(self._ions)), UNKNOWN, np.int8)

    def fill(self, column: int, labels: Mapping[str, Labels]) -> None:
        """Set an ion's labels. Labels of another length are skipped; `add` has noted the conflict."""
        for name, values in labels.items():
            if len(values) == len(self._labels[name]):
                self._labels[name][:, column] = values

    def add_unlabelled(self, path: Path) -> None:
        """Add the proteins of a plain FASTA file."""
        for protein in read_proteins(path):
            if self._is_new(protein.name, protein.sequence, path=path, line=protein.line):
                self._labels[protein.name] = np.full((len(protein.sequence), len(self._ions)), UNKNOWN, np.int8)
            else:
                self._also_unlabelled += 1

    def freeze(self) -> Proteins:
        """The finished table; proteins stand in the order in which they were added."""
        return Proteins(
            names=tuple(self._labels),
            sequences=tuple(sequence for sequence, _, _ in self._origins.values()),
            ions=self._ions,
            labels=tuple(self._labels.values()),
            also_unlabelled=self._also_unlabelled,
        )

    def _is_new(self, name: str, sequence: str, *, path: Path, line: int) -> bool:
        first = self._origins.setdefault(name, (sequence, path, line))
        if first[0] != sequence:
            problem = f"{name!r} has another sequence in {first[1]}:{first[2]}"
            self.problems.add(line, problem, path=path)
        return name not in self._labels


def _union(tables: list[dict[str, LabelledProtein]]) -> dict[str, Labels]:
    """Labels of the proteins of all members: 1 if any member binds, else unknown if any is unknown, else 0."""
    union: dict[str, Labels] = {}
    for table in tables:
        for name, protein in table.items():
            earlier = union.get(name)
            fits = earlier is not None and len(earlier) == len(protein.labels)
            union[name] = _either(earlier, protein.labels) if fits else protein.labels  # type: ignore[arg-type]
    return union


def _either(first: Labels, second: Labels) -> Labels:
    joined = np.maximum(first, second)
    unknown = (joined == 0) & ((first == UNKNOWN) | (second == UNKNOWN))
    return np.where(unknown, np.int8(UNKNOWN), joined)


def _completed(own: Labels, members: Labels | None) -> Labels:
    """A group's own labels; an unknown label is replaced by the members' label."""
    if members is None or len(members) != len(own):
        return own
    return np.where(own == UNKNOWN, members, own)


def _check_group(
    own: Mapping[str, LabelledProtein],
    union: Mapping[str, Labels],
    *,
    ion: str,
    members: Sequence[str],
    files: Mapping[str, Path],
    problems: Problems,
) -> None:
    for name, protein in own.items():
        expected = union.get(name)
        if expected is None or len(expected) != len(protein.labels):
            continue
        both = (protein.labels != UNKNOWN) & (expected != UNKNOWN)
        differ = np.flatnonzero(both & (protein.labels != expected))
        if len(differ):
            problem = (
                f"{name!r}: {len(differ)} labels differ from {' or '.join(members)}, first at residue {differ[0] + 1}"
            )
            problems.add(protein.line, problem, path=files[ion])
