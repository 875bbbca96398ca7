"""Markdown for a terminal, as models write it: nothing is dropped, hidden or cut off."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, ClassVar

from markdown_it import MarkdownIt
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import Heading, Markdown, MarkdownElement, TableElement
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text
from typing_extensions import override

from api.cli.terminal.streams import printable

_REFERENCE = re.compile(r"(\[[A-Z]{1,3}\d+(?:\s*[,;–-]\s*[A-Z]{1,3}\d+)*\])")
_REFERENCE_STYLE = Style(color="cyan", dim=True)
_PARSER = MarkdownIt("commonmark", {"html": False}).enable("strikethrough").enable("table")
"""Without HTML, `<none>` and its like are text as they are in logs."""


class _PlainHeading(Heading):
    """A heading in bold at the left margin."""

    @override
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(self.text.plain, style="bold")


class _WholeTable(TableElement):
    """A table whose long words go on in the next line."""

    @override
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for table in super().__rich_console__(console, options):
            if isinstance(table, Table):
                for column in table.columns:
                    column.overflow = "fold"
            yield table


class TerminalMarkdown(Markdown):
    """Markdown with calm headings, plain links and references that stand back."""

    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "heading_open": _PlainHeading,
        "table_open": _WholeTable,
    }

    def __init__(self, text: str) -> None:
        super().__init__("", hyperlinks=False, code_theme="ansi_dark")
        self.markup = printable(text)
        self.parsed = _PARSER.parse(self.markup)

    @override
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Any]:
        for segment in console.render(_Body(self), options):
            pieces = _REFERENCE.split(segment.text) if not segment.control else [segment.text]
            for place, piece in enumerate(pieces):
                style = _REFERENCE_STYLE if place % 2 else segment.style
                yield Segment(piece, style, segment.control)


class _Body:
    """The Markdown as rich renders it."""

    def __init__(self, markdown: Markdown) -> None:
        self._markdown = markdown

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        return Markdown.__rich_console__(self._markdown, console, options)


def split_blocks(text: str) -> tuple[str, str]:
    """Split text into its complete blocks and the one that is still being written."""
    end = position = 0
    fence = ""
    for line in text.splitlines(keepends=True):
        bare = line.strip()
        position += len(line)
        if fence:
            fence = "" if bare.startswith(fence) and not bare.strip(fence[0]) else fence
        elif bare.startswith(("```", "~~~")):
            fence = bare[:3]
        elif not bare and line.endswith("\n"):
            end = position
    return text[:end], text[end:]
