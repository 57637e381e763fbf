"""Predictions of other tools: values at their residues, and what does not fit is refused with its line."""

import gzip
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bindtune.errors import InputError
from bindtune.io.tool_predictions import ToolPredictions, read_tool_predictions
from bindtune.io.training_proteins import read_training_proteins

PROTEINS = {"p1": "MCHX", "sp|P2|NAME": "CC"}
TABLE = "protein,position,ion,probability\n"
GPSITE = "No.\tAA\tDNA_binding\tZN_binding\tMG_binding\n"


def read(path: Path, content: str, *, name: str = "mine", base: int = 1) -> ToolPredictions:
    path.write_text(content)
    return read_tool_predictions(name, path, proteins=PROTEINS, ions=("ZN", "CA"), position_base=base)


def values(predictions: ToolPredictions, protein: str, ion: str) -> list[float]:
    return [round(float(value), 4) for value in predictions.probability[protein, ion]]


@pytest.mark.parametrize(("base", "delimiter"), [(1, ","), (0, "\t"), (1, "\t")])
def test_a_table_of_text(tmp_path: Path, base: int, delimiter: str) -> None:
    lines = [["Ion", "protein", "probability", "position", "residue", "call"]]
    lines += [["zn", "p1", str(0.1 * (position + 1)), str(position + base), letter, str(position % 2)]
              for position, letter in enumerate("MCHA")]  # fmt: skip
    lines += [["ZN", "elsewhere", "0.5", "1", "M", "1"], ["HEM", "p1", "0.5", str(base), "M", "1"]]
    predictions = read(tmp_path / "t.txt", "\n".join(map(delimiter.join, lines)) + "\n", base=base)
    assert values(predictions, "p1", "ZN") == [0.1, 0.2, 0.3, 0.4]
    assert predictions.call["p1", "ZN"].tolist() == [0, 1, 0, 1]
    assert (predictions.other_proteins, predictions.other_ions) == ({"elsewhere"}, {"HEM"})
    assert predictions.proteins("ZN") == {"p1"} and predictions.proteins("CA") == set()


def test_residues_that_are_not_in_the_table_are_not_numbers(tmp_path: Path) -> None:
    predictions = read(tmp_path / "t.csv", f"{TABLE}p1,3,CA,0.25\n")
    np.testing.assert_array_equal(
        predictions.probability["p1", "CA"], np.array([np.nan, np.nan, 0.25, np.nan], np.float32)
    )
    assert predictions.call == {} and predictions.line["p1", "CA"] == 2


def test_parquet_and_gzip(tmp_path: Path) -> None:
    columns = {"protein": ["p1", "p1"], "position": [1, 2], "ion": ["ZN", "ZN"], "probability": [0.5, 1.0]}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    predictions = read_tool_predictions("mine", tmp_path / "t.parquet", proteins=PROTEINS, ions=("ZN",))
    assert predictions.probability["p1", "ZN"][:2].tolist() == [0.5, 1.0]
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(f"{TABLE}p1,1,ZN,0.5\n".encode()))
    predictions = read_tool_predictions("mine", tmp_path / "t.csv.gz", proteins=PROTEINS, ions=("ZN",))
    assert predictions.probability["p1", "ZN"][0] == 0.5
    pq.write_table(pa.table({**columns, "position": [1, 9]}), tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"t\.parquet: record 2: 'p1': position 9, expected 1 to 4$"):
        read_tool_predictions("mine", tmp_path / "t.parquet", proteins=PROTEINS, ions=("ZN",))


def test_lmetalsite(tmp_path: Path) -> None:
    rows = [
        "ID,Sequence,ZN_prob,ZN_pred,MG_prob,MG_pred",
        'p1,MCHA,"0.1,1e-04,0.5,0.0","0,0,1,0","0,0,0,0","0,0,0,0"',
        'sp_P2,CC,"0.2,0.9","0,1","0,0","0,0"',
        'other,A,"0.2","0","0","0"',
    ]
    predictions = read(tmp_path / "l.csv", "\n".join(rows), name="LMetalSite")
    assert values(predictions, "p1", "ZN") == [0.1, 0.0001, 0.5, 0.0]
    assert values(predictions, "sp|P2|NAME", "ZN") == [0.2, 0.9]
    assert predictions.call["sp|P2|NAME", "ZN"].tolist() == [0, 1]
    assert (predictions.other_ions, predictions.other_proteins) == ({"MG"}, {"other"})


