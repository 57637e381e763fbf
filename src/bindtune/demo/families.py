"""Generate protein families with planted binding sites, and their alignments, in common file formats.

Every protein is synthetic. A family has an ancestor of random letters. Its members are copies with changed, inserted
and lost letters; planted motifs stay. Families that bind one ion share its motifs, so a model can learn from some
families for others. The letters of binding residues also stand elsewhere without an ion, and some of these are
conserved. So neither a letter nor its conservation alone marks a site.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bindtune.runs.writing import write_text

# Motifs of each ion. Upper case binds, lower case does not bind, a dot is any letter.
_MOTIFS = {
    "ZN": ("C..C....H...H",),
    "CA": ("D.D.Dg.....E",),
    "MG": ("N.D..D", "D.D..T"),
}
IONS = tuple(_MOTIFS)
_KINDS = (("ZN",), ("CA",), ("MG",), ("ZN", "CA"), ("CA", "MG"), ("MG", "ZN"), ())
"""Ions of the first family, the second and so on; after the last kind the list starts again."""
_FREQUENCIES = {
    "A": 8.25, "C": 1.38, "D": 5.46, "E": 6.72, "F": 3.86, "G": 7.07, "H": 2.27, "I": 5.91, "K": 5.80, "L": 9.65,
    "M": 2.41, "N": 4.06, "P": 4.74, "Q": 3.93, "R": 5.53, "S": 6.65, "T": 5.36, "V": 6.86, "W": 1.10, "Y": 2.92,
}  # fmt: skip
"""Percent of the residues in UniProtKB/Swiss-Prot."""
_LETTERS = "".join(_FREQUENCIES)
_BINDING = "CHDENT"
_CORE = 0.15  # share of the columns outside motifs that no member changes
_INDEL = 0.01  # probability that a column is lost, and that letters are inserted before it
_KNOWN = {True: 0.85, False: 0.5}  # share of proteins that are labelled for an ion that they bind, or do not bind


class FamilyFiles(NamedTuple):
    """The files that `write_families` writes.

    Args:
        train: labelled proteins in 3-line FASTA, by ion.
        test: labelled proteins of families that are in no other file, by ion.
        alignments: folder with one A3M for each labelled protein.
        unlabelled: plain FASTA of proteins of further families.
        groups: table with the columns protein and group (its family) for every protein of the FASTA files.
    """

    train: dict[str, Path]
    test: dict[str, Path]
    alignments: Path
    unlabelled: Path
    groups: Path


class Family(NamedTuple):
    """The ancestor of a family; A columns.

    Args:
        name: prefix of the names of its proteins.
        ancestor: A letters.
        bound: (A,) ion that each column binds, "" for none.
        fixed: (A,) columns whose letter never changes.
        closed: (A,) columns of motifs, where no letter is lost or inserted.
    """

    name: str
    ancestor: str
    bound: tuple[str, ...]
    fixed: NDArray[np.bool_]
    closed: NDArray[np.bool_]


class Member(NamedTuple):
    """One protein of a family.

    Args:
        name: unique.
        columns: for each column of the family, the letters inserted before it, and its letter ("" if it is lost).
    """

    name: str
    columns: tuple[tuple[str, str], ...]

    @property
    def sequence(self) -> str:
        """The protein."""
        return "".join(inserted + letter for inserted, letter in self.columns)


def write_families(
    folder: Path,
    *,
    families: int,
    members: int,
    seed: int,
    test_families: int = 7,
    unlabelled_families: int = 7,
    siblings: tuple[int, int] = (20, 50),
    decoys: float = 0.1,
    redrawn: tuple[float, float] = (0.15, 0.35),
) -> FamilyFiles:
    """Generate families of seven kinds in turn: binding one ion, two ions, or none.

    The file of an ion holds proteins that bind it and some that do not. A protein in several files is labelled for
    several ions. It is unlabelled for an ion whose file lacks it. An alignment holds its protein, the other labelled
    members of the family, and siblings that are in no other file. Writes {ION}_train.fa, {ION}_test.fa,
    msa/{protein}.a3m, unlabelled.fa and groups.csv.

    Args:
        folder: folder of the files.
        families: number of families of the training files; with fewer than 7, some kinds are missing.
        members: number of proteins of a family in the FASTA files.
        seed: seed of all draws.
        test_families: number of families of the test files.
        unlabelled_families: number of families of unlabelled.fa.
        siblings: fewest and most proteins of a family that are only in alignments.
        decoys: share of the letters outside motifs that are drawn from the letters of binding residues; the others have
            natural frequencies.
        redrawn: lowest and highest share of the letters outside motifs and core that a member changes. With much higher
            values, clustering by identity does not keep the members of a family together.
    """
    maker = _Maker(np.random.default_rng(seed), _frequencies(decoys), redrawn)
    numbers = count(1)
    parts: dict[str, list[tuple[Family, Member]]] = {"train": [], "test": [], "unlabelled": []}
    for part, size in zip(parts, (families, test_families, unlabelled_families), strict=True):
        for index in range(size):
            family = maker.family(f"family{next(numbers):03d}", _KINDS[index % len(_KINDS)])
            extra = 0 if part == "unlabelled" else int(maker.generator.integers(siblings[0], siblings[1] + 1))
            homologs = [maker.member(family, number + 1) for number in range(members + extra)]
            parts[part] += [(family, protein) for protein in homologs[:members]]
            for query in homologs[:members] if part != "unlabelled" else []:
                write_text(folder / "msa" / f"{query.name}.a3m", alignment(query, homologs))
    labelled = {part: _write_labelled(folder, part, parts[part], maker.generator) for part in ("train", "test")}
    unlabelled = "".join(f">{protein.name}\n{protein.sequence}\n" for _, protein in parts["unlabelled"])
    write_text(folder / "unlabelled.fa", unlabelled)
    rows = [(protein.name, family.name) for proteins in parts.values() for family, protein in proteins]
    write_text(folder / "groups.csv", "".join(f"{name},{group}\n" for name, group in [("protein", "group"), *rows]))
    return FamilyFiles(
        **labelled, alignments=folder / "msa", unlabelled=folder / "unlabelled.fa", groups=folder / "groups.csv"
    )


def draw_families(
    *, families: int, members: int, seed: int, decoys: float = 0.1, redrawn: tuple[float, float] = (0.15, 0.35)
) -> Iterator[tuple[Family, list[Member]]]:
    """Families of seven kinds in turn with their members; the arguments are those of `write_families`."""
    maker = _Maker(np.random.default_rng(seed), _frequencies(decoys), redrawn)
    for index in range(families):
        family = maker.family(f"family{index + 1:03d}", _KINDS[index % len(_KINDS)])
        yield family, [maker.member(family, number + 1) for number in range(members)]


class _Maker(NamedTuple):
    """Draws families and members.

    Args:
        generator: source of all draws.
        frequencies: (20,) frequencies of the letters outside motifs.
        redrawn: as in `write_families`.
    """

    generator: np.random.Generator
    frequencies: NDArray[np.float64]
    redrawn: tuple[float, float]

    def family(self, name: str, ions: Sequence[str]) -> Family:
        """Draw an ancestor of 60 to 120 letters with a motif of each ion."""
        length = int(self.generator.integers(60, 121))
        letters, bound = self._letters(length), [""] * length
        fixed, closed = self.generator.random(length) < _CORE, np.zeros(length, dtype=np.bool_)
        motifs = [_MOTIFS[ion][self.generator.integers(len(_MOTIFS[ion]))] for ion in ions]
        # Sorted gaps without repeats: motifs stand in order, with at least one letter between them.
        room, start, before = length - sum(map(len, motifs)), 0, 0
        gaps = sorted(map(int, self.generator.choice(room, size=len(motifs), replace=False)))
        for ion, motif, gap in zip(ions, motifs, gaps, strict=True):
            start, before = start + gap - before, gap
            for column, letter in enumerate(motif, start):
                closed[column], fixed[column] = True, letter != "."
                letters[column] = letters[column] if letter == "." else letter.upper()
                bound[column] = ion if letter.isupper() else ""
            start += len(motif)
        return Family(name, "".join(letters), tuple(bound), fixed, closed)

    def member(self, family: Family, number: int) -> Member:
        """Copy the ancestor with changed, inserted and lost letters."""
        length = len(family.ancestor)
        anew = ~family.fixed & (self.generator.random(length) < self.generator.uniform(*self.redrawn))
        lost = ~family.closed & (self.generator.random(length) < _INDEL)
        grown = ~family.closed & (self.generator.random(length) < _INDEL)
        columns = []
        for column, (old, new) in enumerate(zip(family.ancestor, self._letters(length), strict=True)):
            inserted = self._letters(int(self.generator.integers(1, 4))) if grown[column] else []
            columns.append(("".join(inserted), "" if lost[column] else new if anew[column] else old))
        return Member(f"{family.name}_{number}", tuple(columns))

    def _letters(self, length: int) -> list[str]:
        return [str(letter) for letter in self.generator.choice(list(_LETTERS), size=length, p=self.frequencies)]


def labels(family: Family, member: Member, ion: str) -> str:
    """The third line of a protein: 1 at the letters of the ion's motifs, 0 elsewhere."""
    marks = []
    for (inserted, letter), bound in zip(member.columns, family.bound, strict=True):
        marks.append("0" * len(inserted) + ("1" if bound == ion else "0") * len(letter))
    return "".join(marks)


