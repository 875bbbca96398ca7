"""Postmortems without front matter, in the shapes in which teams write them, come out whole."""

from __future__ import annotations

import tomllib
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.archive import DocumentRejected, ImportDefaults
from api.archive.document_parser import parse_document
from api.archive.documents import IncidentDocument
from api.archive.errors import DocumentSkipped
from api.archive.files import find_files
from api.archive.front_matter import read_markdown
from models import Severity
from models.database import Database
from tests.support.archives import Archive, Import, numbers, stored

PAGES = Path(__file__).parent / "written_pages"


@dataclass(frozen=True)
class Shape:
    """A page, and what a reader takes from it."""

    name: str
    page: str
    start: str
    severity: str
    end: str | None = None
    cause: str = ""
    fix: str = ""
    target: str | None = None
    stored_as: str = "pages/page.md"


TABLE = """# Cache eviction storm

## Timeline

All times in UTC.

| Time | Event |
| :--- | --- |
| 2026-05-03 14:02 | Limit halved by a rollout |
| 2026-05-03 14:37 | Limit restored |
"""
PIECES = (
    "# ", "**", "Date", ": ", "\n", "\n\n", "| ", "|---|---|\n", "- ", "2026-06-03", " 14:02", " - ", "JST",
    "+02:00", "Severity", "Duration", "35 minutes", "3 June 2026", "03/04/2026", "```\n", "Timeline",
    "[x](y.md)", "Z", "T",
)  # fmt: skip
SHAPES = [
    Shape(page=(PAGES / page.pop("file")).read_text("utf-8"), **page)
    for page in tomllib.loads((PAGES / "expected.toml").read_text("utf-8"))["page"]
]


def read(text: str, name: str = "pages/page.md", **defaults: object) -> IncidentDocument:
    return parse_document(read_markdown(text.encode(), name), ImportDefaults(**defaults))  # type: ignore[arg-type]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_a_page_comes_out_whole(shape: Shape) -> None:
    """Start, end, severity, service, cause and fix; stated is only a severity for pages without one."""
    document = read(shape.page, shape.stored_as, severity=Severity.HIGH)
    columns = document.columns
    found = {name: columns.get(name) for name in ("started_at", "resolved_at", "severity", "target")}
    assert found == {
        "started_at": at(shape.start), "resolved_at": at(shape.end) if shape.end else None,
        "severity": shape.severity, "target": shape.target,
    }  # fmt: skip
    assert columns.get("root_cause", "").startswith(shape.cause)
    assert columns.get("resolution", "").startswith(shape.fix)
    (note,) = document.notes
    assert note.startswith(f"{shape.stored_as}: started_at {shape.start} UTC from the ")


@pytest.mark.parametrize(
    ("page", "said"),
    [
        (
            "# T\n\n**Date:** 03/04/2026 10:00 UTC",
            r"an ambiguous date: '03/04/2026'; write it like 2024-.* line 3\)",
        ),
        (
            "# T\n\nDate: 2026-05-05 10:00 IST",
            "an ambiguous time: .*IST can be the time of Asia/Kolkata, Europe/Dub",
        ),
        ("# T\n\nDate: 2026-05-05 10:00 CST", "America/Chicago, Asia/Shanghai"),
        ("# T\n\nDate: 2026-05-05 09:00-10:00", "a period, or an offset"),
        ("# T\n\nDate: 2026-05-05 10:00 XYZ", "an unknown time zone: 'XYZ' in"),
        ("# T\n\nDate: 2026-05-05 10:00", "a time without a zone: .*--timezone UTC"),
        ("# T\n\nDate: 2026-03-29 02:30 Europe/Berlin", "a time that the clocks of Europe/Berlin skipped"),
        ("# T\n\n## Cause\nx\n", "started_at: is missing; accepted is a time"),
    ],
)
def test_what_can_be_two_times_is_none(page: str, said: str) -> None:
    """The document is rejected with what would be accepted; nothing is guessed."""
    with pytest.raises(DocumentRejected, match=said):
        read(page, severity=Severity.LOW)


