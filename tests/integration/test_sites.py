"""`bindtune sites`: labels of known structures, filters, groups, broken files, and what a summary adds up to."""

import csv
import gzip
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from biotite.sequence import ProteinSequence
from biotite.sequence.align import SubstitutionMatrix, align_optimal

from bindtune.io.entries import Entry
from bindtune.io.labels import UNKNOWN, LabelledProtein, read_labels
from bindtune.preparation import structures as reader

Run = Callable[..., int]


@pytest.fixture
def structures(shared: Path) -> Path:
    return shared / "data/structures"


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def labels(path: Path) -> dict[str, LabelledProtein]:
    return {protein.name: protein for protein in read_labels(path)}


def sites(protein: LabelledProtein) -> str:
    return " ".join(f"{n + 1}{protein.sequence[n]}" for n in np.flatnonzero(protein.labels == 1))


def adds_up(summary: dict[str, Any], out: Path) -> None:
    files, chains = summary["structures"], summary["chains"]
    assert files["files"] == files["read"] + files["failed"]
    assert files["read"] == files["used"] + sum(files["filtered"].values())
    assert chains["read"] == chains["used"] + chains["without_coordinates"] + chains["without_known_residue"]
    assert summary["records"]["all"] + summary["records"]["merged_chains"] == chains["used"]
    rows = table(out / "files.tsv")
    assert len(rows) == files["files"] and len(table(out / "chains.tsv")) == chains["used"]
    assert [row["status"] for row in rows].count("used") == files["used"]
    for ion, counts in summary["ions"].items():
        residues = counts["residues"]
        assert counts["ions"] == sum(counts["components"].values())
        assert counts["ions"] == counts["kept"] + sum(counts["dropped"].values())
        assert residues["all"] == residues["binding"] + residues["not_binding"] + residues["unknown"]
        path = out / f"{ion}_train.fa"
        assert path.exists() == bool(counts["records"])
        if counts["records"]:
            every = np.concatenate([protein.labels for protein in read_labels(path)])
            assert [int((every == value).sum()) for value in (1, 0, UNKNOWN)] == [
                residues[name] for name in ("binding", "not_binding", "unknown")
            ]


def test_known_structures(run: Run, structures: Path, shared: Path, tmp_path: Path) -> None:
    assert run("sites", "--structures", structures, "--ions", "ZN,CA,MG,MN,LREE", "--out", "out") == 0
    out = tmp_path / "out"
    summary = json.loads((out / "summary.json").read_text())
    adds_up(summary, out)
    zinc, calcium = labels(out / "ZN_train.fa"), labels(out / "CA_train.fa")
    assert sites(zinc["1oi0_A"]) == "70H 72H 83D"
    assert sites(zinc["1het_A"]) == "46C 67H 97C 100C 103C 111C 174C"
    assert sites(calcium["1f2n_A"]) == "126D 129D 182V 237N 238T"
    rows = table(out / "sites.tsv")
    capsid = {(row["chain"], row["auth_number"]) for row in rows if row["structure"] == "1f2n"}
    assert capsid == {(chain, number) for chain in "ABC" for number in ("126", "129", "182", "237", "238")}
    assert {row["record"] for row in rows if row["structure"] == "1f2n"} == {"1f2n_A"}
    # Two manganese ions in each of three chains; RNA binds no protein; DNA and its protein.
    assert {row["ion_number"] for row in rows if row["ion"] == "MN"} == {str(n) for n in range(500, 506)}
    assert summary["structures"]["without_protein"] == 1 and "5ugo_A" in calcium
    assert summary["ions"]["LREE"]["records"] == 0 and not (out / "LREE_train.fa").exists()
    # The public labels are of the residues with coordinates alone: they agree where both know.
    public = labels(shared / "data/metal_ions/ZN_train.fa")
    for name in ("1oi0_A", "1gl4_A"):
        own, other = zinc[name], public[name]
        best = align_optimal(
            ProteinSequence(own.sequence), ProteinSequence(other.sequence), SubstitutionMatrix.std_protein_matrix(),
            gap_penalty=(-11, -1), terminal_penalty=False, max_number=1,
        )[0]  # fmt: skip
        pairs = best.trace[(best.trace >= 0).all(axis=1)]
        assert len(pairs) == len(other.sequence)
        assert (own.labels[pairs[:, 0]] == other.labels[pairs[:, 1]]).all()
        hidden = np.setdiff1d(np.arange(len(own.sequence)), pairs[:, 0])
        assert (own.labels[hidden] == UNKNOWN).all()


