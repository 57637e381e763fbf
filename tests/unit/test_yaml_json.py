"""YAML and JSON: what plain words are, what is refused, and that what is written is read again as it was."""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bindtune.errors import InputError
from bindtune.yaml_json import checked_number, read_document, read_json, read_value, write_document


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("NO", "NO"), ("no", "no"), ("Yes", "Yes"), ("y", "y"), ("on", "on"), ("OFF", "OFF"),
        ("true", True), ("False", False), ("~", None), ("", None), ("Null", None),
        ("1e-4", 1e-4), ("-2E+3", -2000.0), ("1.5e3", 1500.0), (".5", 0.5), ("5.", 5.0), ("-.inf", float("-inf")),
        ("1E10", "1E10"), ("1e5", "1e5"), ("12:30", "12:30"), ("2024-01-01", "2024-01-01"), ("0o10", "0o10"),
        ("0x1F", "0x1F"), ("0b1", "0b1"), ("007", "007"), ("1_000", "1_000"), ("0", 0), ("-12", -12), ("+3", 3),
        ("=", "="), ("'NO'", "NO"), ('"1"', "1"),
    ],
)  # fmt: skip
def test_plain_words_are_what_a_biologist_means(text: str, value: object) -> None:
    document = read_value(text)
    assert document == value
    assert type(document) is type(value)


@given(
    st.dictionaries(
        st.text(max_size=8), st.text(max_size=8) | st.floats(allow_nan=False) | st.integers() | st.booleans()
    )
)
def test_what_is_written_is_read_again_here_and_by_yaml_libraries(content: dict[str, object]) -> None:
    text = write_document(content)
    assert read_value(text) == content
    assert yaml.safe_load(text) == content


@pytest.mark.parametrize("name", ["NO", "1e-4", "1E-4", "2e+3", "007", "1:30", "true", "~", "", "2024-01-01", "="])
def test_names_that_look_like_values_are_quoted(name: str) -> None:
    assert read_value(write_document({name: [name]})) == {name: [name]}


@pytest.mark.parametrize(
    "text", ["[", "a: b: c", "&a [*a]", "[" * 5000, "!!timestamp 2001-99-99", "{a: 1, a: 2}", "9" * 5000]
)
def test_a_value_that_is_none_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        read_value(text)


@pytest.mark.parametrize("value", [True, "1", None, [1], float("nan"), float("inf"), -0.1, 1.1, 10**400])
def test_what_is_no_number_is_refused_with_its_file_and_name(value: object) -> None:
    with pytest.raises(InputError, match=r"^t.yaml: ZN.threshold: expected a number from 0 to 1, found "):
        checked_number(Path("t.yaml"), "ZN.threshold", value, low=0, high=1)
    assert checked_number(Path("t.yaml"), "x", 1, low=0, high=1) == 1.0


@pytest.mark.parametrize("value", [10**400, -(10**400), float("inf"), float("-inf"), float("nan")])
def test_no_bounds_are_no_leave_for_infinity(value: float) -> None:
    with pytest.raises(InputError, match="x: expected a number, found "):
        checked_number(Path("t.yaml"), "x", value)


def test_a_name_that_comes_twice_is_refused_in_json(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text('{"r": 4, "inner": {"a": 1, "a": 2}}')
    assert json.loads(path.read_text())["inner"] == {"a": 2}
    with pytest.raises(InputError, match=r"c\.json: not JSON: 'a' comes twice"):
        read_json(path)


def test_merged_values_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("a: &a {x: 1}\nb: {<<: *a, y: 2}\n")
    assert read_document(path) == {"a": {"x": 1}, "b": {"x": 1, "y": 2}}
    keys = ", ".join(f"k{number}: 1" for number in range(200))
    path.write_text(f"a: &a {{{keys}}}\nb: {{<<: [{', '.join(['*a'] * 1000)}]}}\n")
    with pytest.raises(InputError, match="more than 100,000 values, merged"):
        read_document(path)
