"""A postmortem as a Markdown document: what the model wrote, and what code adds around it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from context_builder.answer import Answer
from context_builder.figures import duration, moment
from context_builder.manifest import Detail, Manifest
from context_builder.source import Status
from context_builder.untrusted import one_line
from models import Incident

SECTIONS = ("Summary", "Impact", "Timeline", "Root cause", "Resolution", "Action items")
"""What the writer fills in; evidence and blind spots are added by code."""

_IMPACT_SOURCES = ("volume", "latency", "budgets")


def instruction(incident: Incident) -> str:
    """The question that asks a model for the written sections."""
    sections = ", ".join(f"## {section}" for section in SECTIONS)
    return (
        f"Write the postmortem of incident {incident.public_id}. Format: Markdown with exactly these "
        f"headings, in this order: {sections}. Blameless, for engineers. The summary is two sentences. "
        "The timeline is a list of times with what happened. Where the facts do not tell, write that it is "
        "not known. "
        "Action items: at most five, each with 'owner: open'."
    )


def write_document(incident: Incident, resolved_at: datetime, answer: Answer) -> str:
    """The whole document for one resolved incident."""
    return "\n".join(
        [
            f"# Postmortem: {one_line(incident.title)}",
            "",
            *_facts_table(incident, resolved_at, answer),
            "",
            answer.text.strip() if answer.model else "\n".join(_without_model(incident, resolved_at, answer)),
            "",
            *_evidence(answer),
            *_blind_spots(answer.manifest),
            *_unsupported(answer),
        ]
    )


def summary_of(document: str) -> str:
    """The text of the first section."""
    _, _, rest = document.partition("## Summary")
    return rest.partition("\n## ")[0].strip()


def _facts_table(incident: Incident, resolved_at: datetime, answer: Answer) -> Iterator[str]:
    yield "| | |"
    yield "|---|---|"
    yield f"| Incident | {incident.public_id} |"
    yield f"| Severity | {incident.severity} |"
    yield f"| Target | {one_line(incident.target or 'not recorded')} |"
    lasted = duration(resolved_at - incident.started_at)
    yield f"| Time (UTC) | {moment(incident.started_at)} to {moment(resolved_at)} ({lasted}) |"
    yield f"| Written by | {answer.model or f'code, no model ({answer.no_model_reason})'} |"
    yield "| Status | draft |"


def _without_model(incident: Incident, resolved_at: datetime, answer: Answer) -> Iterator[str]:
    """The sections as far as records alone can fill them."""
    where = f" on {one_line(incident.target)}" if incident.target else ""
    lasted = duration(resolved_at - incident.started_at)
    yield f"## Summary\n\n{one_line(incident.title)}{where}, {incident.severity}, lasted {lasted}.\n"
    yield f"{one_line(incident.symptoms)}\n" if incident.symptoms else ""
    yield "## Impact\n"
    yield from _impact(answer.manifest)
    yield f"\n## Timeline\n\n- {moment(incident.started_at)} started\n- {moment(resolved_at)} resolved\n"
    yield f"## Root cause\n\n{one_line(incident.root_cause or 'Not recorded.')}\n"
    yield f"## Resolution\n\n{one_line(incident.resolution or 'Not recorded.')}\n"
    yield "## Action items\n\n- To be written by a person; owner: open"


def _impact(manifest: Manifest) -> Iterator[str]:
    read = [
        source
        for source in manifest.sources
        if source.name in _IMPACT_SOURCES and source.status in (Status.OK, Status.STALE)
    ]
    for source in read:
        yield f"- {source.name}: {source.header} [{source.ref}]"
    if not read:
        yield "No request figures of that time are known."


def _evidence(answer: Answer) -> Iterator[str]:
    yield "## Evidence\n"
    cited = {citation.ref: citation.text for citation in answer.citations} if answer.model else {}
    shown = cited or {fact.ref: fact.text for fact in answer.manifest.facts if fact.detail is not Detail.CUT}
    yield from (f"- [{ref}] {text}" for ref, text in shown.items())
    yield f"\nQuestion log: {answer.id}; prompt SHA-256 {answer.manifest.prompt_sha256}\n"


def _blind_spots(manifest: Manifest) -> Iterator[str]:
    yield "## What could not be seen\n"
    lines = []
    for source in manifest.sources:
        if source.status in (Status.TIMEOUT, Status.ERROR):
            lines.append(f"- {source.name} ({source.status}): {source.error}")
        elif source.status is Status.EMPTY:
            lines.append(f"- {source.name}: {source.header}")
        lines += [f"- {source.name}: {gap}" for gap in source.gaps]
        if source.cut:
            lines.append(f"- {source.name}: {source.cut} facts did not fit the token budget")
    yield from lines or ["Nothing is missing: every source was read and all its facts were shown."]
    yield ""


def _unsupported(answer: Answer) -> Iterator[str]:
    if answer.unsupported:
        yield "## Claims that the facts do not support\n"
        yield from (f"- “{claim.sentence}”: {claim.doubt} ({claim.detail})" for claim in answer.unsupported)
        yield ""