def test_every_contact_is_another_programs(run: Run, structures: Path, tmp_path: Path) -> None:
    """Biotite's cell list on the deposited coordinates, read by its own readers."""
    from biotite.structure import CellList
    from biotite.structure.io.pdb import PDBFile
    from biotite.structure.io.pdbx import CIFFile, get_structure

    options = ("--assembly", "none", "--min-residues", 1, "--out", "out")
    assert run("sites", "--structures", structures, "--ions", "ZN,CA,MG,MN,FE", *options) == 0
    rows = table(tmp_path / "out/sites.tsv")
    compared = 0
    for path in sorted(structures.glob("*.gz")):
        with gzip.open(path, "rt") as handle:
            if ".pdb" in path.name:
                atoms = PDBFile.read(handle).get_structure(model=1, altloc="occupancy")
            else:
                atoms = get_structure(CIFFile.read(handle), model=1, altloc="occupancy")
        own = {
            (row["chain"], row["auth_number"], row["ion_chain"], row["ion_number"])
            for row in rows
            if row["structure"] == path.name[:4]
        }
        polymer = (atoms.element != "H") & ~atoms.hetero
        heavy = atoms[polymer & ~np.isin(atoms.res_name, ["A", "C", "G", "U", "DA", "DC", "DG", "DT"])]
        if not len(heavy):
            assert not own
            continue
        cells = CellList(heavy, 5)
        expected = set()
        for ion in atoms[np.isin(atoms.res_name, ["ZN", "CA", "MG", "MN", "FE", "FE2"]) & atoms.hetero]:
            near = [n for n in cells.get_atoms(ion.coord, 3.0).tolist() if n >= 0]
            expected |= {(heavy.chain_id[n], str(heavy.res_id[n]), ion.chain_id, str(ion.res_id)) for n in near}
        if path.name.startswith("5eil"):  # a modified residue holds the iron, which is a hetero atom
            own = {one for one in own if one[1] != "9"}
        assert own == expected, path.name
        compared += len(expected)
    assert compared > 100


