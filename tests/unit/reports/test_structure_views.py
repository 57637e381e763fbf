import base64
import json
import zlib
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from tests.prediction_folder import SEQUENCE, helix, write_prediction_folder

from bindtune.errors import ConfigError, InputError
from bindtune.reports import molstar, structure_views
from bindtune.reports.report import write_report
from bindtune.reports.structure_views import PageProtein, ProteinStructure, find_structures


@pytest.fixture
def viewer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> molstar.Viewer:
    folder = tmp_path / "viewer"
    folder.mkdir()
    for name, text in {"molstar.js": "var molstar = {};", "molstar.css": "b {}", "LICENSE.molstar": "MIT </pre>",
                       "VERSION": "5.0\n"}.items():  # fmt: skip
        (folder / name).write_text(text)
    viewer = molstar.read_viewer(folder)
    monkeypatch.setattr(structure_views, "installed_viewer", lambda: viewer)
    return viewer


def proteins(*names: str) -> list[PageProtein]:
    return [PageProtein(index, name, SEQUENCE, np.zeros(len(SEQUENCE), bool)) for index, name in enumerate(names)]


def test_the_viewer_is_hashed_as_the_page_unpacks_it(viewer: molstar.Viewer) -> None:
    script = zlib.decompress(base64.b64decode(viewer.script)).decode()
    assert "var molstar = {};" in script
    assert base64.b64decode(viewer.script_hash) == sha256(script.encode()).digest()
    assert viewer.version == "5.0"


def test_a_viewer_that_lacks_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"molstar\.js: is missing from the package molstar-cli: pip install"):
        molstar.read_viewer(tmp_path)


@pytest.mark.usefixtures("viewer")
def test_structures_beyond_the_room_are_counted(tmp_path: Path) -> None:
    files = {name: ProteinStructure(helix(tmp_path / f"{name}.pdb", SEQUENCE)) for name in "abc"}
    whole = structure_views.structure_views(proteins(*"abc"), files)
    assert whole is not None
    assert (whole.count, whole.left_out) == (3, 0)
    size = len(whole.data["entries"]["0"]["atoms"])
    some = structure_views.structure_views(proteins(*"abc"), files, room=2 * size + 1)
    assert some is not None
    assert (some.count, some.left_out, list(some.data["entries"])) == (2, 1, ["0", "1"])
    names, text = zlib.decompress(base64.b64decode(some.data["entries"]["0"]["atoms"])).decode().split("\n", 1)
    assert json.loads(names)["1"] == "A:1"
    assert text.startswith("ATOM")
    assert structure_views.structure_views(proteins(*"xy"), files) is None


def test_files_are_called_as_proteins_or_as_entries_of_chains(tmp_path: Path) -> None:
    for name in ("p1.pdb", "1abc.pdb"):
        helix(tmp_path / name, SEQUENCE)
    by_name = find_structures(tmp_path, ("p1", "1abc_B", "p2"))
    assert by_name == {
        "p1": ProteinStructure(tmp_path / "p1.pdb"),
        "1abc_B": ProteinStructure(tmp_path / "1abc.pdb", "B"),
    }
    with pytest.raises(InputError, match=r"no structure is called like a protein of the run, such as q1, q2"):
        find_structures(tmp_path, ("q1", "q2"))
    with pytest.raises(InputError, match="no such file or folder"):
        find_structures(tmp_path / "none", ("q1",))


def test_a_page_without_the_viewer_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structure_views, "installed_viewer", lambda: None)
    folder = write_prediction_folder(tmp_path / "out", sequences={"p": SEQUENCE}, structures=["p"])
    page = write_report(folder).read_text()
    assert "pip install &#39;bindtune[viewer]&#39;" in page
    assert 'class="viewer"' not in page
    assert "connect-src" not in page


def test_a_page_of_a_prediction_has_its_structures(tmp_path: Path, viewer: molstar.Viewer) -> None:
    folder = write_prediction_folder(
        tmp_path / "out", sequences={"p": SEQUENCE, "</script><b>": SEQUENCE}, structures=["p"]
    )
    helix(folder / "structures" / "p.pdb", SEQUENCE, title="</script><script>alert(1)</script>")
    page = write_report(folder).read_text()
    assert viewer.script in page
    assert f"sha256-{viewer.script_hash}" in page
    assert "alert(1)" not in page
    assert "</script><b>" not in page
    assert "MIT &lt;/pre&gt;" in page
    assert page.count("<script") == page.count("</script>")


def test_a_structure_of_another_protein_is_refused(tmp_path: Path) -> None:
    folder = write_prediction_folder(tmp_path / "out", sequences={"p": SEQUENCE})
    other = helix(tmp_path / "p.pdb", "AAAAKAAAAKAAAAKAAAAKAAAAK")
    with pytest.raises(InputError, match=r"of chain A can be aligned with protein 'p'"):
        write_report(folder, structures=other)
    assert not (folder / "report.html").exists()


def test_a_run_without_proteins_takes_no_structure(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("target_mlm_prob: 0.15\n")
    with pytest.raises(ConfigError, match=r"structure: .* is a pretraining run, which has no proteins to show"):
        write_report(tmp_path, structures=tmp_path)
