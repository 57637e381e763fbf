"""One process at a time writes into a folder."""

from pathlib import Path

import pytest

from bindtune.errors import ConfigError
from bindtune.locks import lock
from bindtune.runs import exclusive
from bindtune.runs.exclusive import in_use, only_writer
from bindtune.runs.names import LOCK


def test_a_tidy_lock_leaves_only_what_was_written(tmp_path: Path) -> None:
    new = tmp_path / "a" / "b"
    with pytest.raises(RuntimeError), only_writer(new, tidy=True):
        assert [path.name for path in new.iterdir()] == [LOCK]
        raise RuntimeError
    assert not (tmp_path / "a").exists()
    with only_writer(new, tidy=True):
        (new / "file").touch()
    assert [path.name for path in new.iterdir()] == ["file"]
    with only_writer(new):
        pass
    assert sorted(path.name for path in new.iterdir()) == [LOCK, "file"]


def test_a_lock_whose_file_was_removed_is_taken_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lock_removed(descriptor: int, path: Path, **options: bool) -> bool:
        path.unlink()  # as the process does that had the folder until now
        monkeypatch.undo()
        return lock(descriptor, path, **options)

    monkeypatch.setattr(exclusive, "lock", lock_removed)
    with only_writer(tmp_path):
        assert in_use(tmp_path)
        with pytest.raises(ConfigError, match="is in use by another process"), only_writer(tmp_path):
            pass
