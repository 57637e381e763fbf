"""UniProt's flat text, JSON and tables: the same entries, whatever the format."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from bindtune.errors import InputError
from bindtune.io.uniprot import Feature, is_unnamed_metal, ligand_elements, read_uniprot

FLAT = """ID   TEST_HUMAN              Reviewed;          12 AA.
AC   P00001; Q00001;
DE   RecName: Full=Test;
FT   CHAIN           1..12
FT                   /note="Test"
FT   BINDING         3
FT                   /ligand="Zn(2+)"
FT                   /ligand_id="ChEBI:CHEBI:29105"
FT                   /ligand_label="1"
FT                   /ligand_note="catalytic, in a note that is long enough to be
FT                   wrapped /ligand=here"
FT                   /evidence="ECO:0000255|HAMAP-Rule:MF_01"
FT   BINDING         5..7
FT                   /ligand="Mg(2+) or Mn(2+)"
FT   BINDING         ?
FT                   /ligand="Ca(2+)"
FT   BINDING         P00001-2:4
FT                   /ligand="Zn(2+)"
FT   BINDING         8
FT                   /ligand="heme b"
FT                   /ligand_part="Fe"
FT   BINDING         <9..?10
FT                   /ligand="a divalent metal cation"
SQ   SEQUENCE   12 AA;  1 MW;  1 CRC64;
     MKHDHCHHEE DD
