"""A scene for Mol* (MolViewSpec, https://molstar.org/mol-view-spec/): a structure coloured by numbers of its residues.

Such a file is data: no name in it can become a command. It holds the structure itself, so that one file shows
everything.
"""

import base64
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bindtune.io.structure import ResidueName
from bindtune.runs.writing import write_text

_STEPS = 10  # colours between 0 and 1
_LOW, _HIGH = (0xE6, 0xE6, 0xE6), (0xD5, 0x5E, 0x00)
_WITHOUT = "#bdbdbd"
Node = dict[str, Any]


def write_scene(
    path: Path, structure: Path, *, values: Mapping[ResidueName, float], sites: Iterable[ResidueName], title: str
) -> None:
    """Write a scene: cartoon coloured from 0 (grey) to 1 (orange), sites as sticks, ions as balls.

    Args:
        path: file to write, which ends in .mvsj.
        structure: a PDB or mmCIF file, not compressed; its text goes into the scene.
        values: of residues, from 0 to 1.
        sites: residues to show as sticks.
        title: of the scene.
    """
    kind = "mmcif" if structure.suffix == ".cif" else "pdb"
    text = base64.b64encode(structure.read_bytes()).decode("ascii")
    by_step: dict[int, list[ResidueName]] = {}
    for residue, value in values.items():
        by_step.setdefault(min(_STEPS, round(value * _STEPS)), []).append(residue)
    colours = [_colour(_WITHOUT)]
    colours += [_colour(step_colour(step / _STEPS), residues) for step, residues in sorted(by_step.items())]
    components = [
        _component("polymer", "cartoon", colours),
        _component("ion", "spacefill", [_colour("#6a51a3")]),
        _component("ligand", "ball_and_stick", [_colour("#595959")]),
    ]
    if chosen := list(sites):
        shown = [_colour(step_colour(values.get(residue, 0.0)), [residue]) for residue in chosen]
        components.append(_component([_selector(residue) for residue in chosen], "ball_and_stick", shown))
    model = _node("structure", {"type": "model"}, components)
    parsed = _node("parse", {"format": kind}, [model])
    root = _node("download", {"url": f"data:text/plain;base64,{text}"}, [parsed])
    scene = {"metadata": {"version": "1", "title": title}, "root": {"kind": "root", "children": [root]}}
    write_text(path, json.dumps(scene, ensure_ascii=True) + "\n")


def step_colour(value: float) -> str:
    """The colour of a number from 0 to 1.

    Example:
        >>> step_colour(0), step_colour(1)
        ('#e6e6e6', '#d55e00')
    """
    return "#" + "".join(f"{round(low + (high - low) * value):02x}" for low, high in zip(_LOW, _HIGH, strict=True))


def _node(kind: str, params: Node, children: list[Node] | None = None) -> Node:
    return {"kind": kind, "params": params, **({"children": children} if children else {})}


def _component(selector: str | list[Node], look: str, colours: list[Node]) -> Node:
    return _node("component", {"selector": selector}, [_node("representation", {"type": look}, colours)])


def _colour(colour: str, residues: list[ResidueName] | None = None) -> Node:
    selector: Any = "all" if residues is None else [_selector(residue) for residue in residues]
    return _node("color", {"color": colour, "selector": selector})


def _selector(residue: ResidueName) -> Node:
    inserted = {"pdbx_PDB_ins_code": residue.insertion} if residue.insertion else {}
    return {"auth_asym_id": residue.chain, "auth_seq_id": residue.number, **inserted}
