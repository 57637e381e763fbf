"""Runs say what they came from."""

import hashlib
import json
from pathlib import Path

import pytest

from bindtune.errors import ConfigError, InputError
from bindtune.runs.provenance import provenance, refuse_other_inputs, sha256


def test_hash(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"ACGT" * 100_000)
    assert sha256(path) == hashlib.sha256(b"ACGT" * 100_000).hexdigest()
    with pytest.raises(InputError, match=r"missing: cannot be read: No such file"):
        sha256(tmp_path / "missing")


def test_provenance_is_json_with_versions_and_hashes(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x")
    findings = json.loads(json.dumps(provenance({"train_file": path}, ("numpy",))))
    assert set(findings["versions"]) == {"bindtune", "numpy"}
    assert findings["inputs"] == {"train_file": {"path": str(path), "sha256": hashlib.sha256(b"x").hexdigest()}}
    assert {"command", "started", "python", "platform"} < set(findings)


def test_a_folder_is_known_by_the_names_and_contents_of_its_files(tmp_path: Path) -> None:
    def of_folder() -> object:
        return provenance({"predictions of gpsite": tmp_path}, ())["inputs"]["predictions of gpsite"]["sha256"]

    for name in ("b", "a"):
        (tmp_path / name).write_text(name)
    lines = "".join(f"{name}\t{hashlib.sha256(name.encode()).hexdigest()}\n" for name in ("a", "b"))
    assert of_folder() == hashlib.sha256(lines.encode()).hexdigest()
    (tmp_path / "b").write_text("c")
    changed = of_folder()
    (tmp_path / "b").rename(tmp_path / "c")
    assert of_folder() != changed != hashlib.sha256(lines.encode()).hexdigest()


def test_other_inputs_are_named(tmp_path: Path) -> None:
    signed = tmp_path / "provenance.json"
    signed.write_text(json.dumps({"inputs": {"a": {"sha256": "1"}, "b": {"sha256": "2"}}}))
    refuse_other_inputs(signed, {"inputs": {"b": {"sha256": "2"}, "a": {"sha256": "1"}}})
    with pytest.raises(ConfigError, match=r"began with: b has another content; c is new$"):
        refuse_other_inputs(signed, {"inputs": {"a": {"sha256": "1"}, "b": {"sha256": "3"}, "c": {"sha256": "4"}}})
    signed.write_text("{")
    with pytest.raises(InputError, match="not JSON"):
        refuse_other_inputs(signed, {"inputs": {}})
    signed.write_text('{"inputs": {"a": 1}}')
    with pytest.raises(InputError, match="is damaged: expected inputs, each with a path and a sha256"):
        refuse_other_inputs(signed, {"inputs": {}})
