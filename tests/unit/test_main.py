"""The command before its command line is imported."""

import sys
from importlib.abc import MetaPathFinder
from typing import Any

import pytest

from bindtune import __main__


class Interrupting(MetaPathFinder):
    """Ctrl-C while the command line is imported."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> None:
        if fullname == "bindtune.cli":
            raise KeyboardInterrupt


def test_ctrl_c_during_the_import_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "bindtune.cli", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Interrupting(), *sys.meta_path])
    with pytest.raises(SystemExit) as stopped:
        __main__.main()
    assert stopped.value.code == 130
    assert capsys.readouterr().err == "bindtune: interrupted\n"
