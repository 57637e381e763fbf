"""Names and text are UTF-8 whatever the locale is, and nothing that is printed can fail."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bindtune.encoding import print_everything, refuse_other_encodings, use_utf8
from bindtune.errors import InputError

_C = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
_SHOWS = """
import os, sys
from bindtune.encoding import use_utf8
use_utf8()
print(os.getpid(), sys.getfilesystemencoding(), sys.argv[1:], ascii(sys.argv[1]))
"""


def run(*words: str, environment: dict[str, str], options: tuple[str, ...] = ()) -> tuple[int, list[str]]:
    """The process that was started, and what it prints."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHONIO"))}
    process = subprocess.Popen(
        [sys.executable, *options, *words], env=inherited | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, error = process.communicate()
    assert process.returncode == 0, error
    return process.pid, out.decode().split(maxsplit=2)


def test_the_interpreter_is_in_utf8_mode_in_the_same_process() -> None:
    pid, (shown, encoding, words) = run("-c", _SHOWS, "dir ü/é", environment=_C)
    assert (int(shown), encoding) == (pid, "utf-8")
    assert words.splitlines() == ["['dir ü/é'] 'dir \\xfc/\\xe9'"]


def test_an_interpreter_that_ignores_the_environment_is_started_again_once() -> None:
    _, (_, encoding, _) = run("-c", _SHOWS, "a", environment=_C, options=("-X", "utf8=0"))
    assert encoding in ("ascii", "utf-8")


def test_a_program_that_calls_the_command_line_keeps_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "ascii")
    monkeypatch.setenv("PYTHONUTF8", "")  # put back afterwards
    monkeypatch.delenv("PYTHONUTF8")
    started: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda program, words: started.append([program, *words]))
    for words in (["bindtune"], ["bindtune", "report", "run"]):
        monkeypatch.setattr(sys, "argv", words)
        use_utf8()
    assert not started and "PYTHONUTF8" not in os.environ
    monkeypatch.setattr(sys, "orig_argv", ["python", "-u", "-m", "bindtune", "report", "run"])
    use_utf8()
    assert started == [[sys.executable, sys.executable, "-X", "utf8=1", "-u", "-m", "bindtune", "report", "run"]]
    use_utf8()
    assert len(started) == 1


def test_a_terminal_of_another_encoding_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "iso8859-1")
    monkeypatch.setattr(sys, "argv", ["bindtune", "report"])
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "bindtune", "report"])
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="iso8859-1"))
    monkeypatch.setattr(os, "execv", lambda *_: None)
    for name in ("PYTHONUTF8", "PYTHONIOENCODING"):
        monkeypatch.setenv(name, "")  # put back afterwards
        monkeypatch.delenv(name)
    use_utf8()
    assert os.environ["PYTHONIOENCODING"] == "iso8859-1:backslashreplace"


def test_letters_that_the_terminal_lacks_are_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    streams = {name: io.TextIOWrapper(io.BytesIO(), encoding="ascii") for name in ("stdout", "stderr")}
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    print_everything()
    for stream in streams.values():
        stream.write("ü\udcfc\ud800")
        stream.flush()
        assert stream.buffer.getvalue() == b"\\xfc\\udcfc\\ud800"  # type: ignore[attr-defined]
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    print_everything()


def test_words_that_are_not_utf8_are_refused(tmp_path: Path) -> None:
    refuse_other_encodings(["predict", "--fasta", "dir ü/p é.fa"])
    with pytest.raises(InputError, match=r"^'dir \\udcfc/p.fa' is not UTF-8, expected names in UTF-8: rename"):
        refuse_other_encodings(["predict", "--fasta", os.fsdecode(b"dir \xfc/p.fa")])
