"""The versions that are claimed to be tested: those that pyproject.toml allows at least and the lock holds at most."""

import re
import tomllib
from pathlib import Path

import pytest

from bindtune.doctor import machine
from bindtune.doctor.tested import TESTED, doubt

ROOT = Path(__file__).parents[3]


def test_the_lowest_versions_are_those_that_may_be_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    bounds = dict(re.fullmatch(r"([\w.-]+)>=([\d.]+)", each).groups() for each in project["dependencies"])  # type: ignore[union-attr,misc]
    bounds["Python"] = project["requires-python"].removeprefix(">=")
    assert {name: lowest for name, (lowest, _) in TESTED.items()} == {name: bounds[name] for name in TESTED}


def test_the_highest_versions_are_those_of_the_lock_and_torch_is_no_older() -> None:
    highest: dict[str, str] = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if match := re.match(r"([\w.-]+)==(\d+(?:\.\d+)*)", line):  # once for each Python, where that matters
            both = (match[2], highest.get(match[1], "0"))
            highest[match[1]] = max(both, key=lambda text: tuple(map(int, text.split("."))))
    claimed = {name: version for name, (_, version) in TESTED.items() if name != "Python"}
    torch, locked = claimed.pop("torch"), highest["torch"]
    assert tuple(map(int, torch.split("."))) >= tuple(map(int, locked.split(".")))
    assert claimed == {name: highest[name] for name in claimed}


@pytest.mark.parametrize(
    ("name", "version", "word"),
    [
        ("torch", "2.13.0+cu128", None),
        ("torch", "2.8.0", None),
        ("torch", "2.7.9", "older"),
        ("torch", "2.14.2", "newer"),
        ("torch", "2.15.0.dev20261101+cpu", "newer"),
        ("transformers", "6.0", "newer"),
        ("Python", "3.14.3", None),
        ("Python", "3.10.9", "older"),
        ("Python", "3.15.0rc1", "newer"),
        ("pyarrow", "21.0.0", None),
        ("pyarrow", "20.0.0", "older"),
    ],
)
def test_versions_outside_of_what_was_tested(name: str, version: str, word: str | None) -> None:
    assert doubt(name, version) == (None if word is None else f"{word} than the tested versions")


def test_doctor_names_what_was_tested_and_warns_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {name: highest for name, (_, highest) in TESTED.items()} | {
        "bindtune": "0.1.0",
        "transformers": "5.99.0",
    }
    monkeypatch.setattr(machine, "version", installed.__getitem__)
    findings = {one.name: one for one in machine.check_versions()}
    assert findings["peft"].status == "ok"
    assert findings["peft"].text == f"{TESTED['peft'][1]}, tested {' to '.join(TESTED['peft'])}"
    assert findings["transformers"].status == "warning"
    assert findings["transformers"].text.startswith("5.99.0, tested 5.23 to ")
    assert findings["transformers"].text.endswith(": newer than the tested versions")
    assert findings.keys() == {"bindtune", *TESTED}
