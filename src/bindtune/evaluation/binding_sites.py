"""Sites: linked residues of one ion, and the sites that calls find, miss and invent.

Residues of a protein are linked into sites by their distance in space if their coordinates are known, and otherwise by
their distance in the sequence. A site of the labels is found if at least half of its residues are called. A site of the
calls is invented if none of its residues is labelled.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from bindtune.data.protein.residue_contacts import Contacts, Linking

Ints = NDArray[np.int64]
Kind = Literal["found", "missed", "invented"]


class Site(NamedTuple):
    """A site of the labels, or a site of the calls without a labelled residue.

    Args:
        protein: its name.
        kind: found or missed, or invented.
        positions: of its residues, from 1.
        called: number of its residues that are called.
        by: how its residues were linked: structure or sequence.
    """

    protein: str
    kind: Kind
    positions: tuple[int, ...]
    called: int
    by: str


class SiteCounts(NamedTuple):
    """Sites of one ion.

    Args:
        sites: of the labels.
        found: of these.
        missed: of these.
        invented: sites of the calls without a labelled residue.
        by_structure: sites, invented ones too, whose residues were linked by a structure.
    """

    sites: int
    found: int
    missed: int
    invented: int
    by_structure: int

    def as_text(self) -> str:
        """The counts in words."""
        return f"{self.sites:,} sites, {self.found:,} found, {self.missed:,} missed, {self.invented:,} invented"


class SitePair(NamedTuple):
    """Sites of the labels by the calls that find them, and invented sites of both calls.

    Args:
        both: found by both.
        first: found by the first alone.
        second: found by the second alone.
        neither: found by none.
        invented_first: sites that the first invents.
        invented_second: sites that the second invents.
    """

    both: int
    first: int
    second: int
    neither: int
    invented_first: int
    invented_second: int


def cluster(positions: ArrayLike, *, gap: int, contacts: Contacts | None = None) -> list[Ints]:
    """Link residues into sites.

    Args:
        positions: (R,) of the residues, from 0.
        gap: positions that neighbours of a site may be apart, where one of them has no coordinates.
        contacts: of the protein; None where its structure is not known.

    Returns:
        The positions of each site, rising; sites by their first residue.

    Example:
        >>> [site.tolist() for site in cluster([3, 90, 5, 96], gap=15)]
        [[3, 5], [90, 96]]
        >>> from bindtune.data.protein.residue_contacts import Contacts
        >>> linked = Contacts(np.array([3, 5]), np.array([90, 96]), np.ones(100, bool))
        >>> [site.tolist() for site in cluster([3, 90, 5, 96], gap=15, contacts=linked)]
        [[3, 90], [5, 96]]
    """
    chosen = np.unique(np.asarray(positions, np.int64))
    if not len(chosen):
        return []
    near = np.diff(chosen) <= gap
    if contacts is None:
        return np.split(chosen, np.flatnonzero(~near) + 1)
    placed = contacts.placed[chosen]
    near &= ~(placed[1:] & placed[:-1])
    inside = np.isin(contacts.first, chosen) & np.isin(contacts.second, chosen)
    ends = [np.searchsorted(chosen, each[inside]) for each in (contacts.first, contacts.second)]
    first, second = np.append(np.flatnonzero(near), ends[0]), np.append(np.flatnonzero(near) + 1, ends[1])
    links = coo_array((np.ones(len(first), bool), (first, second)), shape=(len(chosen), len(chosen)))
    count, group = connected_components(links, directed=False)
    return [chosen[group == number] for number in range(count)]


def find_sites(
    proteins: NDArray[np.str_],
    positions: NDArray[np.integer],
    labels: NDArray[np.integer],
    called: NDArray[np.bool_],
    *,
    linking: Linking,
) -> list[Site]:
    """The sites of one ion: those of the labels, protein by protein, and those that the calls invent.

    Args:
        proteins: (R,) name of each residue's protein; rows of a protein stand together.
        positions: (R,) from 0.
        labels: (R,) 1 binds, 0 does not.
        called: (R,).
        linking: of residues into sites.
    """
    breaks = np.flatnonzero(proteins[1:] != proteins[:-1]) + 1
    sites = list[Site]()
    for rows in np.split(np.arange(len(proteins)), breaks):
        if len(rows):
            name = str(proteins[rows[0]])
            binding, calls = (positions[rows[each[rows] > 0]].astype(np.int64) for each in (labels, called))
            sites += _sites(name, binding, calls, gap=linking.gap, contacts=linking.contacts.get(name))
    return sites


def _sites(name: str, binding: Ints, calls: Ints, *, gap: int, contacts: Contacts | None) -> Iterator[Site]:
    by = "sequence" if contacts is None else "structure"
    labelled, called = set(binding.tolist()), set(calls.tolist())
    for residues in (site.tolist() for site in cluster(binding, gap=gap, contacts=contacts)):
        hits = len(called.intersection(residues))
        kind: Kind = "found" if 2 * hits >= len(residues) else "missed"
        yield Site(name, kind, tuple(place + 1 for place in residues), hits, by)
    for residues in (site.tolist() for site in cluster(calls, gap=gap, contacts=contacts)):
        if labelled.isdisjoint(residues):
            yield Site(name, "invented", tuple(place + 1 for place in residues), len(residues), by)


def count_sites(sites: Sequence[Site]) -> SiteCounts:
    """The number of sites of each kind."""
    found, missed, invented = (sum(site.kind == kind for site in sites) for kind in ("found", "missed", "invented"))
    return SiteCounts(found + missed, found, missed, invented, sum(site.by == "structure" for site in sites))


def pair_sites(first: Sequence[Site], second: Sequence[Site]) -> SitePair:
    """Compare the sites of the labels that two sets of calls find.

    Args:
        first: sites by the calls of the first.
        second: sites by other calls of the same residues.
    """
    ones, others = ([site.kind == "found" for site in sites if site.kind != "invented"] for sites in (first, second))
    invented = [sum(site.kind == "invented" for site in sites) for sites in (first, second)]
    pairs = list(zip(ones, others, strict=True))
    return SitePair(
        both=pairs.count((True, True)),
        first=pairs.count((True, False)),
        second=pairs.count((False, True)),
        neither=pairs.count((False, False)),
        invented_first=invented[0],
        invented_second=invented[1],
    )


def definition(linking: Linking) -> str:
    """The definition of a site and of its kinds, in words."""
    by = f"residues at most {linking.gap} positions apart in the sequence"
    if linking.contacts:
        by = (
            f"in the {len(linking.contacts):,} proteins with a structure, residues with atoms within "
            f"{linking.distance:g} angstroms of each other; elsewhere {by}"
        )
    return (
        f"A site is a set of linked residues: {by}. Found: at least half of a labelled site's residues are called; "
        "missed: fewer. Invented: a site of called residues, none of them labelled."
    )
