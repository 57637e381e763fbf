"""Files are written whole or not at all, and runs say what they came from."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from bindtune.errors import InputError
from bindtune.runs import atomic_path, provenance, sha256, write_text


def test_a_file_appears_whole_with_usual_rights(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.txt"
    before = os.umask(0o027)
    try:
        write_text(path, "grün\n")
    finally:
        os.umask(before)
    assert path.read_text(encoding="utf-8") == "grün\n"
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_hash(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"ACGT" * 100_000)
    assert sha256(path) == hashlib.sha256(b"ACGT" * 100_000).hexdigest()
    with pytest.raises(InputError, match=r"missing: cannot be read: No such file"):
        sha256(tmp_path / "missing")


def test_provenance_is_json_with_versions_and_hashes(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x")
    found = json.loads(json.dumps(provenance({"train_file": path}, ("numpy",))))
    assert set(found["versions"]) == {"bindtune", "numpy"}
    assert found["inputs"] == {"train_file": {"path": str(path), "sha256": hashlib.sha256(b"x").hexdigest()}}
    assert {"command", "started", "python", "platform"} < set(found)
