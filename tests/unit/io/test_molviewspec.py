"""Scenes for Mol*: the structure inside, colours by number, names as data."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from bindtune.io.molviewspec import step_colour, write_scene
from bindtune.io.structure import ResidueName


def find(node: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    own = [node] if node["kind"] == kind else []
    return [*own, *(inner for child in node.get("children", ()) for inner in find(child, kind))]


@pytest.mark.parametrize(("suffix", "kind"), [(".cif", "mmcif"), (".pdb", "pdb")])
def test_a_scene_holds_its_structure_and_its_colours(tmp_path: Path, suffix: str, kind: str) -> None:
    structure = tmp_path / f"1abc{suffix}"
    structure.write_text("data_1abc\n# <script>\n")
    values = {ResidueName("A", 10, ""): 0.97, ResidueName("A", 10, "B"): 0.04, ResidueName('A"]', -3, ""): 0.5}
    write_scene(tmp_path / "s.mvsj", structure, values=values, sites=[ResidueName("A", 10, "")], title="P1: ZN")
    scene = json.loads((tmp_path / "s.mvsj").read_text())
    (download,) = find(scene["root"], "download")
    content = download["params"]["url"].removeprefix("data:text/plain;base64,")
    assert base64.b64decode(content).decode() == structure.read_text()
    assert [node["params"]["format"] for node in find(scene["root"], "parse")] == [kind]
    polymer, ion, ligand, sites = find(scene["root"], "component")
    assert [node["params"]["selector"] for node in (polymer, ion, ligand)] == ["polymer", "ion", "ligand"]
    colours = {
        str(selected): colour["params"]["color"]
        for colour in find(polymer, "color")
        if colour["params"]["selector"] != "all"
        for selected in colour["params"]["selector"]
    }
    assert colours == {
        str({"auth_asym_id": "A", "auth_seq_id": 10}): step_colour(1),
        str({"auth_asym_id": "A", "auth_seq_id": 10, "pdbx_PDB_ins_code": "B"}): step_colour(0),
        str({"auth_asym_id": 'A"]', "auth_seq_id": -3}): step_colour(0.5),
    }
    assert sites["params"]["selector"] == [{"auth_asym_id": "A", "auth_seq_id": 10}]


def test_without_sites_there_are_no_sticks(tmp_path: Path) -> None:
    (tmp_path / "a.pdb").write_text("END\n")
    write_scene(tmp_path / "s.mvsj", tmp_path / "a.pdb", values={}, sites=(), title="t")
    scene = json.loads((tmp_path / "s.mvsj").read_text())
    assert len(find(scene["root"], "component")) == 3
