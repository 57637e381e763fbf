"""Structures as entries: names, sequences, places of residues, formats that say the same."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from biotite.structure.io.pdbx import BinaryCIFFile, CIFBlock, CIFCategory, CIFFile, compress

from bindtune.data.protein.ion_contacts import ContactRule, bound_ions
from bindtune.errors import InputError
from bindtune.io import entry_files
from bindtune.io.entry_files import entry_name, read_entry
from bindtune.io.residue_positions import place_residues
from corpus.structures import cif


@pytest.mark.parametrize(
    ("name", "structure"),
    [("1ABC.cif", "1abc"), ("pdb1abc.ent.gz", "1abc"), ("1abc.pdb.gz", "1abc"), ("AF-P1-F1.cif", "AF-P1-F1"),
     ("pdb_00001abc.bcif.gz", "pdb_00001abc"), ("1abc.pdb1.gz", "1abc"), ("1ABC.CIF.GZ", "1abc"), ("README.md", None),
     (".cif", None), ("x.pdbx", None), ("1abc.pdb1x", None)],
)  # fmt: skip
def test_names(name: str, structure: str | None) -> None:
    assert entry_name(Path(name)) == structure


@pytest.mark.parametrize(
    ("codes", "numbers", "places"),
    [
        ("GAGS", "1 2 3 4", [0, 1, 2, 3]),  # whole
        ("GS", "5 6", [2, 3]),  # the first residues are missing, numbers are shifted by two
        ("GA", "1 2", [0, 1]),  # repeats: numbers decide
        ("GASG", "1 2 4 5", [0, 1, 3, 4]),  # a gap
        ("GAGSG", "1 2 2A 3 4", [0, 1, 2, 3, 4]),  # an insertion code
        ("GSG", "1 14 15", [0, 3, 4]),  # a jump in the numbers that is larger than the gap
        ("W", "1", [-1]),  # in no place
        ("", "", []),
    ],
)
def test_residues_find_their_places(codes: str, numbers: str, places: list[int]) -> None:
    positions = place_residues(list("GAGSGW") if codes != "W" else list("GAG"), list(codes), numbers.split())
    assert positions.tolist() == places


def test_a_long_chain_is_placed_where_numbers_say() -> None:
    generator = np.random.default_rng(0)
    sequence = generator.choice(list("ACDEFGHIKLMNPQRSTVWY"), 400).tolist()
    for _ in range(20):
        shown = np.sort(generator.choice(400, 330, replace=False))
        codes = [sequence[position] for position in shown]
        assert place_residues(sequence, codes, [str(index - 7) for index in shown]).tolist() == shown.tolist()


def test_formats_say_the_same(shared: Path, tmp_path: Path) -> None:
    source = shared / "data/structures/5eil.cif.gz"
    text = gzip.decompress(source.read_bytes()).decode()
    (tmp_path / "5eil.cif").write_text(text)
    binary = BinaryCIFFile()
    for name, block in CIFFile.deserialize(text).items():
        from biotite.structure.io.pdbx import BinaryCIFBlock, BinaryCIFCategory, BinaryCIFColumn

        categories = ("atom_site", "entity_poly", "entity_poly_seq", "struct_asym", "exptl", "refine",
                "pdbx_poly_seq_scheme", "pdbx_struct_assembly_gen", "pdbx_struct_oper_list")  # fmt: skip
        binary[name] = BinaryCIFBlock(
            {
                one: BinaryCIFCategory(
                    {key: BinaryCIFColumn(column.as_array(str)) for key, column in block[one].items()}
                )
                for one in categories
            }
        )
    compress(binary).write(tmp_path / "5eil.bcif")
    entries = [read_entry(path, assembly="1") for path in (source, tmp_path / "5eil.cif", tmp_path / "5eil.bcif")]
    for entry in entries:
        assert (entry.name, entry.resolution, entry.methods) == ("5eil", 2.25, ("X-RAY DIFFRACTION",))
        assert entry.polymers == entries[0].polymers and len(entry.copies) == 1
        for name, values in vars(entry.atoms).items():
            np.testing.assert_array_equal(values, getattr(entries[0].atoms, name), err_msg=name)


def test_the_whole_sequence_is_that_of_seqres(shared: Path) -> None:
    entry = read_entry(shared / "data/structures/1oi0.pdb.gz")
    first = entry.polymers[0]
    assert (first.chain, len(first.letters), first.letters[:4]) == ("A", 124, "GSSM")
    own = entry.atoms.polymer == 0
    shown = dict(zip(entry.atoms.position[own].tolist(), entry.atoms.component[own].tolist(), strict=True))
    assert len(shown) == 108 and shown[69] == "HIS" and shown[82] == "ASP"
    assert not (entry.atoms.polymer > 0).any()  # chains B to D have no coordinates
    assert not np.isin(entry.atoms.element, ["H", "D"]).any()


def atom(
    name: str, component: str, number: int, *, record: str = "ATOM", element: str = "C", x: float = 0, y: float = 0
) -> str:
    values = f"{x:8.3f}{y:8.3f}{0:8.3f}{1:6.2f}{0:6.2f}{element:>12}"
    return f"{record:<6}{1:5} {name:<4} {component:>3} A{number:4}    {values}\n"


def places(path: Path) -> list[tuple[str, str, int]]:
    atoms = read_entry(path).atoms
    return list(zip(atoms.component.tolist(), atoms.element.tolist(), atoms.position.tolist(), strict=True))


def test_a_free_amino_acid_is_no_residue(tmp_path: Path) -> None:
    """The chain lacks its last glycine; the glycine behind the end of the chain is a ligand."""
    chain = "".join(atom(" CA", code, number) for number, code in ((1, "ALA"), (2, "HIS")))
    sequence = "SEQRES   1 A    3  ALA HIS GLY\n"
    ligand = atom(" CA", "GLY", 301, record="HETATM")
    for name, text in {"ter": f"{sequence}{chain}TER\n{ligand}", "no_ter": f"{sequence}{chain}{ligand}"}.items():
        (tmp_path / f"{name}.pdb").write_text(text)
        assert places(tmp_path / f"{name}.pdb") == [("ALA", "C", 0), ("HIS", "C", 1), ("GLY", "C", -1)]
    # A gap may have a TER record too, and a modified residue may be the last one.
    last = atom(" CA", "MSE", 3, record="HETATM")
    for end in ("TER\n", ""):
        (tmp_path / "gap.pdb").write_text(f"{atom(' CA', 'ALA', 1)}{end}{atom(' CA', 'HIS', 2)}{last}{end}{ligand}")
        assert [position for *_, position in places(tmp_path / "gap.pdb")] == [0, 1, 2, -1]


def test_an_ion_has_its_element_without_a_column_for_it(tmp_path: Path) -> None:
    ions = [("CA", "CA", "CA"), ("CD", "CD", "CD"), ("CU", "CU1", "CU"), ("FE", "FE2", "FE"), ("YB", "YB3", "YB")]
    text = atom(" CA", "ALA", 1, element="") + "TER\n"
    text += "".join(atom(name, code, 9, record="HETATM", element="") for name, code, _ in ions)
    (tmp_path / "a.pdb").write_text(text)
    assert [element for _, element, _ in places(tmp_path / "a.pdb")] == ["C", *(element for *_, element in ions)]


@pytest.mark.parametrize("symbol", ["Zn", "ZN", "Zn2+", "ZN+2", "?", "."])
def test_a_symbol_may_have_a_charge_or_be_missing(tmp_path: Path, symbol: str) -> None:
    text = cif().decode().replace("HETATM 7 Z ", f"HETATM 7 {symbol} ").replace("ATOM 1 N N", "ATOM 1 N1+ N")
    (tmp_path / "a.cif").write_text(text)
    elements = read_entry(tmp_path / "a.cif").atoms.element.tolist()
    assert (elements[0], elements[1], elements[6]) == ("N", "C", "ZN")


def test_an_entry_number_in_the_place_of_elements_is_none(tmp_path: Path) -> None:
    """Files of the 1990s have the entry and the number of the line in columns 73-80."""
    lines = [
        atom(" CA", "HIS", 1),
        atom(" DE2", "HIS", 1),
        atom("1HB ", "HIS", 1),
        atom("ZN", "ZN", 9, record="HETATM"),
    ]
    (tmp_path / "a.pdb").write_text("".join(f"{line[:72]}1ABC{n:4}\n" for n, line in enumerate(lines, 123)))
    assert [element for _, element, _ in places(tmp_path / "a.pdb")] == ["C", "ZN"]  # without hydrogen and deuterium


def test_a_distance_at_the_cutoff_is_that_of_the_file(tmp_path: Path) -> None:
    """Coordinates of 32 bits would put some of these ions beyond 3 angstroms."""
    generator, rule = np.random.default_rng(1), ContactRule(cutoff=3.0, min_residues=1, min_occupancy=0)
    starts = (generator.integers(400_000, 499_000, 200) / 1000).tolist()
    text = "".join(atom(" CA", "ALA", 1 + n, x=x) for n, x in enumerate(starts)) + "TER\n"
    for number, x in enumerate(starts, start=1):
        text += atom("ZN", "ZN", number, record="HETATM", element="ZN", x=x + 1.8, y=2.4)
    (tmp_path / "a.pdb").write_text(text)
    bound = bound_ions(read_entry(tmp_path / "a.pdb"), elements={"ZN": "ZN"}, rule=rule)
    assert all(ion.number in {contact.number for contact in ion.contacts} for ion in bound) and len(bound) == 200


def test_water_and_ions_as_atom_records_are_no_residues(tmp_path: Path) -> None:
    """Programs of molecular dynamics write all atoms so, without the ends of chains."""
    protein = atom(" NE2", "HIS", 1, element="N") + atom(" CA", "ALA", 2)
    solvent = atom("ZN", "ZN", 3, element="ZN") + "".join(atom(" O", "HOH", n, element="O") for n in range(4, 30))
    for name, sequence in (("a", ""), ("b", "SEQRES   1 A    3  HIS ALA GLY\n")):
        (tmp_path / f"{name}.pdb").write_text(sequence + protein + solvent)
        entry = read_entry(tmp_path / f"{name}.pdb")
        assert [polymer.letters for polymer in entry.polymers] == ["HAG" if sequence else "HA"]
        assert entry.atoms.position.tolist() == [0, 1, *[-1] * 27]


def test_two_ions_of_one_number_are_two(tmp_path: Path) -> None:
    ions = [atom(name, name, 9, record="HETATM", element=name, x=x) for name, x in (("ZN", 2), ("CD", 2.1))]
    alternates = "".join(f"{ion[:16]}{letter}{ion[17:]}" for ion, letter in zip(ions, "AB", strict=True))
    (tmp_path / "a.pdb").write_text(atom(" NE2", "HIS", 1, element="N") + "TER\n" + alternates)
    rule = ContactRule(cutoff=3.0, min_residues=1, min_occupancy=0)
    bound = bound_ions(read_entry(tmp_path / "a.pdb"), elements={"ZN": "ZN", "CD": "CD"}, rule=rule)
    assert [(ion.component, len(ion.contacts)) for ion in bound] == [("ZN", 1), ("CD", 1)]


def test_names_of_force_fields_are_residues(tmp_path: Path) -> None:
    (tmp_path / "a.pdb").write_text("".join(atom(" CA", code, 1 + at) for at, code in enumerate(["HID", "CYX", "ALA"])))
    assert read_entry(tmp_path / "a.pdb").polymers[0].letters == "HCA"


def test_models_of_an_assembly_are_its_copies(tmp_path: Path) -> None:
    """A zinc ion between two copies of a histidine."""
    models = [atom(" NE2", "HIS", 1, element="N", x=x) + "TER\n" for x in (0, 4)]
    models[0] += atom("ZN", "ZN", 9, record="HETATM", element="ZN", x=2)
    text = "".join(f"MODEL{number:9}\n{model}ENDMDL\n" for number, model in enumerate(models, 1))
    rule = ContactRule(cutoff=3.0, min_residues=2, min_occupancy=0)
    for name, assembly, held in (("a.pdb1", "1", 2), ("b.pdb1", None, 0), ("a.pdb", "1", 0)):
        (tmp_path / name).write_text(text)
        entry = read_entry(tmp_path / name, assembly=assembly)
        (ion,) = bound_ions(entry, elements={"ZN": "ZN"}, rule=rule)
        assert len(ion.contacts) == held and [polymer.letters for polymer in entry.polymers] == ["H"] * max(held, 1)


def test_residues_of_cif_without_numbers_are_placed(shared: Path, tmp_path: Path) -> None:
    """Some programs write mmCIF without `label_seq_id`, without `entity_poly_seq` or without both."""
    source = CIFFile.deserialize(gzip.decompress((shared / "data/structures/5eil.cif.gz").read_bytes()).decode())
    whole = read_entry(shared / "data/structures/5eil.cif.gz")
    block = source.block
    sites = dict(block["atom_site"].items())
    sites["label_seq_id"] = np.full(block["atom_site"].row_count, ".")
    (tmp_path / "letters.cif").write_text(without(source, "entity_poly_seq"))
    block["atom_site"] = CIFCategory(sites)
    (tmp_path / "no_numbers.cif").write_text(source.serialize())
    (tmp_path / "both.cif").write_text(without(source, "entity_poly_seq"))
    for name in ("letters", "no_numbers", "both"):
        entry = read_entry(tmp_path / f"{name}.cif")
        assert entry.polymers == whole.polymers
        assert (entry.atoms.position == whole.atoms.position).all()
        assert (entry.atoms.polymer == whole.atoms.polymer).all()
    (tmp_path / "no_sequence.cif").write_text(without(source, "entity_poly_seq", "entity_poly"))
    entry = read_entry(tmp_path / "no_sequence.cif")
    for index, polymer in enumerate(entry.polymers):
        shown = np.unique(whole.atoms.position[whole.atoms.polymer == index])
        assert polymer.from_atoms and polymer.letters == "".join(whole.polymers[index].letters[at] for at in shown)
        assert (np.unique(entry.atoms.position[entry.atoms.polymer == index]) == np.arange(len(shown))).all()


def without(file: CIFFile, *names: str) -> str:
    return CIFFile({"x": CIFBlock({name: file.block[name] for name in file.block if name not in names})}).serialize()


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.pdb", b"", "no structure: there is no atom"),
        ("a.cif", b"data_x\n_entry.id x\n", "no structure: there is no atom_site"),
        ("a.bcif", b"\x93\x01", "no structure: "),
        (
            "a.pdb",
            b"ATOM      1  CA  ALA A   1      xx.000   2.000   3.000  1.00  0.00           C\n",
            "no structure: ",
        ),
        ("a.cif", b"<html>", "a.cif: is a page of HTML or XML"),
    ],
)
def test_what_is_no_structure(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=problem):
        read_entry(tmp_path / name)


@pytest.mark.parametrize(
    ("change", "readable"),
    [
        (lambda text: text, "biotite"),
        (lambda text: text.replace("loop_\n", "LOOP_\n"), "gemmi"),
        (lambda text: text.replace("\n_atom_site.", " _atom_site."), "gemmi"),
        (lambda text: text.replace("ATOM 2", "ATOM\n2"), "biotite"),
    ],
)
def test_gemmi_reads_what_biotite_cannot(tmp_path: Path, change: Callable[[str], str], readable: str) -> None:
    pytest.importorskip("gemmi")
    for name, text in (("a", cif().decode()), ("b", change(cif().decode()))):
        (tmp_path / f"{name}.cif").write_text(text)
    plain, odd = (read_entry(tmp_path / f"{name}.cif") for name in "ab")
    assert (plain.reader, odd.reader) == ("biotite", readable)
    assert odd.polymers == plain.polymers and (odd.atoms.xyz == plain.atoms.xyz).all()


def test_what_neither_reads_is_said_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    messages = []
    for missing in (False, True):
        monkeypatch.setattr(entry_files, "find_spec", lambda name, missing=missing: None if missing else name)
        (tmp_path / "a.cif").write_text(cif().decode()[:-90])
        with pytest.raises(InputError) as failure:
            read_entry(tmp_path / "a.cif")
        messages.append(str(failure.value))
    assert messages[0] == messages[1] and "no structure: " in messages[0]
