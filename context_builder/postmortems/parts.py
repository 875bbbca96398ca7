"""The parts of a postmortem that code writes: every line says where it comes from. Pure.

A reference such as [H1] is a fact of the prompt, [config_changes:17] a row of a table by its key, and
[impact.requests] a query.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta

from context_builder.answer.answer import Answer
from context_builder.postmortems.findings import IncidentFindings
from context_builder.postmortems.impact import impact_lines, queries_used
from context_builder.postmortems.markdown_text import plain, quoted_plain
from context_builder.postmortems.recorded_events import Event, lifetime
from context_builder.prompt.manifest import Detail
from context_builder.source import Status
from context_builder.text.formatting import format_count, format_duration, format_time

MAX_EVENTS = 40
MAX_CHANGES = 5
_RECALL = "recall"
_KINDS = ("start", "end", "state", "config", "job", "alert", "log", "audit")
"""What a timeline keeps first where not everything has room."""

Part = Callable[[IncidentFindings, Answer], Iterator[str]]


def _summary(findings: IncidentFindings, _: Answer) -> Iterator[str]:
    incident = findings.incident
    where = f" on {quoted_plain(incident.target)}" if incident.target else ""
    lasted = format_duration(findings.resolved_at - incident.started_at)
    yield f"{quoted_plain(incident.title)}{where}, {incident.severity}, lasted {lasted} {_record(findings)}."
    if incident.symptoms:
        yield f"\nSymptoms: {quoted_plain(incident.symptoms)} {_record(findings)}"


def _impact(findings: IncidentFindings, _: Answer) -> Iterator[str]:
    return impact_lines(findings.impact)


def _timeline(findings: IncidentFindings, _: Answer) -> Iterator[str]:
    everything = [*lifetime(findings.incident, findings.resolved_at), *findings.events.found]
    kept = sorted(everything, key=lambda event: (_KINDS.index(event.kind), event))[:MAX_EVENTS]
    yield "Times are UTC."
    yield ""
    for event in sorted(kept):
        yield f"- {_told(event)}"
    if len(everything) > len(kept):
        yield f"- {len(everything) - len(kept):,} more events are left out here [timeline]"


def _root_cause(findings: IncidentFindings, _: Answer) -> Iterator[str]:
    cause = findings.incident.root_cause
    yield (
        f"Recorded cause: {quoted_plain(cause)} {_record(findings)}"
        if cause
        else (f"No cause is recorded {_record(findings)}.")
    )


def _trigger(findings: IncidentFindings, _: Answer) -> Iterator[str]:
    start = findings.incident.started_at
    nearest = sorted(findings.changes, key=lambda event: (start - event.at, event))[:MAX_CHANGES]
    if not nearest:
        yield f"No change of what it hit is recorded in the day before it {_record(findings)}."
        return
    yield "Changes before the start, the nearest first; near in time is not proof of cause."
    yield ""
    for event in nearest:
        yield f"- {_distance(event.at, start)}: {plain(event.text)} [{event.ref}]"


def _detection(findings: IncidentFindings, _: Answer) -> Iterator[str]:
    start = findings.incident.started_at
    bad = [event for event in findings.events.found if event.is_bad]
    named = {"alert": "first alert", "state": "first change of state", "log": "first error logged"}
    found = False
    for kind, what in named.items():
        first = next((event for event in bad if event.kind == kind), None)
        if first is not None:
            found = True
            yield f"- {what}, {_distance(first.at, start)}: {plain(first.text)} [{first.ref}]"
    lost = [event for event in findings.events.found if event.kind == "alert" and not event.is_bad]
    yield from (f"- {plain(event.text)}, {_distance(event.at, start)} [{event.ref}]" for event in lost)
    if not found and not lost:
        yield f"Not known: no alert, worse state or error line of that time is recorded {_record(findings)}."


def _resolution(findings: IncidentFindings, _: Answer) -> Iterator[str]:
    fix = findings.incident.resolution
    yield (
        f"Recorded fix: {quoted_plain(fix)} {_record(findings)}"
        if fix
        else (f"No fix is recorded {_record(findings)}.")
    )
    states = [event for event in findings.events.found if event.kind == "state" and not event.is_bad]
    if states:
        yield f"\nLast better state: {_told(states[-1])}"


def _action_items(findings: IncidentFindings, answer: Answer) -> Iterator[str]:
    if not findings.incident.root_cause:
        yield f"- Find out the cause and record it {_record(findings)}; owner: open"
    if not findings.incident.resolution:
        yield f"- Record what ended it {_record(findings)}; owner: open"
    for source in answer.manifest.sources:
        if source.status in (Status.TIMEOUT, Status.ERROR):
            yield f"- Find out why {plain(source.name)} could not be read [{source.ref}]; owner: open"
    yield f"- Decide what keeps this from happening again {_record(findings)}; owner: open"


def _similar(_: IncidentFindings, answer: Answer) -> Iterator[str]:
    facts = [fact for fact in answer.manifest.facts if fact.source == _RECALL]
    for fact in facts:
        unseen = "" if fact.is_shown else " (the model was not shown this)"
        yield f"- {plain(fact.text)}{unseen} [{fact.ref}]"
    if facts:
        return
    source = next((each for each in answer.manifest.sources if each.name == _RECALL), None)
    if source is None:
        yield "Not known: memory was not asked."
    else:
        yield f"{plain(source.text)} [{source.ref}]"


def _blind_spots(findings: IncidentFindings, answer: Answer) -> Iterator[str]:
    lines = []
    for source in answer.manifest.sources:
        ref = f" [{source.ref}]"
        if source.status in (Status.TIMEOUT, Status.ERROR, Status.STALE):
            lines.append(f"- {source.name} ({source.status}): {plain(source.error or source.header)}{ref}")
        elif source.status is Status.EMPTY:
            lines.append(f"- {source.name}: {plain(source.header)}{ref}")
        lines += [f"- {source.name}: {plain(gap)}{ref}" for gap in source.gaps]
        if source.cut:
            lines.append(
                f"- {source.name}: {format_count(source.cut, 'fact')} did not fit the token budget{ref}"
            )
    lines += [
        f"- timeline: more {what} are recorded than were read [timeline]" for what in findings.events.cut
    ]
    if not findings.impact.hit.deployment_ids:
        lines.append(f"- impact: the record does not say which deployments were hit {_record(findings)}")
    yield from lines or ["Nothing is missing: every source was read and all its facts were shown."]


def _evidence(findings: IncidentFindings, answer: Answer) -> Iterator[str]:
    cited = {citation.ref: citation.text for citation in answer.citations} if answer.model else {}
    shown = cited or {
        fact.ref: fact.text
        for fact in answer.manifest.facts
        if fact.detail in (Detail.FULL, Detail.SHORT) and fact.source != _RECALL
    }
    yield from (f"- [{ref}] {plain(text)}" for ref, text in shown.items())
    yield from queries_used(findings.impact)
    yield "- a reference such as [incidents:1] is a row of that table by its key"
    yield f"\nQuestion log: {answer.id}; prompt SHA-256 {answer.manifest.prompt_sha256}"


def _record(findings: IncidentFindings) -> str:
    return f"[incidents:{findings.incident.id}]"


def _told(event: Event) -> str:
    return f"{format_time(event.at)} {plain(event.text)} [{event.ref}]"


def _distance(at: datetime, start: datetime) -> str:
    span = at - start
    if not span:
        return "at the start"
    return f"{format_duration(abs(span))} {'after' if span > timedelta(0) else 'before'} the start"


PARTS: Mapping[str, Part] = {
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
"""By the name that a template gives them."""
