"""Documents as archives really have them: keys by any name, sections under any heading, clear refusals."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from api.archive.document import Document
from api.archive.errors import DocumentRejected
from api.archive.markdown import read_markdown
from api.archive.readings import Assumptions, read_document
from api.archive.sections import sections_of, title_of
from models import Severity

WHOLE = {"id": "inc_1", "title": "Slow", "severity": "high", "started_at": "2026-01-01T10:00Z"}


def read(members: dict[str, Any], text: str = "", name: str = "a/x.md", **assumed: Any) -> Document:
    front = "".join(f"{key}: {value}\n" for key, value in members.items())
    return read_document(read_markdown(f"---\n{front}---\n{text}".encode(), name), Assumptions(**assumed))


@pytest.mark.parametrize(
    ("written", "severity"),
    [
        ("P1", "critical"), ("p0", "critical"), ("SEV1", "critical"), ("sev-2", "high"),
        ("'Sev 3: minor'", "medium"),
        ("S4", "low"), ("1", "critical"), ("P2 (High)", "high"), ("Major", "high"), ("MEDIUM", "medium"),
        ("Blocker", "critical"), ("'priority 3'", "medium"), ("low", "low"),
    ],
)  # fmt: skip
def test_severities_by_their_usual_names(written: str, severity: str) -> None:
    """Words, P1 and SEV1, with what is said after them."""
    assert read(WHOLE | {"severity": written}).columns["severity"] == severity


@pytest.mark.parametrize("key", ["sev", "priority", "Priority", "SEVERITY"])
def test_keys_by_their_usual_names(key: str) -> None:
    """In any case of letters, with hyphens, blanks or underscores."""
    document = read(
        {
            "Incident-ID": "007", "name": "Slow", key: "P1", "date": "2026-01-01 10:00Z",
            "end": "2026-01-01 11:00 UTC", "services": "[gateway, gpt-4/aws]", "Root Cause": "Quota",
            "mitigation": "Raised it", "impact": "All",
        }
    )  # fmt: skip
    assert document.public_id == "007"
    assert document.columns == {
        "title": "Slow", "severity": "critical", "target": "gateway, gpt-4/aws", "symptoms": "All",
        "started_at": datetime(2026, 1, 1, 10, tzinfo=UTC),
        "resolved_at": datetime(2026, 1, 1, 11, tzinfo=UTC),
        "root_cause": "Quota", "resolution": "Raised it",
    }  # fmt: skip


TEXT = """# Post-mortem: Disk full

## 1. Executive Summary
Writes failed.

#### Customer impact
Everyone.

5. Root cause:
Compaction never ran.

```
## Resolution
not this one
```

**Remediation:** resized
and restarted.

