"""What is exported can be imported again, with nothing lost or changed on the way."""

from __future__ import annotations

import io
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from api.archive import DocumentRejected, ImportDefaults, ImportPolicy
from api.archive.changes import plan_changes
from api.archive.document_parser import parse_document
from api.archive.documents import IncidentDocument
from api.archive.errors import DocumentSkipped
from api.archive.exporter import members_of
from api.archive.front_matter import read_markdown, write_markdown
from api.archive.json_lines import read_json_lines, write_json_line
from models import Incident, Postmortem, Provenance, ReviewStatus, Severity

INCIDENT_COLUMNS = {
    *("public_id", "title", "severity", "target", "started_at", "resolved_at", "status", "review"),
    *("provenance", "symptoms", "root_cause", "resolution"),
}
POSTMORTEM_COLUMNS = {
    *("markdown", "status", "provenance", "summary", "root_cause", "resolution", "model", "reviewed_by"),
    *("created_at", "edited_at", "reviewed_at"),
}
EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 1, 1, tzinfo=UTC)
TRICKY = [
    "", " ", "\n", "---", "---\n", "\n---\n", "...\n", "a\r\nb", "a\rb", "null", "~", "'", '"', "\\", "# x",
    "\u2028", "\x85", "\ufeff",
    "\x1b[31m", "\x7f", "\U0001f600", "!!python/object:os.system x", "&a *a", "- a", "a: b",
    "```\n---\n```", "## Root cause\n\nnone\n", "5. Fix: x", " lead", "trail ", "trail \nx", "\tx\n\ty",
    "1_000", "2024-01-01", "yes", "=", "<<", "%YAML", "@x", "x\n\n\n", "\n\nx", "|", ">", "\u0301",
]  # fmt: skip

texts = st.lists(
    st.sampled_from(TRICKY)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12),
    max_size=4,
).map("".join)
moments = st.timedeltas(timedelta(0), timedelta(days=400)).map(lambda after: EPOCH + after)
optional_texts = st.none() | texts
titles = texts.filter(str.strip)
names = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=20)
postmortems = st.builds(
    Postmortem,
    status=st.sampled_from(ReviewStatus),
    provenance=st.sampled_from(Provenance),
    markdown=texts,
    summary=texts,
    root_cause=optional_texts,
    resolution=optional_texts,
    model=optional_texts,
    created_at=moments,
    edited_at=st.none() | moments,
    reviewed_at=st.none() | moments,
    reviewed_by=optional_texts,
)


@st.composite
def incidents(draw: st.DrawFn) -> Incident:
    started = draw(moments)
    resolved = draw(
        st.none() | st.timedeltas(timedelta(0), timedelta(days=2)).map(lambda after: started + after)
    )
    return Incident(
        public_id=draw(names),
        title=draw(titles),
        symptoms=draw(texts),
        target=draw(optional_texts),
        severity=draw(st.sampled_from(Severity)),
        status="active" if resolved is None else "resolved",
        started_at=started,
        resolved_at=resolved,
        root_cause=draw(optional_texts),
        resolution=draw(optional_texts),
        provenance=draw(st.sampled_from(Provenance)),
        review=draw(st.sampled_from(ReviewStatus)),
    )


def as_markdown(members: dict[str, Any]) -> IncidentDocument:
    about = members.get("postmortem")
    text = about.pop("markdown") if about else ""
    return parse_document(read_markdown(write_markdown(members, text).encode(), "x.md"), ImportDefaults())


def as_json_line(members: dict[str, Any]) -> IncidentDocument:
    line = write_json_line(members)
    assert line.splitlines() == [line[:-1]]
    (written,) = read_json_lines(io.BytesIO(line.encode()), "x.jsonl")
    assert not isinstance(written, DocumentRejected)
    return parse_document(written, ImportDefaults())


@pytest.mark.long
@given(incidents(), st.none() | postmortems)
@settings(max_examples=150, deadline=None)
def test_nothing_is_lost_in_either_format(incident: Incident, postmortem: Postmortem | None) -> None:
    """Any text in any field; importing it again changes nothing where it came from."""
    for through in (as_markdown, as_json_line):
        document = through(members_of(incident, postmortem))
        changes = plan_changes(document, None, None, ImportPolicy(at=LATER))
        assert changes.incident == {name: getattr(incident, name) for name in INCIDENT_COLUMNS}
        if postmortem is None:
            assert changes.postmortem == {}
        else:
            assert changes.postmortem == {name: getattr(postmortem, name) for name in POSTMORTEM_COLUMNS}
        for replace in (False, True):
            again = plan_changes(document, incident, postmortem, ImportPolicy(at=LATER, replace=replace))
            assert (again.incident, again.postmortem, again.kept) == ({}, {}, [])


@pytest.mark.long
@given(
    st.dictionaries(
        names, st.recursive(texts | st.none(), lambda each: st.lists(each) | st.dictionaries(names, each))
    )
)
@example({"id": {"a": {"b": {"c": 1}}}})
@settings(max_examples=50, deadline=None)
def test_any_object_is_read_or_refused_in_one_line(members: dict[str, Any]) -> None:
    """A line of JSON never breaks the import."""
    line = json.dumps(members | {"title": "x", "severity": "p1", "started_at": "2026-01-01T00:00Z"})
    (written,) = read_json_lines(io.BytesIO(line.encode()), "x.jsonl")
    try:
        assert not isinstance(written, DocumentRejected)
        parse_document(written, ImportDefaults())
    except DocumentRejected as error:
        assert re.fullmatch("x.jsonl:1: .+", str(error))  # noqa: PT017  either way is right


@given(st.binary(max_size=200) | texts.map(str.encode) | texts.map(lambda text: b"---\n" + text.encode()))
@example(b"---\na: &a [x]\nb: [*a, *a]\n---\n")
@example(b"---\n" + b"[" * 5000)
@example(b"---\na: " + b"[" * 900 + b"]" * 900 + b"\n---\n")
def test_any_file_is_read_or_refused_in_one_line(content: bytes) -> None:
    """A file never breaks the import."""
    try:
        parse_document(read_markdown(content, "x.md"), ImportDefaults())
    except (DocumentRejected, DocumentSkipped) as error:
        assert re.fullmatch("x.md(:[0-9]+)?: .+", str(error))  # noqa: PT017  either way is right
