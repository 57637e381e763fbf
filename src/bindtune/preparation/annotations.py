"""Read BioLiP and UniProt, count their sites, and add them to the records."""

import logging
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bindtune.config import SitesConfig
from bindtune.data.protein.ion_contacts import FEW_RESIDUES, ion_elements
from bindtune.errors import InputError
from bindtune.io.biolip import AnnotatedSite, read_biolip
from bindtune.io.components import ion_codes
from bindtune.io.uniprot import Feature, UniProtEntry, is_unnamed_metal, ligand_elements, read_uniprot
from bindtune.preparation.site_files import SiteOutput

log = logging.getLogger(__name__)

_RESOLUTION, _NO_RESOLUTION = "resolution above --max-resolution", "no resolution"
_ISOFORM, _NO_PLACE = "feature of another isoform", "position that is not exact"
_USED, _UNNAMED = "used", "metal that is not named, or not certain"
_SHOWN = 20


class _Ion(NamedTuple):
    """Counts of an ion."""

    element: str
    component: str
    dropped: str | None


@dataclass
class _Chain:
    """A chain of BioLiP: its sequence, where it was first seen, and its sites by component."""

    sequence: str
    line: int
    sites: list[AnnotatedSite] = field(default_factory=list)


class BioLipReader:
    """Reads BioLiP into records and tables.

    Args:
        config: the settings.
        output: receives chains, rows and counts.
    """

    def __init__(self, config: SitesConfig, output: SiteOutput) -> None:
        self._config = config
        self._elements, self._records, self._tables, self._ions = output
        every = dict.fromkeys(element for members in output.elements.values() for element in members)
        self._codes = ion_elements(ion_codes(), list(every))
        self._read, self._filtered, self._used = 0, Counter[str](), 0

    def read(self) -> None:
        """Read the file.

        Raises:
            InputError: lists the lines that are malformed, or names a chain that has two sequences.
        """
        path = self._config.biolip
        if path is None:
            raise ValueError("there is no BioLiP file in the settings")
        chains: dict[tuple[str, str], _Chain] = {}
        ions: dict[tuple[str, ...], set[tuple[str, int]]] = defaultdict(set)
        for site in read_biolip(path, self._codes):
            self._read += 1
            if (reason := self._refused(site)) is not None:
                self._filtered[reason] += 1
                continue
            chain = chains.setdefault((site.structure, site.chain), _Chain(site.sequence, site.line))
            if chain.sequence != site.sequence:
                what = f"chain {site.chain} of {site.structure} has another sequence in line {chain.line}"
                raise InputError(path, site.line, what)
            chain.sites.append(site)
            ions[_key(site)] |= {(site.chain, residue.position) for residue in site.residues}
        dropped = {key for key, residues in ions.items() if len(residues) < self._config.min_residues}
        for key in ions:
            self._ions.add([_Ion(self._codes[key[1]], key[1], FEW_RESIDUES if key in dropped else None)])
        for (structure, name), chain in chains.items():
            sites = [site for site in chain.sites if _key(site) not in dropped]
            self._add(structure, name, chain.sequence, sites)

    def _refused(self, site: AnnotatedSite) -> str | None:
        if self._config.max_resolution is None:
            return None
        if site.resolution is None:
            return _NO_RESOLUTION
        return _RESOLUTION if site.resolution > self._config.max_resolution else None

    def _add(self, structure: str, chain: str, sequence: str, sites: Sequence[AnnotatedSite]) -> None:
        masks: dict[str, NDArray[np.bool_]] = {}
        for ion, members in self._elements.items():
            for site in sites:
                if self._codes[site.component] in members:
                    mask = masks.setdefault(ion, np.zeros(len(sequence), bool))
                    mask[[residue.position - 1 for residue in site.residues]] = True
        self._used += 1
        record = self._records.add(f"{structure}_{chain}", sequence, np.ones(len(sequence), bool), masks)
        self._tables.chains.add(record, structure, chain, len(sequence), len(sequence), " ".join(masks))
        for ion, members in self._elements.items():
            for site in sites if ion in masks else ():
                if self._codes[site.component] not in members:
                    continue
                for residue in site.residues:
                    self._tables.sites.add(
                        structure, chain, ion, site.component, site.ligand_number, residue.letter, residue.number,
                        residue.position, None, None, None, None, site.ligand_chain, record,
                    )  # fmt: skip

    def counts(self) -> dict[str, Any]:
        """What was read, as JSON takes it."""
        used = self._read - self._filtered.total()
        sites = {"read": self._read, "filtered": dict(sorted(self._filtered.items())), "used": used}
        return {"sites": sites, "chains": {"read": self._used, "used": self._used}}

    def lines(self) -> list[str]:
        """What was read, for the user."""
        return [
            f"{self._read} sites of these ions, {self._read - self._filtered.total()} used",
            *(f"{count} sites left out: {reason}" for reason, count in sorted(self._filtered.items())),
        ]


