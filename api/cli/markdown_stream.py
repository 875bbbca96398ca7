"""Markdown on a terminal while it is written: finished blocks stay, the last one grows."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.spinner import Spinner
from rich.text import Text

from api.cli.terminal_markdown import TerminalMarkdown, split_blocks

_ROOM_BELOW = 2


class MarkdownStream:
    """Shows what is waited for, then the text piece by piece; to be used in a `with` block."""

    def __init__(self, console: Console) -> None:
        self.text = ""
        """Everything that was added."""
        self._console = console
        self._pending = ""
        self._blocks = 0
        self._live = Live(console=console, transient=True, refresh_per_second=10)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def wait(self, what: str) -> None:
        """Says what is being waited for, until there is text."""
        self._live.update(Spinner("dots", Text(what, style="dim"), style="dim"))

    def add(self, piece: str) -> None:
        """The next piece of the text."""
        self.text += piece
        done, self._pending = split_blocks(self._pending + piece)
        self._keep(done)
        self._live.update(_Tail(self._pending))

    def end(self) -> None:
        """No more text: what is left is a block as well, whole or not."""
        self._live.update(Text(""))
        self._keep(self._pending)
        self._pending = ""

    def _keep(self, block: str) -> None:
        if block.strip():
            if self._blocks:
                self._console.print()
            self._console.print(TerminalMarkdown(block))
            self._blocks += 1


class _Tail:
    """The last lines of a text, as many as the terminal has room for."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = console.render_lines(TerminalMarkdown(self._text), options.update(height=None), pad=False)
        for line in lines[-max(1, console.height - _ROOM_BELOW) :]:
            yield from line
            yield Segment.line()
