"""The report of a scan: heat maps of substitutions, and the substitutions that change a site most."""

import heapq
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindtune.reports.heat_map import AMINO_ACIDS, COLUMNS, heat_map_svg
from bindtune.reports.page import Block, Chart, Charts, Notice, Page, Section, Table, Text, Tile
from bindtune.reports.report_run import FOOTER, inputs_section, provenance, settings_section, started, version
from bindtune.runs.names import COUNT_SUMMARY, SCAN
from bindtune.runs.reading import read_json
from bindtune.runs.scan_table import read_scan

_MOST_DRAWINGS = 10
_MOST_ROWS = 20


@dataclass
class _IonChanges:
    """Changes of an ion's sites.

    Args:
        largest: by 0-based position and amino acid, the change of the site that changes most.
        letters: the protein's residue at each position.
        strongest: (size of the change, row number, cells) of the strongest rows.
        rows: number of rows read.
    """

    largest: dict[tuple[int, str], float] = field(default_factory=dict)
    letters: dict[int, str] = field(default_factory=dict)
    strongest: list[tuple[float, int, tuple[str, ...]]] = field(default_factory=list)
    rows: int = 0

    def add(self, row: dict[str, Any]) -> None:
        """Add a row of the table."""
        self.rows += 1
        change = float(row["change"])
        cells = (
            str(row["variant"]), str(row["site_position"]), f"{row['probability_wildtype']:.3f}",
            f"{row['probability_mutant']:.3f}", f"{change:+.3f}",
        )  # fmt: skip
        heapq.heappush(self.strongest, (abs(change), -self.rows, cells))
        if len(self.strongest) > _MOST_ROWS:
            heapq.heappop(self.strongest)
        if row["position"] is None:
            return
        key = (int(row["position"]) - 1, str(row["mutant"]))
        self.letters[key[0]] = str(row["residue"])
        if abs(change) >= abs(self.largest.get(key, 0.0)):
            self.largest[key] = change


def build(run: Path, config: dict[str, Any]) -> Page:
    """The page of a scan.

    Args:
        run: its folder.
        config: its settings.

    Raises:
        InputError: a file in the folder is damaged.
    """
    origin = provenance(run)
    summary = read_json(run / COUNT_SUMMARY) or {}
    changes: dict[str, _IonChanges] = {}
    is_done = (run / SCAN).is_file()
    for rows in read_scan(run / SCAN) if is_done else ():
        for batch in rows.to_batches(max_chunksize=10_000):
            for row in batch.to_pylist():
                changes.setdefault(row["ion"], _IonChanges()).add(row)
    protein = str(summary.get("protein", "a protein"))
    return Page(
        title=f"Scan of {protein}",
        kind="report of a mutation scan",
        lead="What does a substitution do to the probability of each binding site? The probabilities are those of the "
        "model; nothing says that the protein still folds.",
        facts=(
            ("Protein", f"{protein}, {summary.get('residues', '?')} residues"),
            ("Variants", str(summary.get("variants", "not known"))),
            ("Models", str(summary.get("models", "not known"))),
            ("Contexts", str(summary.get("contexts", "not known"))),
            ("Started", started(origin)),
            ("bindtune", version(origin)),
        ),
        tiles=tuple(_tile(ion, own) for ion, own in changes.items()),
        notices=() if is_done and summary else (f"The scan is not finished: {SCAN} or {COUNT_SUMMARY} is missing.",),
        sections=(
            *(_section(number, ion, own, summary) for number, (ion, own) in enumerate(changes.items(), start=1)),
            inputs_section(origin),
            settings_section(config),
        ),
        footer=FOOTER,
    )


def _tile(ion: str, own: _IonChanges) -> Tile:
    _, _, cells = max(own.strongest)
    return Tile(f"{ion}: strongest substitution", cells[0], f"site {cells[1]}: {cells[2]} to {cells[3]}")


def _section(number: int, ion: str, own: _IonChanges, summary: dict[str, Any]) -> Section:
    about = summary.get("ions", {})
    about = about.get(ion, {}) if isinstance(about, dict) else {}
    sites = about.get("sites", []) if isinstance(about, dict) else []
    blocks: list[Block] = [Text(f"Sites that are followed: {', '.join(map(str, sites)) or 'not known'}.")]
    if isinstance(about, dict) and about.get("chosen") == "most probable":
        blocks.append(Notice("No residue is called for this ion. The most probable residue is followed instead."))
    drawings, left_out = _drawings(ion, own)
    if drawings:
        blocks.append(Charts(tuple(drawings)))
    if left_out:
        blocks.append(Text(f"{left_out} stretches with weaker changes are not drawn; the table has them all."))
    cells = tuple(cells for _, _, cells in sorted(own.strongest, reverse=True))
    heads = ("Variant", "Site", "Without it", "With it", "Change")
    blocks.append(
        Table(
            f"{ion}: strongest changes",
            heads,
            cells,
            numeric=frozenset({1, 2, 3, 4}),
            note="Probabilities of the site.",
        )
    )
    return Section(f"ion-{'i' * number}", f"Ion {ion}", tuple(blocks))


def _drawings(ion: str, own: _IonChanges) -> tuple[list[Chart], int]:
    """Heat maps of the stretches with the strongest changes, and how many stretches are not drawn."""
    if not own.largest:
        return [], 0
    stretches: dict[int, NDArray[np.float64]] = {}
    for (position, letter), change in own.largest.items():
        if letter in AMINO_ACIDS:
            stretch = stretches.setdefault(position // COLUMNS, np.full((COLUMNS, len(AMINO_ACIDS)), np.nan))
            stretch[position % COLUMNS, AMINO_ACIDS.index(letter)] = change
    largest = max(map(abs, own.largest.values()))
    strength = {number: float(np.nanmax(np.abs(stretch))) for number, stretch in stretches.items()}
    drawn = sorted(sorted(strength, key=lambda number: (-strength[number], number))[:_MOST_DRAWINGS])
    charts = []
    for number in drawn:
        start = number * COLUMNS
        positions = [position for position in own.letters if start <= position < start + COLUMNS]
        first, last = min(positions), max(positions)
        letters = "".join(own.letters.get(position, " ") for position in range(first, last + 1))
        changes = stretches[number][first - start : last + 1 - start]
        svg = heat_map_svg(changes, letters, first=first + 1, largest=largest)
        described = f"Residues {first + 1} to {last + 1}: the strongest change is {strength[number]:.3f}."
        note = (
            f"Orange: the probability of a site falls; blue: it rises; the strongest shade is {largest:.3f}. Each cell "
            "is the site that changes most. A dot marks the protein's own residue."
        )
        charts.append(Chart(f"{ion}: residues {first + 1} to {last + 1}", svg, described, note=note))
    return charts, len(stretches) - len(drawn)