def alignment(query: Member, members: Iterable[Member]) -> str:
    """The A3M of a protein and the other members of its family; letters without a query column are lower case."""
    rows = [query, *(member for member in members if member.name != query.name)]
    return "".join(f">{row.name}\n{_aligned(row, query)}\n" for row in rows)


def _aligned(row: Member, query: Member) -> str:
    if row.name == query.name:
        return query.sequence
    parts = []
    for (inserted, letter), (asked, own) in zip(row.columns, query.columns, strict=True):
        # Letters that are inserted in both proteins have no common origin, so they share no column.
        parts += ["-" * len(asked), inserted.lower(), (letter or "-") if own else letter.lower()]
    return "".join(parts)


def _frequencies(decoys: float) -> NDArray[np.float64]:
    natural = np.array(list(_FREQUENCIES.values()))
    binding = np.array([letter in _BINDING for letter in _LETTERS])
    mixed: NDArray[np.float64] = (1 - decoys) * natural / natural.sum() + decoys * binding / binding.sum()
    return mixed


def _write_labelled(
    folder: Path, part: str, proteins: Sequence[tuple[Family, Member]], generator: np.random.Generator
) -> dict[str, Path]:
    """Write a 3-line FASTA for each ion; every protein is in at least one of them."""
    records: dict[str, list[str]] = {ion: [] for ion in IONS}
    for family, protein in proteins:
        chosen = [ion for ion in IONS if generator.random() < _KNOWN[ion in family.bound]]
        for ion in chosen or [str(generator.choice(IONS))]:
            records[ion].append(f">{protein.name}\n{protein.sequence}\n{labels(family, protein, ion)}\n")
    paths = {ion: folder / f"{ion}_{part}.fa" for ion in IONS}
    for ion, path in paths.items():
        write_text(path, "".join(records[ion]))
    return paths
