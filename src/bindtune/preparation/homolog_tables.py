"""Tables of alignments: homologs of each protein, and which of them are labelled proteins."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from bindtune.data.protein.stretches import StretchIndex
from bindtune.io.a3m import read_a3m, residues
from bindtune.io.labels import read_labels
from bindtune.io.proteins import Protein
from bindtune.preparation.site_files import Table
from bindtune.runs.names import HOMOLOGS, LABELLED_HOMOLOGS
from bindtune.runs.writing import atomic_path

Role = Literal["training", "held_out"]
HOMOLOG_COLUMNS = ("protein", "residues", "homologs", "identical", "training", "held_out", "file")
LABELLED_COLUMNS = ("protein", "homolog", "residues", "labelled_protein", "role", "same", "labels")
_HELD_OUT = "_test"


@dataclass(frozen=True)
class LabelledProteins:
    """Proteins of label files.

    Args:
        names: of all files, one after another.
        roles: role of each: training or held out.
        files: file of each.
        by_name: indices of the proteins with a name.
        stretches: finds the proteins that hold a stretch of residues.
    """

    names: tuple[str, ...]
    roles: tuple[Role, ...]
    files: tuple[Path, ...]
    by_name: dict[str, list[int]]
    stretches: StretchIndex

    @classmethod
    def read(cls, paths: tuple[Path, ...]) -> "LabelledProteins":
        """Read label files; the name of a file gives the role of its proteins.

        Raises:
            InputError: a file is malformed.
        """
        names, roles, files, sequences = list[str](), list[Role](), list[Path](), list[str]()
        by_name: dict[str, list[int]] = {}
        for path in paths:
            role: Role = "held_out" if path.name.partition(".")[0].endswith(_HELD_OUT) else "training"
            for protein in read_labels(path):
                by_name.setdefault(protein.name, []).append(len(names))
                names.append(protein.name)
                roles.append(role)
                files.append(path)
                sequences.append(protein.sequence)
        return cls(tuple(names), tuple(roles), tuple(files), by_name, StretchIndex(sequences))

    def matches(self, name: str, row: bytes) -> dict[int, str]:
        """Indices of the labelled proteins that a homolog is, and the reason: equal residues, or only the equal name.

        Args:
            name: name of the homolog.
            row: its residues.
        """
        same = dict.fromkeys(self.stretches.holders(row), "residues")
        return same | {number: "name" for number in self.by_name.get(name, ()) if number not in same}


class HomologTables:
    """The tables of a folder of alignments; they take their names when the block ends without an error.

    Args:
        folder: of the alignments.
        labels: proteins to look for among the homologs.
    """

    def __init__(self, folder: Path, labels: LabelledProteins) -> None:
        self._folder, self._labels, self._files = folder, labels, ExitStack()
        self.labelled_path = folder / LABELLED_HOMOLOGS
        self.counts: dict[str, Any] = {"proteins": 0, "homologs": 0, "without_homolog": 0, "with_most_homologs": 0}
        self.counts["labelled"] = {"training": 0, "held_out": 0} if labels.names else None

    def __enter__(self) -> Self:
        self._homologs = self._table(self._folder / HOMOLOGS, HOMOLOG_COLUMNS)
        self._labelled = self._table(self.labelled_path, LABELLED_COLUMNS) if self._labels.names else None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.__exit__(kind, error, trace)
        if error is None and self._labelled is None:
            self.labelled_path.unlink(missing_ok=True)  # of an earlier command with labels

    def add(self, protein: Protein, path: Path, *, most: int) -> None:
        """Count the homologs of a protein.

        Args:
            protein: the protein.
            path: its alignment.
            most: most homologs that the search allows.
        """
        homologs = identical = 0
        roles: dict[str, int] = {"training": 0, "held_out": 0}
        rows = read_a3m(path)
        next(rows)
        for row in rows:
            text = residues(row)
            is_same = text == protein.sequence.encode("ascii")
            identical += is_same
            homologs += not is_same
            name = row.name.split()[0] if row.name.split() else ""
            for role in self._matched_roles(protein, name, text):
                roles[role] += 1
        self.counts["proteins"] += 1
        self.counts["homologs"] += homologs
        self.counts["without_homolog"] += homologs == 0
        self.counts["with_most_homologs"] += homologs + identical >= most
        training, held_out = (None, None) if self._labelled is None else (roles["training"], roles["held_out"])
        self._homologs.add(protein.name, len(protein.sequence), homologs, identical, training, held_out, path.name)

    def _matched_roles(self, protein: Protein, name: str, row: bytes) -> set[Role]:
        """The roles of the labelled proteins that a homolog is; the protein itself does not count as a homolog."""
        labels, matched = self._labels, set[Role]()
        if self._labelled is None:
            return matched
        for number, same in labels.matches(name, row).items():
            if labels.names[number] == protein.name:
                continue
            role = labels.roles[number]
            matched.add(role)
            self._labelled.add(
                protein.name, name, len(row), labels.names[number], role, same, str(labels.files[number])
            )
            self.counts["labelled"][role] += 1
        return matched

    def _table(self, path: Path, columns: tuple[str, ...]) -> Table:
        temporary = self._files.enter_context(atomic_path(path))
        return Table(self._files.enter_context(temporary.open("w", encoding="utf-8")), columns)
