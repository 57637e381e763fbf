"""A command that fails ends with a line even where it has taken the last of the memory."""

import subprocess
import sys

import pytest

_TAKES_ALL = """
import resource
from bindtune.exit_codes import run

def command():
    pages = int(open("/proc/self/statm").read().split()[0])
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (16 << 20), most))
    held = None
    for size in (1 << 16, 1 << 10, 1):
        try:
            while True:
                held = held, bytes(size)
        except MemoryError:
            pass
    raise MemoryError  # its traceback holds this frame, so that nothing is freed

run(command)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep no limit of address space")
def test_a_line_is_printed_where_no_memory_is_left() -> None:
    ended = subprocess.run([sys.executable, "-c", _TAKES_ALL], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.startswith("bindtune: out of memory: this process may use ")
    assert ended.stderr.count("\n") == 1
