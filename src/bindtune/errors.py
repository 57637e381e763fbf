"""Errors that a user can fix. The command line prints their one line and exits with 2."""

from pathlib import Path


class BindtuneError(Exception):
    """The base of everything a user can fix; any other exception is a bug."""


class InputError(BindtuneError):
    """A file holds something that cannot be read.

    Args:
        path: the file, or None where the input has no file (standard input, a Python value).
        line: 1-based line or record number, or None for the file as a whole.
        problem: what was found and what was expected.
        unit: what `line` counts: "" for lines (``a.bed:17: ...``), "record" for records (``w.json: record 17: ...``).
    """

    def __init__(self, path: Path | str | None, line: int | None, problem: str, *, unit: str = "") -> None:
        where = "" if path is None else str(path)
        if line is not None:
            where += f": {unit} {line}" if unit else f":{line}"
        super().__init__(f"{where}: {problem}" if where else problem)
        self.path, self.line, self.problem, self.unit = path, line, problem, unit


class ConfigError(BindtuneError):
    """A setting is unknown, of the wrong type or impossible."""


class CheckpointError(BindtuneError):
    """Weights do not fit the model: a key left over, a parameter left unfilled, a shape that differs."""


class Interrupted(Exception):  # noqa: N818 (a state, not an error)
    """The run was asked to stop by SIGTERM, and saved what a resume needs."""


class CheckError(BindtuneError):
    """A check said no: nothing is wrong with the command, and the command line exits with 1."""
