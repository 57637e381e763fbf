"""The files of `bindtune sites`: tables that grow while structures are read, labels at the end."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, TextIO

from bindtune.data.protein.sites import Records
from bindtune.preparation.ion_counts import IonCounts
from bindtune.runs.cells import tsv_name
from bindtune.runs.names import CHAINS, FILES, SITES
from bindtune.runs.writing import atomic_path

SITE_COLUMNS = (
    "structure", "chain", "ion", "component", "ion_number", "residue", "auth_number", "position", "atom", "distance",
    "occupancy", "coordination", "ion_chain", "record",
)  # fmt: skip
CHAIN_COLUMNS = ("record", "structure", "chain", "residues", "with_coordinates", "ions")
FILE_COLUMNS = ("structure", "file", "status", "reason", "method", "resolution", "models", "chains", "sha256")


class Table:
    """A tab-separated table with a header; names are written so that no spreadsheet takes them for a formula.

    Args:
        stream: to write to.
        columns: of the header.
    """

    def __init__(self, stream: TextIO, columns: Sequence[str]) -> None:
        self._stream, self._width = stream, len(columns)
        self.rows = 0
        stream.write("\t".join(columns) + "\n")

    def add(self, *cells: object) -> None:
        """Write a row; None is an empty cell."""
        if len(cells) != self._width:
            raise ValueError(f"{len(cells)} cells for {self._width} columns")
        self._stream.write("\t".join(map(_cell, cells)) + "\n")
        self.rows += 1


def _cell(value: object) -> str:
    if isinstance(value, str):
        return tsv_name(value)
    if isinstance(value, float):
        return f"{value:.3f}"
    return "" if value is None else str(value)


class SiteTables:
    """The tables of a run; they take their names when the block ends without an error.

    Args:
        folder: where they go.
        files: a stack that is closed at the end.
    """

    def __init__(self, folder: Path, files: ExitStack) -> None:
        def table(name: str, columns: Sequence[str]) -> Table:
            path = files.enter_context(atomic_path(folder / name))
            return Table(files.enter_context(path.open("w", encoding="utf-8")), columns)

        self.sites = table(SITES, SITE_COLUMNS)
        self.chains = table(CHAINS, CHAIN_COLUMNS)
        self.files = table(FILES, FILE_COLUMNS)


class SiteOutput(NamedTuple):
    """The output that the readers of structures, BioLiP and UniProt fill.

    Args:
        elements: elements of each requested ion.
        records: proteins with their labels.
        tables: a row for each chain, site and file.
        ions: counts of ions.
    """

    elements: Mapping[str, Sequence[str]]
    records: Records
    tables: SiteTables
    ions: IonCounts


def label_path(folder: Path, ion: str) -> Path:
    """The label file of an ion."""
    return folder / f"{ion}_train.fa"


def write_proteins(path: Path, records: Records, ions: Sequence[str]) -> None:
    """Write the sequences of all records that bind an ion, for `bindtune align`."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        for record in records.every():
            if any(ion in record.ions for ion in ions):
                stream.write(f">{record.name}\n{record.sequence}\n")


def write_labels(path: Path, records: Records, ion: str, *, unknown: str) -> None:
    """Write the records that bind an ion: three lines each."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        for record in records.of(ion):
            stream.write(f">{record.name}\n{record.sequence}\n{record.labels(ion, unknown=unknown)}\n")
