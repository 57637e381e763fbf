"""Assemblies: expressions of operations, and matrices in mmCIF and in REMARK 350."""

import numpy as np
import pytest
from biotite.structure.io.pdbx import CIFFile

from bindtune.io.assemblies import cif_copies, operations, pdb_copies


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("1", ["1"]),
        ("1,X0,3", ["1", "X0", "3"]),
        ("(1-3)", ["1", "2", "3"]),
        ("(1,2)(5-6)", ["1 5", "1 6", "2 5", "2 6"]),
        ("(X0)(1-2)", ["X0 1", "X0 2"]),
        ("P", ["P"]),
    ],
)
def test_expressions(expression: str, names: list[str]) -> None:
    assert [" ".join(each) for each in operations(expression)] == names


@pytest.mark.parametrize(
    ("expression", "problem"),
    [("", "is empty"), ("(1-3", "malformed"), ("(1,,2)", "empty name"), ("(3-1)", "range 3-1"),
     ("(1-999999)", "range"), ("(1-9000)(1-9000)", "more than 20,000 copies")],
)  # fmt: skip
def test_expressions_that_cannot_be(expression: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        operations(expression)


def _cif(matrix: str = "0 -1 0 1 0 0 0 0 1", expression: str = "(1)(2)") -> str:
    names = " ".join(f"_pdbx_struct_oper_list.matrix[{i}][{j}]" for i in (1, 2, 3) for j in (1, 2, 3))
    names += " " + " ".join(f"_pdbx_struct_oper_list.vector[{i}]" for i in (1, 2, 3))
    columns = "\n".join(["_pdbx_struct_oper_list.id", *names.split()])
    return f"""data_x
_pdbx_struct_assembly_gen.assembly_id 1
_pdbx_struct_assembly_gen.oper_expression '{expression}'
_pdbx_struct_assembly_gen.asym_id_list A,B
loop_
{columns}
1 1 0 0 0 1 0 0 0 1 10 0 0
2 {matrix} 0 0 5
"""


def test_the_last_operation_comes_first() -> None:
    (copy,) = cif_copies(CIFFile.deserialize(_cif())["x"], "1")
    assert copy.units == {"A", "B"}
    np.testing.assert_allclose(copy.rotation @ np.array([1.0, 0, 0]) + copy.shift, [10, 1, 5])
    assert cif_copies(CIFFile.deserialize(_cif())["x"], "2") == ()
    assert cif_copies(CIFFile.deserialize("data_x\n_a.b 1\n")["x"], "1") == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (_cif(expression="7"), "'7', which is not listed"),
        (_cif("2 0 0 0 2 0 0 0 2"), "no rotation"),
        (_cif("1e9 0 0 0 1 0 0 0 1"), "no rotation"),
        (_cif("1 0 0 0 1 0 0 0 x"), "could not convert"),
    ],
)
def test_operations_that_cannot_be(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        cif_copies(CIFFile.deserialize(text)["x"], "1")


REMARK = """REMARK 350 BIOMOLECULE: 1
REMARK 350 APPLY THE FOLLOWING TO CHAINS: A, B,
REMARK 350                    AND CHAINS: C
REMARK 350   BIOMT1   1  1.000000  0.000000  0.000000        0.00000
REMARK 350   BIOMT2   1  0.000000  1.000000  0.000000        0.00000
REMARK 350   BIOMT3   1  0.000000  0.000000  1.000000        0.00000
REMARK 350   BIOMT1   2 -1.000000  0.000000  0.000000        4.00000
REMARK 350   BIOMT2   2  0.000000 -1.000000  0.000000        0.00000
REMARK 350   BIOMT3   2  0.000000  0.000000  1.000000        0.00000
REMARK 350 BIOMOLECULE: 2
REMARK 350 APPLY THE FOLLOWING TO CHAINS: D
REMARK 350   BIOMT1   1  1.000000  0.000000  0.000000        0.00000
REMARK 350   BIOMT2   1  0.000000  1.000000  0.000000        0.00000
REMARK 350   BIOMT3   1  0.000000  0.000000  1.000000        0.00000
"""


def test_remark_350() -> None:
    first, second = pdb_copies(REMARK.splitlines(), "1")
    assert first.units == second.units == {"A", "B", "C"}
    np.testing.assert_allclose(second.rotation @ np.array([1.0, 2, 3]) + second.shift, [3, -2, 3])
    (only,) = pdb_copies(REMARK.splitlines(), "2")
    assert only.units == {"D"}
    assert pdb_copies(REMARK.splitlines(), "3") == ()
    with pytest.raises(ValueError, match="lacks a row BIOMT"):
        pdb_copies([line for line in REMARK.splitlines() if "BIOMT2   2" not in line], "1")
