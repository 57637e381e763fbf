"""What commands print: results on standard output, log messages and hints on standard error."""

import logging
import os
import shlex
import sys
from collections.abc import Sequence

import typer

from bindtune.printable import PrintableFormatter, printable


def log_to_terminal() -> None:
    """Show log messages of bindtune, and warnings of libraries, on standard error."""
    if not sys.stderr.isatty():
        # A log file gets lines. Libraries read these names when they are imported, which commands do later.
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    handler = logging.StreamHandler()
    handler.setFormatter(PrintableFormatter("%(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("bindtune").setLevel(logging.INFO)
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # the error that follows says it in one line


def say(text: str) -> None:
    """Print a text on standard output. An empty one prints nothing: of several processes only one has a result."""
    if text:
        typer.echo(printable(text))


def name_next(commands: Sequence[Sequence[object]]) -> None:
    """Print on standard error the commands that go on from here; of several processes only the first prints them."""
    if os.environ.get("RANK", "0") == "0":
        for words in commands:
            typer.echo(printable(f"next: bindtune {shlex.join(map(str, words))}"), err=True)
