"""The lines of a file of any size, with their numbers."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

MAX_LINE_BYTES = 8 * 2**20
"""A longer line is cut here, so that one line cannot fill the memory."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line with its line end; bytes that are not UTF-8 are kept as lone surrogates."""

    number: int
    text: str
    cut: bool = False
    """Whether the line went on beyond MAX_LINE_BYTES."""


class Lines:
    """Reads lines one after the other; lines that were read can be put back. Blocks."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._waiting: deque[Line] = deque()
        self._number = 0
        self.position = 0
        """Bytes read so far."""

    def read(self) -> Line | None:
        """The next line; None at the end."""
        if self._waiting:
            return self._waiting.popleft()
        content = self._file.readline(MAX_LINE_BYTES)
        if not content:
            return None
        self.position += len(content)
        cut = len(content) == MAX_LINE_BYTES and not content.endswith(b"\n")
        if cut:
            self._skip_rest()
        self._number += 1
        encoding = "utf-8-sig" if self._number == 1 else "utf-8"
        return Line(self._number, content.decode(encoding, "surrogateescape"), cut)

    def put_back(self, lines: Sequence[Line]) -> None:
        """Makes lines, in their order, the next to be read."""
        self._waiting.extendleft(reversed(lines))

    def _skip_rest(self) -> None:
        while content := self._file.readline(MAX_LINE_BYTES):
            self.position += len(content)
            if content.endswith(b"\n"):
                return
