"""Text from files as a terminal shows it: control characters, which a terminal obeys, become escapes."""

import logging
import re

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Controls but tab and line feed, separators of lines, and marks that turn the direction of writing."""


def printable(text: str) -> str:
    r"""Text with its control characters as escapes.

    Example:
        >>> print(printable("title \x1b]0;x\x07"))
        title \x1b]0;x\x07
    """
    return CONTROL.sub(lambda match: match.group().encode("unicode_escape").decode("ascii"), text)


class PrintableFormatter(logging.Formatter):
    """Messages of a log with their control characters as escapes."""

    def format(self, record: logging.LogRecord) -> str:
        """The message."""
        return printable(super().format(record))
