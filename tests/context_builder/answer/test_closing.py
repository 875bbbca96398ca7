"""Law 11: what was found in a question and not used stands below its answer, whatever its model wrote."""

from __future__ import annotations

import pytest
from hypothesis import given

from context_builder.answer.closing import MAX_LINE, MAX_LINES_OF_ONE_KIND, closing_lines, closing_text
from context_builder.question.request import ContextRequest, NotUsed, UnknownName
from tests.support.source_results import any_request, asked, packed, roomy


@pytest.mark.long
@given(any_request())
def test_few_short_lines_for_any_question(request: ContextRequest) -> None:
    """Whatever the parts are, they stay within their lines; each kind that has any has a line."""
    manifest = packed(roomy(request), [])
    lines = closing_lines(manifest)
    assert all(len(line) <= MAX_LINE and len(line.splitlines()) == 1 for line in lines)
    for title, parts in (
        ("Not used of the question: ", request.not_used),
        ("Unknown name: ", request.unknown_names),
        ("Read as: ", request.notes),
    ):
        of_kind = [line for line in lines if line.startswith(title)]
        assert bool(of_kind) == bool(parts)
        assert len(of_kind) <= MAX_LINES_OF_ONE_KIND


def test_nothing_to_say_adds_nothing() -> None:
    """An answer to a question that was wholly used ends as its model ended it."""
    assert closing_text(packed(asked(), [])) == ""


def test_each_line_is_a_paragraph_of_its_own() -> None:
    """They do not run into the text above; parts that do not fit are said to be more."""
    manifest = packed(
        asked(
            not_used=tuple(NotUsed(f"except name-{n}", "there is no such deployment") for n in range(7)),
            unknown_names=(UnknownName("gpt-5"),),
        ),
        [],
    )
    title = "Not used of the question: "
    parts = [f"“except name-{n}” (there is no such deployment)" for n in range(4)]
    assert closing_text(manifest).split("\n\n") == [
        "",
        f"{title}{parts[0]}; {parts[1]}.",
        f"{title}{parts[2]}; {parts[3]}; and others.",
        "Unknown name: gpt-5.",
    ]
