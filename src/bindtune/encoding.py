"""Names and text in UTF-8, whatever the locale of the machine says."""

import io
import os
import sys

from bindtune.errors import InputError


def use_utf8() -> None:
    """Start the interpreter again in Python's UTF-8 mode where the locale gives file names another encoding.

    Libraries in C++ and Rust take names as UTF-8 and cannot open files that Python names in another encoding. Python
    3.15 is in UTF-8 mode by itself (PEP 686). A program that calls the command line itself keeps its process.
    """
    words = sys.argv[1:]
    is_own = bool(words) and sys.orig_argv[-len(words) :] == words and bool(sys.executable)
    if sys.getfilesystemencoding() == "utf-8" or not is_own or os.environ.get("PYTHONUTF8") == "1":
        return
    os.environ["PYTHONUTF8"] = "1"
    encoding = getattr(sys.stdout, "encoding", "ascii")
    if encoding not in ("ascii", "utf-8"):  # the terminal shows what it showed before
        os.environ.setdefault("PYTHONIOENCODING", f"{encoding}:backslashreplace")
    os.execv(sys.executable, [sys.executable, "-X", "utf8=1", *sys.orig_argv[1:]])  # noqa: S606 (no shell is meant)


def print_everything() -> None:
    """Let the terminal show letters that its encoding lacks as escapes, where printing them would fail."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def refuse_other_encodings(words: list[str]) -> None:
    """Refuse words of the command line that are not UTF-8, before libraries fail on them one by one.

    Raises:
        InputError: names the first.
    """
    for word in words:
        if any("\ud800" <= letter <= "\udfff" for letter in word):
            raise InputError(None, None, not_utf8(word))


def not_utf8(name: str) -> str:
    """The message about a name that is not UTF-8."""
    shown = name.encode("utf-8", "backslashreplace").decode()[:300]
    return f"'{shown}' is not UTF-8, expected names in UTF-8: rename the file or folder, or name a link to it"
