"""Count the ions of each component, and the ions that are dropped, with reasons."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from bindtune.data.protein.sites import Records


class CountedIon(Protocol):
    """Facts of an ion for the counts."""

    @property
    def element(self) -> str:
        """Upper case."""

    @property
    def component(self) -> str:
        """Its code, or its name in the source."""

    @property
    def dropped(self) -> str | None:
        """Why it is dropped."""


class IonCounts:
    """Counts by requested ion.

    Args:
        elements: of each of them.
    """

    def __init__(self, elements: Mapping[str, Sequence[str]]) -> None:
        self._elements = elements
        self._components: dict[str, Counter[str]] = {ion: Counter() for ion in elements}
        self._dropped: dict[str, Counter[str]] = {ion: Counter() for ion in elements}

    def add(self, ions: Iterable[CountedIon]) -> None:
        """Count some ions; an ion with several names counts for each name."""
        for each in ions:
            for ion, members in self._elements.items():
                if each.element in members:
                    self._components[ion][each.component] += 1
                    if each.dropped is not None:
                        self._dropped[ion][each.dropped] += 1

    def as_dict(self, records: Records) -> dict[str, Any]:
        """By ion: its ions, dropped ions by reason, chains and records that bind it, and their residues."""
        counted = {}
        for ion, components in self._components.items():
            own = records.of(ion)
            residues = Counter[str]()
            for record in own:
                residues.update(record.counts(ion))
            dropped = self._dropped[ion]
            counted[ion] = {
                "elements": list(self._elements[ion]),
                "components": dict(sorted(components.items())),
                "ions": components.total(),
                "dropped": dict(sorted(dropped.items())),
                "kept": components.total() - dropped.total(),
                "chains": sum(record.ions[ion].chains for record in own),
                "records": len(own),
                "residues": {
                    "all": sum(len(record.sequence) for record in own),
                    **{name: residues[name] for name in ("binding", "not_binding", "unknown")},
                },
                "disagreeing_residues": residues["disagreeing"],
            }
        return counted