Timeline
--------
- 10:00 full
"""


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_sections_fill_what_is_not_stated(end: str) -> None:
    """Headings of any level, numbered, underlined, bold or with a colon; code holds none."""
    text = TEXT.replace("\n", end)
    assert sections_of(text) == {
        "summary": "Writes failed.",
        "impact": "Everyone.",
        "root_cause": "Compaction never ran.\n\n```\n## Resolution\nnot this one\n```",
        "resolution": "resized\nand restarted.",
    }
    assert title_of(text) == "Disk full"
    document = read(
        {key: WHOLE[key] for key in ("severity", "started_at")} | {"resolution": "As it is"}, text
    )
    assert document.columns["title"] == "Disk full"
    assert document.columns["symptoms"] == "Writes failed.\n\nEveryone."
    assert document.columns["resolution"] == "As it is"
    assert document.postmortem is not None
    assert document.postmortem.markdown == text
    assert document.postmortem.columns["resolution"] == "resized\nand restarted."


@pytest.mark.parametrize(
    ("markdown", "cause"),
    [
        ("## Root cause\na\n### Details\nb\n## Else\nc", "a\n### Details\nb"),
        ("## Root cause\na\nDescription: b\n", "a\nDescription: b"),
        ("## Root Cause Analysis ##\na", "a"),
        ("## Root cause\nTBD\n", None),
        ("## Root cause\n_None._\n## Cause\nsecond", None),
        ("Root cause: a\n\nb\n\nFix: c", "a\n\nb"),
        ("- **Root cause:** a", "a"),
        ("## The root cause of all evil\na", None),
        ("~~~\n# Cause\n~~~\n", None),
        ("", None),
        ("#" * 100_000, None),
        ("**" * 100_000, None),
        ("Root cause: " + " " * 200_000, None),
    ],
)
def test_where_a_section_begins_and_ends(markdown: str, cause: str | None) -> None:
    """At the next heading that is no deeper; a form that nobody has filled in says nothing."""
    assert sections_of(markdown).get("root_cause") == cause


def test_nothing_stated_is_another_thing_than_a_form_left_empty() -> None:
    """`null` and an empty text are statements; a key with nothing after it is filled from the text."""
    text = "## Root cause\nQuota\n"
    assert read(WHOLE | {"root_cause": ""}, text).columns["root_cause"] == "Quota"
    assert read(WHOLE | {"root_cause": "null"}, text).columns["root_cause"] is None
    assert read(WHOLE | {"root_cause": '""'}, text).columns["root_cause"] == ""


def test_times_without_a_zone_need_one() -> None:
    """Named with file, line and key; a date in the name of the file is one, too."""
    members = WHOLE | {"started_at": "2026-07-01 10:00"}
    with pytest.raises(DocumentRejected, match=r"^a/x.md:5: started_at: .* no time zone; .*--timezone UTC$"):
        read(members)
    zone = timezone(timedelta(hours=2))
    assert read(members, zone=zone).columns["started_at"] == datetime(2026, 7, 1, 8, tzinfo=UTC)
    dated = read({"title": "x", "severity": "low"}, name="2026-07-01-disk.md", zone=UTC)
    assert dated.columns["started_at"] == datetime(2026, 7, 1, tzinfo=UTC)


def test_an_id_of_its_own_is_the_same_wherever_the_document_lies() -> None:
    """It follows from title and start; whoever states one keeps it."""
    members = {key: WHOLE[key] for key in ("title", "severity", "started_at")}
    first = read(members, name="a/x.md").public_id
    assert first == read(members | {"root_cause": "Quota"}, name="b/c/y.md").public_id
    assert first == read(members | {"started_at": "2026-01-01T12:00+02:00", "title": "' Slow '"}).public_id
    assert first != read(members | {"title": "Slower"}).public_id


@pytest.mark.parametrize(
    ("members", "text", "over", "end"),
    [
        ({}, "It was over.", True, "unstated"),
        ({}, "", False, "unstated"),
        ({"resolution": "Raised it"}, "", True, "unstated"),
        ({"status": "closed"}, "", True, "unstated"),
        ({"status": "investigating"}, "So far.", False, None),
        ({"resolved_at": "null"}, "So far.", True, None),
    ],
)
def test_whether_it_is_over(members: dict[str, str], text: str, over: bool, end: object) -> None:
    """An incident that is told about is over, unless the archive says that it is going on."""
    document = read(WHOLE | members, text)
    assert document.is_over is over
    assert document.columns.get("resolved_at", "unstated") == end


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"severity": "purple"}, r":4: severity: 'purple' is not known; accepted are critical"),
        ({"severity": "null"}, ":4: severity: is empty"),
        ({"title": "' '"}, ":3: title: is empty"),
        ({"title": "[[a]]"}, ":3: title: is nested too deeply"),
        ({"title": "{a: b}"}, ":3: title: holds members of its own; accepted is text"),
        (
            {"title": "!!python/object/apply:os.system [ls]"},
            ":3: title: is nested too deeply, or has a YAML tag",
        ),
        ({"title": "!!python/name:os.system x"}, ":3: title: has the YAML tag"),
        ({"title": "x" * 1001}, r":3: title: too long: 1,001 characters, at most 1,000 are accepted"),
        ({"id": '"a\\tb"'}, ":2: id: is empty or holds control characters"),
        ({"id": "''"}, ":2: id: is empty"),
        ({"started_at": "soon"}, ":5: started_at: not a time: 'soon'; expected ISO 8601"),
        ({"started_at": "1700000000"}, ":5: started_at: '1700000000' is a number"),
        ({"started_at": "0001-01-01T00:00Z"}, ":5: started_at: out of range"),
        ({"resolved_at": "2025-01-01T00:00Z"}, r":6: resolved_at: .* is before the start"),
        ({"status": "maybe"}, r":6: status: 'maybe' is not known; accepted is a review \(draft, "),
        (
            {"provenance": "dog"},
            ":6: provenance: 'dog' is not known; accepted are human, model, import, code",
        ),
        ({"postmortem": "{status: maybe}"}, ":6: status: 'maybe' is not known"),
        ({"root_cause": '"\\uD800"'}, ":6: front matter: is no YAML"),
        ({"a": "*b"}, ":6: front matter: is no YAML: found undefined alias"),
        ({"a": "[b"}, ":7: front matter: is no YAML"),
        ({"title ": "twice"}, ":6: title: stands twice"),
    ],
)
def test_what_cannot_be_taken_is_named_with_its_place(members: dict[str, str], said: str) -> None:
    """File, line, field, and what would be accepted, in one line."""
    with pytest.raises(DocumentRejected, match=f"^a/x.md{said}") as caught:
        read(WHOLE | members, "text" if "postmortem" in members else "")
    assert len(str(caught.value).splitlines()) == 1


def test_an_alias_is_no_bomb() -> None:
    """What an alias stands for is looked at, and never copied."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    bomb = {line.partition(": ")[0]: line.partition(": ")[2] for line in lines}
    with pytest.raises(DocumentRejected, match="a1: is nested too deeply; accepted is text"):
        read(WHOLE | bomb)
    assert read({"the title": "&t Slow", "title": "*t"} | {k: v for k, v in WHOLE.items() if k != "title"})


def test_severity_can_be_assumed() -> None:
    """Only where none is stated."""
    members = {key: value for key, value in WHOLE.items() if key != "severity"}
    assert read(members, severity=Severity.LOW).columns["severity"] == "low"
    assert read(WHOLE, severity=Severity.LOW).columns["severity"] == "high"
