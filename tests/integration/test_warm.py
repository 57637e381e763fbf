"""The warm interpreter of other tests behaves as one that starts."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TELLS = """
import os, sys
print(os.getcwd(), os.environ["GIVEN"], sys.argv[1:], __name__, sys.stdin.read())
print("heard", file=sys.stderr)
sys.exit(7)
"""
SLEEPS = """
import os, pathlib, time
pathlib.Path("process").write_text(str(os.getpid()))
time.sleep(60)
"""


def test_a_script_gets_what_it_would_get(warm_python: Path, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(TELLS)
    options = {"cwd": tmp_path, "env": {**os.environ, "GIVEN": "x y"}, "input": "in", "text": True}
    endings = [
        subprocess.run([python, "-u", "script.py", "--a", "b c"], capture_output=True, **options)
        for python in (sys.executable, warm_python)
    ]
    assert endings[0].stdout == f"{tmp_path} x y ['--a', 'b c'] __main__ in\n"
    assert [(each.returncode, each.stdout, each.stderr) for each in endings] == [(7, endings[0].stdout, "heard\n")] * 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_signals_reach_the_fork(warm_python: Path, tmp_path: Path, number: int) -> None:
    (tmp_path / "script.py").write_text(SLEEPS)
    process_file = tmp_path / "process"
    with subprocess.Popen([warm_python, "script.py"], cwd=tmp_path, stderr=subprocess.PIPE) as process:
        while not (process_file.exists() and process_file.read_text()):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(number)
        assert process.wait(120) == -number
    until = time.monotonic() + 120
    while Path(f"/proc/{process_file.read_text()}").exists():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_what_was_read_at_import_cannot_change(warm_python: Path) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "0"}
    done = subprocess.run([warm_python, "-m", "bindtune"], env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "HF_HUB_OFFLINE was 1 when modules were imported and is 0" in done.stderr
