"""The sections of a postmortem that code writes; every line states where it comes from. Pure.

A reference such as [H1] is a fact of the prompt, [config_changes:17] a row of a table by its key, and
[impact.requests] a query.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta

from context_builder.answer.answer import Answer
from context_builder.exploration.events import Event
from context_builder.postmortems.findings import IncidentFindings
from context_builder.postmortems.impact import impact_lines, queries_used
from context_builder.postmortems.markdown_text import escape_markdown, quote_markdown
from context_builder.postmortems.recorded_events import lifetime
from context_builder.prompt.manifest import Detail
from context_builder.source import Status
from context_builder.text.formatting import format_count, format_duration, format_time

MAX_EVENTS = 40
MAX_CHANGES = 5
_RECALL = "recall"
_KINDS = ("start", "end", "state", "config", "job", "alert", "log", "audit")
"""Priority of events in a timeline that is too short for all."""

CodeSection = Callable[[IncidentFindings, Answer], Iterator[str]]


def _summary(findings: IncidentFindings, _: Answer) -> Iterator[str]:
    incident, ref = findings.incident, _record(findings)
    where = f" on {quote_markdown(incident.target)}" if incident.target else ""
    lasted = format_duration(findings.resolved_at - incident.started_at)
    yield f"{quote_markdown(incident.title)}{where}, {incident.severity}, lasted {lasted} {ref}."
    if incident.symptoms:
        yield f"\nSymptoms: {quote_markdown(incident.symptoms)} {ref}"


def _impact(findings: IncidentFindings, _: Answer) -> Iterator[str]:
    return impact_lines(findings.impact)


def _timeline(findings: IncidentFindings, _: Answer) -> Iterator[str]:
    events = [*lifetime(findings.incident, findings.resolved_at), *findings.events.found]
    shown = sorted(events, key=lambda event: (_KINDS.index(event.kind), event.sort_key))[:MAX_EVENTS]
    yield "Times are UTC."
    yield ""
    for event in sorted(shown, key=lambda event: event.sort_key):
        yield f"- {_at(event)}"
    if len(events) > len(shown):
        yield f"- {len(events) - len(shown):,} more events are omitted [timeline]"


def _root_cause(findings: IncidentFindings, _: Answer) -> Iterator[str]:
    cause, ref = findings.incident.root_cause, _record(findings)
    yield f"Recorded cause: {quote_markdown(cause)} {ref}" if cause else f"No cause is recorded {ref}."


def _trigger(findings: IncidentFindings, _: Answer) -> Iterator[str]:
    start = findings.incident.started_at
    nearest = sorted(findings.changes, key=lambda event: (start - event.at, event.sort_key))[:MAX_CHANGES]
    if not nearest:
        scope = "to the affected deployments or the gateway"
        yield f"No change {scope} is recorded in the day before the incident {_record(findings)}."
        return
    yield "Changes before the start, most recent first; proximity in time is no proof of cause."
    yield ""
    for event in nearest:
        yield f"- {_distance(event.at, start)}: {escape_markdown(event.text)} [{event.ref}]"


def _detection(findings: IncidentFindings, _: Answer) -> Iterator[str]:
    start = findings.incident.started_at
    alerts = [event for event in findings.events.found if event.kind == "alert"]
    unsent = [event for event in alerts if not event.is_bad]
    labels = {"alert": "first alert", "state": "first state change", "log": "first error logged"}
    first = [
        (label, next((each for each in findings.events.found if each.kind == kind and each.is_bad), None))
        for kind, label in labels.items()
    ]
    detected = [(label, event) for label, event in first if event is not None]
    for label, event in detected:
        yield f"- {label}, {_distance(event.at, start)}: {escape_markdown(event.text)} [{event.ref}]"
    for event in unsent:
        yield f"- {escape_markdown(event.text)}, {_distance(event.at, start)} [{event.ref}]"
    if not detected and not unsent:
        yield f"Not known: no alert, worse state or error log line is recorded {_record(findings)}."


def _resolution(findings: IncidentFindings, _: Answer) -> Iterator[str]:
    fix, ref = findings.incident.resolution, _record(findings)
    yield f"Recorded fix: {quote_markdown(fix)} {ref}" if fix else f"No fix is recorded {ref}."
    states = [event for event in findings.events.found if event.kind == "state" and not event.is_bad]
    if states:
        yield f"\nLast recovery: {_at(states[-1])}"


def _action_items(findings: IncidentFindings, answer: Answer) -> Iterator[str]:
    if not findings.incident.root_cause:
        yield f"- Find the cause and record it {_record(findings)}; owner: open"
    if not findings.incident.resolution:
        yield f"- Record what resolved it {_record(findings)}; owner: open"
    for source in answer.manifest.sources:
        if source.status.is_failure:
            name = escape_markdown(source.name)
            yield f"- Find out why {name} could not be read [{source.ref}]; owner: open"
    yield f"- Decide how to prevent a recurrence {_record(findings)}; owner: open"


def _similar(_: IncidentFindings, answer: Answer) -> Iterator[str]:
    facts = [fact for fact in answer.manifest.facts if fact.source == _RECALL]
    for fact in facts:
        hidden = "" if fact.is_shown else " (not shown to the model)"
        yield f"- {escape_markdown(fact.text)}{hidden} [{fact.ref}]"
    if facts:
        return
    source = next((each for each in answer.manifest.sources if each.name == _RECALL), None)
    if source is None:
        yield "Not known: incident memory was not queried."
    else:
        yield f"{escape_markdown(source.text)} [{source.ref}]"


def _blind_spots(findings: IncidentFindings, answer: Answer) -> Iterator[str]:
    lines = []
    for source in answer.manifest.sources:
        if source.status is Status.STALE or source.status.is_failure:
            why = escape_markdown(source.error or source.header)
            lines.append(f"- {source.name} ({source.status}): {why} [{source.ref}]")
        elif source.status is Status.EMPTY:
            lines.append(f"- {source.name}: {escape_markdown(source.header)} [{source.ref}]")
        lines += [f"- {source.name}: {escape_markdown(gap)} [{source.ref}]" for gap in source.gaps]
        if source.cut:
            omitted = format_count(source.cut, "fact")
            lines.append(f"- {source.name}: {omitted} did not fit the token budget [{source.ref}]")
    lines += [
        f"- timeline: more {what} are recorded than were read [timeline]" for what in findings.events.cut
    ]
    if not findings.impact.affected.deployment_ids:
        lines.append(f"- impact: the record does not name the affected deployments {_record(findings)}")
    yield from lines or ["None: every source was read and all of its facts were shown."]


def _evidence(findings: IncidentFindings, answer: Answer) -> Iterator[str]:
    cited = {citation.ref: citation.text for citation in answer.citations} if answer.model else {}
    shown = cited or {
        fact.ref: fact.text
        for fact in answer.manifest.facts
        if fact.detail in (Detail.FULL, Detail.SHORT) and fact.source != _RECALL
    }
    yield from (f"- [{ref}] {escape_markdown(text)}" for ref, text in shown.items())
    yield from queries_used(findings.impact)
    yield "- a reference such as [incidents:1] is a row of that table by its key"
    yield f"\nQuestion log: {answer.id}; prompt SHA-256 {answer.manifest.prompt_sha256}"


def _record(findings: IncidentFindings) -> str:
    return f"[incidents:{findings.incident.id}]"


def _at(event: Event) -> str:
    return f"{format_time(event.at)} {escape_markdown(event.text)} [{event.ref}]"


def _distance(at: datetime, start: datetime) -> str:
    span = at - start
    if not span:
        return "at the start"
    return f"{format_duration(abs(span))} {'after' if span > timedelta(0) else 'before'} the start"


CODE_SECTIONS: Mapping[str, CodeSection] = {
    "summary": _summary,
    "impact": _impact,
    "timeline": _timeline,
    "root_cause": _root_cause,
    "trigger": _trigger,
    "detection": _detection,
    "resolution": _resolution,
    "action_items": _action_items,
    "similar": _similar,
    "blind_spots": _blind_spots,
    "evidence": _evidence,
}
"""By the name that a template uses."""