def test_an_ambiguous_abbreviation_is_that_of_the_stated_zone() -> None:
    """CST is Chicago's for somebody in Chicago; the first of two equal hours is taken and said."""
    chicago = ZoneInfo("America/Chicago")
    document = read("# T\n\nDate: 2026-01-05 10:00 CST", zone=chicago, severity=Severity.LOW)
    assert document.columns["started_at"] == at("2026-01-05 16:00")
    twice = read("# T\n\nDate: 2026-10-25 02:30 Europe/Berlin", severity=Severity.LOW)
    assert twice.columns["started_at"] == at("2026-10-25 00:30")
    assert "taken as the first of the two" in twice.notes[0]


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        ("# Our postmortems\n\nSee the template and add yours.\n", "neither a date nor a cause"),
        ("# Postmortems\n\n- [Cache](2026-06-03-cache.md)\n- [Disk](disk.md)\n", "a page of links"),
        (
            "# Index\n\n| Date | Incident |\n|---|---|\n| 2026-06-03 | [Cache](cache.md) |\n",
            "a page of links",
        ),
        (
            "# Title\n\n**Date:** YYYY-MM-DD\n\n## Root cause\n\n<what happened>\n",
            "neither a date nor a cause",
        ),
        ("", "neither a date nor a cause"),
    ],
)
def test_what_is_no_postmortem_is_skipped(page: str, reason: str) -> None:
    """With the reason; forms that nobody has filled in and lists of others among them."""
    with pytest.raises(DocumentSkipped, match=reason):
        read(page)


async def test_an_archive_without_front_matter_goes_in(
    database: Database, archive: Archive, run_import: Import
) -> None:
    """Files that are no postmortems are counted on their own; a dry run says where everything was found."""
    archive.write("README.md", "# Ours")
    archive.write("_postmortem-template.md", SHAPES[0].page)
    archive.write("about.md", "# About us\n\nWe write postmortems.")
    archive.write("2026-03-01-template-rendering.md", "# Template rendering failed\n\n## Cause\n\nA typo.")
    archive.write("PM-0007 - storm.md", TABLE)
    for dry_run in (True, False):
        summary = await run_import(zone=UTC, severity=Severity.HIGH, dry_run=dry_run)
        assert numbers(summary) == (2, 0, 0, 0)
        assert [str(each).partition(": ")[2].split()[0] for each in summary.skipped] == ["is", "is", "has"]
        assert [note.partition(": ")[2] for note in summary.notes] == [
            "started_at 2026-03-01 00:00 UTC from the name of the file",
            (
                "started_at 2026-05-03 14:02 UTC from the timeline, line 9, its zone from line 5; "
                "resolved_at 2026-05-03 14:37 UTC from the timeline, line 10"
            ),
        ]
        assert len(await stored(database)) == (0 if dry_run else 2)


def test_the_cases_of_users_come_out(repository: Path) -> None:
    """A plain archive with a read-me in it, and a time in a zone by its name."""
    cases = repository.parent / "shared" / "data" / "cases"
    if not cases.exists():
        pytest.skip(f"the cases of users are not at {cases}")
    defaults = ImportDefaults(zone=UTC, severity=Severity.HIGH)
    files = find_files([cases / "archive_plain", cases / "archive_zone"])
    pages = [file for file in files if isinstance(file, Path)]
    read_pages = [parse_document(read_markdown(page.read_bytes(), str(page)), defaults) for page in pages]
    assert [(each.columns["started_at"], each.columns["severity"]) for each in read_pages] == [
        (at("2026-05-03 14:02"), "high"), (at("2026-06-03 14:02"), "high"), (at("2026-05-05 01:00"), "high"),
    ]  # fmt: skip
    assert len(files) - len(pages) == 1


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=25).map("".join))
def test_any_page_is_read_or_refused(page: str) -> None:
    """Whatever a page holds, and a long one in linear time."""
    with suppress(DocumentRejected, DocumentSkipped):
        read(page.encode("utf-8", "replace").decode(), severity=Severity.LOW, zone=UTC)


@pytest.mark.long
@pytest.mark.parametrize("piece", [*PIECES, "a:", "**a**", "1 ", "(", "[", "2026-", "Cause: -", "- "])
def test_a_hostile_page_costs_no_time(piece: str) -> None:
    """Twenty thousand characters of anything; a reader that backtracks would not come back."""
    for page in (piece * (20_000 // len(piece)), f"# T\nDate: {piece[:-1]}{piece[-1] * 20_000}x"):
        with suppress(DocumentRejected, DocumentSkipped):
            read(page, severity=Severity.LOW, zone=UTC)
