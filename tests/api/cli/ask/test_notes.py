"""What stands below an answer, on a terminal of any width."""

from __future__ import annotations

import io
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from rich.console import Console

from api.cli.ask.manifest_tables import manifest_tables
from api.cli.ask.notes import footer, notes
from api.cli.terminal.text_table import TextTable, plain_lines, renderable
from context_builder.answer.answer import Answer, Citation, ClaimIssue, Unsupported
from context_builder.answer.confidence import Confidence, ConfidenceLevel
from context_builder.llm.usage import Usage
from context_builder.prompt.manifest import Detail, FactEntry, Manifest, SourceEntry
from context_builder.question.request import UnknownName, Window
from context_builder.source import Status

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
LONG = "deployment-with-a-name-that-fits-no-column/" + "x" * 120


def source(name: str, status: Status, **changes: Any) -> SourceEntry:
    values: dict[str, Any] = {"kept": 2, "cut": 0, "header": f"{name} says hello", "milliseconds": 7}
    return SourceEntry(**{"name": name, "ref": f"{name[0].upper()}0", "status": status} | values | changes)


def fact(ref: str, detail: Detail, text: str, reason: str) -> FactEntry:
    return FactEntry(
        ref=ref, source="latency", on_topic=True, detail=detail, tokens=1234, reason=reason, text=text
    )


def answer(*, model: str | None = "claude-sonnet-5-5", stop_reason: str | None = "end_turn") -> Answer:
    manifest = Manifest(
        question="Why?",
        as_of=NOW,
        live=False,
        window=Window(NOW.replace(hour=10), NOW, "given as an argument"),
        scope=("tier premium",),
        unknown_names=(UnknownName("gpt-5/aws", ("gpt-4/aws",)),),
        topics=(),
        token_budget=8000,
        token_bound=4200,
        build_ms=130,
        sources=(
            source("latency", Status.OK, cut=1, gaps=("single users are not known",)),
            source("health", Status.STALE),
            source("incidents", Status.EMPTY),
            source("volume", Status.TIMEOUT, error="gave no answer within 2 s"),
            source("recall", Status.ERROR, error="memory is down\nand more"),
            source("audit", Status.EMPTY, on_topic=False, kept=0),
            source("jobs", Status.EMPTY, on_topic=False, kept=0),
        ),
        facts=(
            fact("L1", Detail.FULL, f"p95 of {LONG} is 9 ms", "utility 1.00"),
            fact("L2", Detail.CUT, "far 日本", "utility 0.10, no room: 3 tokens were left"),
        ),
        prompt_sha256="",
    )
    return Answer(
        id="ans_1",
        question="Why?",
        as_of=NOW,
        text="Because [L1].",
        citations=(Citation("L1", "latency", f"p95 of {LONG} is 9 ms"),),
        unsupported=(
            Unsupported("It is 7 of 8.", ClaimIssue.NUMBER_WITHOUT_REFERENCE, "7"),
            Unsupported("It is 7 of 8.", ClaimIssue.NUMBER_WITHOUT_REFERENCE, "8"),
        ),
        confidence=Confidence(
            ConfidenceLevel.LOW, ("volume could not be read (timeout)", "stale", "2 claims")
        ),
        manifest=manifest,
        model=model,
        no_model_reason=None if model else "no key",
        stop_reason=stop_reason,
        usage=Usage(3000, 50, 400) if model else None,
        cost_usd=Decimal("0.0123") if model else Decimal(0),
        latency_ms=2140,
    )


def on_terminal(sheets: list[TextTable], width: int) -> list[str]:
    """The lines that a terminal of that width shows."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=width, color_system=None, highlight=False)
    for sheet in sheets:
        console.print(renderable(sheet))
    return screen.getvalue().splitlines()


@pytest.mark.parametrize("width", [40, 80, 110, 200])
def test_nothing_is_cut_off_on_a_terminal(width: int) -> None:
    """Whatever its width: no line is longer, and every character of a plain line is there."""
    sheets = [*notes(answer()), *manifest_tables(answer().manifest)]
    lines = on_terminal(sheets, width)
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)
    shown = Counter("".join(lines))
    for row in (row for sheet in sheets for row in sheet.rows):
        needed = Counter("".join(" ".join(cell.split()) for cell in row).replace(" ", ""))
        assert needed <= shown, row
    wanted = Counter("".join(cell for sheet in sheets for row in sheet.rows for cell in row))
    assert all(shown[letter] >= number for letter, number in wanted.items() if letter.isalnum())


def test_the_notes_come_in_the_order_in_which_they_matter() -> None:
    """Doubts first, then references, then what is missing and what was cut; nothing else."""
    titles = [sheet.title for sheet in notes(answer())]
    assert titles == [
        "Not supported by the facts",
        "References",
        "Unknown",
        "Left out to stay within the token budget",
    ]
    unsupported, _, missing, cut = notes(answer())
    assert unsupported.rows == (("✗ 7, 8", "stated without a reference: “It is 7 of 8.”"),)
    assert missing.rows == (
        ("latency", "single users are not known"),
        ("health", "stale: health says hello"),
        ("incidents", "empty: incidents says hello"),
        ("volume", "timeout: gave no answer within 2 s"),
        ("recall", "error: memory is down\nand more"),
        ("off topic", "empty: audit, jobs"),
    )
    assert cut.rows == (("1 fact (latency 1 of 3); --why lists them",),)


def test_a_brief_is_not_repeated_in_its_notes() -> None:
    """It lists facts and failed sources itself; what it does not say is still said."""
    sheets = {sheet.title: sheet.rows for sheet in notes(answer(model=None, stop_reason=None))}
    assert "References" not in sheets
    assert sheets["Unknown"] == (("no data", "incidents, audit, jobs"),)


def test_an_answer_that_is_not_whole_says_so_first() -> None:
    """Any stop reason but the normal one is a warning above all others."""
    first = notes(answer(stop_reason="refusal"))[0]
    assert (first.title, first.rows) == (
        "The answer is incomplete",
        (("the model stopped early (refusal)",),),
    )


def test_the_footer_says_how_the_question_was_read_and_what_it_cost() -> None:
    """How far to rely on it; moment, window, scope; model, dollars, tokens against their bound, seconds."""
    confidence, understood, cost = footer(answer())
    assert confidence == "low confidence: volume could not be read (timeout) (and 2 more reasons)"
    assert understood == (
        "as of 2026-03-10 12:00 UTC · 2026-03-10 10:00 to 2026-03-10 12:00 UTC (given as an argument)"
        " · tier premium"
    )
    assert cost == (
        "claude-sonnet-5-5 · $0.0123 · prompt 3,400 tokens (bound 4,200, budget 8,000) · reply 50 tokens"
        " · 2.1 s, of which context 0.1 s · ans_1"
    )
    assert footer(answer(model=None))[2].startswith(
        "no model · prompt of at most 4,200 tokens, budget 8,000 · "
    )


def test_plain_lines_keep_columns_and_rows() -> None:
    """One line per row whatever a cell holds; wide characters count twice; numbers stand to the right."""
    sheet = TextTable(
        title="T",
        columns=("a", "n", "text"),
        rows=(("日本", "7", "one\ntwo"), ("b", "1,000", "\x1b[31mred"), ("", "0", "")),
    )
    assert list(plain_lines(sheet)) == [
        "T",
        "  a         n  text",
        "  日本      7  one two",
        "  b     1,000  �[31mred",
        "            0",
    ]
    assert list(plain_lines(TextTable(title="none", rows=()))) == ["none"]
    assert on_terminal([TextTable(title="none", rows=())], 80) == ["none"]