//
"""
CELL = (
    'BINDING 3; /ligand="Zn(2+)"; /ligand_id="ChEBI:CHEBI:29105"; /ligand_label="1"; /evidence="ECO:1; BINDING 9"; '
    'BINDING 5..7; /ligand="Mg(2+) or Mn(2+)"; BINDING ?; /ligand="Ca(2+)"; BINDING P00001-2:4; /ligand="Zn(2+)"; '
    'BINDING 8; /ligand="heme b"; /ligand_part="Fe"; BINDING <9..?10; /ligand="a divalent metal cation"'
)
TABLE = f"Entry\tReviewed\tBinding site\tSequence\nP00001\treviewed\t{CELL}\tMKHDHCHHEEDD\nP00002\treviewed\t\tMK\n"


def _site(start: Any, end: Any, ligand: str, *, part: str = "", label: str = "", isoform: str = "") -> dict[str, Any]:
    def position(value: Any) -> dict[str, Any]:
        if isinstance(value, tuple):
            return {"modifier": value[0], "value": value[1]}
        return {"value": value, "modifier": "EXACT"} if isinstance(value, int) else {"modifier": value}

    site: dict[str, Any] = {
        "type": "Binding site",
        "location": {"start": position(start), "end": position(end)},
        "ligand": {"name": ligand} | ({"label": label} if label else {}),
    }
    if isoform:
        site["location"]["sequence"] = isoform
    if part:
        site["ligandPart"] = {"name": part}
    return site


ENTRY = {
    "primaryAccession": "P00001",
    "features": [
        {"type": "Chain", "location": {"start": {"value": 1}, "end": {"value": 12}}},
        _site(3, 3, "Zn(2+)", label="1"), _site(5, 7, "Mg(2+) or Mn(2+)"), _site("UNKNOWN", "UNKNOWN", "Ca(2+)"),
        _site(4, 4, "Zn(2+)", isoform="P00001-2"), _site(8, 8, "heme b", part="Fe"),
        _site(("OUTSIDE", 9), ("UNSURE", 10), "a divalent metal cation"),
    ],
    "sequence": {"value": "MKHDHCHHEEDD", "length": 12},
}  # fmt: skip
FEATURES = [
    (3, 3, "", "Zn(2+)", "", "1", True),
    (5, 7, "", "Mg(2+) or Mn(2+)", "", "", True),
    (1, 12, "", "Ca(2+)", "", "", False),
    (4, 4, "P00001-2", "Zn(2+)", "", "", True),
    (8, 8, "", "heme b", "Fe", "", True),
    (1, 10, "", "a divalent metal cation", "", "", False),
]


@pytest.mark.parametrize(
    "content",
    [FLAT, TABLE, json.dumps({"results": [ENTRY]}), json.dumps([ENTRY]), json.dumps(ENTRY, indent=1)],
    ids=["flat", "table", "results", "list", "one entry"],
)
@pytest.mark.parametrize("packed", [False, True])
def test_formats_say_the_same(tmp_path: Path, content: str, packed: bool) -> None:
    path = tmp_path / "entries"
    path.write_bytes(gzip.compress(content.encode()) if packed else content.encode())
    entry = next(read_uniprot(path))
    assert (entry.accession, entry.sequence) == ("P00001", "MKHDHCHHEEDD")
    assert [Feature(*feature)[1:] for feature in entry.features] == FEATURES


@pytest.mark.parametrize(
    ("location", "start", "end"),
    [("<5", 1, 5), (">5", 5, 12), ("?5", 5, 5), ("?", 1, 12), ("?..5", 1, 5), ("5..?", 5, 12), ("<3..>5", 1, 12),
     ("3..>5", 3, 12), ("?3..?5", 3, 5)],
)  # fmt: skip
def test_a_place_that_is_not_exact_is_a_stretch(tmp_path: Path, location: str, start: int, end: int) -> None:
    (tmp_path / "e.txt").write_text(FLAT.replace("BINDING         3\n", f"BINDING         {location}\n"))
    feature = next(read_uniprot(tmp_path / "e.txt")).features[0]
    assert (feature.start, feature.end, feature.exact) == (start, end, False)


def test_a_table_that_a_spreadsheet_saved(tmp_path: Path) -> None:
    rows = [line.split("\t") for line in TABLE.splitlines()]
    quoted = ["\t".join(f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in reversed(row)) for row in rows]
    (tmp_path / "e.tsv").write_text("\r\n".join(quoted) + "\r\n")
    (tmp_path / "plain.tsv").write_text(TABLE)
    assert list(read_uniprot(tmp_path / "e.tsv")) == list(read_uniprot(tmp_path / "plain.tsv"))


def test_a_quote_within_a_note_is_doubled(tmp_path: Path) -> None:
    note = '/note="in ""open"" form"; BINDING 5'
    (tmp_path / "e.tsv").write_text(TABLE.replace("BINDING 3; ", f"BINDING 3; {note}; ", 1))
    assert [feature.start for feature in next(read_uniprot(tmp_path / "e.tsv")).features][:2] == [3, 5]


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "e.txt").write_text(FLAT + FLAT.replace("P00001", "P00002"))
    first, second = read_uniprot(tmp_path / "e.txt")
    assert [feature.line for feature in first.features] == [6, 13, 15, 17, 19, 22]
    assert (second.line, second.accession, second.features[0].line) == (27, "P00002", 32)


@pytest.mark.parametrize(
    ("ligand", "elements"),
    {"Zn(2+)": ("ZN",), "Fe cation": ("FE",), "Cu(+)": ("CU",), "La(3+)": ("LA",), "K(+)": ("K",),
     "Ca(2+), Mg(2+) and Mn(2+)": ("CA", "MG", "MN"), "NAD(+)": (), "Cl(-)": (), "heme b": (), "H(+)": (),
     "[4Fe-4S] cluster": (), "Zn(2+) or ATP": ()}.items(),
)  # fmt: skip
def test_ligands(ligand: str, elements: tuple[str, ...]) -> None:
    assert ligand_elements(ligand) == elements


def test_metals_without_a_name() -> None:
    named = ("a metal cation", "a divalent metal cation", "a monovalent cation", "lanthanide ion", "Zn(2+) or ATP")
    assert all(map(is_unnamed_metal, named))
    assert not any(map(is_unnamed_metal, ("Zn(2+)", "ATP", "a carboxylate", "heme b")))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", ":1: expected UniProt's flat text"),
        (
            TABLE.replace("Binding site", "Metal binding\tBinding site", 1),
            ":1: column Metal binding: METAL features",
        ),
        (">P1\nMK\n", ":1: expected UniProt's flat text"),
        (FLAT.removesuffix("//\n"), ":1: the entry has no end"),
        (FLAT.replace("//\n", "") + FLAT, ":26: the entry that begins in line 1 has no end"),
        (FLAT.replace("FT   BINDING         3", "FT   BINDING         33"), ":6: P00001: the feature 33..33 does not"),
        (FLAT.replace("FT   BINDING         3", "FT   BINDING         x"), ":6: expected a position such as 94 or"),
        (FLAT.replace("FT   BINDING         3", "FT   BINDING         3.."), ":6: expected a position such as 94 or"),
        (FLAT.replace("FT   BINDING         3", "FT   BINDING         ?33"), ":6: P00001: the feature 33..33 does not"),
        (FLAT.replace("FT   BINDING         3", "FT   METAL           3"), ":6: METAL features are of releases before"),
        (FLAT.replace("     MKHDHCHHEE DD\n", ""), ":1: P00001: expected a sequence of letters, found ''"),
        (FLAT.replace("AC   P00001; Q00001;\n", ""), ":1: expected an accession, found ''"),
        (TABLE.replace("Sequence", "Length"), ":1: lacks the column Sequence"),
        (TABLE.replace("P00002\treviewed", "P00002"), ":3: expected 4 columns, found 3"),
        (TABLE.replace("BINDING 3;", "BINDING x;"), ":2: expected a position"),
        (TABLE.replace("BINDING 3; ", ""), ":2: column Binding site: expected BINDING"),
        (TABLE.splitlines()[0] + "\n", ": holds no entry"),
        ('{"results": []}', ": holds no entry"),
        (json.dumps({"results": [ENTRY]})[:-40], ": record 1: not JSON"),
        (json.dumps([ENTRY, {"primaryAccession": "P2"}]), ": record 2: is no entry of UniProt"),
        (json.dumps([ENTRY | {"features": [{"type": "Metal binding"}]}]), ": record 1: METAL features"),
        (json.dumps([ENTRY | {"features": [_site(3, 99, "Zn(2+)")]}]), ": record 1: P00001: the feature 3..99"),
    ],
)
def test_what_is_refused(tmp_path: Path, content: str, problem: str) -> None:
    (tmp_path / "u").write_text(content)
    with pytest.raises(InputError, match=problem):
        list(read_uniprot(tmp_path / "u"))