def test_gpsite(tmp_path: Path) -> None:
    (tmp_path / "overview.txt").write_text("ID\tLength\n")
    (tmp_path / "stranger.txt").write_text("nothing of interest\n")
    rows = ["1\tM\t0\t0.100\t0", "2\tC\t0\t0.501\t0", "3\tH\t0\t0.500\t0", "4\tA\t0\t0.000\t0"]
    (tmp_path / "p1.txt").write_text(GPSITE + "\n".join(rows) + "\n")
    predictions = read_tool_predictions("gpsite", tmp_path, proteins=PROTEINS, ions=("ZN", "CA"))
    assert values(predictions, "p1", "ZN") == [0.1, 0.501, 0.5, 0.0]
    assert predictions.call["p1", "ZN"].tolist() == [0, 1, 0, 0]
    assert predictions.other_ions == {"DNA", "MG"} and predictions.other_proteins == {"stranger"}
    one = read_tool_predictions("GPSite", tmp_path / "p1.txt", proteins=PROTEINS, ions=("ZN",))
    assert values(one, "p1", "ZN") == values(predictions, "p1", "ZN")


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("t", "", "t.txt: is empty, expected a table with the columns protein, position, ion, probability"),
        ("t", "protein,pos,ion,score\n", "t.txt:1: the header lacks position, probability: expected the columns"),
        ("t", "protein,ion,ion,position,probability\n", "t.txt:1: the header has two columns ion"),
        ("t", f"{TABLE}p1,1,ZN\n", "t.txt:2: 3 fields, expected 4 as in the header"),
        ("t", f"{TABLE}p1,0,ZN,0.5\n", "t.txt:2: 'p1': position 0, expected 1 to 4; --position-base 0 reads"),
        ("t", f"{TABLE}p1,9,ZN,0.5\n", "t.txt:2: 'p1': position 9, expected 1 to 4"),
        ("t", f"{TABLE}p1,1.5,ZN,0.5\n", "t.txt:2: position: expected a whole number, found '1.5'"),
        ("t", f"{TABLE}p1,1,ZN,1.5\n", "t.txt:2: probability: expected a number from 0 to 1, found '1.5'"),
        ("t", f"{TABLE}p1,1,ZN,nan\n", "t.txt:2: probability: expected a number from 0 to 1, found 'nan'"),
        ("t", f"{TABLE}p1,1,ZN,0.5\np1,1,ZN,0.5\n", "t.txt:3: 'p1': position 1 for ZN comes twice"),
        ("t", f"{TABLE}p1,1,HEM,0.5\n", "t.txt: has no ion of ZN, CA; it has HEM"),
        ("t", f"{TABLE}zz,1,ZN,0.5\n", "t.txt: has none of the 2 proteins that are compared; it has zz"),
        ("t", f"{TABLE},1,ZN,0.5\n", "t.txt:2: protein is empty"),
        ("t", TABLE.replace("\n", ",residue\n") + "p1,2,ZN,0.5,A\n", "t.txt:2: 'p1': residue 2 is A, expected C"),
        ("t", TABLE.replace("\n", ",call\n") + "p1,2,ZN,0.5,yes\n", "t.txt:2: call: expected 0 or 1, found 'yes'"),
        ("t", f'{TABLE}"p1,1,ZN,0.5\n', "t.txt:2: is not CSV: "),
        ("lmetalsite", "ID,Seq\n", "t.txt:1: expected LMetalSite's header ID,Sequence,ZN_prob,..., found 'ID,Seq'"),
        ("lmetalsite", 'ID,Sequence,ZN_prob\np1,MCH,"0,0,0"\n', "t.txt:2: 'p1' has 3 residues, expected 4"),
        ("lmetalsite", 'ID,Sequence,ZN_prob\np1,MCHA,"0,0"\n', "t.txt:2: ZN_prob of 'p1': 2 numbers, expected 4"),
        ("lmetalsite", 'ID,Sequence,ZN_prob\np1,MAHA,"0,0,0,0"\n', "t.txt:2: 'p1': residue 2 is A, expected C"),
        ("lmetalsite", 'ID,Sequence,ZN_prob\nz,M,"0"\nz,M,"0"\n', "t.txt:3: 'z' comes twice, first in line 2"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(tmp_path: Path, name: str, content: str, problem: str) -> None:
    with pytest.raises(InputError, match=re.escape(problem)):
        read(tmp_path / "t.txt", content, name=name)


def test_positions_from_one_are_not_read_from_zero(tmp_path: Path) -> None:
    rows = "".join(f"p1,{position},ZN,0.5\n" for position in range(1, 5))
    with pytest.raises(InputError, match=r":5: 'p1': position 4, expected 0 to 3; --position-base 1 reads"):
        read(tmp_path / "t.csv", TABLE + rows, base=0)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("1\tM\t0\t0\t0\n", ": 1 residues of 'p1', expected 4: GPSite leaves out odd letters"),
        ("1\tA\t0\t0\t0\n", ":2: 'p1': residue 1 is A, expected M"),
        ("1\tM\t0\n", ":2: 3 fields, expected 5"),
    ],
)
def test_gpsite_files_that_do_not_fit(tmp_path: Path, content: str, problem: str) -> None:
    (tmp_path / "p1.txt").write_text(GPSITE + content)
    with pytest.raises(InputError, match=re.escape(problem)):
        read_tool_predictions("gpsite", tmp_path, proteins=PROTEINS, ions=("ZN",))
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match=r"holds no ID\.txt, expected GPSite's folder pred"):
        read_tool_predictions("gpsite", empty, proteins=PROTEINS, ions=("ZN",))
    with pytest.raises(InputError, match=r"nowhere: cannot be read: No such file"):
        read_tool_predictions("gpsite", tmp_path / "nowhere", proteins=PROTEINS, ions=("ZN",))


def test_training_proteins(tmp_path: Path) -> None:
    path = tmp_path / "train.fa"
    path.write_text(">p1 human\nMC\nhx*\n>p2\nCC\n01\n>p2\nCC\n10\n")
    training = read_training_proteins(path)
    assert training.names == {"p1", "p2"} and training.sequences == {"p1": "MCHX", "p2": "CC"}
    path.write_text("# names\np1\n\nsp|P2|NAME\n")
    assert read_training_proteins(path) == ({"p1", "sp|P2|NAME"}, {})
    for content, problem in (
        ("", ": holds no protein"),
        (">p1\n", ":1: 'p1' has no sequence"),
        (">\nMC\n", ":1: the header holds no name"),
        (">p1\nM-C\n", ":2: '-' in the sequence of 'p1'"),
        (">p1\nMC\n>p1\nMM\n", ":3: 'p1' comes again with another sequence"),
        ("p1 human\n", ":1: expected one name, found 'p1 human'"),
        ("p1\n>p2\n", ":2: expected one name, found '>p2'"),
    ):
        path.write_text(content)
        with pytest.raises(InputError, match=re.escape(problem)):
            read_training_proteins(path)
