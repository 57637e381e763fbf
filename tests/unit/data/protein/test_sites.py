"""Records of equal sequences, and groups of ions."""

import numpy as np
import pytest

from bindtune.config import SitesConfig
from bindtune.data.protein.sites import Records, elements_of
from bindtune.errors import ConfigError


def mask(text: str) -> np.ndarray:
    return np.array([letter == "1" for letter in text])


def test_equal_sequences_are_one_record_with_the_union_of_their_sites() -> None:
    records = Records()
    assert records.add("1abc_A", "MKHHC", mask("11100"), {"ZN": mask("00100")}) == "1abc_A"
    assert records.add("2abc_B", "MKHHC", mask("01110"), {"ZN": mask("00010"), "CA": mask("01000")}) == "1abc_A"
    assert records.add("3abc_C", "MKHHC", mask("01110"), {}) == "1abc_A"
    assert records.add("4abc_A", "MKHH", mask("1111"), {"ZN": mask("0011")}) == "4abc_A"
    assert len(records) == 2
    first, second = records.of("ZN")
    assert (first.name, first.chains, first.labels("ZN", unknown="?")) == ("1abc_A", 3, "0011?")
    assert first.labels("ZN", unknown="0") == "00110" and first.labels("CA", unknown="?") == "0100?"
    # Three chains show residue 3 and two show residue 4; one chain binds with each. The third chain has no zinc.
    assert first.counts("ZN") == {"binding": 2, "not_binding": 2, "unknown": 1, "disagreeing": 2}
    assert second.counts("ZN")["disagreeing"] == 0
    assert [record.name for record in records.of("CA")] == ["1abc_A"] and second.labels("ZN", unknown="?") == "0011"


def test_a_name_that_comes_again_gets_a_number() -> None:
    records = Records()
    names = [records.add("x_A", sequence, mask("1"), {}) for sequence in ("M", "K", "H")]
    assert names == ["x_A", "x_A.2", "x_A.3"]
    # A chain may be called so.
    assert [records.add(name, letters, mask("1"), {}) for name, letters in (("x_A.2", "W"), ("x_A.4", "Y"))] == [
        "x_A.2.2",
        "x_A.4",
    ]
    assert records.add("x_A", "F", mask("1"), {}) == "x_A.5"


def test_what_no_one_is_certain_of_is_unknown() -> None:
    records = Records()
    shown = mask("11111")
    records.add("P1", "MKHHC", shown, {"ZN": mask("00100"), "CA": mask("00001")}, {"ZN": mask("01110")})
    records.add("P2", "MKHHC", shown, {"ZN": mask("01000")})  # it does not take the doubt away, but a site does
    (record,) = records.of("ZN")
    assert (record.labels("ZN", unknown="?"), record.labels("CA", unknown="?")) == ("011?0", "00001")
    assert record.counts("ZN") == {"binding": 2, "not_binding": 2, "unknown": 1, "disagreeing": 0}
    assert record.counts("CA") == {"binding": 1, "not_binding": 4, "unknown": 0, "disagreeing": 1}


def test_groups() -> None:
    groups = SitesConfig.model_fields["ion_groups"].default
    assert elements_of("LREE", groups) == ("LA", "CE", "PR", "ND", "PM", "SM", "EU")
    assert elements_of("HREE", groups) == ("GD", "TB", "DY", "HO", "ER", "TM", "YB", "LU", "Y")
    assert elements_of("REE", groups) == elements_of("LREE", groups) + elements_of("HREE", groups)
    assert elements_of("zn", groups) == ("ZN",)
    for name, problem in {"XX": "'XX' is unknown, expected a metal's symbol such as ZN, or one of LREE, HREE, REE",
                          "CL": "'CL' is unknown"}.items():  # fmt: skip
        with pytest.raises(ConfigError, match=problem):
            elements_of(name, groups)
    with pytest.raises(ConfigError, match="A contains itself through A and B"):
        elements_of("A", {"A": ["B"], "B": ["A"]})
    with pytest.raises(ConfigError, match="A has no members"):
        elements_of("A", {"A": []})
