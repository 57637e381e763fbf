"""The table of proteins and ions: unions, conflicts, unknown labels, and where files are looked for."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bindtune.data.protein.input_files import alignment_files, label_files
from bindtune.data.protein.proteins import UNKNOWN, Proteins, load_proteins
from bindtune.errors import InputError

REE = {"REE": ["LREE", "HREE"]}
Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


def column(proteins: Proteins, name: str, ion: str) -> list[int]:
    return proteins.labels[proteins.index(name)][:, proteins.ions.index(ion)].tolist()


def test_a_protein_is_unknown_for_ions_it_is_not_listed_for(write: Write) -> None:
    files = {"ZN": write("ZN.fa", ">a\nMKT\n010\n>b\nAC\n11\n"), "CA": write("CA.fa", ">c\nW\n0\n>a\nmkt\n100\n")}
    proteins = load_proteins(files, ions=["ZN", "CA"], groups={}, unlabelled=write("u.fa", ">d x\nMM\n>b\nAC\n"))
    assert proteins.names == ("a", "b", "c", "d")
    assert proteins.sequences == ("MKT", "AC", "W", "MM")
    assert proteins.ions == ("ZN", "CA")
    assert [labels.tolist() for labels in proteins.labels] == [
        [[0, 1], [1, 0], [0, 0]],
        [[1, UNKNOWN], [1, UNKNOWN]],
        [[UNKNOWN, 0]],
        [[UNKNOWN, UNKNOWN]] * 2,
    ]
    assert proteins.labelled().tolist() == [[True, True], [True, False], [False, True], [False, False]]
    assert proteins.positives().tolist() == [[1, 1], [2, 0], [0, 0], [0, 0]]
    assert proteins.residues().tolist() == [3, 2, 1, 2]
    assert proteins.also_unlabelled == 1
    part = proteins.subset(np.array([2, 0]))
    assert (part.names, part.sequences, len(part), part.index("a")) == (("c", "a"), ("W", "MKT"), 2, 1)
    assert proteins.looked_for() == {"a": ("ZN", "CA"), "b": ("ZN",), "c": ("CA",), "d": ("ZN", "CA")}


def test_a_group_is_the_union_of_its_members(write: Write) -> None:
    files = {
        "LREE": write("L.fa", ">both\nMKT\n010\n>light\nAC\n10\n"),
        "HREE": write("H.fa", ">both\nMKT\n001\n>heavy\nDE\n01\n"),
    }
    proteins = load_proteins(files, ions=["REE", "LREE"], groups=REE)
    assert proteins.names == ("both", "light", "heavy")
    assert column(proteins, "both", "REE") == [0, 1, 1]
    assert column(proteins, "both", "LREE") == [0, 1, 0]
    assert column(proteins, "light", "REE") == [1, 0]
    assert column(proteins, "heavy", "REE") == [0, 1]
    assert column(proteins, "heavy", "LREE") == [UNKNOWN, UNKNOWN]
    alone = load_proteins({"LREE": files["LREE"]}, ions=["REE"], groups=REE)
    assert column(alone, "both", "REE") == [0, 1, 0]


def test_unknown_labels_are_no_negatives(write: Write) -> None:
    files = {
        "LREE": write("L.fa", ">both\nMKTAW\n01??0\n>none\nAC\n??\n"),
        "HREE": write("H.fa", ">both\nMKTAW\n?0?10\n"),
    }
    proteins = load_proteins(files, ions=["REE", "LREE"], groups=REE)
    assert column(proteins, "both", "LREE") == [0, 1, UNKNOWN, UNKNOWN, 0]
    assert column(proteins, "both", "REE") == [UNKNOWN, 1, UNKNOWN, 1, 0]
    assert proteins.labelled().tolist() == [[True, True], [False, False]]
    assert proteins.positives().tolist() == [[2, 1], [0, 0]]
    assert proteins.unknown().tolist() == [[2, 2], [0, 0]]
    files["REE"] = write("R.fa", ">both\nMKTAW\n0?1??\n")
    proteins = load_proteins(files, ions=["REE"], groups=REE)
    assert column(proteins, "both", "REE") == [0, 1, 1, 1, 0]
    path = write("R.fa", ">both\nMKTAW\n00?0?\n")
    with pytest.raises(InputError, match=r"R.fa:1: 'both': 2 labels differ from LREE or HREE, first at residue 2$"):
        load_proteins(files | {"REE": path}, ions=["REE"], groups=REE)


def test_a_group_with_its_own_file_must_agree(write: Write) -> None:
    members = {"LREE": write("L.fa", ">a\nMKT\n010\n>l\nAC\n10\n"), "HREE": write("H.fa", ">a\nMKT\n001\n")}
    files = {**members, "REE": write("R.fa", ">own\nWW\n01\n>a\nMKT\n011\n")}
    proteins = load_proteins(files, ions=["REE"], groups=REE)
    assert sorted(proteins.names) == ["a", "l", "own"]
    assert column(proteins, "own", "REE") == [0, 1]
    assert column(proteins, "a", "REE") == [0, 1, 1]
    assert column(proteins, "l", "REE") == [1, 0]
    path = write("R.fa", ">own\nWW\n01\n>a\nMKT\n110\n")
    with pytest.raises(InputError) as caught:
        load_proteins(files, ions=["REE", "LREE"], groups=REE)
    assert str(caught.value) == f"{path}:4: 'a': 2 labels differ from LREE or HREE, first at residue 1"


def test_a_protein_has_one_sequence_in_all_files(write: Write) -> None:
    first = write("ZN.fa", ">b\nMK\n01\n>a\nMKT\n010\n")
    second = write("CA.fa", ">a\nMKR\n010\n>b\nMKK\n010\n")
    third = write("u.fa", ">new\nMK\n>a\nM\n")
    files = {"ZN": first, "CA": second}
    with pytest.raises(InputError) as caught:
        load_proteins(files, ions=["ZN", "CA"], groups={}, unlabelled=third)
    assert str(caught.value).splitlines()[1:] == [
        f"{second}:1: 'a' has another sequence in {first}:4",
        f"{second}:4: 'b' has another sequence in {first}:1",
        f"{third}:3: 'a' has another sequence in {first}:4",
    ]
    with pytest.raises(InputError, match=r"CA\.fa:1: 'a' has another sequence in .*ZN\.fa:4"):
        load_proteins({"LREE": first, "HREE": second}, ions=["REE", "LREE"], groups=REE)


@pytest.mark.parametrize(
    ("ions", "problem"),
    [
        (["ZN", "MN"], "ion MN: no labelled file"),
        (["REE"], "ion REE: no labelled file, and none of its members LREE, HREE has one"),
    ],
)
def test_an_ion_without_any_file(write: Write, ions: list[str], problem: str) -> None:
    with pytest.raises(InputError) as caught:
        load_proteins({"ZN": write("ZN.fa", ">a\nM\n1\n")}, ions=ions, groups=REE)
    assert str(caught.value) == problem


def test_label_files_are_found_in_every_form(write: Write, tmp_path: Path) -> None:
    zinc = write("data/ZN_train.fasta", "")
    calcium = write("data/CA_train.fa.gz", "")
    members = {"LREE": write("data/LREE_train.fa", ""), "HREE": write("data/HREE_train.fasta.gz", "")}
    ions = ["ZN", "CA", "REE"]
    assert label_files(tmp_path / "data", ions=ions, groups=REE) == {"ZN": zinc, "CA": calcium, **members}
    pattern = str(tmp_path / "data/{ION}_train.fasta")
    assert label_files(pattern, ions=["ZN"], groups=REE) == {"ZN": zinc}
    mapping = {name: str(path) for name, path in members.items()}
    assert label_files({"ZN": str(zinc), **mapping}, ions=["ZN", "REE"], groups=REE) == {"ZN": zinc, **members}
    assert label_files({"REE": str(zinc)}, ions=["REE"], groups=REE) == {"REE": zinc}
    assert label_files(str(zinc), ions=["X"], groups={}) == {"X": zinc}


def test_a_folder_holds_training_and_test_files(write: Write, tmp_path: Path) -> None:
    ions = ["ZN", "CA", "REE"]
    written = {
        part: {
            "ZN": write(f"data/ZN_{part}.fa", ""),
            "LREE": write(f"data/LREE_{part}.fasta", ""),
            "HREE": write(f"data/HREE_{part}.fa.gz", ""),
        }
        for part in ("train", "test")
    }
    calcium = write("data/CA_train.fa", "")
    assert label_files(tmp_path / "data", ions=ions, groups=REE) == {**written["train"], "CA": calcium}
    folder = str(tmp_path / "data")
    assert label_files(folder, ions=["ZN", "REE"], groups=REE, part="test") == written["test"]
    assert label_files(folder, ions=ions, groups=REE, part="test", partly=True) == written["test"]
    with pytest.raises(InputError, match=r"ion CA: no labelled file; looked for .*/CA_test\.fasta, "):
        label_files(folder, ions=ions, groups=REE, part="test")
    with pytest.raises(InputError, match="ion CA: no labelled file"):
        label_files(folder, ions=["CA"], groups=REE, part="test", partly=True)


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("form", ["folder", "pattern", "mapping"])
def test_half_of_a_groups_members_are_refused(write: Write, tmp_path: Path, form: str, own: bool) -> None:
    light = write("LREE_train.fasta", "")
    write("HREE_Train.fasta", "")
    if own:
        write("REE_train.fasta", "")
    mapping = {"LREE": str(light)} | ({"REE": str(tmp_path / "REE_train.fasta")} if own else {})
    options = {"folder": str(tmp_path), "pattern": str(tmp_path / "{ION}_train.fasta"), "mapping": mapping}[form]
    looked = "its name in the mapping" if form == "mapping" else str(tmp_path / "HREE_train.fasta")
    for partly in (False, True):
        with pytest.raises(InputError) as caught:
            label_files(options, ions=["LREE", "REE"], groups=REE, partly=partly)
        said = str(caught.value)
        assert said.startswith(f"ion REE: no labelled file of its member HREE; looked for {looked}")
        assert said.endswith(f"; found {light}, expected the files of all members, or one of REE and none of theirs")
    assert label_files(options, ions=["LREE"], groups=REE) == {"LREE": light}


@pytest.mark.parametrize(
    ("where", "ions", "problem"),
    [
        ("data", ["MN"], "ion MN: no labelled file; looked for {data}/MN_train.fasta, {data}/MN_train.fa, "),
        ("data/{ION}.fa", ["REE"], "ion REE: no labelled file; looked for {data}/REE.fa, {data}/LREE.fa, {data}/HREE"),
        ("data/ZN_train.fa", ["ZN", "CA"], "{data}/ZN_train.fa: is one file for 2 ions, expected {{ION}} in its name"),
        ("nowhere", ["ZN"], "{root}/nowhere: is no file and no folder"),
        ("data", ["ZN"], "{data}/ZN_train.fa: there is ZN_train.fa.gz as well, expected one file for ion ZN"),
    ],
)
def test_label_files_that_are_missing(write: Write, tmp_path: Path, where: str, ions: list[str], problem: str) -> None:
    write("data/ZN_train.fa", "")
    write("data/ZN_train.fa.gz", "")
    with pytest.raises(InputError) as caught:
        label_files(str(tmp_path / where), ions=ions, groups=REE)
    assert str(caught.value).startswith(problem.format(root=tmp_path, data=tmp_path / "data"))


def test_a_mapping_names_files_that_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.fa: no such file; it is given as the labels of ion ZN"):
        label_files({"ZN": str(tmp_path / "none.fa")}, ions=["ZN"], groups={})
    with pytest.raises(InputError, match="ion CA: no labelled file; looked for its name in the mapping"):
        label_files({}, ions=["CA"], groups={})


def test_real_ions(shared: Path) -> None:
    ions = ["CA", "MG", "MN", "ZN"]
    proteins = load_proteins(label_files(shared / "data/metal_ions", ions=ions, groups={}), ions=ions, groups={})
    assert len(proteins) == 5335
    assert len(set(proteins.sequences)) == 5235
    assert proteins.labelled().sum(axis=0).tolist() == [1554, 1729, 547, 1646]
    assert proteins.positives().sum(axis=0).tolist() == [8442, 6317, 2556, 7727]
    msa, without = alignment_files(
        shared / "data/msa/esm_examples", looked_for=dict.fromkeys(["1xcr_1_A", "1xcr_A"], ("ZN",)), groups={}
    )
    assert list(msa) == ["1xcr_1_A"]
    assert without == ("1xcr_A",)
