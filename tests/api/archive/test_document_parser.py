"""Documents as archives really have them: keys by any name, fields in the text, clear rejections."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from api.archive import ArchiveRecord, DocumentRejected, ImportDefaults
from api.archive.document_parser import parse_document
from api.archive.documents import IncidentDocument, RawDocument
from api.archive.errors import Location
from api.archive.front_matter import read_markdown
from api.archive.pages.text_fields import find_fields
from api.archive.pages.written_times import find_stamps, parse_written_time
from api.ingest.files import bind, load_mapping
from api.ingest.records import Notation, ValueProblem
from models import Severity

WHOLE = {"id": "inc_1", "title": "Slow", "severity": "high", "started_at": "2026-01-01T10:00Z"}
CEST = timezone(timedelta(hours=2))


def read(members: dict[str, Any], text: str = "", name: str = "a/x.md", **defaults: Any) -> IncidentDocument:
    front = "".join(f"{key}: {value}\n" for key, value in members.items())
    return parse_document(
        read_markdown(f"---\n{front}---\n{text}".encode(), name), ImportDefaults(**defaults)
    )


def without(*keys: str) -> dict[str, Any]:
    return {key: value for key, value in WHOLE.items() if key not in keys}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("written", "severity"),
    [
        ("P1", "critical"), ("p0", "critical"), ("SEV1", "critical"), ("sev-2", "high"), ("Sev 3", "medium"),
        ("S4", "low"), ("1", "critical"), ("P2 (High)", "high"), ("Major", "high"), ("MEDIUM", "medium"),
        ("Blocker", "critical"), ("'priority 3'", "medium"), ("low", "low"),
    ],
)  # fmt: skip
def test_severities_by_their_usual_names(written: str, severity: str) -> None:
    """Words and numbers of one table, in any case, with what follows in parentheses."""
    assert read(WHOLE | {"severity": written}).columns["severity"] == severity


@pytest.mark.parametrize("key", ["sev", "priority", "Priority", "SEVERITY"])
def test_keys_by_their_usual_names(key: str) -> None:
    """In any case of letters, with hyphens, blanks or underscores; `007` stays text."""
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
        "started_at": at("2026-01-01T10:00Z"), "resolved_at": at("2026-01-01T11:00Z"),
        "root_cause": "Quota", "resolution": "Raised it",
    }  # fmt: skip


def test_foreign_keys_are_mapped_like_columns_of_a_file(tmp_path: Path) -> None:
    """By the same TOML: columns, nested members, constants, defaults, meanings and units."""
    path = tmp_path / "mapping.toml"
    path.write_text(
        '[incidents]\ntitle = "headline"\nstarted_at = {column = "times.from", unit = "s"}\n'
        'severity = {column = "urgency", values = {page = "critical"}}\nmarkdown = "write_up"\n'
        'target = {constant = "gateway"}\nsymptoms = {column = "seen", default = "not seen"}\n'
    )
    bindings = bind(load_mapping(ArchiveRecord, path), None, str(path))
    members = {
        "headline": "Slow",
        "times": {"from": "1767261600"},
        "urgency": "page",
        "write_up": "## Fix\n\nx",
    }
    document = parse_document(RawDocument(Location("x.jsonl", 1), members), ImportDefaults(bindings=bindings))
    assert document.columns == {
        "title": "Slow", "started_at": at("2026-01-01T10:00Z"), "severity": "critical", "target": "gateway",
        "symptoms": "not seen", "resolution": "x",
    }  # fmt: skip
    assert document.markdown == "## Fix\n\nx"


TEXT = """# Post-mortem: Disk full

**Severity**: SEV2
- Date: 2026-05-03 14:02 - 14:37 UTC

## 1. Executive Summary
Writes failed.

#### Customer impact
Everyone.

Root *cause*
------------
Compaction never ran.

### Details

```
## Resolution
not this one
```

## Timeline

