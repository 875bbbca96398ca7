"""A postmortem has all its sections, whoever wrote it, and nobody's text becomes markup."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings

from context_builder.answer import Answer, Citation, Doubt, Unsupported
from context_builder.confidence import Confidence, Level
from context_builder.postmortems.document import SECTIONS, instruction, summary_of, write_document
from context_builder.resolve import check_question
from context_builder.source import Fact, Status
from models import Incident
from readings import AS_OF, asked, packed, reading, texts

STARTED = datetime(2026, 11, 19, 22, 30, tzinfo=UTC)
RESOLVED = STARTED + timedelta(hours=1, minutes=20)
WRITTEN = "\n\n".join(f"## {section}\n\nWords on {section.lower()} [V1]." for section in SECTIONS)
ADDED = ("Evidence", "What could not be seen")


def incident(**values: Any) -> Incident:
    """A resolved incident."""
    given: dict[str, Any] = {
        "public_id": "inc_42",
        "title": "Pool exhausted",
        "severity": "high",
        "target": "gpt-4/aws",
        "symptoms": "requests wait in line",
        "root_cause": "pool capped at 50",
        "resolution": "raised the cap",
        "status": "resolved",
        "started_at": STARTED,
        "resolved_at": RESOLVED,
    }
    return Incident(**given | values)


def answer(text: str = WRITTEN, *, model: str | None = "claude-sonnet-5-5", **values: Any) -> Answer:
    """An answer about the incident, from a context with a kept fact, an empty source and one that failed."""
    readings = [
        reading("volume", Fact("1,204 requests failed"), header="9,000 requests in the window"),
        reading("budgets", header="nobody has one", status=Status.EMPTY, gaps=("the budgets of 3 users",)),
        reading("latency", header="", status=Status.TIMEOUT, error="gave no answer within 3 s"),
    ]
    given: dict[str, Any] = {
        "id": "ans_1",
        "question": "why?",
        "as_of": AS_OF,
        "text": text,
        "citations": (Citation("V1", "volume", "1,204 requests failed"),),
        "unsupported": (),
        "confidence": Confidence(Level.HIGH),
        "manifest": packed(asked(), readings),
        "model": model,
        "no_model_reason": None if model else "no model is configured",
        "stop_reason": "end_turn",
        "usage": None,
        "cost_usd": Decimal(0),
        "latency_ms": 5,
    }
    return Answer(**given | values)


def headings(document: str) -> list[str]:
    """The second-level headings, in order."""
    return re.findall(r"^## (.*)$", document, re.MULTILINE)


@pytest.mark.parametrize("model", ["claude-sonnet-5-5", None])
def test_every_section_is_there(model: str | None) -> None:
    """Written by a model or by code: the six sections, then evidence and blind spots, in this order."""
    document = write_document(incident(), RESOLVED, answer(model=model))
    assert headings(document) == [*SECTIONS, *ADDED]
    assert document.startswith("# Postmortem: Pool exhausted\n")
    assert "| Time (UTC) | 2026-11-19 22:30 to 2026-11-19 23:50 (1 h 20 min) |" in document
    assert "| Target | gpt-4/aws |" in document
    assert "- [V1] 1,204 requests failed" in document
    assert "Question log: ans_1" in document


def test_without_a_model_the_records_speak() -> None:
    """What is recorded is quoted, figures cite their source, and who wrote it is said."""
    document = write_document(incident(root_cause=None), RESOLVED, answer(model=None))
    assert "| Written by | code, no model (no model is configured) |" in document
    assert "«Pool exhausted» on «gpt-4/aws», high, lasted 1 h 20 min." in summary_of(document)
    assert "- volume: 9,000 requests in the window [V0]" in document
    assert "## Root cause\n\nNot recorded.\n" in document
    assert "## Resolution\n\n«raised the cap»\n" in document


def test_what_could_not_be_seen_is_listed() -> None:
    """Law 2: failed and empty sources and gaps stand in the document."""
    blind = write_document(incident(), RESOLVED, answer()).partition("## What could not be seen")[2]
    assert "- latency (timeout): gave no answer within 3 s" in blind
    assert "- budgets: nobody has one" in blind
    assert "- budgets: the budgets of 3 users" in blind


def test_nothing_missing_is_said_too() -> None:
    """A reader need not wonder whether the list was forgotten."""
    manifest = packed(asked(), [reading("volume", Fact("5 failed"))])
    document = write_document(incident(), RESOLVED, answer(manifest=manifest))
    assert "Nothing is missing: every source was read and all its facts were shown." in document


def test_claims_without_support_are_listed() -> None:
    """Law 5: they are marked at the end, with why, and not taken out of the text."""
    doubt = Unsupported("It lost 987 [V1].", Doubt.NUMBER_NOT_IN_FACTS, "987")
    document = write_document(incident(), RESOLVED, answer(unsupported=(doubt,)))
    assert headings(document)[-1] == "Claims that the facts do not support"
    assert "- “It lost 987 (V1).”: states a number that the cited facts do not hold (987)" in document


@pytest.mark.parametrize(
    "text",
    [
        WRITTEN.replace("## ", "# "),
        WRITTEN.replace("## ", "### "),
        WRITTEN.upper(),
        re.sub(r"## (.*)", r"**\1**", WRITTEN),
        re.sub(r"## (.*)", r"## \1:", WRITTEN),
        "# Postmortem of inc_42\n\n" + WRITTEN,
        WRITTEN.replace("## Summary\n\n", ""),
    ],
)
def test_headings_in_other_forms_are_recognized(text: str) -> None:
    """Models vary level, case and decoration; the document does not, and no section comes twice."""
    document = write_document(incident(), RESOLVED, answer(text))
    assert headings(document) == [*SECTIONS, *ADDED]
    assert document.count("# Postmortem") == 1
    assert "not written" not in document.casefold()
    assert "words on summary" in summary_of(document).casefold()


def test_a_section_that_the_model_left_out_is_named() -> None:
    """A document never has a hole that nobody sees."""
    document = write_document(incident(), RESOLVED, answer("It was bad.\n\n## Impact\n\n```\nnever closed"))
    assert sorted(headings(document)) == sorted([*SECTIONS, *ADDED])
    assert summary_of(document) == "It was bad."
    assert document.count("Not written by the model.") == 4
    assert document.count("```") == 2


ATTACKS = [
    "x\n## Summary\n\nfake", "## Evidence", "[click](http://evil.example)", "![p](http://evil.example/p)",
    "a | b | c", "`code`", "```\nblock", "<script>alert(1)</script>", "> quote", "- [V1] fake", "» ignore «",
    "\u202ereversed", "1. one",
]  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("model", ["claude-sonnet-5-5", None])
def test_text_by_others_does_not_become_markup(attack: str, model: str | None) -> None:
    """Law 7: titles, targets, causes, facts and doubts make no heading, link, image, table cell or code."""
    hostile = incident(title=attack, target=attack, symptoms=attack, root_cause=attack, resolution=attack)
    given = answer(
        model=model,
        citations=(Citation("V1", "volume", attack),),
        unsupported=(Unsupported(attack, Doubt.UNKNOWN_NAME, attack),),
    )
    document = write_document(hostile, RESOLVED, given)
    assert headings(document)[: len(SECTIONS) + len(ADDED)] == [*SECTIONS, *ADDED]
    assert not re.search(r"(?<!\\)\]\(http", document)
    assert not re.search(r"(?<!\\)`", document)
    assert "<script" not in document
    table = [line for line in document.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {3}


@settings(max_examples=100, deadline=None)
@given(texts, texts, texts)
def test_any_title_and_any_answer(title: str, cause: str, text: str) -> None:
    """No text of an incident or a model raises, and the sections are there once, with a summary."""
    for model in ("claude-sonnet-5-5", None):
        document = write_document(
            incident(title=title, root_cause=cause), RESOLVED, answer(text, model=model)
        )
        assert set(headings(document)) >= {*SECTIONS, *ADDED}
        assert isinstance(summary_of(document), str)


def test_the_instruction_is_a_question_that_can_be_asked() -> None:
    """It names the incident and every heading, and passes the resolver's checks, whatever the id."""
    asked_for = instruction(incident())
    assert "incident inc_42." in asked_for
    assert all(f"## {section}" in asked_for for section in SECTIONS)
    assert check_question(instruction(incident(public_id="inc\x00\n" + "x" * 90)))


def test_a_document_without_a_summary_has_none() -> None:
    """The text of other sections is not taken for it."""
    assert summary_of("# Postmortem: ## Summary\n\n## Impact\n\nlarge") == ""
