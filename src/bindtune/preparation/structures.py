"""Read structures as chains and sites: find the files, read them one by one, filter and count."""

import logging
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bindtune.config import SitesConfig
from bindtune.data.protein.ion_contacts import BoundIon, ContactRule, bound_ions, ion_elements, observed
from bindtune.errors import InputError
from bindtune.io.components import UNKNOWN_LETTER, ion_codes
from bindtune.io.entries import Entry
from bindtune.io.entry_files import entry_name, read_entry
from bindtune.io.text import numbered_lines
from bindtune.preparation.site_files import SiteOutput
from bindtune.progress import tracked
from bindtune.runs.provenance import sha256

log = logging.getLogger(__name__)

_NO_RESOLUTION, _RESOLUTION, _METHOD = "no resolution", "resolution above --max-resolution", "another method"
_NOT_IN_NAMES = re.compile(r"\s+")
_SHOWN = 20


@dataclass
class StructureCounts:
    """Counts of files and chains.

    Args:
        files: number of structure files.
        others: files of folders with other names.
        failed: broken files, with the problem; the first of them by name.
        read: files that could be read, before filters.
        filtered: files that a filter left out, by reason.
        about: numbers of used files of each kind.
        chains: counts of their protein chains.
    """

    files: int = 0
    others: int = 0
    failed: int = 0
    read: int = 0
    filtered: Counter[str] = field(default_factory=Counter)
    about: Counter[str] = field(default_factory=Counter)
    chains: Counter[str] = field(default_factory=Counter)
    failures: list[dict[str, str]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The counts as JSON takes them."""
        names = (
            "without_protein", "with_alternate_locations", "with_several_residues_at_one_place", "with_several_models",
            "with_assembly", "without_assembly", "read_by_gemmi",
        )  # fmt: skip
        kinds = ("without_coordinates", "without_known_residue", "used")
        return {
            "structures": {
                "files": self.files,
                "other_files": self.others,
                "failed": self.failed,
                "read": self.read,
                "filtered": dict(sorted(self.filtered.items())),
                "used": self.read - self.filtered.total(),
                **{name: self.about[name] for name in names},
                "failures": self.failures,
                "model": "the first of each file",
                "alternate_location": "the one with the highest occupancy of each residue",
            },
            "chains": {
                "read": sum(self.chains[name] for name in kinds),
                **{name: self.chains[name] for name in kinds},
                "sequence_from_coordinates": self.chains["sequence_from_coordinates"],
            },
        }


def structure_files(sources: Sequence[Path]) -> tuple[list[Path], int]:
    """The files of some sources, sorted by path, and the number of other files in the folders.

    Args:
        sources: structures, folders of them, or text files that list one path a line (from here, or from the list).

    Raises:
        InputError: a source is missing, or holds no structure.
    """
    files: list[Path] = []
    others = 0
    for source in sources:
        if source.is_dir():
            inside = sorted(_inside(source))
            named = [path for path in inside if entry_name(path) is not None]
            files += named
            others += len(inside) - len(named)
        elif not source.exists():
            raise InputError(source, None, "cannot be read: no such file or folder")
        elif entry_name(source) is not None:
            files.append(source)
        else:
            files += _listed(source)
    if not files:
        raise InputError(sources[0], None, "holds no structure, expected names that end in .cif, .bcif, .pdb or .ent")
    return list(dict.fromkeys(files)), others


def _inside(folder: Path) -> Iterator[Path]:
    """The files of a folder and its subfolders, those behind links included; hidden ones are left out.

    Broken links are among them, because the user must know of a structure that is missing.
    """
    visited = set[Path]()
    for root, folders, names in os.walk(folder, followlinks=True):
        here = Path(root).resolve()
        if here in visited:  # a link that leads back, or a second link
            folders.clear()
            continue
        visited.add(here)
        paths = (Path(root, name) for name in names if not name.startswith("."))
        yield from (path for path in paths if path.is_file() or path.is_symlink())


def _listed(source: Path) -> Iterator[Path]:
    for number, line in numbered_lines(source):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        path = Path(text)
        if entry_name(path) is None:
            raise InputError(
                source, number, f"expected a path that ends in .cif, .bcif, .pdb or .ent, found {text[:80]!r}"
            )
        beside = source.parent / path
        yield path if path.is_file() or not beside.is_file() else beside


class StructureReader:
    """Reads structures into records and tables.

    Args:
        config: the settings.
        output: receives chains, rows and counts.
    """

    def __init__(self, config: SitesConfig, output: SiteOutput) -> None:
        self._counts = StructureCounts()
        self._config = config
        self._elements, self._records, self._tables, self._ions = output
        every = dict.fromkeys(element for members in output.elements.values() for element in members)
        self._codes = ion_elements(ion_codes(), list(every))
        self._rule = ContactRule(
            cutoff=config.cutoff if config.rule == "distance" else None,
            min_residues=config.min_residues,
            min_occupancy=config.min_occupancy,
        )
        self._assembly = None if config.assembly.lower() == "none" else config.assembly

    def read(self) -> None:
        """Read all structures.

        Raises:
            InputError: a file is broken, and the settings do not say to skip it.
        """
        files, self._counts.others = structure_files(self._config.structures)
        self._counts.files = len(files)
        first: dict[str, Path] = {}
        for path in tracked(files, "reading structures", len(files), unit="files", log=log):
            content = None
            try:
                name = _NOT_IN_NAMES.sub("_", entry_name(path) or path.name)
                content = sha256(path)  # before it is read, so that a file that vanishes later has a hash
                if first.setdefault(name, path) != path:
                    raise InputError(path, None, f"is the structure {name!r}, and so is {first[name]}")
                entry = read_entry(path, assembly=self._assembly)
            except InputError as error:
                if self._config.errors == "fail":
                    raise
                self._skip(path, error, content)
                continue
            self._add(name, path, entry, content)

    def counts(self) -> dict[str, Any]:
        """What was read, as JSON takes it."""
        return self._counts.as_dict()

    def lines(self) -> list[str]:
        """What was read, for the user."""
        return _structure_lines(self._counts.as_dict())

    def _skip(self, path: Path, error: InputError, content: str | None) -> None:
        self._counts.failed += 1
        if self._counts.failed <= _SHOWN:
            log.warning("skipped: %s", error)
            self._counts.failures.append({"file": str(path), "problem": error.problem})
        self._tables.files.add(entry_name(path), str(path), "failed", error.problem, None, None, None, None, content)

    def _add(self, name: str, path: Path, entry: Entry, content: str) -> None:
        self._counts.read += 1
        reason = self._filtered(entry)
        chains = None
        if reason is not None:
            self._counts.filtered[reason] += 1
        else:
            chains = self._add_chains(name, entry)
        method = "; ".join(entry.methods)
        status = "used" if reason is None else "filtered"
        self._tables.files.add(name, str(path), status, reason, method, entry.resolution, entry.models, chains, content)

    def _filtered(self, entry: Entry) -> str | None:
        config = self._config
        if config.methods and not set(config.methods) & set(entry.methods):
            return _METHOD
        if config.max_resolution is None:
            return None
        if entry.resolution is None:
            return _NO_RESOLUTION
        return _RESOLUTION if entry.resolution > config.max_resolution else None

    def _add_chains(self, name: str, entry: Entry) -> int:
        about = self._counts.about
        about["without_protein"] += not entry.polymers
        about["with_alternate_locations"] += bool((entry.atoms.alternate != "").any())
        about["with_several_residues_at_one_place"] += _is_heterogeneous(entry)
        about["with_several_models"] += entry.models > 1
        about["read_by_gemmi"] += entry.reader == "gemmi"
        if self._assembly is not None:
            about["with_assembly" if entry.copies else "without_assembly"] += 1
        ions = bound_ions(entry, elements=self._codes, rule=self._rule)
        self._ions.add(ions)
        sites = self._sites(entry, ions)
        names: dict[int, str] = {}
        for index, (polymer, seen) in enumerate(zip(entry.polymers, observed(entry, self._rule), strict=True)):
            if not seen.any():
                self._counts.chains["without_coordinates"] += 1
            elif set(polymer.letters) == {UNKNOWN_LETTER}:
                self._counts.chains["without_known_residue"] += 1
            else:
                self._counts.chains["used"] += 1
                self._counts.chains["sequence_from_coordinates"] += polymer.from_atoms
                chain = f"{name}_{polymer.chain}" if polymer.chain else name
                own = sites.get(index, {})
                names[index] = self._records.add(_NOT_IN_NAMES.sub("_", chain), polymer.letters, seen, own)
                cells = (polymer.chain, len(seen), int(seen.sum()), " ".join(own))
                self._tables.chains.add(names[index], name, *cells)
        self._write(name, entry, ions, names)
        return len(names)

    def _sites(self, entry: Entry, ions: Sequence[BoundIon]) -> dict[int, dict[str, Any]]:
        """Polymer -> requested ion -> (L,) residues that bind it."""
        sites: dict[int, dict[str, Any]] = {}
        for ion, members in self._elements.items():
            for bound in ions:
                if bound.element not in members:
                    continue
                for contact in bound.contacts:
                    length = len(entry.polymers[contact.polymer].letters)
                    own = sites.setdefault(contact.polymer, {})
                    own.setdefault(ion, np.zeros(length, bool))[contact.position] = True
        return sites

    def _write(self, name: str, entry: Entry, ions: Sequence[BoundIon], names: Mapping[int, str]) -> None:
        for ion, members in self._elements.items():
            for bound in ions:
                for contact in bound.contacts if bound.element in members else ():
                    if contact.polymer not in names:
                        continue
                    polymer = entry.polymers[contact.polymer]
                    self._tables.sites.add(
                        name, polymer.chain, ion, bound.component, bound.number, polymer.letters[contact.position],
                        contact.number, contact.position + 1, contact.atom, contact.distance, contact.occupancy,
                        bound.coordination, bound.chain, names[contact.polymer],
                    )  # fmt: skip


def _is_heterogeneous(entry: Entry) -> bool:
    """Whether residues of several kinds stand at one place of a sequence."""
    atoms = entry.atoms
    inside = atoms.polymer >= 0
    columns = (atoms.polymer[inside].tolist(), atoms.position[inside].tolist(), atoms.component[inside].tolist())
    kinds = set(zip(*columns, strict=True))
    return len(kinds) > len({kind[:2] for kind in kinds})


def _structure_lines(counts: Mapping[str, Any]) -> list[str]:
    structures, chains = counts["structures"], counts["chains"]
    lines = [
        f"{structures['files']} files, {structures['read']} read, {structures['failed']} broken and skipped, "
        f"{structures['used']} used, {structures['without_protein']} of them without a protein"
    ]
    lines += [f"{count} structures left out: {reason}" for reason, count in structures["filtered"].items()]
    if structures["other_files"]:
        lines.append(f"{structures['other_files']} other files in the folders were not read")
    if chains["without_coordinates"]:
        lines.append(f"{chains['without_coordinates']} protein chains have no coordinates")
    if structures["read_by_gemmi"]:
        lines.append(f"{structures['read_by_gemmi']} structures were read by gemmi, because biotite cannot read them")
    if structures["with_several_models"]:
        lines.append(f"{structures['with_several_models']} structures have several models: the first was read")
    if structures["with_alternate_locations"]:
        lines.append(
            f"{structures['with_alternate_locations']} structures have alternate locations: the one with the highest "
            "occupancy of each residue was taken"
        )
    if structures["with_several_residues_at_one_place"]:
        lines.append(
            f"{structures['with_several_residues_at_one_place']} structures have several residues at one place: the "
            "sequence has the first"
        )
    return lines
