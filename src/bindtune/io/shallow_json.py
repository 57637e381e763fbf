"""Read JSON record by record, with bounds on the content of a record."""

import re
from typing import IO

import numpy as np
from numpy.typing import NDArray


class ShallowJson:
    """JSON as ijson reads it, refused where a record is nested more deeply, or longer, than any could be.

    ijson keeps the whole path to a value on every level of it: memory grows with the square of the depth.

    Args:
        stream: to read from.
        level: brackets around each record: 1 in an array, 2 in an array that an object holds.
    """

    _DEEPEST = 100
    _LONGEST = 1 << 23  # bytes; the time that ijson takes for a text grows with the square of its length
    _STEPS = np.zeros(256, np.int8)
    _STEPS[list(b"[{")], _STEPS[list(b"]}")] = 1, -1
    _OTHERS = bytes(set(range(256)) - set(b'[]{}"'))

    def __init__(self, stream: IO[bytes], *, level: int = 1) -> None:
        self._level = level
        self._stream, self._depth, self._size = stream, 0, 0
        self._in_text, self._escape = False, b""

    def read(self, size: int) -> bytes:
        """Read some bytes.

        Raises:
            ValueError: they belong to a record that is nested too deeply or too long.
        """
        content = self._stream.read(size)
        depths = self._depth + self._steps(self._escape + content).cumsum(dtype=np.int64)
        if len(depths):
            if depths.max() > self._DEEPEST:
                raise ValueError(f"more than {self._DEEPEST} brackets are open at a time")
            self._depth = int(depths[-1])
        self._size = 0 if (depths <= self._level).any() else self._size + len(content)
        if self._size > self._LONGEST:
            raise ValueError(f"a record of more than {self._LONGEST:,} bytes")
        return content

    def _steps(self, content: bytes) -> NDArray[np.int8]:
        """1 for each bracket that opens something, -1 for each that closes it, 0 for quotes and what is in a text."""
        slashes = len(content) - len(content.rstrip(b"\\"))
        self._escape = b"\\" if slashes % 2 else b""
        if b"\\" in content:
            content = re.sub(rb"\\.", b"", content, flags=re.DOTALL)
        marks = np.frombuffer(content.translate(None, self._OTHERS), np.uint8)
        in_text = np.logical_xor.accumulate(marks == ord('"')) ^ self._in_text
        if len(marks):
            self._in_text = bool(in_text[-1])
        steps: NDArray[np.int8] = self._STEPS[marks] * ~in_text
        return steps
