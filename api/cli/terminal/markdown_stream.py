"""Streams Markdown to a terminal: complete blocks stay, the last one is redrawn as it grows."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.control import Control
from rich.segment import ControlType, Segment, Segments
from rich.status import Status
from rich.text import Text

from api.cli.terminal.markdown import TerminalMarkdown, split_blocks

_ROOM_BELOW = 2
_FRAME_S = 0.08
"""Minimum time between two redraws of the growing block, in seconds."""

_ERASE_LINE = (ControlType.ERASE_IN_LINE, 2)


class MarkdownStream:
    """Shows what it is waiting for, then the text piece by piece; use it in a `with` block."""

    def __init__(self, console: Console) -> None:
        self.text = ""
        """All text so far."""
        self._console = console
        self._status: Status | None = None
        self._pending = ""
        self._blocks = 0
        self._drawn_lines = 0
        self._drawn_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The text so far stays, even after an interruption.
        self.end()

    def wait(self, what: str) -> None:
        """Say what it is waiting for, until there is text."""
        said = Text(what, style="dim")
        if self._status is None:
            self._status = Status(said, console=self._console, spinner_style="dim")
            self._status.start()
        else:
            self._status.update(said)

    def add(self, piece: str) -> None:
        """Append the next piece of the text."""
        self._stop_waiting()
        self.text += piece
        done, self._pending = split_blocks(self._pending + piece)
        if done.strip() or time.monotonic() - self._drawn_at >= _FRAME_S:
            self._draw(done, self._pending)

    def end(self) -> None:
        """End the text: the remainder is a block, complete or not."""
        self._stop_waiting()
        self._draw(self._pending, "")
        self._pending = ""

    def _stop_waiting(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None

    def _draw(self, done: str, growing: str) -> None:
        """Replace the drawing of the growing block by the finished one and a new drawing."""
        with self._console:  # one write, so that nothing flickers
            self._erase()
            if done.strip():
                self._print_lines(self._spaced(done))
                self._blocks += 1
            if growing.strip():
                lines = self._spaced(growing)[-max(1, self._console.height - _ROOM_BELOW) :]
                self._print_lines(lines)
                self._drawn_lines = len(lines)
        self._drawn_at = time.monotonic()

    def _erase(self) -> None:
        if self._drawn_lines:
            # From the start of the line, where Ctrl-C may have printed ^C.
            self._console.control(Control(ControlType.CARRIAGE_RETURN, _ERASE_LINE))
            for _ in range(self._drawn_lines):
                self._console.control(Control((ControlType.CURSOR_UP, 1), _ERASE_LINE))
            self._drawn_lines = 0

    def _spaced(self, text: str) -> list[list[Segment]]:
        """Render a block, with an empty line before it unless it is the first."""
        lines = block_lines(self._console, text)
        return [[], *lines] if self._blocks else lines

    def _print_lines(self, lines: list[list[Segment]]) -> None:
        for line in lines:
            self._console.print(Segments([*line, Segment.line()]), end="")


def block_lines(console: Console, text: str) -> list[list[Segment]]:
    """Render Markdown to lines, with at most one empty line between others and none around them."""
    lines: list[list[Segment]] = []
    gap = False
    for line in console.render_lines(TerminalMarkdown(text), pad=False):
        if not any(part.text.strip() for part in line):
            gap = True
            continue
        if gap and lines:
            lines.append([])
        lines.append(line)
        gap = False
    return lines