def test_options(run: Run, structures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = tmp_path / "list.txt"
    paths.write_text(f"# some\n{structures}/1oi0.pdb.gz\n\n{structures}/1gl4.bcif\n{structures}/4gxy.cif.gz\n")
    assert run("sites", "--structures", "list.txt", "--ions", "ZN", "--unknown", 0, "--out", "a") == 0
    text = (tmp_path / "a/ZN_train.fa").read_text()
    assert "?" not in text and text.count(">") == 2
    assert run("sites", "--structures", "list.txt", "--ions", "zn", "--max-resolution", 1.8, "--out", "b") == 0
    summary = json.loads((tmp_path / "b/summary.json").read_text())
    adds_up(summary, tmp_path / "b")
    assert summary["structures"]["filtered"] == {"resolution above --max-resolution": 2}
    assert list(labels(tmp_path / "b/ZN_train.fa")) == ["1oi0_A"]
    assert run("sites", "--structures", "list.txt", "--ions", "ZN", "--methods", "solution nmr", "--out", "c") == 0
    assert json.loads((tmp_path / "c/summary.json").read_text())["structures"]["filtered"] == {"another method": 3}
    assert run("sites", "--structures", structures, "--ions", "ZN,CA,LREE", "--rule", "biolip", "--out", "d") == 0
    wider = table(tmp_path / "d/sites.tsv")
    assert {70, 72, 83} <= {int(row["position"]) for row in wider if row["structure"] == "1oi0"}
    assert min(float(row["distance"]) for row in wider) < 3 < max(float(row["distance"]) for row in wider)
    capsys.readouterr()
    for options, problem in {
        ("--ions", "XX"): "ions: 'XX' is unknown, expected a metal's symbol",
        ("--ions", "ZN,zn"): "ions: an ion comes twice",
        ("--ions", "PM", "--rule", "biolip"): "rule biolip: no van der Waals radius of PM is known",
        ("--ions", "ZN", "--rule", "biolip", "--cutoff", 3): "cutoff has no effect with rule biolip",
        ("--ions", "ZN", "--biolip", "b.txt"): "give one of --structures, --biolip and --uniprot",
    }.items():
        assert run("sites", "--structures", "list.txt", *options, "--out", "e") == 2
        error = capsys.readouterr().err
        assert problem in error and error.count("\n") == 1
    assert run("sites", "--structures", "list.txt", "--ions", "ZN", "--out", "a") == 2
    assert "is there already; --overwrite replaces" in capsys.readouterr().err
    assert run("sites", "--structures", "list.txt", "--ions", "CA", "--overwrite", "--out", "a") == 0
    assert not (tmp_path / "a/ZN_train.fa").exists()


def test_rare_earths_from_component_codes(run: Run, structures: Path, tmp_path: Path) -> None:
    """Calcium of one structure written as europium, of another as ytterbium."""
    folder = tmp_path / "pdb"
    folder.mkdir()
    for name, code, element in (("2pvb", "EU3", "EU"), ("4gql", "YB2", "YB")):
        text = gzip.decompress((structures / f"{name}.pdb.gz").read_bytes()).decode()
        lines = [
            f"{line[:12]}{element}  {line[16]}{code}{line[20:76]}{element}{line[78:]}"
            if line[:6] == "HETATM" and line[17:20] == " CA" else line
            for line in text.split("\n")
        ]  # fmt: skip
        (folder / f"{name}.pdb").write_text("\n".join(lines))
    assert run("sites", "--structures", folder, "--ions", "LREE,HREE,REE", "--out", "labels") == 0
    out = tmp_path / "labels"
    adds_up(json.loads((out / "summary.json").read_text()), out)
    assert list(labels(out / "LREE_train.fa")) == ["2pvb_A"] and list(labels(out / "HREE_train.fa")) == ["4gql_A"]
    assert sites(labels(out / "LREE_train.fa")["2pvb_A"]).split()[0] == "51D"
    assert list(labels(out / "REE_train.fa")) == ["2pvb_A", "4gql_A"]
    rows = table(out / "sites.tsv")
    assert {(row["ion"], row["component"]) for row in rows} == {
        ("LREE", "EU3"), ("HREE", "YB2"), ("REE", "EU3"), ("REE", "YB2"),
    }  # fmt: skip
    (tmp_path / "s.yaml").write_text(
        yaml.safe_dump({"structures": "pdb", "ions": "MINE", "ion_groups": {"MINE": ["YB"]}, "out": "mine"})
    )
    assert run("sites", "--config", "s.yaml") == 0
    assert list(labels(tmp_path / "mine/MINE_train.fa")) == ["4gql_A"]
    assert json.loads((tmp_path / "mine/summary.json").read_text())["ion_groups"] == {"MINE": ["YB"]}


def test_broken_files_end_the_run_or_are_counted(
    run: Run, structures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "pdb"
    folder.mkdir()
    shutil.copy(structures / "1oi0.pdb.gz", folder)
    shutil.copy(structures / "1oi0.pdb.gz", folder / "1OI0.ent.gz")  # the same structure again
    (folder / "a.cif").write_text("data_a\nloop_\n_atom_site.id\n1\n")
    (folder / "b.pdb.gz").write_bytes((structures / "1rmd.pdb.gz").read_bytes()[:9000])
    (folder / "c.bcif").write_bytes(b"\x81\xa3xyz")
    (folder / "notes.txt").write_text("nothing\n")
    assert run("sites", "--structures", "pdb", "--ions", "ZN", "--out", "out") == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out").exists()
    assert run("sites", "--structures", "pdb", "--ions", "ZN", "--out", "out", "--errors", "skip") == 0
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    adds_up(summary, tmp_path / "out")
    assert (summary["structures"]["files"], summary["structures"]["failed"]) == (5, 4)
    assert summary["structures"]["other_files"] == 1
    assert sum("skipped: pdb/" in message for message in caplog.messages) == 4
    assert [row["status"] for row in table(tmp_path / "out/files.tsv")].count("failed") == 4
    assert list(labels(tmp_path / "out/ZN_train.fa")) == ["1oi0_A"]


def test_a_file_that_vanishes_has_its_hash(
    run: Run, structures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, path = reader.read_entry, tmp_path / "1oi0.pdb.gz"
    shutil.copy(structures / path.name, path)
    (tmp_path / "list.txt").write_text("# structures\n\n1oi0.pdb.gz\n")

    def read_and_remove(path: Path, *, assembly: str | None) -> Entry:
        entry = read(path, assembly=assembly)
        path.unlink()
        return entry

    monkeypatch.setattr(reader, "read_entry", read_and_remove)
    assert run("sites", "--structures", "list.txt", "--ions", "ZN", "--out", "out") == 0
    (row,) = table(tmp_path / "out/files.tsv")
    assert row["sha256"] == hashlib.sha256((structures / path.name).read_bytes()).hexdigest()


def test_labels_train_a_model(run: Run, structures: Path, tmp_path: Path, no_pictures: None) -> None:
    from bindtune.demo.tiny_e1 import make_tiny_e1

    assert run("sites", "--structures", structures, "--ions", "ZN,CA", "--out", "labels") == 0
    encoder = make_tiny_e1(tmp_path / "encoder", seed=1)
    small = (
        "training.num_folds=2",
        "training.epochs=1",
        "training.num_workers=0",
        "training.accum_steps=1",
        "lora.r=2",
    )
    settings = ("data.fasta_path=labels", "training.ions=[ZN, CA]", f"model.checkpoint={encoder}", *small)
    assert run("train", *settings, "training.output_dir=run") == 0
    assert (tmp_path / "run/oof.parquet").is_file()


def _annotated(ligand: str, chain: str, residues: str, *, number: int, sequence: str = "MKHDHCHHEEDD") -> str:
    cells = ["1abc", chain, "1.50", "BS01", ligand, "Z", "1", residues, residues, *[""] * 8, "P1", "1", str(number)]
    return "\t".join([*cells, sequence]) + "\n"


def test_labels_from_biolip(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "BioLiP.txt").write_text(
        _annotated("ZN", "A", "H3 D4 H5", number=201)
        + _annotated("ZN", "A", "H7", number=202)  # held by one residue of each of two chains
        + _annotated("ZN", "B", "H8", number=202)
        + _annotated("ZN", "B", "E9", number=203)  # held by one alone
        + _annotated("EU3", "C", "E2 D3", number=1, sequence="MEDK")
        + _annotated("ATP", "C", "E2 D3", number=1, sequence="MEDK")
    )
    assert run("sites", "--biolip", "BioLiP.txt", "--ions", "ZN,LREE,CA", "--out", "out") == 0
    out = tmp_path / "out"
    zinc, light = labels(out / "ZN_train.fa"), labels(out / "LREE_train.fa")
    assert {name: sites(protein) for name, protein in zinc.items()} == {"1abc_A": "3H 4D 5H 7H 8H"}
    assert {name: sites(protein) for name, protein in light.items()} == {"1abc_C": "2E 3D"}
    summary = json.loads((out / "summary.json").read_text())
    assert summary["sites"] == {"read": 5, "filtered": {}, "used": 5}
    assert summary["records"] == {"all": 2, "merged_chains": 1}
    assert summary["ions"]["ZN"]["dropped"] == {"held by fewer residues than --min-residues": 1}
    assert (summary["ions"]["ZN"]["ions"], summary["ions"]["ZN"]["kept"]) == (3, 2)
    assert summary["ions"]["ZN"]["disagreeing_residues"] == 5  # each chain lacks what the other has
    rows = table(out / "sites.tsv")
    assert [row["record"] for row in rows] == ["1abc_A"] * 5 + ["1abc_C"] * 2
    assert rows[0] | {"position": "3", "auth_number": "3", "component": "ZN", "ion_number": "201"} == rows[0]
    provenance = json.loads((out / "provenance.json").read_text())
    assert provenance["inputs"]["biolip"]["path"] == str(tmp_path / "BioLiP.txt")
    (tmp_path / "BioLiP.txt").write_text(
        _annotated("ZN", "A", "H3 D4", number=1) + _annotated("ZN", "A", "E2", number=2, sequence="MEDK")
    )
    assert run("sites", "--biolip", "BioLiP.txt", "--ions", "ZN", "--out", "other") == 2
    assert "BioLiP.txt:2: chain A of 1abc has another sequence in line 1" in capsys.readouterr().err
    assert run("sites", "--biolip", "BioLiP.txt", "--ions", "ZN", "--cutoff", 3, "--out", "other") == 2
    assert "cutoff has no effect with biolip" in capsys.readouterr().err


def test_labels_from_uniprot(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    cell = (
        'BINDING 3; /ligand="Zn(2+)"; /ligand_label="1"; BINDING 5..6; /ligand="Zn(2+)"; /ligand_label="1"; '
        'BINDING 7; /ligand="Zn(2+) or Ca(2+)"; BINDING 9; /ligand="a divalent metal cation"; BINDING ?10; '
        '/ligand="Zn(2+)"; BINDING P1-2:4; /ligand="Ca(2+)"; BINDING 8; /ligand="ATP"; BINDING 8; /ligand="Na(+)"'
    )
    (tmp_path / "u.tsv").write_text(
        f"Entry\tSequence\tBinding site\nP1\tMKHDHCHHEEDD\t{cell}\nP2\tMK\t\n"
        'P3\tMEDK\tBINDING 2; /ligand="Nd(3+)"; BINDING ?; /ligand="Ce(3+)"; BINDING 3; /ligand="Zn(2+)"\n'
    )
    assert run("sites", "--uniprot", "u.tsv", "--ions", "ZN,CA,REE", "--out", "out") == 0
    out = tmp_path / "out"
    assert (out / "ZN_train.fa").read_text() == ">P1\nMKHDHCHHEEDD\n00101110??00\n>P3\nMEDK\n0010\n"
    assert (out / "CA_train.fa").read_text() == ">P1\nMKHDHCHHEEDD\n00000010?000\n"
    assert (out / "REE_train.fa").read_text() == ">P3\nMEDK\n?1??\n"
    rare = json.loads((out / "summary.json").read_text())["ions"]["REE"]
    assert rare["residues"] == {"all": 4, "binding": 1, "not_binding": 0, "unknown": 3}
    summary = json.loads((out / "summary.json").read_text())
    assert summary["entries"] == {"read": 3, "without_these_ions": 1, "used": 2}
    features = summary["features"]
    assert features["read"] == sum(count for kind, count in features.items() if kind != "read") == 11
    assert (features["used"], features["position that is not exact"], features["feature of another isoform"]) == (
        5,
        2,
        1,
    )
    assert "u.tsv:2: labels are unknown: position that is not exact, Zn(2+)" in caplog.text
    (tmp_path / "again.tsv").write_text((tmp_path / "u.tsv").read_text())
    both = ("--uniprot", "u.tsv", "--uniprot", "again.tsv")
    assert run("sites", *both, "--ions", "ZN", "--out", "other") == 2
    assert "again.tsv:2: P1 comes again; first in u.tsv:2" in capsys.readouterr().err
