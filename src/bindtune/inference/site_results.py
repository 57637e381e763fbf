"""The sites of the test proteins that `bindtune evaluate` finds, misses and invents."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bindtune.data.protein.residue_contacts import Linking
from bindtune.evaluation.binding_sites import Site, count_sites, definition, find_sites
from bindtune.evaluation.tool_comparison import Residues
from bindtune.runs.cells import name_cell
from bindtune.runs.names import TEST_SITES
from bindtune.runs.writing import write_text

_COLUMNS = ("ion", "protein", "site", "positions", "residues", "called", "linked by")


def site_results(
    out: Path, residues: Mapping[str, Residues], thresholds: Mapping[str, float], linking: Linking
) -> tuple[list[str], dict[str, Any]]:
    """Cluster labels and calls into sites, and write `test_sites.csv`.

    Args:
        out: folder of the command.
        residues: labelled test residues with the run's probabilities, by ion.
        thresholds: of the run, by ion; an ion without one has no calls and is left out.
        linking: of residues into sites.

    Returns:
        Lines of text, and the counts by ion.
    """
    sites = {
        ion: find_sites(own.protein, own.position, own.label, own.probability >= thresholds[ion], linking=linking)
        for ion, own in residues.items()
        if ion in thresholds
    }
    write_text(out / TEST_SITES, _table(sites))
    counts = {ion: count_sites(own) for ion, own in sites.items()}
    lines = [f"{ion}: {each.as_text()}" for ion, each in counts.items()]
    if lines:
        lines.append(definition(linking))
    return lines, {ion: each._asdict() for ion, each in counts.items()}


def _table(sites: Mapping[str, list[Site]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for ion, own in sites.items():
        for site in own:
            positions = " ".join(map(str, site.positions))
            row = (ion, name_cell(site.protein), site.kind, positions, len(site.positions), site.called, site.by)
            writer.writerow(row)
    return text.getvalue()
