"""BioLiP: columns, ligands, residues that must be those of the sequence."""

from pathlib import Path

import pytest

from bindtune.errors import InputError
from bindtune.io.biolip import SiteResidue, read_biolip

SEQUENCE = "MKHDHC"


def line(ligand: str = "ZN", *, pdb: str = "H70 D-3 H72A", places: str = "H3 D4 H5", **changes: str) -> str:
    cells = ["1OI0", "A", "1.50", "BS01", ligand, "B", "1", pdb, places, "", "", "3.4", "GO", "", "", "", "", "O28085",
             "1", "201", SEQUENCE]  # fmt: skip
    for number, value in changes.items():
        cells[int(number[1:]) - 1] = value
    return "\t".join(cells) + "\n"


def test_a_site(tmp_path: Path) -> None:
    path = tmp_path / "BioLiP.txt"
    path.write_text(line() + line("HEM", pdb="nonsense") + "\n" + line("CA", c3="-1.00"))
    zinc, calcium = read_biolip(path, {"ZN", "CA"})
    assert (zinc.line, zinc.structure, zinc.chain, zinc.resolution, zinc.component) == (1, "1oi0", "A", 1.5, "ZN")
    assert (zinc.ligand_chain, zinc.ligand_number, zinc.sequence) == ("B", "201", SEQUENCE)
    assert zinc.residues == (SiteResidue("H", "70", 3), SiteResidue("D", "-3", 4), SiteResidue("H", "72A", 5))
    assert (calcium.line, calcium.resolution) == (4, None)
    cells = line().rstrip("\n").split("\t")
    path.write_text("\t".join(cells[:19] + cells[20:]) + "\n")  # as older releases have it
    (old,) = read_biolip(path, {"ZN"})
    assert (old.ligand_number, old.sequence) == ("1", SEQUENCE)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", ": holds no site"),
        ("1oi0\tA\n", ":1: expected 20 or 21 columns parted by tabs, found 2"),
        (line(places="H3 D4 H6"), ":1: column 9: H6 is not in the sequence of 6 residues"),
        (line(places="H3 D4 H99"), ":1: column 9: H99 is not in"),
        (line(places="H3 D4 H0"), ":1: column 9: H0 is not in"),
        (line(places="H3 D4"), ":1: columns 8 and 9 do not name the same residues"),
        (line(pdb="", places=""), ":1: column 8 names no residue"),
        (line(pdb="H70;"), ":1: column 8: expected residues such as H94, found 'H70;'"),
        (line(c21="MK-"), ":1: column 21: expected a sequence of letters, found 'MK-'"),
        (line(c3="high"), ":1: column 3: expected a resolution, found 'high'"),
        (line(c1="?"), ":1: column 1: expected an entry of the PDB"),
        (line(c2="\x1b"), ":1: .* holds a control character"),
        (line(c3="x") + line() + line(c3="y"), r": 2 problems\n.*:1: .*\n.*:3: "),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "b.txt").write_text(text)
    with pytest.raises(InputError, match=problem):
        list(read_biolip(tmp_path / "b.txt", {"ZN"}))