def _key(site: AnnotatedSite) -> tuple[str, ...]:
    """The identity of an ion."""
    return site.structure, site.component, site.ligand_chain, site.ligand_number


class UniProtReader:
    """Reads UniProt entries into records and tables; arguments as those of `BioLipReader`.

    A residue is unknown, not negative, where the entry does not say exactly which residues bind, or which metal.
    """

    def __init__(self, config: SitesConfig, output: SiteOutput) -> None:
        self._config = config
        self._elements, self._records, self._tables, self._ions = output
        self._entries, self._used = 0, 0
        self._features = Counter[str]()

    def read(self) -> None:
        """Read the files.

        Raises:
            InputError: an entry is malformed, or comes twice.
        """
        first: dict[str, str] = {}
        for path in self._config.uniprot:
            for entry in read_uniprot(path):
                self._entries += 1
                where = f"{path}:{entry.line}"
                if first.setdefault(entry.accession, where) != where:
                    raise InputError(
                        path, entry.line, f"{entry.accession} comes again; first in {first[entry.accession]}"
                    )
                self._add(entry, where=str(path))

    def _add(self, entry: UniProtEntry, *, where: str) -> None:
        masks: dict[str, NDArray[np.bool_]] = {}
        uncertain: dict[str, NDArray[np.bool_]] = {}
        rows: list[tuple[str, Feature]] = []
        for feature in entry.features:
            kind = self._kind(feature, where=where)
            self._features[kind] += 1
            if kind not in (_USED, _UNNAMED, _NO_PLACE):
                continue
            named = set(ligand_elements(feature.ligand))
            for ion, members in self._elements.items():
                if named and not named & set(members):
                    continue
                labels = masks if kind == _USED else uncertain
                mask = labels.setdefault(ion, np.zeros(len(entry.sequence), bool))
                mask[feature.start - 1 : feature.end] = True
                if kind == _USED:
                    rows.append((ion, feature))
        bound = dict.fromkeys(
            (element, feature.ligand, feature.label)
            for _, feature in rows
            for element in ligand_elements(feature.ligand)
        )
        self._ions.add(_Ion(element, ligand, None) for element, ligand, _ in bound)
        if masks:
            self._write(entry, masks, uncertain, rows)

    def _write(
        self,
        entry: UniProtEntry,
        masks: Mapping[str, NDArray[np.bool_]],
        uncertain: Mapping[str, NDArray[np.bool_]],
        rows: Sequence[tuple[str, Feature]],
    ) -> None:
        self._used += 1
        length = len(entry.sequence)
        record = self._records.add(entry.accession, entry.sequence, np.ones(length, bool), masks, uncertain)
        self._tables.chains.add(record, entry.accession, None, length, length, " ".join(masks))
        for ion, feature in rows:
            for position in range(feature.start, feature.end + 1):
                letter = entry.sequence[position - 1]
                self._tables.sites.add(
                    entry.accession, None, ion, feature.ligand, feature.label, letter, None, position, None, None, None,
                    None, None, record,
                )  # fmt: skip

    def _kind(self, feature: Feature, *, where: str) -> str:
        """The result of a feature."""
        named = ligand_elements(feature.ligand)
        unnamed = is_unnamed_metal(feature.ligand)
        every = {element for members in self._elements.values() for element in members}
        if feature.part or not (named or unnamed):
            return "other ligand"
        if named and not set(named) & every:
            return "other metal"
        reason = _ISOFORM if feature.isoform else None if feature.exact else _NO_PLACE
        if reason is not None:
            if self._features[reason] < _SHOWN:
                done = "left out" if feature.isoform else "labels are unknown"
                log.warning("%s:%d: %s: %s, %s", where, feature.line, done, reason, feature.ligand)
            return reason
        return _USED if named else _UNNAMED

    def counts(self) -> dict[str, Any]:
        """What was read, as JSON takes it."""
        entries = {"read": self._entries, "without_these_ions": self._entries - self._used, "used": self._used}
        features = {"read": self._features.total(), **dict(sorted(self._features.items()))}
        return {"entries": entries, "features": features, "chains": {"read": self._used, "used": self._used}}

    def lines(self) -> list[str]:
        """What was read, for the user."""
        features = [f"{count} binding features: {kind}" for kind, count in sorted(self._features.items())]
        return [f"{self._entries} entries, {self._used} bind these ions", *features]
