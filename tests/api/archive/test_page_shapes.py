"""Postmortems without front matter, in the shapes in which teams write them, come out whole."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from api.archive import ImportDefaults
from api.archive.document_parser import parse_document
from api.archive.documents import IncidentDocument
from api.archive.front_matter import read_markdown
from models import Severity


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
SHAPES = [
    GOOGLE_SRE, GITLAB, ATLASSIAN, CLOUDFLARE, PAGERDUTY, LINKED_LIST, JIRA, AWS_COE, GERMAN, JAPANESE,
]  # fmt: skip


def read(text: str, name: str = "pages/page.md", **defaults: object) -> IncidentDocument:
    return parse_document(read_markdown(text.encode(), name), ImportDefaults(**defaults))  # type: ignore[arg-type]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_a_page_comes_out_whole(shape: Shape) -> None:
    """Start, end, severity, service, cause and fix; nothing is stated but a severity for pages without one."""
    document = read(shape.page, shape.file, severity=Severity.HIGH)
    columns = document.columns
    found = {name: columns.get(name) for name in ("started_at", "resolved_at", "severity", "target")}
    assert found == {
        "started_at": at(shape.start), "resolved_at": at(shape.end) if shape.end else None,
        "severity": shape.severity, "target": shape.target,
    }  # fmt: skip
    assert columns["root_cause"].startswith(shape.cause)
    assert columns["resolution"].startswith(shape.fix)
    (note,) = document.notes
    assert note.startswith(f"{shape.file}: started_at {shape.start} UTC from the ")
