"""The Markdown document of a postmortem: a template's sections, written by a model and by code. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from context_builder.answer.answer import Answer
from context_builder.postmortems.code_sections import CODE_SECTIONS
from context_builder.postmortems.findings import IncidentFindings
from context_builder.postmortems.markdown_text import escape_markdown, excerpt, section_text, sections_of
from context_builder.postmortems.template import MODEL, SectionTemplate, Template
from context_builder.text.formatting import format_duration, format_time
from context_builder.text.sanitize import single_line
from models import Incident

SUMMARY, ROOT_CAUSE, RESOLUTION = "Summary", "Root cause", "Resolution"
"""Titles of the sections that are also stored beside the document."""

_ACTION_ITEMS = "action items"
_WITHOUT_MODEL = {SUMMARY.casefold(): "summary", _ACTION_ITEMS: "action_items"}
"""What code writes if there is no model, by section title."""
_NOT_WRITTEN = "Not written by the model."
_NO_MODEL = "Not written: no model was called."
_BY_CODE = re.compile(
    r"^(?:Recorded (?:cause|fix): |No (?:cause|fix) is recorded|Last (?:recovery|better state): ).*$",
    re.MULTILINE,
)
"""Lines that code adds below a cause or a fix, which only repeat the record; also as 0.1.0 wrote them."""
_ITEM = re.compile(r"^((?:[-*+]|\d+[.)])[ \t]+.*\S)[ \t]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class PostmortemDocument:
    """A postmortem, and the parts of it that are stored beside it as plain text."""

    markdown: str
    summary: str
    root_cause: str | None
    """None: the document does not state one."""
    resolution: str | None


def postmortem_question(incident: Incident, template: Template) -> str:
    """Return the question that asks a model for its sections."""
    sections = "; ".join(
        f"## {section.title}" + (f" ({section.hint})" if section.hint else "") for section in template.asked
    )
    return (
        f"Write the postmortem of incident {single_line(incident.public_id)}: what happened, why, and what "
        "the errors and delays were. Format: Markdown with exactly these headings, in this order: "
        f"{sections}. "
        "Blameless, for engineers. Where the facts do not tell, write that it is not known. Impact, timeline "
        "and similar incidents are added from the records: do not write them."
    )


def write_document(template: Template, findings: IncidentFindings, answer: Answer) -> PostmortemDocument:
    """Write the document of one resolved incident."""
    by_title = sections_of(answer.text, [each.title for each in template.asked]) if answer.model else {}
    lines = [
        f"# Postmortem: {escape_markdown(findings.incident.title)}",
        "",
        *_facts_table(findings, answer),
        "",
    ]
    for section in template.sections:
        lines += [f"## {section.title}", "", _section(section, findings, answer, by_title), ""]
    markdown = "\n".join([*lines, *_unsupported(answer)])
    incident = findings.incident

    def stored_text(title: str, recorded: str | None) -> str | None:
        plan = next((each for each in template.sections if each.title.casefold() == title.casefold()), None)
        if plan is None:
            return None
        by_model = plan.by_model and answer.model is not None
        return excerpt(by_title.get(plan.title, "") if by_model else recorded or "")

    return PostmortemDocument(
        markdown,
        section_text(markdown, SUMMARY) or section_text(markdown, template.sections[0].title),
        stored_text(ROOT_CAUSE, incident.root_cause),
        stored_text(RESOLUTION, incident.resolution),
    )


def read_document(markdown: str) -> PostmortemDocument:
    """Parse a document that a person wrote or edited."""
    cause, fix = (_BY_CODE.sub("", section_text(markdown, title)) for title in (ROOT_CAUSE, RESOLUTION))
    return PostmortemDocument(markdown, section_text(markdown, SUMMARY), excerpt(cause), excerpt(fix))


def _section(
    section: SectionTemplate, findings: IncidentFindings, answer: Answer, by_title: Mapping[str, str]
) -> str:
    texts = []
    for writer in section.writers:
        if writer != MODEL:
            texts.append("\n".join(CODE_SECTIONS[writer](findings, answer)))
        elif answer.model is not None:
            texts.append(_by_model(section, by_title))
    if not texts:
        part = _WITHOUT_MODEL.get(section.title.casefold())
        texts.append("\n".join(CODE_SECTIONS[part](findings, answer)) if part else _NO_MODEL)
    return "\n\n".join(texts)


def _by_model(section: SectionTemplate, by_title: Mapping[str, str]) -> str:
    text = by_title.get(section.title, _NOT_WRITTEN)
    if section.title.casefold() == _ACTION_ITEMS:
        return _ITEM.sub(lambda item: _owned(item.group(1)), text)
    return text


def _owned(item: str) -> str:
    """Give an action item an owner field if it has none."""
    return item if "owner:" in item.casefold() else f"{item}; owner: open"


def _facts_table(findings: IncidentFindings, answer: Answer) -> Iterator[str]:
    incident = findings.incident
    yield "| | |"
    yield "|---|---|"
    yield f"| Incident | {escape_markdown(incident.public_id)} |"
    yield f"| Severity | {incident.severity} |"
    yield f"| Target | {escape_markdown(incident.target or 'not recorded')} |"
    span = f"{format_time(incident.started_at)} to {format_time(findings.resolved_at)}"
    yield f"| Time (UTC) | {span} ({format_duration(findings.resolved_at - incident.started_at)}) |"
    yield f"| Written by | {escape_markdown(answer.model or f'code, no model ({answer.no_model_reason})')} |"


def _unsupported(answer: Answer) -> Iterator[str]:
    if answer.unsupported:
        yield "## Claims that the facts do not support\n"
        for claim in answer.unsupported:
            yield f"- “{escape_markdown(claim.sentence)}”: {claim.doubt} ({escape_markdown(claim.detail)})"
        yield ""
