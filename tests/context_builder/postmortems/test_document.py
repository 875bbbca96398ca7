"""A postmortem has all its sections, anyone who wrote it, and nobody's text becomes markup."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings

from context_builder.answer.answer import Answer, Citation, ClaimIssue, Unsupported
from context_builder.answer.confidence import Confidence, ConfidenceLevel
from context_builder.exploration.events import Event
from context_builder.postmortems.affected import AffectedDeployments
from context_builder.postmortems.document import (
    PostmortemDocument,
    postmortem_question,
    read_document,
    write_document,
)
from context_builder.postmortems.findings import IncidentFindings
from context_builder.postmortems.impact import Impact, TierTraffic, minutes_of
from context_builder.postmortems.recorded_events import RecordedEvents
from context_builder.postmortems.template import load_template
from context_builder.question.checks import check_question
from context_builder.source import Fact, Status
from models import Incident
from tests.support.source_results import AS_OF, asked, packed, reading, texts

STARTED = datetime(2026, 11, 19, 22, 30, tzinfo=UTC)
RESOLVED = STARTED + timedelta(hours=1, minutes=20)
TEMPLATE = load_template("default")
SECTIONS = [section.title for section in TEMPLATE.sections]
ASKED = [section.title for section in TEMPLATE.asked]
WRITTEN = "\n\n".join(f"## {section}\n\nWords on {section.lower()} [V1]." for section in ASKED)


def incident(**values: Any) -> Incident:
    """A resolved incident."""
    given: dict[str, Any] = {
        "id": 42,
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


def event(at: datetime, kind: str, text: str, ref: str, *, is_bad: bool = False) -> Event:
    """An event of a timeline."""
    return Event(at=at, kind=kind, text=text, ref=ref, is_bad=is_bad)


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
        "confidence": Confidence(ConfidenceLevel.HIGH),
        "manifest": packed(asked(), readings),
        "model": model,
        "no_model_reason": None if model else "no model is configured",
        "stop_reason": "end_turn",
        "usage": None,
        "cost_usd": Decimal(0),
        "latency_ms": 5,
    }
    return Answer(**given | values)


def findings(
    given: Incident, *events: Event, cut: tuple[str, ...] = (), hit: str = "gpt-4/aws"
) -> IncidentFindings:
    """What the database says of an incident that hit one deployment, and failed 4 of 10 requests of it."""
    return IncidentFindings(
        incident=given,
        resolved_at=RESOLVED,
        impact=Impact(
            affected=AffectedDeployments((1,), (hit,)),
            window=minutes_of(given, RESOLVED),
            by_tier={"premium": TierTraffic(10, 4, Decimal("0.5"))},
            users=3,
        ),
        events=RecordedEvents(events, cut),
        changes=events,
    )


def written(given: Incident, answered: Answer, *events: Event, **values: Any) -> PostmortemDocument:
    """The document by the default template."""
    return write_document(TEMPLATE, findings(given, *events, **values), answered)


def section(document: PostmortemDocument, title: str) -> str:
    """The text under a heading."""
    return document.markdown.partition(f"## {title}\n")[2].partition("\n## ")[0].strip()


def headings(document: PostmortemDocument) -> list[str]:
    """The second-level headings, in order."""
    return re.findall(r"^## (.*)$", document.markdown, re.MULTILINE)


@pytest.mark.parametrize("model", ["claude-sonnet-5-5", None])
def test_every_section_is_there(model: str | None) -> None:
    """Written by a model or by code: the sections of the template in its order."""
    document = written(incident(), answer(model=model))
    assert headings(document) == SECTIONS
    assert document.markdown.startswith("# Postmortem: Pool exhausted\n")
    assert "| Time (UTC) | 2026-11-19 22:30 to 2026-11-19 23:50 (1 h 20 min) |" in document.markdown
    assert "| Target | gpt-4/aws |" in document.markdown
    assert "- [V1] 1,204 requests failed" in section(document, "Evidence")
    assert "Question log: ans_1" in section(document, "Evidence")


def test_without_a_model_the_records_speak() -> None:
    """What is recorded is quoted with its row, what nobody wrote is not made up, and who wrote it is said."""
    document = written(incident(root_cause=None), answer(model=None))
    assert "| Written by | code, no model (no model is configured) |" in document.markdown
    assert document.summary.startswith(
        "«Pool exhausted» on «gpt-4/aws», high, lasted 1 h 20 min [incidents:42]."
    )
    assert section(document, "Root cause") == "No cause is recorded [incidents:42]."
    assert section(document, "Resolution") == "Recorded fix: «raised the cap» [incidents:42]"
    assert section(document, "What went well") == "Not written: no model was called."
    assert "Find the cause and record it [incidents:42]; owner: open" in section(document, "Action items")
    assert (document.root_cause, document.resolution) == (None, "raised the cap")


def test_what_could_not_be_seen_is_listed() -> None:
    """Law 2: failed and empty sources, gaps and what the timeline left out stand in the document."""
    blind = section(written(incident(), answer(), cut=("jobs",)), "Blind spots")
    assert "- latency (timeout): gave no answer within 3 s [L0]" in blind
    assert "- budgets: nobody has one [B0]" in blind
    assert "- budgets: the budgets of 3 users [B0]" in blind
    assert "- timeline: more jobs are recorded than were read [timeline]" in blind


def test_nothing_missing_is_said_too() -> None:
    """A reader need not wonder whether the list was forgotten."""
    manifest = packed(asked(), [reading("volume", Fact("5 failed"))])
    document = written(incident(), answer(manifest=manifest))
    assert "None: every source was read and all of its facts were shown." in document.markdown


def test_claims_without_support_are_listed() -> None:
    """Law 5: they are marked at the end, with why, and not taken out of the text."""
    doubt = Unsupported("It lost 987 [V1].", ClaimIssue.NUMBER_NOT_IN_FACTS, "987")
    document = written(incident(), answer(unsupported=(doubt,)))
    assert headings(document)[-1] == "Claims that the facts do not support"
    assert (
        "- “It lost 987 (V1).”: states a number that the cited facts do not hold (987)" in document.markdown
    )


def test_every_line_with_a_number_says_where_it_comes_from() -> None:
    """In the sections that code writes each number stands in a line with a reference, a row or a query."""
    events = [
        event(STARTED - timedelta(minutes=7), "config", "kim changed 3 to 4", "config_changes:9"),
        event(
            STARTED + timedelta(minutes=4),
            "alert",
            "pagerduty alerted 2 people",
            "notifications:5",
            is_bad=True,
        ),
    ]
    document = written(incident(), answer(model=None), *events)
    for title in ("Summary", "Impact", "Timeline", "Root cause", "Trigger", "Detection", "Resolution"):
        for line in section(document, title).splitlines():
            assert not re.search(r"\d", line) or re.search(r"\[[a-z_.]+(:\d+)?\]", line), line
    assert "7 min before the start: kim changed 3 to 4 [config_changes:9]" in section(document, "Trigger")
    assert "first alert, 4 min after the start" in section(document, "Detection")
    timeline = re.findall(r"^- (\S+ \S+) ", section(document, "Timeline"), re.MULTILINE)
    assert timeline == sorted(timeline)
    assert len(timeline) == 4, "two events, and the incident's own start and end"


def test_a_long_timeline_keeps_what_matters() -> None:
    """Of a hundred events the changes and states stay, the log lines go, and how many went is said."""
    logs = [event(STARTED + timedelta(seconds=n), "log", f"line {n}", f"error_logs:{n}") for n in range(100)]
    state = event(
        RESOLVED - timedelta(minutes=1), "state", "it went down", "state_transitions:1", is_bad=True
    )
    timeline = section(written(incident(), answer(), *logs, state), "Timeline")
    assert timeline.count("\n- ") == 41
    assert "it went down [state_transitions:1]" in timeline
    assert "- 63 more events are omitted [timeline]" in timeline


def test_action_items_have_an_owner() -> None:
    """Each item that the model wrote without one is open, so that somebody can take it."""
    text = WRITTEN.replace(
        "Words on action items [V1].", "- Cap it\n* Test it; Owner: kim\n2. Tell us\n\nSo be it."
    )
    items = section(written(incident(), answer(text)), "Action items")
    assert items == "- Cap it; owner: open\n* Test it; Owner: kim\n2. Tell us; owner: open\n\nSo be it."


def test_cause_and_fix_are_kept_as_plain_text() -> None:
    """Without references, markup and what only code added; not at all where the model knows nothing."""
    text = "## Root cause\n\n- The **pool** was\n  `50` [V1, B0].\n\n## Resolution\n\nThe fix is not known."
    document = written(incident(), answer(text))
    assert document.root_cause == "The pool was 50."
    assert document.resolution is None
    assert document.root_cause is not None
    assert written(incident(), answer("Only a summary.")).root_cause is None, "the record is no words of its"
    long = written(incident(), answer(f"## Root cause\n\n{'why ' * 2_000}")).root_cause
    assert long is not None
    assert len(long) <= 2_000


def test_what_a_person_wrote_is_read_by_its_headings() -> None:
    """An edited document gives the same three texts as one that was written here."""
    document = written(incident(), answer())
    read = read_document(document.markdown.replace("Words on resolution [V1].", "We restarted it."))
    assert read.summary == document.summary
    assert (read.root_cause, read.resolution) == ("Words on root cause.", "We restarted it.")


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
    document = written(incident(), answer(text))
    assert headings(document) == SECTIONS
    assert document.markdown.count("# Postmortem") == 1
    assert "not written" not in document.markdown.casefold()
    assert "words on summary" in document.summary.casefold()


def test_a_section_that_the_model_left_out_is_named() -> None:
    """A document never has a hole that nobody sees."""
    text = "It was bad.\n\n## Trigger\n\n```\nnever closed\n\n## My own heading\n\n# Another"
    document = written(incident(), answer(text))
    assert headings(document) == SECTIONS
    assert document.summary == "It was bad."
    assert document.markdown.count("Not written by the model.") == len(ASKED) - 2
    assert document.markdown.count("```") == 2
    assert "### My own heading" in section(document, "Trigger")


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
        unsupported=(Unsupported(attack, ClaimIssue.UNKNOWN_NAME, attack),),
    )
    found = written(hostile, given, event(STARTED, "log", attack, "error_logs:1", is_bad=True), hit=attack)
    assert headings(found)[: len(SECTIONS)] == SECTIONS
    document = found.markdown
    assert not re.search(r"(?<!\\)\]\(http", document)
    assert not re.search(r"(?<!\\)`", document)
    assert "<script" not in document
    table = [line for line in document.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {3}


@pytest.mark.long
@settings(max_examples=100, deadline=None)
@given(texts, texts, texts)
def test_any_title_and_any_answer(title: str, cause: str, text: str) -> None:
    """No text of an incident or a model raises, and the sections are there once, with a summary."""
    for model in ("claude-sonnet-5-5", None):
        document = written(incident(title=title, root_cause=cause), answer(text, model=model))
        assert set(headings(document)) >= set(SECTIONS)


def test_the_instruction_is_a_question_that_can_be_asked() -> None:
    """It names the incident and every heading, and passes the resolver's checks, whatever the id."""
    asked_for = postmortem_question(incident(), TEMPLATE)
    assert "incident inc_42:" in asked_for
    assert all(f"## {title}" in asked_for for title in ASKED)
    assert "## Impact" not in asked_for, "code writes it"
    assert check_question(postmortem_question(incident(public_id="inc\x00\n" + "x" * 90), TEMPLATE))


def test_a_document_without_a_summary_has_none() -> None:
    """The text of other sections is not taken for it."""
    assert read_document("# Postmortem: ## Summary\n\n## Impact\n\nlarge").summary == ""
