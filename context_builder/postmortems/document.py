"""A postmortem as a Markdown document: a template's sections, written by a model and by code. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from context_builder.answer.answer import Answer
from context_builder.postmortems.findings import IncidentFindings
from context_builder.postmortems.markdown_text import excerpt, plain, section_text, sections_of
from context_builder.postmortems.parts import PARTS
from context_builder.postmortems.template import MODEL, SectionPlan, Template
from context_builder.text.formatting import format_duration, format_time
from context_builder.text.sanitize import single_line
from models import Incident

SUMMARY, ROOT_CAUSE, RESOLUTION = "Summary", "Root cause", "Resolution"
"""Titles of the sections that are kept beside the document, too."""

_ACTION_ITEMS = "action items"
_WITHOUT_MODEL = {SUMMARY.casefold(): "summary", _ACTION_ITEMS: "action_items"}
"""What code writes in a model's place, by the section's title."""
_NOT_WRITTEN = "Not written by the model."
_NO_MODEL = "Not written: no model was called."
_BY_CODE = re.compile(
    r"^(?:Recorded (?:cause|fix): |No (?:cause|fix) is recorded|Last better state: ).*$", re.MULTILINE
)
"""What code adds below a cause or a fix: it only repeats the record."""
_ITEM = re.compile(r"^((?:[-*+]|\d+[.)])[ \t]+.*\S)[ \t]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Document:
    """A postmortem, and what of it is kept beside it as plain text."""

    markdown: str
    summary: str
    root_cause: str | None
    """None: it says nothing of it."""
    resolution: str | None


def instruction(incident: Incident, template: Template) -> str:
    """The question that asks a model for the sections that are its own."""
    sections = "; ".join(
        f"## {section.title}" + (f" ({section.hint})" if section.hint else "") for section in template.asked
    )
    return (
        f"Write the postmortem of incident {single_line(incident.public_id)}: what happened, why, and what the "
        f"errors and delays were. Format: Markdown with exactly these headings, in this order: {sections}. "
        "Blameless, for engineers. Where the facts do not tell, write that it is not known. Impact, timeline "
        "and similar incidents are added from the records: do not write them."
    )


def write_document(template: Template, findings: IncidentFindings, answer: Answer) -> Document:
    """The whole document for one resolved incident."""
    told = sections_of(answer.text, [each.title for each in template.asked]) if answer.model else {}
    lines = [f"# Postmortem: {plain(findings.incident.title)}", "", *_facts_table(findings, answer), ""]
    for section in template.sections:
        lines += [f"## {section.title}", "", _section(section, findings, answer, told), ""]
    markdown = "\n".join([*lines, *_unsupported(answer)])
    incident = findings.incident

    def kept(title: str, recorded: str | None) -> str | None:
        plan = next((each for each in template.sections if each.title.casefold() == title.casefold()), None)
        if plan is None:
            return None
        by_model = plan.by_model and answer.model is not None
        return excerpt(told.get(plan.title, "") if by_model else recorded or "")

    return Document(
        markdown,
        section_text(markdown, SUMMARY) or section_text(markdown, template.sections[0].title),
        kept(ROOT_CAUSE, incident.root_cause),
        kept(RESOLUTION, incident.resolution),
    )


def read_document(markdown: str) -> Document:
    """The document that somebody else wrote, with what can be found in it."""
    cause, fix = (_BY_CODE.sub("", section_text(markdown, title)) for title in (ROOT_CAUSE, RESOLUTION))
    return Document(markdown, section_text(markdown, SUMMARY), excerpt(cause), excerpt(fix))


def _section(
    section: SectionPlan, findings: IncidentFindings, answer: Answer, told: Mapping[str, str]
) -> str:
    texts = []
    for writer in section.writers:
        if writer != MODEL:
            texts.append("\n".join(PARTS[writer](findings, answer)))
        elif answer.model is not None:
            texts.append(_by_model(section, told))
    if not texts:
        part = _WITHOUT_MODEL.get(section.title.casefold())
        texts.append("\n".join(PARTS[part](findings, answer)) if part else _NO_MODEL)
    return "\n\n".join(texts)


def _by_model(section: SectionPlan, told: Mapping[str, str]) -> str:
    text = told.get(section.title, _NOT_WRITTEN)
    if section.title.casefold() == _ACTION_ITEMS:
        return _ITEM.sub(lambda item: _owned(item.group(1)), text)
    return text


def _owned(item: str) -> str:
    """An action item that somebody can take."""
    return item if "owner:" in item.casefold() else f"{item}; owner: open"


def _facts_table(findings: IncidentFindings, answer: Answer) -> Iterator[str]:
    incident = findings.incident
    yield "| | |"
    yield "|---|---|"
    yield f"| Incident | {plain(incident.public_id)} |"
    yield f"| Severity | {incident.severity} |"
    yield f"| Target | {plain(incident.target or 'not recorded')} |"
    lasted = format_duration(findings.resolved_at - incident.started_at)
    yield f"| Time (UTC) | {format_time(incident.started_at)} to {format_time(findings.resolved_at)} ({lasted}) |"
    yield f"| Written by | {plain(answer.model or f'code, no model ({answer.no_model_reason})')} |"


def _unsupported(answer: Answer) -> Iterator[str]:
    if answer.unsupported:
        yield "## Claims that the facts do not support\n"
        for claim in answer.unsupported:
            yield f"- “{plain(claim.sentence)}”: {claim.doubt} ({plain(claim.detail)})"
        yield ""
