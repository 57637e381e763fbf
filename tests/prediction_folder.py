"""A folder of predictions, as `bindtune predict --structure` writes it, with structures that are made up."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bindtune.runs.prediction_table import SCHEMA

THREE = {"A": "ALA", "C": "CYS", "D": "ASP", "E": "GLU", "G": "GLY", "H": "HIS", "K": "LYS", "S": "SER"}
SEQUENCE = "GSHCAHEEDKKAHCCHEAAKSGHHA"


def helix(path: Path, sequence: str, *, first: int = 1, title: str = "") -> Path:
    """Write a PDB file with a helix of backbone and CB atoms, and a zinc ion beside it."""
    lines = [f"TITLE     {title}"]
    turns = {"N": (1.57, -28.0, -0.9), "CA": (2.3, 0.0, 0.0), "C": (1.66, 26.0, 1.1), "O": (2.0, 22.0, 2.3),
             "CB": (3.3, -19.0, -0.2)}  # fmt: skip
    for index, letter in enumerate(sequence):
        for atom, (radius, turn, rise) in turns.items():
            angle = math.radians(100 * index + turn)
            xyz = (radius * math.cos(angle), radius * math.sin(angle), 1.5 * index + rise)
            lines.append(_line("ATOM", atom, THREE[letter], first + index, xyz, atom[0]))
    lines.append(_line("HETATM", "ZN", "ZN", 900, (5.0, 0.0, 6.0), "ZN"))
    lines.append(_line("HETATM", "O", "HOH", 901, (4.0, 1.0, 5.0), "O"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*lines, "END", ""]))
    return path


def write_prediction_folder(
    folder: Path, *, sequences: Mapping[str, str], ions: Sequence[str] = ("ZN", "CA"), structures: Sequence[str] = ()
) -> Path:
    """Write tables and counts of a prediction; `structures` names the proteins that have one."""
    generator = np.random.default_rng(7)
    columns: dict[str, list[object]] = {name: [] for name in SCHEMA.names}
    called = dict.fromkeys(ions, 0)
    for name, sequence in sequences.items():
        for ion in ions:
            likely = np.isin(list(sequence), list({"ZN": "CH"}.get(ion, "DE")))
            probability = np.where(likely, 0.5, 0.0) + 0.4 * generator.random(len(sequence))
            call = (probability >= 0.5).astype(int)
            called[ion] += int(call.sum())
            rows = (name, ion, sequence, probability.tolist(), call.tolist())
            _extend(columns, *rows)
    folder.mkdir(parents=True)
    pq.write_table(pa.table(columns, schema=SCHEMA), folder / "predictions.parquet")
    (folder / "manifest.json").write_text(json.dumps({"run": "binding", "contexts": 2, "done": {}}))
    for name in structures:
        helix(folder / "structures" / f"{name}.pdb", sequences[name])
    summary = {
        "proteins": len(sequences), "residues": sum(map(len, sequences.values())), "models": 5, "contexts": 2,
        "ions": {ion: {"threshold": 0.5, "called_residues": count, "called_proteins": len(sequences)}
                 for ion, count in called.items()},
        "structures": [{"file": f"{name}.pdb", "protein": name, "chain": "A"} for name in structures],
    }  # fmt: skip
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def _extend(
    columns: dict[str, list[object]], name: str, ion: str, sequence: str, probability: list[float], call: list[int]
) -> None:
    length = len(sequence)
    columns["protein"] += [name] * length
    columns["position"] += range(1, length + 1)
    columns["residue"] += sequence
    columns["ion"] += [ion] * length
    columns["probability"] += probability
    columns["spread"] += [0.01] * length
    columns["call"] += call


def _line(record: str, atom: str, kind: str, number: int, xyz: tuple[float, float, float], element: str) -> str:
    x, y, z = xyz
    name = atom if len(element) == 2 else f" {atom}"
    head = f"{record:<6}    1 {name:<4} {kind:>3} A{number:>4}"
    return f"{head}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00          {element:>2}"
