"""Errors that a user can fix. The command line prints their one line and exits with 2."""

import re
import signal
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from bindtune.printable import message_line

_ADVICE = re.compile(
    r"weights_only|safe_globals|trust_remote_code|allow_pickle|ignore_mismatched_sizes|no[-_]verify|verify\s*=\s*False"
    r"|use_safetensors\s*=\s*False|dangerous_deserialization|arbitrary code",
    re.IGNORECASE,
)
"""What libraries advise, and what would undo a check of bindtune."""
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n")


class BindtuneError(Exception):
    """The base of everything a user can fix; any other exception is a bug.

    Args:
        message: one line; characters that a terminal acts upon become escapes, and long words and lines are shortened.
        listing: further lines.
    """

    def __init__(self, message: str, *, listing: Sequence[str] = ()) -> None:
        super().__init__("\n".join(map(message_line, [message, *listing])))


def library_text(error: object, most: int = 200) -> str:
    r"""What a library says of a fault, in one line, up to the first sentence that advises to switch off a check.

    Args:
        error: of the library, or its message.
        most: letters that are shown.

    Examples:
        >>> library_text(ValueError("The file is cut off.\nSet weights_only=False to go on."))
        'The file is cut off.'
    """
    text = str(error)
    if _ADVICE.search(text):
        sentences = _SENTENCE.split(text)
        end = next((n for n, sentence in enumerate(sentences) if _ADVICE.search(sentence)), len(sentences))
        text = " ".join(sentences[:end])
    return " ".join(text.split())[:most] or type(error).__name__


def is_panic(error: BaseException) -> bool:
    """Whether a library in Rust gave up: its error is no Exception, and has no public class."""
    return type(error).__name__ == "PanicException"


class InputError(BindtuneError):
    """A file holds something that cannot be read.

    Args:
        path: the file, or None where the input has no file (standard input, a Python value).
        line: 1-based line or record number, or None for the file as a whole.
        problem: what was found and what was expected.
        unit: what `line` counts: "" for lines (``a.bed:17: ...``), "record" for records (``w.json: record 17: ...``).
        listing: further lines of the message.
    """

    def __init__(
        self,
        path: Path | str | None,
        line: int | None,
        problem: str,
        *,
        unit: str = "",
        listing: Sequence[str] = (),
    ) -> None:
        where = "" if path is None else str(path)
        if line is not None:
            where += f": {unit} {line}" if unit else f":{line}"
        super().__init__(f"{where}: {problem}" if where else problem, listing=listing)
        self.path, self.line, self.problem, self.unit = path, line, problem, unit
        self._listing = tuple(listing)

    def __reduce__(self) -> tuple[Callable[..., "InputError"], tuple[object, ...]]:
        # Else another process makes it of its message alone, and fails: a pool then waits without end.
        return partial(InputError, unit=self.unit, listing=self._listing), (self.path, self.line, self.problem)


class Problems:
    """Gathers what is wrong with an input, so that all of it is said at once.

    Args:
        path: what the error as a whole is about.
    """

    _LISTED = 20

    def __init__(self, path: Path | str | None) -> None:
        self._path = path
        self._first: list[InputError] = []
        self._count = 0

    def __bool__(self) -> bool:
        return self._count > 0

    def add(self, line: int | None, problem: str, *, path: Path | str | None = None) -> None:
        """Note a problem; `path` where it lies in another file."""
        self._count += 1
        if len(self._first) < self._LISTED:
            self._first.append(InputError(self._path if path is None else path, line, problem))

    def raise_any(self) -> None:
        """Raise what was noted: the one problem, or their number and each on a line of its own.

        Raises:
            InputError: there was a problem.
        """
        if self._count == 1:
            raise self._first[0]
        if self._count:
            listing = list(map(str, self._first))
            if self._count > len(self._first):
                listing.append(f"and {self._count - len(self._first)} more")
            raise InputError(self._path, None, f"{self._count} problems", listing=listing)


class ConfigError(BindtuneError):
    """A setting is unknown, of the wrong type or impossible."""


class CheckpointError(BindtuneError):
    """Weights do not fit the model: a key left over, a parameter left unfilled, a shape that differs."""


class Interrupted(Exception):  # noqa: N818 (a state, not an error)
    """A signal asked the run to stop, and it saved what a resume needs.

    Args:
        message: how to go on.
        number: of the signal; None counts as SIGTERM: another process got it.
    """

    def __init__(self, message: str, *, number: int | None = None) -> None:
        super().__init__(message)
        self.signal = signal.Signals(number or signal.SIGTERM)


class CheckError(BindtuneError):
    """A check said no: nothing is wrong with the command, and the command line exits with 1."""
