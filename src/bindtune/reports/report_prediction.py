"""The report of a prediction: every protein with its probabilities and calls, and its structure if one is known."""

import math
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from bindtune.errors import InputError
from bindtune.evaluation.figure_text import number
from bindtune.reports.page import Block, Notice, Page, Section, Tile
from bindtune.reports.page import Text as Paragraph
from bindtune.reports.protein_browser import protein_browser
from bindtune.reports.report_run import FOOTER, inputs_section, provenance, settings_section, started, version
from bindtune.reports.structure_views import ProteinStructure, find_structures
from bindtune.runs.names import COUNT_SUMMARY, MANIFEST, PREDICTIONS, STRUCTURES
from bindtune.runs.out_of_fold import OutOfFold
from bindtune.runs.prediction_table import Predicted, read_predictions
from bindtune.runs.reading import as_number, read_json

_MOST_PROTEINS = 20_000
_MOST_ROWS = 8_000_000  # of residues and ions: about 100 MB


def is_prediction(folder: Path) -> bool:
    """Whether a folder holds predictions of proteins."""
    return (folder / PREDICTIONS).is_file() and (folder / MANIFEST).is_file()


def build(folder: Path, structures: Path | None = None) -> Page:
    """The page of a prediction.

    Args:
        folder: of `bindtune predict` or `bindtune evaluate`.
        structures: a structure file or a folder of them; by default those that `bindtune predict` wrote.

    Raises:
        InputError: a file in the folder or a structure is damaged.
    """
    origin = provenance(folder)
    summary = read_json(folder / COUNT_SUMMARY) or {}
    ions = _mapping(summary.get("ions"))
    thresholds = {ion: as_number(_mapping(entry).get("threshold")) for ion, entry in ions.items()}
    rows = first_predictions(folder / PREDICTIONS)
    by_name = _written(folder, summary) if structures is None else find_structures(structures, rows.proteins)
    browser = protein_browser(rows, {ion: {} for ion in rows.ions}, thresholds, by_name, labelled=False)
    count = summary.get("proteins", len(rows.proteins))
    blocks: tuple[Block, ...] = (
        Paragraph(
            "Every predicted protein. A click on a name shows its residues"
            + (", and its structure." if by_name else ".")
        ),
        browser,
    )
    left_out = () if len(rows.proteins) >= as_number(count) else (
        Notice(f"The page has the first {len(rows.proteins):,} proteins. {PREDICTIONS} has all {count:,}."),
    )  # fmt: skip
    manifest = {name: value for name, value in (read_json(folder / MANIFEST) or {}).items() if name != "done"}
    return Page(
        title=folder.resolve().name,
        kind="report of a prediction",
        lead="Which residues bind which ion? The probabilities are the mean over the models of a run. Nothing here is "
        "known from experiments: a call is a residue whose probability reaches the ion's threshold.",
        facts=(
            ("Proteins", f"{count:,}" if isinstance(count, int) else str(count)),
            ("Ions", ", ".join(rows.ions)),
            ("Models", str(summary.get("models", "not known"))),
            ("Contexts", str(summary.get("contexts", "not known"))),
            ("Started", started(origin)),
            ("bindtune", version(origin)),
        ),
        tiles=tuple(_tile(ion, _mapping(ions.get(ion)), summary) for ion in rows.ions),
        notices=() if summary else (f"{COUNT_SUMMARY} is missing, so thresholds and counts are not known.",),
        sections=(
            Section("proteins", "Proteins", (*left_out, *blocks)),
            inputs_section(origin),
            settings_section(manifest),
        ),
        footer=FOOTER,
    )


def first_predictions(path: Path) -> OutOfFold:
    """The predictions of the first proteins of a table, as columns; labels are 0, because none is known.

    Raises:
        InputError: the table is missing, damaged, empty or of another kind.
    """
    names: list[str] = []
    ions: dict[str, int] = {}
    taken: list[tuple[int, int, Predicted]] = []
    size = 0
    for name, own in groupby(read_predictions(path), key=lambda each: each.protein):
        predicted = list(own)
        size += sum(len(each.sequence) for each in predicted)
        if names and (len(names) == _MOST_PROTEINS or size > _MOST_ROWS):
            break
        taken += [(len(names), ions.setdefault(each.ion, len(ions)), each) for each in predicted]
        names.append(name)
    if not names:
        raise InputError(path, None, "holds no prediction")
    letters = np.frombuffer("".join(each.sequence for _, _, each in taken).encode("ascii", "replace"), "S1")
    kinds, residue = np.unique(letters, return_inverse=True)
    lengths = [len(each.sequence) for _, _, each in taken]
    return OutOfFold(
        proteins=tuple(names),
        ions=tuple(ions),
        residues=tuple(kinds.astype(str).tolist()),
        protein=np.repeat(np.array([protein for protein, _, _ in taken], np.uint16), lengths),
        position=np.concatenate([np.arange(1, length + 1, dtype=np.uint32) for length in lengths]),
        residue=residue.astype(np.uint8),
        ion=np.repeat(np.array([ion for _, ion, _ in taken], np.uint8), lengths),
        label=np.zeros(sum(lengths), np.int8),
        probability=np.concatenate([each.probability for _, _, each in taken]),
        fold=np.zeros(sum(lengths), np.uint8),
    )


def _written(folder: Path, summary: Mapping[str, Any]) -> dict[str, ProteinStructure]:
    """The structures that `bindtune predict --structure` wrote."""
    entries = summary.get("structures")
    by_name = {}
    for entry in map(_mapping, entries if isinstance(entries, list) else ()):
        path = folder / STRUCTURES / Path(str(entry.get("file"))).name
        if path.is_file():
            by_name[str(entry.get("protein"))] = ProteinStructure(path, str(entry.get("chain")))
    return by_name


def _tile(ion: str, entry: Mapping[str, Any], summary: Mapping[str, Any]) -> Tile:
    threshold = as_number(entry.get("threshold"))
    if math.isnan(threshold):
        return Tile(ion, "no calls", "the run has no threshold for it")
    residues, proteins = as_number(entry.get("called_residues")), as_number(entry.get("called_proteins"))
    whole, total = as_number(summary.get("residues")), as_number(summary.get("proteins"))
    return Tile(
        f"{ion}: called residues",
        f"{residues:,.0f}",
        f"of {whole:,.0f}, in {proteins:,.0f} of {total:,.0f} proteins; probability at least {number(threshold)}",
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
