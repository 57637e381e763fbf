"""Figures as text; a dash for an undefined value."""

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal

UNDEFINED = "\u2013"
"""The text of an undefined value."""


FEW_PROTEINS = 30
"""Intervals from fewer proteins have a warning: `benchmarks/figure_coverage.py` shows how narrow they are."""


def few_proteins(proteins: Mapping[str, int]) -> list[str]:
    """A warning about intervals that rest on few proteins, or nothing.

    Args:
        proteins: number of proteins behind the intervals, by ion.

    Examples:
        >>> few_proteins({"ZN": 12, "CA": 30})
        ['Intervals from fewer than 30 proteins are often too narrow: ZN (12).']
    """
    few = [f"{ion} ({count})" for ion, count in proteins.items() if 0 < count < FEW_PROTEINS]
    return [f"Intervals from fewer than {FEW_PROTEINS} proteins are often too narrow: {', '.join(few)}."] if few else []


def number(value: float | None, digits: int = 3) -> str:
    """A figure for a table; a dash where it is not defined."""
    if value is None or value != value:
        return UNDEFINED
    return f"{value:.{digits}f}"


def interval(value: float | None, bounds: Sequence[float] | None, digits: int = 3) -> str:
    """A figure with its interval."""
    if bounds is None or len(bounds) != 2 or any(bound != bound for bound in bounds):
        return number(value, digits)
    return f"{number(value, digits)} ({number(bounds[0], digits)} to {number(bounds[1], digits)})"


def percent(value: float | None, digits: int = 2) -> str:
    """A share as a percentage."""
    return UNDEFINED if value is None or value != value else f"{100 * value:.{digits}f} %"


def exact_percent(share: float | None) -> str:
    """A share that a user gave, as a percentage with all of its digits.

    Examples:
        >>> exact_percent(0.125), exact_percent(0.15), exact_percent(1e-05)
        ('12.5 %', '15 %', '0.001 %')
    """
    if share is None or not math.isfinite(share):
        return UNDEFINED
    digits = (100 * Decimal(repr(float(share)))).normalize()
    return f"{digits:f} %"


def aligned(rows: Sequence[Sequence[str]], *, left: int = 1) -> list[str]:
    """Rows as lines of text whose columns stand below each other, two spaces apart.

    Args:
        rows: cells of equal number, the head first.
        left: columns from the first on that are flush left; the others are flush right.

    Example:
        >>> aligned([("ion", "sites"), ("ZN", "12")])
        ['ion  sites', 'ZN      12']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
