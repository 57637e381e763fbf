"""Numbers into structures: only the B-factors of the residues change, whatever the format."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from biotite.structure.io.pdb import PDBFile
from biotite.structure.io.pdbx import CIFFile, get_structure

from bindtune.io.structure import (
    ResidueName,
    map_residues,
    read_structure,
    structure_name,
    write_b_factors,
)
from bindtune.io.structure_scripts import unsafe_names, write_attributes, write_pymol
from corpus.structures import LETTERS, NAMES, cif, pdb

VALUES = {ResidueName("A", 10, ""): 0.5, ResidueName("A", 11, "A"): 0.123, ResidueName("A", -1, ""): 1.0}
EXPECTED = [0.5, 0.5, 22.0, 0.123, 1.0, 25.0, 26.0, 27.0]


@pytest.mark.parametrize("suffix", [".pdb", ".cif", ".pdb.gz", ".cif.gz"])
def test_only_the_b_factors_of_the_residues_change(tmp_path: Path, suffix: str) -> None:
    text = cif() if ".cif" in suffix else pdb()
    source = tmp_path / f"1abc{suffix}"
    source.write_bytes(gzip.compress(text) if suffix.endswith(".gz") else text)
    structure = read_structure(source)
    assert (structure.letters, structure.names) == (LETTERS, NAMES)
    target = tmp_path / f"out{structure.suffix}"
    write_b_factors(target, structure, VALUES)
    if structure.suffix == ".pdb":
        before, after = (
            PDBFile.read(str(path)).get_structure(model=1, extra_fields=["b_factor", "occupancy", "atom_id"])
            for path in (write_plain(tmp_path, text, ".pdb"), target)
        )
        unchanged = [line[:60] + line[66:] for line in target.read_text().splitlines()]
        assert unchanged == [line[:60] + line[66:] for line in text.decode().splitlines()]
    else:
        files = [CIFFile.read(str(path)) for path in (write_plain(tmp_path, text, ".cif"), target)]
        fields = ["b_factor", "occupancy"]
        before, after = (get_structure(file, model=1, extra_fields=fields, use_author_fields=True) for file in files)
        assert {name: files[1].block[name].serialize() for name in files[1].block if name != "atom_site"} == {
            name: files[0].block[name].serialize() for name in files[0].block if name != "atom_site"
        }
        sites = [file.block["atom_site"] for file in files]
        assert list(sites[0]) == list(sites[1])
        for name in sites[0]:
            if name != "B_iso_or_equiv":
                assert sites[0][name].as_array(str).tolist() == sites[1][name].as_array(str).tolist()
    np.testing.assert_allclose(after.b_factor, EXPECTED)
    np.testing.assert_array_equal(after.coord, before.coord)
    assert after.res_id.tolist() == before.res_id.tolist() == [10, 10, 11, 11, -1, 10, 90, 91]
    write_b_factors(target, structure, {})
    assert b"24.0" in target.read_bytes()


def write_plain(folder: Path, text: bytes, suffix: str) -> Path:
    (folder / f"plain{suffix}").write_bytes(text)
    return folder / f"plain{suffix}"


def test_all_models_of_a_file_are_coloured(tmp_path: Path) -> None:
    atoms = [line for line in pdb().decode().splitlines() if line.startswith(("ATOM", "HETATM"))]
    path = tmp_path / "nmr.pdb"
    path.write_text("\n".join(["MODEL        1", *atoms, "ENDMDL", "MODEL        2", *atoms, "ENDMDL", "END", ""]))
    structure = read_structure(path)
    assert structure.letters["A"] == "MMCK"
    write_b_factors(path, structure, VALUES)
    models = PDBFile.read(str(path)).get_structure(extra_fields=["b_factor"])
    assert models.stack_depth() == 2
    assert path.read_text().count(" 0.123") == 2


@pytest.mark.parametrize(
    ("letters", "sequence", "places", "identity"),
    [
        ("KCH", "MMKCHA", [2, 3, 4], 1.0),
        ("WGMKCHWWDE", "WGMAKCHWWDE", [0, 1, 2, 4, 5, 6, 7, 8, 9, 10], 1.0),  # a residue that is not in the structure
        ("SHMKCHWWDEKL", "KCHWWDEKL", [-1, -1, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8], 1.0),  # a tag
        ("KCHWWDEKLR", "KCHAWDEKLR", list(range(10)), 0.9),
        ("KCXWWDEKLR", "KCHWWDEKLR", list(range(10)), 1.0),
        ("UCHWW", "UCHWW", list(range(5)), 1.0),
        ("XXX", "KCH", None, 0.0),
    ],
)
def test_residues_are_found_in_the_protein(
    letters: str, sequence: str, places: list[int] | None, identity: float
) -> None:
    mapped = map_residues(letters, sequence)
    if places is not None:
        assert mapped.places.tolist() == places
        assert mapped.coverage == pytest.approx(sum(index >= 0 for index in places) / len(places))
    assert mapped.identity == pytest.approx(identity)


def test_stretches_that_repeat_are_aligned_in_order() -> None:
    mapped = map_residues("KCHKCHAAW", "KCHKCHWAAW")
    assert mapped.places.tolist() == [0, 1, 2, 3, 4, 5, 7, 8, 9]


def test_too_much_to_align_is_refused() -> None:
    with pytest.raises(ValueError, match="too many"):
        map_residues("A" * 20_000, "C" * 20_000)


def test_attributes_and_script(tmp_path: Path) -> None:
    write_attributes(tmp_path / "x.defattr", {"bindtune_Fe+": VALUES})
    assert (tmp_path / "x.defattr").read_text() == (
        "attribute: bindtune_Fe_\nmatch mode: 1-to-1\nrecipient: residues\n\t/A:10\t0.5\n\t/A:11A\t0.123\n\t/A:-1\t1\n"
    )
    write_pymol(tmp_path / "x.pml", tmp_path / "1abc-x.pdb", chain="A", sites=list(VALUES)[1:])
    text = (tmp_path / "x.pml").read_text()
    assert "load 1abc-x.pdb, 1abc_x\n" in text
    assert "spectrum b, grey80 yellow red, 1abc_x and chain A and polymer, minimum=0, maximum=1\n" in text
    assert "select 1abc_x_sites, 1abc_x and chain A and polymer and resi 11A+\\-1\n" in text


_ODD = ("A; system touch X; select y, chain A", "A\nquit", "A'", "$(id)", "`id`", "A B", "/A", "A-2", "A,B", "\u0410")


@pytest.mark.parametrize("name", _ODD)
def test_names_that_could_be_commands_stay_out_of_scripts(name: str, tmp_path: Path) -> None:
    for residue in (ResidueName(name, 1, ""), ResidueName("A", 1, name)):
        assert unsafe_names([ResidueName("A", 1, ""), residue]) == [name]
        with pytest.raises(ValueError, match="must not stand in a file"):
            write_attributes(tmp_path / "x.defattr", {"ZN": {residue: 0.5}})
        with pytest.raises(ValueError, match="must not stand in a file"):
            write_pymol(tmp_path / "x.pml", tmp_path / "x.pdb", chain="A", sites=[residue])
    with pytest.raises(ValueError, match="must not stand in a file"):
        write_pymol(tmp_path / "x.pml", tmp_path / "x.pdb", chain=name, sites=[])
    assert not list(tmp_path.iterdir())


_ODD_FILES = ("a;quit.pdb", "a\nquit.pdb", "'a.pdb", "a`id`.pdb", "$(id).pdb", "@run.pdb", "a,b.pdb")


@pytest.mark.parametrize("file", _ODD_FILES)
def test_file_names_that_could_be_commands_stay_out_of_scripts(file: str, tmp_path: Path) -> None:
    assert unsafe_names([], file=file) == [file]
    with pytest.raises(ValueError, match="must not stand in a file"):
        write_pymol(tmp_path / "x.pml", tmp_path / file, chain="A", sites=[])
    assert unsafe_names([], file="my protein-1.v2+x.pdb") == []


def test_a_chain_without_a_name_is_written_as_programs_expect_it(tmp_path: Path) -> None:
    values = {ResidueName("", 10, ""): 0.5}
    write_attributes(tmp_path / "x.defattr", {"Fe+": values, "Fe_": values})
    lines = (tmp_path / "x.defattr").read_text().splitlines()
    assert [line for line in lines if "attribute" in line or ":10" in line] == [
        "attribute: Fe_", "\t:10\t0.5", "attribute: Fe__2", "\t:10\t0.5",
    ]  # fmt: skip
    write_pymol(tmp_path / "x.pml", tmp_path / "x.pdb", chain="", sites=list(values))
    assert "select x_sites, x and chain '' and polymer and resi 10\n" in (tmp_path / "x.pml").read_text()


_CONFIDENCES = """loop_
_ma_qa_metric.id
_ma_qa_metric.mode
_ma_qa_metric.name
_ma_qa_metric.type
1 global pLDDT pLDDT
2 local pLDDT pLDDT
#
_ma_qa_metric_global.metric_id 1
_ma_qa_metric_global.metric_value 91.5
#
loop_
_ma_qa_metric_local.label_asym_id
_ma_qa_metric_local.label_seq_id
_ma_qa_metric_local.metric_value
A 1 97.5
A 2 96.5
#
_ma_qa_metric_local_pairwise.metric_value 3.5
#
"""


def test_a_copy_has_no_confidences_that_viewers_colour_by(tmp_path: Path) -> None:
    path = tmp_path / "af.cif"
    path.write_text(cif().decode() + _CONFIDENCES)
    structure = read_structure(path)
    for _ in range(2):
        write_b_factors(tmp_path / "out.cif", structure, VALUES)
        text = (tmp_path / "out.cif").read_text()
        assert "ma_qa_metric" not in text
        block = CIFFile.read(str(tmp_path / "out.cif")).block
        assert {"atom_site", "exptl", "entry", "struct"} == set(block)
        factors = block["atom_site"]["B_iso_or_equiv"].as_array(float)
        np.testing.assert_allclose(factors, EXPECTED)


def test_a_file_without_b_factors_gets_them(tmp_path: Path) -> None:
    path = tmp_path / "x.cif"
    path.write_text("data_x\n_atom_site.auth_asym_id A\n_atom_site.auth_seq_id 1\n_atom_site.label_comp_id ALA\n")
    write_b_factors(tmp_path / "out.cif", read_structure(path), {ResidueName("A", 1, ""): 0.25})
    sites = CIFFile.read(str(tmp_path / "out.cif")).block["atom_site"]
    assert sites["B_iso_or_equiv"].as_array(str).tolist() == ["0.250"]


def test_names() -> None:
    names = [structure_name(Path(name)) for name in ("a.b.pdb", "x.CIF.gz", "y.ent", "z.fa")]
    assert names == ["a.b", "x", "y", None]
