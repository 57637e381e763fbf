"""Tables and sentences about sites that are found, missed and invented."""

from collections.abc import Mapping

from bindtune.evaluation.binding_sites import SiteCounts, SitePair
from bindtune.reports.page import Table


def pair_text(pair: SitePair, names: tuple[str, str]) -> str:
    """The sites that two sets of calls find, in words.

    Example:
        >>> pair_text(SitePair(5, 2, 1, 3, 4, 0), ("A", "B"))
        '11 sites: 5 found by both, 2 by A alone, 1 by B alone, 3 by neither; A invents 4, B invents 0'
    """
    first, second = names
    total = pair.both + pair.first + pair.second + pair.neither
    return (
        f"{total:,} sites: {pair.both:,} found by both, {pair.first:,} by {first} alone, {pair.second:,} by {second} "
        f"alone, {pair.neither:,} by neither; {first} invents {pair.invented_first:,}, {second} invents "
        f"{pair.invented_second:,}"
    )


def pair_table(pairs: Mapping[str, SitePair], names: tuple[str, str], note: str) -> Table:
    """The sites that two sets of calls find, ion by ion.

    Args:
        pairs: by ion.
        names: of the first and the second.
        note: the definition of a site.
    """
    first, second = names
    heads = (
        "Ion", "Sites", "Found by both", f"By {first} alone", f"By {second} alone", "By neither",
        f"Invented by {first}", f"Invented by {second}",
    )  # fmt: skip
    rows = tuple(
        (ion, f"{pair.both + pair.first + pair.second + pair.neither:,}", *(f"{count:,}" for count in pair))
        for ion, pair in pairs.items()
    )
    return Table(f"Sites: {first} and {second}", heads, rows, numeric=frozenset(range(1, 8)), note=note)


def count_table(counts: Mapping[str, SiteCounts], note: str) -> Table:
    """Sites that calls find, miss and invent, ion by ion.

    Args:
        counts: by ion.
        note: the definition of a site.
    """
    heads = ("Ion", "Sites", "Found", "Missed", "Invented")
    rows = tuple((ion, *(f"{count:,}" for count in each[:4])) for ion, each in counts.items())
    return Table("Sites at the threshold of the run", heads, rows, numeric=frozenset(range(1, 5)), note=note)