**Remediation:** resized
and restarted.
**Owner:** ops
"""


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_text_fills_what_is_not_stated(end: str) -> None:
    """Headings of any level, labels in lists and bold; code holds none; what is stated wins."""
    text = TEXT.replace("\n", end)
    cause = "Compaction never ran.\n\n### Details\n\n```\n## Resolution\nnot this one\n```"
    assert {name: found[0].text for name, found in find_fields(text).items()} == {
        "title": "Disk full",
        "severity": "SEV2",
        "date": "2026-05-03 14:02 - 14:37 UTC",
        "summary": "Writes failed.\n\n#### Customer impact\nEveryone.",
        "impact": "Everyone.",
        "root_cause": cause,
        "timeline": "**Remediation:** resized\nand restarted.\n**Owner:** ops",
        "resolution": "resized\nand restarted.",
    }
    document = read({"resolution": "As it is", "id": "inc_1"}, text)
    assert document.columns["title"] == "Disk full"
    assert document.columns["severity"] == "high"
    assert document.columns["started_at"] == at("2026-05-03T14:02Z")
    assert document.columns["resolved_at"] == at("2026-05-03T14:37Z")
    assert document.columns["resolution"] == "As it is"
    assert document.columns["root_cause"] == cause
    (note,) = document.notes
    assert end == "\r" or note == (
        "a/x.md: started_at 2026-05-03 14:02 UTC from the label “Date”, line 8; "
        "resolved_at 2026-05-03 14:37 UTC from the label “Date”, line 8; "
        "severity SEV2 from the bold label “Severity”, line 7"
    )
    assert document.markdown == text
    assert document.postmortem["resolution"] == "resized\nand restarted."


@pytest.mark.parametrize(
    ("markdown", "cause"),
    [
        ("## Root cause\na\n### Details\nb\n## Else\nc", "a\n### Details\nb"),
        ("## Root cause\na\nDescription: b\n", "a\nDescription: b"),
        ("## Root Cause Analysis ##\na", "a"),
        ("## Root cause\nTBD\n", None),
        ("## Root cause\n_None._\n## Cause\nsecond", "second"),
        ("Root cause: a\nb\nFix: c", "a\nb"),
        ("- **Root cause:** a\n- b", "a"),
        ("| Root cause | a |\n|---|---|", "a"),
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
    found = find_fields(markdown).get("root_cause")
    assert (found and found[0].text) == cause


def test_a_time_of_the_timeline_is_better_than_the_name_of_the_file() -> None:
    """Labels first, then timeline, name, any time in the text; a note says which it was."""
    table = (
        "# T\n\nAll times are local.\n\n| Time | Event |\n|---|---|\n| 2026-05-03 14:02 | Limit halved |\n"
    )
    document = read({"severity": "low"}, table, zone=UTC)
    assert document.columns["started_at"] == at("2026-05-03T14:02Z")
    assert document.notes == ("a/x.md: started_at 2026-05-03 14:02 UTC from the timeline, line 10",)
    with pytest.raises(DocumentRejected, match=r"started_at: a time without a zone: '2026-05-03 14:02'"):
        read({"severity": "low"}, table)
    named = read({"severity": "low"}, table, name="2026-07-01-disk.md", zone=CEST)
    assert named.columns["started_at"] == at("2026-05-03T12:02Z")
    said = "# T\n\nSince 2026-05-03 14:02 nothing was written."
    assert read({"severity": "low"}, said, zone=UTC).columns["started_at"] == at("2026-05-03T14:02Z")
    dated = read({"severity": "low"}, said, name="2026-07-01-disk.md", zone=CEST)
    assert dated.columns["started_at"] == at("2026-06-30T22:00Z")
    assert dated.notes == ("2026-07-01-disk.md: started_at 2026-06-30 22:00 UTC from the name of the file",)
    with pytest.raises(DocumentRejected, match=r"started_at: not a time: 'soon' in the label “Date”, line 6"):
        read({"severity": "low"}, "# T\n\nDate: soon")


def test_nothing_stated_is_another_thing_than_a_form_left_empty() -> None:
    """`null` and an empty text are statements; a key with nothing after it is filled from the text."""
    text = "## Root cause\nQuota\n"
    assert read(WHOLE | {"root_cause": ""}, text).columns["root_cause"] == "Quota"
    assert read(WHOLE | {"root_cause": "null"}, text).columns["root_cause"] is None
    assert read(WHOLE | {"root_cause": '""'}, text).columns["root_cause"] == ""


@pytest.mark.long
@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-05-05 10:00 JST", "2026-05-05T01:00Z"),
        ("2026-05-05 10:00 Europe/Paris", "2026-05-05T08:00Z"),
        ("2026-05-05 10:00 ET", "2026-05-05T14:00Z"),
        ("March 5, 2024 2:02 PM PST", "2024-03-05T22:02Z"),
        ("Tue, 5 Mar 2024 14:02 GMT", "2024-03-05T14:02Z"),
        ("13/04/2024 10:00 UTC", "2024-04-13T10:00Z"),
        ("5 March 2024 14:02", "2024-03-05T12:02Z"),
    ],
)
def test_times_written_out_and_zones_by_name(written: str, moment: str) -> None:
    """Absolute ones; those without a zone take the default."""
    assert parse_written_time(written, Notation(CEST)) == at(moment)


@pytest.mark.parametrize(
    "written",
    ["03/04/2024 10:00 UTC", "2024-13-05 10:00 UTC", "yesterday", "May", "10:00 UTC", "1" * 5_000, ""],
)
def test_what_is_no_one_time_is_refused(written: str) -> None:
    """Neither a day in doubt nor one that depends on today is taken for a time."""
    with pytest.raises(ValueProblem):
        parse_written_time(written, Notation(UTC))


@pytest.mark.parametrize(
    ("written", "end"),
    [
        ("2026-06-03 14:02 - 14:37 UTC", "2026-06-03 14:37 UTC"),
        ("2026-06-03 23:50Z to 00:10Z", "2026-06-04 00:10 UTC"),
        ("2026-06-03 14:02Z\u20132026-06-05 09:00Z", "2026-06-05 09:00 UTC"),
        ("from 2:02pm to 2:37pm JST on June 3rd, 2026", "2026-06-03 14:37 JST"),
        ("2026-06-03 14:02-14:37", "2026-06-03 14:37 None"),
        ("2026-06-03 09:02-10:00 UTC", "2026-06-03 10:00 UTC"),
        ("3 June 2026, 14:02 bis 14:37 Uhr MESZ", "2026-06-03 14:37 MESZ"),
        ("2026年6月3日 14:02 JST", None),
        ("2026-06-03T14:02-08:00", None),
    ],
)
def test_a_period_has_an_end(written: str, end: str | None) -> None:
    """A time of day belongs to the first day or the one after; a zone or a day is that of both."""
    first, *others = find_stamps(written, strict=True)
    assert first.day == date(2026, 6, 3)
    assert first.clock
    assert [f"{each.day} {each.clock:%H:%M} {each.zone}" for each in others] == ([end] if end else [])


def test_times_without_a_zone_need_one() -> None:
    """Named with file and key."""
    members = WHOLE | {"started_at": "2026-07-01 10:00"}
    with pytest.raises(DocumentRejected, match=r"^a/x.md: started_at: a time without .*--timezone UTC$"):
        read(members)
    assert read(members, zone=CEST).columns["started_at"] == at("2026-07-01T08:00Z")


def test_an_id_of_its_own_is_the_same_wherever_the_document_lies() -> None:
    """It follows from title and start, or the date in the file's name; a stated one is kept."""
    members = without("id")
    first = read(members, name="a/x.md").public_id
    assert first == read(members | {"root_cause": "Quota"}, name="b/c/y.md").public_id
    assert first == read(members | {"started_at": "2026-01-01T12:00+02:00", "title": "' Slow '"}).public_id
    assert first != read(members | {"title": "Slower"}).public_id
    dated = without("id", "started_at")
    known = read(dated, name="2026-01-01-x.md", zone=UTC).public_id
    assert known == read(dated, "Date: 2026-01-01 10:00 UTC\n", name="2026-01-01-x.md").public_id


