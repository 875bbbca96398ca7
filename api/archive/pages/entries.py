"""A page of Markdown as entries: a label, the text that belongs to it, and where both are. Pure.

Whatever the shape (headings, bold labels, lists, tables, definitions), readers of entries see no Markdown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from context_builder.text.markdown import MarkdownSection, TextBlock, sections, text_blocks

MAX_LABEL = 60
"""Characters."""

_BOLD = re.compile(
    r"(\*\*|__)(?P<label>[^*_\n]{1,60}?)\s*[:\uff1a]?\1\s*[:\uff1a\u2013\u2014=-]?\s*(?P<text>.*)", re.DOTALL
)
_PLAIN = re.compile(r"(?P<label>[^:\uff1a|\n]{1,60})[:\uff1a](?P<text>.*)", re.DOTALL)
_DASHED = re.compile(r"(?P<label>[^\n]{1,60}?)\s+[\u2013\u2014-]\s+(?P<text>.*)", re.DOTALL)
_NEXT_BOLD = re.compile(
    r"\s{0,3}[|\u00b7\u2022,;]?\s{1,3}(?=\*\*[^*\n]{1,60}(?:[:\uff1a]\*\*|\*\*[:\uff1a]))"
)
_LINE_BREAK = re.compile(r"<br\s*/?>|\\$")
_MARKS = "*_`~"

IsField = Callable[[str], bool]
"""True for a label that is known to name a field."""


@dataclass(slots=True)
class Entry:
    """A label and its text."""

    label: str
    """As it is written, without marks."""
    text: str
    line: int
    """Of the text, counted from 1."""
    shape: str
    """What the label is: `heading`, `bold label`, `label`, `table`."""
    heading: str = ""
    """Heading above it, empty for a heading."""

    def __str__(self) -> str:
        where = f"line {self.line}"
        return (
            f"the {self.shape} \u201c{self.label}\u201d, {where}"
            if self.label
            else f"the {self.shape}, {where}"
        )


def read_entries(markdown: str, is_field: IsField) -> Iterator[Entry]:
    """Yield all entries of a page in order.

    The text of a heading reaches up to the next one that is no deeper. The text of another label reaches up
    to the next label that is known or bold, or the end of the paragraph; if the label stands alone, on to the
    next label.
    """
    for section in sections(markdown):
        if section.title:
            title = section.title.strip(_MARKS)
            text = section.body.lstrip()
            line = section.text_line + section.body[: len(section.body) - len(text)].count("\n")
            yield Entry(title, text.rstrip(), line, "heading")
            if (labelled := _labelled(title, is_field)) and is_field(labelled[0]):
                yield Entry(*labelled, section.line, "heading")
        yield from _below(section, is_field)


def _below(section: MarkdownSection, is_field: IsField) -> Iterator[Entry]:
    lonely: Entry | None = None
    for block in text_blocks(section.own_text):
        if block.kind == "table":
            found = list(_table(block, is_field))
        else:
            found = list(_paragraph(block, is_field))
            if not found and lonely:
                gap = "\n- " if block.kind == "list item" else "\n\n"
                lonely.text = f"{lonely.text}{gap}{chr(10).join(block.rows[0])}".lstrip()
        for entry in found:
            entry.line += section.text_line - 1
            entry.heading = section.title
        yield from found
        if found:
            lonely = found[-1] if not found[-1].text and is_field(found[-1].label) else None


def _paragraph(block: TextBlock, is_field: IsField) -> Iterator[Entry]:
    current: Entry | None = None
    before = ""
    for part, whole in enumerate(block.rows[0]):
        for line in _NEXT_BOLD.split(_LINE_BREAK.sub("", whole).strip()):
            is_bold = line.startswith(("**", "__"))
            labelled = (
                (before, line[1:].strip()) if line.startswith(": ") and before else _labelled(line, is_field)
            )
            if labelled:
                entry = Entry(*labelled, block.line_of(0, part), "bold label" if is_bold else "label")
                yield entry
            if is_bold or (labelled and is_field(labelled[0])):
                current = entry if labelled else None
            elif current:
                current.text = f"{current.text}\n{line}"
            before = line.strip(_MARKS) if is_field(line) else ""


def _labelled(line: str, is_field: IsField) -> tuple[str, str] | None:
    """Return label and text of a line; without a colon, only if the label is known."""
    for pattern in (_BOLD, _PLAIN, _DASHED):
        if found := pattern.match(line):
            label = found["label"].strip(f"{_MARKS} \t")
            has_colon = set(line[: found.start("text")]) & set(":\uff1a")
            if label and (has_colon or is_field(label)):
                return label, found["text"].lstrip("*_ \t").rstrip()
    return None


def _table(table: TextBlock, is_field: IsField) -> Iterator[Entry]:
    """Yield pairs of cells of each row, and of a header that names fields and its only row."""
    header, *others = table.rows
    for number, row in enumerate(table.rows):
        pairs = list(zip(row[::2], row[1::2], strict=False))
        if number == 1 and not others[1:] and sum(map(is_field, header)) > 1:
            pairs += zip(header, row, strict=False)
        for written, text in pairs:
            label = written.strip(f"{_MARKS}: \t")
            if label and len(label) <= MAX_LABEL and not is_field(text):
                yield Entry(label, text.strip(), table.line_of(number), "table")
