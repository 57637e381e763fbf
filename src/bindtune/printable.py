"""Text from files as a terminal shows it: control characters, which a terminal obeys, become escapes."""

import logging
import re

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Controls but tab and line feed, separators of lines, and marks that turn the direction of writing."""
_NOT_ASCII = re.compile("[^ -~]")
_LONGEST_WORD = 255  # as long as the name of a file may be
_LONGEST_PATH = 1000
_LONGEST_LINE = 2000


def printable(text: str) -> str:
    r"""Text with its control characters as escapes.

    Example:
        >>> print(printable("title \x1b]0;x\x07"))
        title \x1b]0;x\x07
    """
    return CONTROL.sub(_escape, text)


def message_line(text: str) -> str:
    """Text as one line of a message: what is not seen as escapes, shortened where a word or the line is long.

    Examples:
        >>> message_line("no protein " + "A" * 10_000)[:60]
        'no protein AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
        >>> len(message_line("no protein " + "A" * 10_000))
        243
    """
    words = _NOT_ASCII.sub(_escape_unseen, text).split(" ")
    words = [_shortened(word, _LONGEST_PATH if "/" in word else _LONGEST_WORD) for word in words]
    return _shortened(" ".join(words), _LONGEST_LINE)


def _escape(match: re.Match[str]) -> str:
    return match.group().encode("unicode_escape").decode("ascii")


def _escape_unseen(match: re.Match[str]) -> str:
    return match.group() if match.group().isprintable() else _escape(match)


def _shortened(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    begin, end = longest * 3 // 5, longest // 5
    return f"{text[:begin]}... ({len(text) - begin - end:,} more letters) ...{text[-end:]}"


class PrintableFormatter(logging.Formatter):
    """Messages of a log with their control characters as escapes; those of bindtune are a short line each."""

    def format(self, record: logging.LogRecord) -> str:
        """The message."""
        text = super().format(record)
        is_line = str(record.name).startswith("bindtune") and not record.exc_info
        return message_line(text) if is_line else printable(text)
