"""Headings, blocks and paragraphs are those of CommonMark, whatever the text holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context_builder.text.markdown import blocks, sections, text_blocks, title_of

DOCUMENT = """before

# One **bold**
a

## Two ##
b
### Three
```
# code
```
Four
----
> # quoted

- # in a list
# Five
"""
NOT_NUL = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
MARKS = [
    "# ",
    "## ",
    "\n",
    "\r\n",
    "\r",
    "---\n",
    "===\n",
    "```\n",
    "- ",
    "> ",
    "    ",
    "|a|b|\n",
    "|-|-|\n",
    "x",
]


def test_a_section_ends_at_the_next_heading_that_is_no_deeper() -> None:
    """Underlined headings count; code, quotes and lists hold none."""
    found = {section.title: section for section in sections(DOCUMENT)}
    assert [(each.level, each.line, each.text_line) for each in found.values()] == [
        (0, 1, 1), (1, 3, 4), (2, 6, 7), (3, 8, 9), (2, 12, 14), (1, 17, 18),
    ]  # fmt: skip
    assert list(found) == ["", "One **bold**", "Two", "Three", "Four", "Five"]
    assert found[""].body.strip() == "before"
    assert found["One **bold**"].body.endswith("- # in a list")
    assert found["One **bold**"].own_text.strip() == "a"
    assert found["Two"].body == "b\n### Three\n```\n# code\n```"
    assert found["Two"].own_text == "b"
    assert found["Three"].body == "```\n# code\n```"
    assert title_of(DOCUMENT) == "One **bold**"
    assert title_of("#\n\ntext") is None


@given(st.lists(st.sampled_from(MARKS) | st.text(NOT_NUL, max_size=3)).map("".join))
def test_nothing_of_a_text_is_lost(text: str) -> None:
    """Headings and own texts together are the lines of the text; bodies are made of them."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    found = list(sections(text))
    for section, following in zip(found, [*found[1:], None], strict=False):
        end = following.line - 1 if following else len(lines)
        assert section.own_text == "\n".join(lines[section.text_line - 1 : end])
        assert section.body.startswith(section.own_text)
        assert section.title in "\n".join(lines[section.line - 1 : section.text_line - 1])
    for block in blocks(text):
        assert block in "\n".join(line.strip("\n") for line in lines)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_paragraphs_have_the_numbers_of_their_lines(end: str) -> None:
    """Those in lists and quotes too, and tables with the lines of their rows; no headings and no code."""
    text = "# Title\n\n**Date:** x\nmore\n- item\n  1. inner\n> quoted\n"
    text += "\n| a | `b\\|c` |\n|---|---|\n| d | |\n\n    code\n"
    *found, table = text_blocks(text.replace("\n", end))
    assert [(each.kind, each.line, each.rows[0]) for each in found] == [
        ("paragraph", 3, ["**Date:** x", "more"]), ("list item", 5, ["item"]), ("list item", 6, ["inner"]),
        ("paragraph", 7, ["quoted"]),
    ]  # fmt: skip
    assert (table.kind, table.rows) == ("table", [["a", "`b|c`"], ["d", ""]])
    assert [table.line_of(row) for row in (0, 1)] == [9, 11]


def test_blocks_are_the_parts_at_which_a_text_can_be_split() -> None:
    """A list is split into its items, each with what is nested in it."""
    assert list(blocks("# T\np\nq\n\n- a\n  - b\n- c\n\n```\nx\n\ny\n```\n")) == [
        "p\nq", "- a\n  - b", "- c", "```\nx\n\ny\n```",
    ]  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("text", ["#" * 50_000, "**" * 50_000, ">" * 50_000, "[" * 50_000, "# a\n" * 5_000])
def test_hostile_markup_is_text(text: str) -> None:
    """No nesting is too deep for the reader."""
    assert len(list(sections(text))) in (1, 5_000)
    list(text_blocks(text))
