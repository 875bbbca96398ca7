"""A postmortem as a Markdown document: what the model wrote, and what code adds around it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from context_builder.answer import Answer
from context_builder.figures import duration, moment
from context_builder.manifest import Manifest
from context_builder.source import Status
from context_builder.untrusted import MAX_CHARACTERS, one_line, quoted
from models import Incident

SECTIONS = ("Summary", "Impact", "Timeline", "Root cause", "Resolution", "Action items")
"""What the writer fills in; evidence and blind spots are added by code."""

_IMPACT_SOURCES = ("volume", "latency", "budgets")
_NOT_RECORDED = "Not recorded."
_NOT_WRITTEN = "Not written by the model."
_HEADING = re.compile(
    rf"^(?:#{{1,6}}[ \t]+|\*\*)(?:\d[.)][ \t]*)?({'|'.join(SECTIONS)}):?(?:\*\*)?[ \t#]*$",
    re.IGNORECASE | re.MULTILINE,
)
"""A section's heading in the ways in which models write it."""
_FENCE = re.compile(r"^\s*```", re.MULTILINE)
_TITLE = re.compile(r"\A# .*\n?")
_MARKUP = re.compile(r"([\\`|\[\]])")


def instruction(incident: Incident) -> str:
    """The question that asks a model for the written sections."""
    sections = ", ".join(f"## {section}" for section in SECTIONS)
    return (
        f"Write the postmortem of incident {one_line(incident.public_id)}. Format: Markdown with exactly "
        f"these headings, in this order: {sections}. Blameless, for engineers. The summary is two sentences. "
        "The timeline is a list of times with what happened. Where the facts do not tell, write that it is "
        "not known. Action items: at most five, each with 'owner: open'."
    )


def write_document(incident: Incident, resolved_at: datetime, answer: Answer) -> str:
    """The whole document for one resolved incident."""
    return "\n".join(
        [
            f"# Postmortem: {_plain(incident.title)}",
            "",
            *_facts_table(incident, resolved_at, answer),
            "",
            _written(answer.text) if answer.model else "\n".join(_recorded(incident, resolved_at, answer)),
            "",
            *_evidence(answer),
            *_blind_spots(answer.manifest),
            *_unsupported(answer),
        ]
    )


def summary_of(document: str) -> str:
    """The text of the section of that name; empty where there is none."""
    found = re.search(r"^## Summary$(.*?)(?=^##? |\Z)", document, re.MULTILINE | re.DOTALL)
    return found.group(1).strip() if found else ""


def _plain(text: str) -> str:
    """Text by others as one line that makes no link, code or table cell."""
    return _MARKUP.sub(r"\\\1", one_line(text))


def _quoted(text: str | None) -> str:
    """Free text by others; the marks keep it from beginning a heading, a list or a block of code."""
    return _MARKUP.sub(r"\\\1", quoted(text, limit=MAX_CHARACTERS)) if text else _NOT_RECORDED


def _written(text: str) -> str:
    """The model's text with every section under its own heading."""
    body = _TITLE.sub("", _HEADING.sub(_as_section, text.strip())).strip()
    if len(_FENCE.findall(body)) % 2:
        body += "\n```"
    if not body.startswith("## "):
        body = f"## Summary\n\n{body}"
    present = {heading.group(1) for heading in _HEADING.finditer(body)}
    missing = [f"## {section}\n\n{_NOT_WRITTEN}" for section in SECTIONS if section not in present]
    return "\n\n".join([body, *missing])


def _as_section(heading: re.Match[str]) -> str:
    return f"## {heading.group(1).capitalize()}"


def _facts_table(incident: Incident, resolved_at: datetime, answer: Answer) -> Iterator[str]:
    yield "| | |"
    yield "|---|---|"
    yield f"| Incident | {_plain(incident.public_id)} |"
    yield f"| Severity | {incident.severity} |"
    yield f"| Target | {_plain(incident.target or 'not recorded')} |"
    lasted = duration(resolved_at - incident.started_at)
    yield f"| Time (UTC) | {moment(incident.started_at)} to {moment(resolved_at)} ({lasted}) |"
    yield f"| Written by | {_plain(answer.model or f'code, no model ({answer.no_model_reason})')} |"
    yield "| Status | draft |"


def _recorded(incident: Incident, resolved_at: datetime, answer: Answer) -> Iterator[str]:
    """The sections as far as records alone can fill them."""
    where = f" on {_quoted(incident.target)}" if incident.target else ""
    lasted = duration(resolved_at - incident.started_at)
    yield f"## Summary\n\n{_quoted(incident.title)}{where}, {incident.severity}, lasted {lasted}.\n"
    yield f"Symptoms: {_quoted(incident.symptoms)}\n" if incident.symptoms else ""
    yield "## Impact\n"
    yield from _impact(answer.manifest)
    yield f"\n## Timeline\n\n- {moment(incident.started_at)} started\n- {moment(resolved_at)} resolved\n"
    yield f"## Root cause\n\n{_quoted(incident.root_cause)}\n"
    yield f"## Resolution\n\n{_quoted(incident.resolution)}\n"
    yield "## Action items\n\n- To be written by a person; owner: open"


def _impact(manifest: Manifest) -> Iterator[str]:
    read = [
        source
        for source in manifest.sources
        if source.name in _IMPACT_SOURCES and source.status in (Status.OK, Status.STALE)
    ]
    for source in read:
        reference = "" if source.folded else f" [{source.ref}]"
        yield f"- {source.name}: {_plain(source.header)}{reference}"
    if not read:
        yield "No request figures of that time are known."


def _evidence(answer: Answer) -> Iterator[str]:
    yield "## Evidence\n"
    cited = {citation.ref: citation.text for citation in answer.citations} if answer.model else {}
    shown = cited or {fact.ref: fact.text for fact in answer.manifest.facts if fact.is_shown}
    yield from (f"- [{ref}] {_plain(text)}" for ref, text in shown.items())
    yield f"\nQuestion log: {answer.id}; prompt SHA-256 {answer.manifest.prompt_sha256}\n"


def _blind_spots(manifest: Manifest) -> Iterator[str]:
    yield "## What could not be seen\n"
    lines = []
    for source in manifest.sources:
        if source.status in (Status.TIMEOUT, Status.ERROR):
            lines.append(f"- {source.name} ({source.status}): {_plain(source.error or '')}")
        elif source.status is Status.EMPTY:
            lines.append(f"- {source.name}: {_plain(source.header)}")
        lines += [f"- {source.name}: {_plain(gap)}" for gap in source.gaps]
        if source.cut:
            lines.append(f"- {source.name}: {source.cut} facts did not fit the token budget")
    yield from lines or ["Nothing is missing: every source was read and all its facts were shown."]
    yield ""


def _unsupported(answer: Answer) -> Iterator[str]:
    if answer.unsupported:
        yield "## Claims that the facts do not support\n"
        for claim in answer.unsupported:
            yield f"- “{_plain(claim.sentence)}”: {claim.doubt} ({_plain(claim.detail)})"
        yield ""
