"""How residues are linked into sites. Settings take their defaults from here, so this module imports no numpy."""

from pathlib import Path
from typing import NamedTuple


class SiteRules(NamedTuple):
    """How residues are linked into sites.

    Args:
        gap: most positions between neighbours of a site in the sequence.
        distance: most angstroms between the closest atoms of neighbours, if the structure is known.
        structures: folder of structures, named after the proteins; None for none.
    """

    gap: int = 15
    distance: float = 5.0
    structures: Path | None = None


STANDARD_RULES = SiteRules()
