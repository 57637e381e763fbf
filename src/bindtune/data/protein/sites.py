"""Labels from sites: proteins of equal sequence become one record, with the sites of all of them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bindtune.errors import ConfigError
from bindtune.io.components import METALS

Mask = NDArray[np.bool_]


def elements_of(ion: str, groups: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The elements of an ion: itself, or those of a group, groups within groups included.

    Args:
        ion: symbol of an element, or the name of a group; groups win.
        groups: name -> members.

    Raises:
        ConfigError: a name is neither, or a group holds itself.

    Examples:
        >>> elements_of("REE", {"REE": ["L", "Y"], "L": ["LA", "ce"]})
        ('LA', 'CE', 'Y')
    """
    return tuple(dict.fromkeys(_members(ion, groups, within=())))


def _members(name: str, groups: Mapping[str, Sequence[str]], *, within: tuple[str, ...]) -> Iterable[str]:
    if name in within:
        raise ConfigError(f"ion_groups: {name} holds itself, by way of {' and '.join(within)}")
    if name in groups:
        if not groups[name]:
            raise ConfigError(f"ion_groups: {name} has no members")
        for member in groups[name]:
            yield from _members(member, groups, within=(*within, name))
    elif name.upper() in METALS:
        yield name.upper()
    else:
        named = f", or one of {', '.join(groups)}" if groups else ""
        raise ConfigError(f"ions: {name!r} is unknown, expected a metal's symbol such as ZN{named}")


@dataclass
class _IonCounts:
    """Of one ion in one record: how many chains bind with each residue, and how many of these chains show it; (L,)."""

    binding: NDArray[np.int32]
    shown: NDArray[np.int32]
    chains: int = 0


@dataclass
class Record:
    """Chains of one sequence.

    Args:
        name: of the first chain.
        sequence: L letters.
        known: (L,) residues that any of the chains shows.
        chains: how many there are.
        ions: what is known of each ion that any of the chains binds.
    """

    name: str
    sequence: str
    known: Mask
    chains: int = 0
    ions: dict[str, _IonCounts] = field(default_factory=dict)

    def labels(self, ion: str, *, unknown: str) -> str:
        """L labels: 1 where any chain binds, `unknown` where none has coordinates, else 0."""
        binds = self.ions[ion].binding > 0
        return "".join(np.where(binds, "1", np.where(self.known, "0", unknown)).tolist())

    def counts(self, ion: str) -> dict[str, int]:
        """Residues that bind, that do not, that are unknown, and on which chains with the ion disagree."""
        own = self.ions[ion]
        binds = own.binding > 0
        return {
            "binding": int(binds.sum()),
            "not_binding": int((~binds & self.known).sum()),
            "unknown": int((~binds & ~self.known).sum()),
            "disagreeing": int((binds & (own.binding < own.shown)).sum()),
        }


class Records:
    """Records in the order in which their sequences came."""

    def __init__(self) -> None:
        self._by_sequence: dict[str, Record] = {}
        self._names: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._by_sequence)

    def add(self, name: str, sequence: str, known: Mask, sites: Mapping[str, Mask]) -> str:
        """Add a chain, and return the name of its record.

        Args:
            name: of the chain; one that comes again gets a number behind.
            sequence: L letters.
            known: (L,) residues with coordinates.
            sites: ion -> (L,) residues that bind it; ions that the chain does not bind are left out.
        """
        self._names[name] += 1
        if self._names[name] > 1:
            name = f"{name}.{self._names[name]}"
        record = self._by_sequence.get(sequence)
        if record is None:
            record = self._by_sequence[sequence] = Record(name, sequence, np.zeros(len(sequence), bool))
        record.known |= known
        record.chains += 1
        for ion, binds in sites.items():
            if ion not in record.ions:
                zeros = np.zeros(len(sequence), np.int32)
                record.ions[ion] = _IonCounts(zeros, zeros.copy())
            own = record.ions[ion]
            own.binding += binds
            own.shown += known
            own.chains += 1
        return record.name

    def of(self, ion: str) -> list[Record]:
        """The records that bind an ion."""
        return [record for record in self._by_sequence.values() if ion in record.ions]

    def every(self) -> list[Record]:
        """All records."""
        return list(self._by_sequence.values())
