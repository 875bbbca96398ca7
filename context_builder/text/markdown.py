"""The one Markdown reader: headings, blocks and paragraphs of a text, as CommonMark (with tables) has them.

Pure. No inline markup is parsed: titles and paragraphs are source text, and hostile markup costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt  # noqa: PLC0415  most answers read no Markdown

    return MarkdownIt("commonmark").enable("table").disable("inline")


@dataclass(frozen=True, slots=True)
class MarkdownSection:
    """A heading and the source text below it, not stripped, its lines joined by newlines."""

    level: int
    """1 to 6; 0: the text before the first heading."""
    title: str
    """The heading's source text without its marks; empty before the first heading."""
    body: str
    """Text up to the next heading that is no deeper, with the deeper headings in it."""
    own_text: str
    """Text up to the next heading of any level."""
    line: int
    """Line of the heading, counted from 1."""
    text_line: int
    """Line at which the body begins."""


def sections(text: str) -> Iterator[MarkdownSection]:
    """Yield the sections of a Markdown text in order, the text before the first heading as one of level 0.

    Headings in quotes, lists and code begin no section. Deeper sections are yielded after the one whose body
    they are part of.
    """
    lines = _lines(text)
    headings = [(0, "", 0, 0), *_headings(_parser().parse("\n".join(lines)))]
    own_end, body_ends = len(lines), [len(lines)] * 7
    found: list[MarkdownSection] = []
    # Backwards, so that the next heading of each level is known.
    for level, title, start, end in reversed(headings):
        body_end = body_ends[level] if level else own_end
        body, own_text = ("\n".join(lines[end:until]) for until in (body_end, own_end))
        if level or own_text.strip():
            found.append(MarkdownSection(level, title, body, own_text, start + 1, end + 1))
        own_end = start
        body_ends[level:] = [start] * (7 - level)
    yield from reversed(found)


def title_of(text: str) -> str | None:
    """Return the first heading that is not empty, None if there is none."""
    return next((section.title for section in sections(text) if section.title), None)


def blocks(text: str) -> Iterator[str]:
    """Yield the source text of each block: paragraphs, items of lists, tables, code, quotes; no headings."""
    lines = _lines(text)
    for token in _parser().parse("\n".join(lines)):
        if token.map is None or token.nesting < 0 or token.type == "heading_open":
            continue
        is_block = token.level == 0 and not token.type.endswith("list_open")
        if is_block or (token.type == "list_item_open" and token.level == 1):
            yield "\n".join(lines[slice(*token.map)]).strip()


@dataclass(frozen=True, slots=True)
class TextBlock:
    """A paragraph, wherever it is nested, or a table."""

    kind: Literal["paragraph", "list item", "table"]
    line: int
    """Its first line, counted from 1."""
    rows: list[list[str]]
    """The rows of a table as cells, the header among them; else one row, the lines."""

    def line_of(self, row: int, part: int = 0) -> int:
        """Return the line of a part of a row; below the header of a table is a line of hyphens."""
        return self.line + (row + (row > 0) if self.kind == "table" else part)


def text_blocks(text: str) -> Iterator[TextBlock]:
    """Yield the paragraphs and tables of a text in order. Headings and code are left out."""
    table: list[list[str]] = []
    before, lists = "", 0
    for token in _parser().parse(text):
        lists += token.nesting * (token.type in ("list_item_open", "list_item_close"))
        if token.type == "inline" and before == "paragraph_open" and token.map:
            lines = token.content.split("\n")
            yield TextBlock("list item" if lists else "paragraph", token.map[0] + 1, [lines])
        elif token.type == "table_open":
            table, first = [], token.map[0] + 1 if token.map else 1
        elif token.type == "tr_open":
            table.append([])
        elif token.type == "inline" and before in ("th_open", "td_open"):
            table[-1].append(token.content)
        elif token.type == "table_close":
            yield TextBlock("table", first, table)
        before = token.type


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _headings(tokens: Sequence[Token]) -> Iterator[tuple[int, str, int, int]]:
    """Yield level, title, first line and the line after the heading, counted from 0."""
    for position, token in enumerate(tokens):
        if token.type == "heading_open" and token.level == 0 and token.map:
            start, end = token.map
            yield int(token.tag[1:]), tokens[position + 1].content, start, end