@pytest.mark.parametrize(
    ("members", "text", "over", "end"),
    [
        ({}, "It was over.", True, "unstated"),
        ({}, "", False, "unstated"),
        ({"resolution": "Raised it"}, "", True, "unstated"),
        ({"status": "closed"}, "", True, "unstated"),
        ({"status": "investigating"}, "So far.", False, None),
        ({"resolved_at": "null"}, "So far.", True, None),
        ({}, "End: 2026-01-01 11:00 UTC", True, at("2026-01-01T11:00Z")),
    ],
)
def test_whether_it_is_over(members: dict[str, str], text: str, over: bool, end: object) -> None:
    """An incident that is reported is over, unless the archive says that it is going on."""
    document = read(WHOLE | members, text)
    assert document.is_over is over
    assert document.columns.get("resolved_at", "unstated") == end


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"severity": "purple"}, ": severity: unknown value: 'purple'; accepted are critical"),
        ({"severity": "null"}, ": severity: is empty; accepted are critical"),
        ({"title": "' '"}, ": title: empty"),
        ({"title": "[[a]]"}, ": title: holds members of its own; accepted is text"),
        ({"title": "{a: b}"}, ": title: holds members of its own; accepted is text"),
        ({"title": "!!python/object/apply:os.system [ls]"}, ":3: front matter: .* without tags"),
        ({"title": "!!python/name:os.system x"}, ":3: front matter: .* without tags"),
        ({"title": "!!str x"}, ":3: front matter: .* without tags"),
        ({"title": "x" * 1001}, ": title: too long: 1,001 characters, at most 1,000 are accepted"),
        ({"id": '"a\\tb"'}, ": id: holds control characters"),
        ({"id": "''"}, ": id: is empty; accepted are 1 to 100 characters"),
        ({"started_at": "soon"}, ": started_at: not a time: 'soon'; expected ISO 8601"),
        ({"started_at": "1700000000"}, ": started_at: a number without a unit: '1700000000'"),
        ({"started_at": "0001-01-01T00:00Z"}, ": started_at: out of range"),
        ({"status": "maybe"}, r": status: unknown value: 'maybe'; accepted is a review \(draft, "),
        ({"status": "open", "end": "2026-01-02T00:00Z"}, ": status: 'open' means that it is ongoing"),
        (
            {"provenance": "dog"},
            ": provenance: unknown value: 'dog'; accepted are human, model, import, code",
        ),
        ({"postmortem": "{status: maybe}"}, ": status: unknown value: 'maybe'"),
        ({"root_cause": '"\\uD800"'}, ":6: front matter: cannot be read"),
        ({"a": "*b"}, ":6: front matter: .* without tags, aliases"),
        ({"a": "[b"}, ":7: front matter: cannot be read"),
        ({"title ": "twice"}, ":[0-9]: front matter: cannot be read: a key is given twice"),
        ({"Title": "twice"}, ": title: is given twice"),
    ],
)
def test_what_cannot_be_imported_is_named_with_its_place(members: dict[str, str], said: str) -> None:
    """File, field, and what is accepted, in one line."""
    with pytest.raises(DocumentRejected, match=f"^a/x.md{said}") as caught:
        read(WHOLE | members, "text" if "postmortem" in members else "")
    assert len(str(caught.value).splitlines()) == 1


def test_an_alias_is_no_bomb() -> None:
    """Aliases are rejected before anything is made from them."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    bomb = {line.partition(": ")[0]: line.partition(": ")[2] for line in lines}
    with pytest.raises(DocumentRejected, match=r"x.md:7: front matter: .* without tags, aliases"):
        read(WHOLE | bomb)


def test_severity_can_be_assumed() -> None:
    """Only where none is stated, neither by a key nor legibly in the text."""
    members = without("severity")
    assert read(members, severity=Severity.LOW).columns["severity"] == "low"
    assert read(members, "Severity: see below", severity=Severity.LOW).columns["severity"] == "low"
    assert read(members, "Severity: P1", severity=Severity.LOW).columns["severity"] == "critical"
    assert read(WHOLE, severity=Severity.LOW).columns["severity"] == "high"
