"""Postmortems without front matter, in the shapes in which teams write them, come out whole."""

from __future__ import annotations

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


@dataclass(frozen=True)
class Shape:
    """A page, and what a reader takes from it."""

    name: str
    page: str
    start: str
    end: str | None
    severity: str
    cause: str
    fix: str = ""
    target: str | None = None
    file: str = "pages/page.md"


GOOGLE_SRE = Shape(
    "a book's template: bold labels, numbered action items, a timeline by day",
    """# Shakespeare Search Postmortem (incident #465)

**Date:** 2026-10-21

**Authors:** jennifer, martym, agoogler

**Status:** Complete, action items in progress

**Summary:** Search down for 66 minutes during a period of very high interest.

**Impact:** Estimated 1.21B queries lost, no revenue impact.

**Root Causes:** Cascading failure due to a combination of high load and a resource leak.

**Trigger:** Latent bug triggered by a sudden increase in traffic.

**Resolution:** Directed traffic to a sacrificial cluster and added 10x capacity.

**Detection:** Monitoring detected the high level of HTTP 500s and paged on-call.

## Action Items

| Action Item | Type | Owner | Bug |
| --- | --- | --- | --- |
| Update playbook | mitigate | jennifer | n/a **DONE** |

## Timeline

2026-10-21 (*all times UTC*)

- 14:51 News reports that a new sonnet has been found
- 14:53 Traffic increases by 88x
- 14:54 **OUTAGE BEGINS**: backends start melting down
- 16:00 **OUTAGE MITIGATED**
""",
    "2026-10-21 14:51", "2026-10-21 16:00", "high", "Cascading failure",
    "Directed traffic",
)  # fmt: skip
GITLAB = Shape(
    "an issue template: a list of bold labels, hours in UTC below a heading with the day",
    """# 2026-03-12: Elevated error rates on the API

## Incident Summary

- **Service(s) affected**: ~"Service::API", ~"Service::Web"
- **Team attribution**: Reliability
- **Severity**: `~severity::2`
- **Minutes downtime or degradation**: 43

## Timeline

### 2026-03-12

- `09:17 UTC` - deploy finishes
- `09:21 UTC` - error rate above the objective
- `10:04 UTC` - rollback completes

## Root Cause Analysis

A migration dropped an index that the API uses.

## Mitigation

The deploy was rolled back.
""",
    "2026-03-12 09:17", "2026-03-12 10:04", "high", "A migration dropped",
    "The deploy was", '~"Service::API", ~"Service::Web"',
)  # fmt: skip
ATLASSIAN = Shape(
    "a page exported from a wiki: one table of facts, then questions as headings",
    """# Post-incident review: HOT-1042 Login failures

| **Field** | **Value** |
| --- | --- |
| Incident date | 12 Nov 2026 |
| Start time | 10:05 PST |
| Duration | 1 hour 25 minutes |
| Severity | SEV 1 - Critical |
| Affected services | login, sessions |

## Leadup

A certificate was due for renewal.

## Fault

The renewal job had no permission to write the new one.

## Root cause

The role of the job was narrowed a week before.

## Recovery

The certificate was replaced by hand.
""",
    "2026-11-12 18:05", "2026-11-12 19:30", "critical", "The role of the job",
    "The certificate", "login, sessions",
)  # fmt: skip
CLOUDFLARE = Shape(
    "a blog post: prose, the day in the title, a table of times",
    """# Outage of our control plane on June 21, 2026

Today 19 of our locations had an outage. We are very sorry.

## What happened?

Due to a change of network configuration, traffic was affected.

## Incident timeline and impact (UTC)

| Time | Event |
| --- | --- |
| 03:56 | We deploy the change to our first location. |
| 06:17 | The change reaches the spine. **Impact begins** |
| 07:42 | The last of the reverts is done. |

## Contributing factors

The terms of a policy were reordered.

## Resolution

The change was reverted.
""",
    "2026-06-21 03:56", "2026-06-21 07:42", "high", "The terms of a policy",
    "The change was",
)  # fmt: skip
PAGERDUTY = Shape(
    "a vendor's template: headings and guiding questions, times with zone names",
    """# Incident Review: Notifications delayed

!!! note
    This review is blameless.

## Overview

Notifications were delayed for some customers.

## What Happened

A queue stopped being consumed.

## Contributing Factors

The consumer retried a poisoned message forever.

## Resolution

The message was moved away by hand.

## Impact

| | |
| --- | --- |
| Time in SEV-1 | none |
| Time in SEV-2 | 35min |
| Notifications delayed out of SLA | 1,245 |

## Incident details

* Severity: SEV-2
* Start: May 5, 2026 at 10:05 AM Pacific Time
* End: May 5, 2026 at 10:40 AM Pacific Time
* Services: notifications
""",
    "2026-05-05 17:05", "2026-05-05 17:40", "high", "The consumer retried",
    "The message", "notifications",
)  # fmt: skip
LINKED_LIST = Shape(
    "a note of few lines: label and text in one paragraph, the day in the name of the file",
    """Cache eviction storm
====================

Severity: Major
Duration: ~2 hours
Cause: the eviction limit was copied from the test environment
Fix: the limit was restored, and is now checked
by the deploy script

08:40 UTC alert fires
""",
    "2026-02-28 08:40", "2026-02-28 10:40", "high", "the eviction limit",
    "the limit was restored", None, "notes/2026-02-28-cache.md",
)  # fmt: skip
JIRA = Shape(
    "an export of a ticket: a wide table of one row, bold lines as headings",
    """# [OPS-881] Payments time out

| Key | Priority | Start date | Resolved | Component |
| --- | --- | --- | --- | --- |
| OPS-881 | P1 | 2026/04/09 22:50 UTC+2 | 2026/04/10 00:15 UTC+2 | payments |

**Description**

Payments to one bank timed out.

**Root cause**

The bank changed its address without notice.

- DNS answers were cached for a day
- nobody was told

**Resolution**

The cache was emptied.
""",
    "2026-04-09 20:50", "2026-04-09 22:15", "critical", "The bank changed",
    "The cache was", "payments",
)  # fmt: skip
AWS_COE = Shape(
    "a correction of errors: questions, five whys, all labels on one line",
    """# COE: Elevated latency of the vector store

**Date:** 2026-01-17 | **Severity:** 2 | **Impact start:** 13:58 UTC | **Impact end:** 15:10 UTC

## 1. Impact

4 % of searches took more than 5 s.

## 2. Timeline

* **13:55** - compaction starts
* **15:10** - compaction is paused

## 3. 5 Whys

1. Why were searches slow? Disks were saturated.

## 4. Root Cause(s)

Compaction and searches share their disks.

## 5. Mitigation & Resolution

Compaction was paused and moved to the night.
""",
    "2026-01-17 13:58", "2026-01-17 15:10", "high", "Compaction and searches",
    "Compaction was paused",
)  # fmt: skip
GERMAN = Shape(
    "a page in German",
    """# Störung der Suche

- **Datum:** 3. Juni 2026, 14:02 bis 14:37 Uhr MESZ
- **Schweregrad:** Hoch
- **Betroffene Dienste:** Suche

## Ursache

Die Grenze war zu klein.

## Behebung

Die Grenze wurde erhöht.
""",
    "2026-06-03 12:02", "2026-06-03 12:37", "high", "Die Grenze war", "Die Grenze wurde", "Suche",
)  # fmt: skip
JAPANESE = Shape(
    "a page in Japanese",
    """# キャッシュ障害

発生日時：2026年5月5日 10:00 JST
復旧日時：2026年5月5日 10:35 JST
重大度：重大

## 原因

設定の上限が半分になった。

## 対応

上限を戻した。
""",
    "2026-05-05 01:00", "2026-05-05 01:35", "critical", "設定の", "上限を",
)  # fmt: skip
GITHUB = Shape(
    "an incident issue: bold labels of start and end, questions as headings",
    """# Degraded performance for Actions

**Incident start:** 2026-08-14 at 17:20 UTC
**Incident end:** 2026-08-14 at 19:05 UTC
**Severity:** Sev2
**Impacted services:** Actions, Pages

### Impact
Workflow runs were delayed by up to 20 minutes.

### What went wrong and why?
A database failover left a stale primary.

### Root cause
Health checks did not look at replication lag.

### Remediation
We restarted the replicas.
""",
    "2026-08-14 17:20", "2026-08-14 19:05", "high", "Health checks", "We restarted", "Actions, Pages",
)  # fmt: skip
COMMUNITY = Shape(
    "a community's page: the day in the title, hours in a table of who and what",
    """# Postmortem: etcd quorum loss (2026-07-02)

Status: Final

## Timeline (all times in CEST)

| When | Who | What |
|---|---|---|
| 09:30 | ops | upgrade of node 1 starts |
| 09:41 | alert | quorum lost |
| 10:20 | ops | quorum restored |

## Root cause
Two nodes were upgraded at once.

## Lessons learned
One at a time.

## Resolution
Restored from a snapshot.
""",
    "2026-07-02 07:30", "2026-07-02 08:20", "high", "Two nodes", "Restored from",
)  # fmt: skip
NARRATIVE = Shape(
    "prose: the period in its first sentence, the day in the name of the folder",
    """# DNS was slow

On September 9, 2026, between 06:10 and 06:55 UTC, name resolution was slow.

## Impact
All checkouts.

## Why it happened
A cache had been switched off.

## How we fixed it
It was switched on.
""",
    "2026-09-09 06:10", "2026-09-09 06:55", "high", "A cache had", "It was switched", None,
    "2026-09-09-dns/report.md",
)  # fmt: skip
DEFINITIONS = Shape(
    "a list of definitions",
    """# Mail queue stuck

Date
: 2026-10-05

Start
: 10:00 EST

Duration
: 1h 5m

Severity
: Critical

Root cause
: The disk was full.

Fix
: Old mails were deleted.
""",
    "2026-10-05 15:00", "2026-10-05 16:05", "critical", "The disk was", "Old mails",
)  # fmt: skip
STATUS_PAGE = Shape(
    "a status page: updates, the last first",
    """## Elevated API errors

**Resolved** - This incident has been resolved.
Mar 5, 2026 - 16:40 PST

**Monitoring** - A fix has been implemented.
Mar 5, 2026 - 16:05 PST

**Investigating** - We are investigating.
Mar 5, 2026 - 15:30 PST
""",
    "2026-03-05 23:30", "2026-03-06 00:40", "high", "",
)  # fmt: skip
ALERTING = Shape(
    "an alerting tool's report: a list of labels, services nested below theirs",
    """# INC-77 Kafka lag

- Priority: P2-High
- Detected at: 2026-03-30T01:30:00+02:00
- Resolved at: 2026-03-30T03:10:00+02:00
- Impacted services:
  - ingest
  - search

## Contributing Factors
- consumer group too small
""",
    "2026-03-29 23:30", "2026-03-30 01:10", "high", "- consumer group", "", "ingest, search",
)  # fmt: skip
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
    GOOGLE_SRE, GITLAB, ATLASSIAN, CLOUDFLARE, PAGERDUTY, LINKED_LIST, JIRA, AWS_COE, GERMAN, JAPANESE,
    GITHUB, COMMUNITY, NARRATIVE, DEFINITIONS, STATUS_PAGE, ALERTING,
]  # fmt: skip


def read(text: str, name: str = "pages/page.md", **defaults: object) -> IncidentDocument:
    return parse_document(read_markdown(text.encode(), name), ImportDefaults(**defaults))  # type: ignore[arg-type]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_a_page_comes_out_whole(shape: Shape) -> None:
    """Start, end, severity, service, cause and fix; stated is only a severity for pages without one."""
    document = read(shape.page, shape.file, severity=Severity.HIGH)
    columns = document.columns
    found = {name: columns.get(name) for name in ("started_at", "resolved_at", "severity", "target")}
    assert found == {
        "started_at": at(shape.start), "resolved_at": at(shape.end) if shape.end else None,
        "severity": shape.severity, "target": shape.target,
    }  # fmt: skip
    assert columns.get("root_cause", "").startswith(shape.cause)
    assert columns.get("resolution", "").startswith(shape.fix)
    (note,) = document.notes
    assert note.startswith(f"{shape.file}: started_at {shape.start} UTC from the ")


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
    archive.write("_postmortem-template.md", GOOGLE_SRE.page)
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
