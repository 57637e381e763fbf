"""Join chains of equal sequence into one record that has the binding sites of all of them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from bindtune.errors import ConfigError
from bindtune.io.components import METALS

Mask = NDArray[np.bool_]


def elements_of(ion: str, groups: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The elements of an ion: the ion itself, or the elements of a group and of the groups inside it.

    Args:
        ion: symbol of an element, or name of a group. A group wins over an element of the same name.
        groups: name -> members.

    Raises:
        ConfigError: a name is neither an element nor a group, or a group contains itself.

    Examples:
        >>> elements_of("REE", {"REE": ["L", "Y"], "L": ["LA", "ce"]})
        ('LA', 'CE', 'Y')
    """
    return tuple(dict.fromkeys(_members(ion, groups, within=())))


def _members(name: str, groups: Mapping[str, Sequence[str]], *, within: tuple[str, ...]) -> Iterable[str]:
    if name in within:
        raise ConfigError(f"ion_groups: {name} contains itself through {' and '.join(within)}")
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
    """Counts of one ion in one record: (L,) chains that bind it with a residue, and all chains that bind it."""

    binding: NDArray[np.int32]
    chains: int = 0


@dataclass
class Record:
    """Chains of one sequence.

    Args:
        name: name of the first chain.
        sequence: L letters.
        shown: (L,) chains that show the residue.
        chains: number of chains.
        ions: counts of each ion that any of the chains binds.
        uncertain: ion -> (L,) residues of which no one knows whether they bind it.
    """

    name: str
    sequence: str
    shown: NDArray[np.int32]
    chains: int = 0
    ions: dict[str, _IonCounts] = field(default_factory=dict)
    uncertain: dict[str, Mask] = field(default_factory=dict)

    def labels(self, ion: str, *, unknown: str) -> str:
        """L labels: 1 if any chain binds, `unknown` if no chain has coordinates or it is uncertain, else 0."""
        binds = self.ions[ion].binding > 0
        return "".join(np.where(binds, "1", np.where(self._observed(ion), "0", unknown)).tolist())

    def _observed(self, ion: str) -> Mask:
        """(L,) residues that some chain shows, and of which no chain is uncertain."""
        observed: Mask = self.shown > 0
        return observed & ~self.uncertain[ion] if ion in self.uncertain else observed

    def counts(self, ion: str) -> dict[str, int]:
        """Numbers of residues that bind, that do not, that are unknown, and on which chains that show it disagree."""
        own = self.ions[ion]
        binds, observed = own.binding > 0, self._observed(ion)
        return {
            "binding": int(binds.sum()),
            "not_binding": int((~binds & observed).sum()),
            "unknown": int((~binds & ~observed).sum()),
            "disagreeing": int((binds & observed & (own.binding < self.shown)).sum()),
        }


class Records:
    """Records in the order in which their sequences were added."""

    def __init__(self) -> None:
        self._by_sequence: dict[str, Record] = {}
        self._names: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._by_sequence)

    def add(
        self,
        name: str,
        sequence: str,
        observed: Mask,
        sites: Mapping[str, Mask],
        uncertain: Mapping[str, Mask] = MappingProxyType({}),
    ) -> str:
        """Add a chain, and return the name of its record.

        Args:
            name: name of the chain; a repeated name gets a number as suffix.
            sequence: L letters.
            observed: (L,) residues with coordinates.
            sites: ion -> (L,) residues that bind it; ions that the chain does not bind are left out.
            uncertain: ion -> (L,) residues that may bind it.
        """
        name = self._unused(name)
        record = self._by_sequence.get(sequence)
        if record is None:
            record = self._by_sequence[sequence] = Record(name, sequence, np.zeros(len(sequence), np.int32))
        record.shown += observed
        record.chains += 1
        for ion, binds in sites.items():
            if ion not in record.ions:
                record.ions[ion] = _IonCounts(np.zeros(len(sequence), np.int32))
            own = record.ions[ion]
            own.binding += binds
            own.chains += 1
        for ion, residues in uncertain.items():
            record.uncertain[ion] = record.uncertain.get(ion, False) | residues
        return record.name

    def _unused(self, name: str) -> str:
        """The name, or the first of name.2, name.3, ... that no chain has."""
        unused = name
        while unused in self._names:
            self._names[name] += 1
            unused = f"{name}.{self._names[name]}"
        self._names[unused] = 1
        return unused

    def of(self, ion: str) -> list[Record]:
        """The records that bind an ion."""
        return [record for record in self._by_sequence.values() if ion in record.ions]

    def every(self) -> list[Record]:
        """All records."""
        return list(self._by_sequence.values())
