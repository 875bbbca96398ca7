"""One incident of an archive, with its postmortem: what the archive states, and nothing that it does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from api.archive.errors import Place
from models import Provenance, ReviewStatus

INCIDENT_TEXTS = ("title", "severity", "target", "symptoms", "root_cause", "resolution")
"""Columns of an incident that an archive holds as text; its times are `started_at` and `resolved_at`."""
POSTMORTEM_TEXTS = ("summary", "root_cause", "resolution", "model", "reviewed_by")
"""Columns of a postmortem besides its Markdown, its status and its provenance."""
POSTMORTEM_TIMES = ("created_at", "edited_at", "reviewed_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class PostmortemText:
    """The postmortem of one incident as an archive has it."""

    markdown: str
    columns: Mapping[str, Any] = field(default_factory=dict)
    """Of POSTMORTEM_TEXTS and POSTMORTEM_TIMES those that are stated or follow from the sections."""
    status: ReviewStatus | None = None
    """None: not stated."""
    provenance: Provenance | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What one file or one line of an archive says of one incident."""

    place: Place
    public_id: str
    columns: Mapping[str, Any]
    """Columns of the incident that are stated, or follow from the sections of the text."""
    lines: Mapping[str, int] = field(default_factory=dict)
    """Where they are stated."""
    is_over: bool = False
    """Whether it tells how it ended, though not when."""
    postmortem: PostmortemText | None = None
    review: ReviewStatus | None = None
    """None: not stated."""
    provenance: Provenance | None = None
    written_digest: str | None = None
    """Of the text as this product has written it to a file, which a person may have edited; None: it is of
    another origin."""

    def place_of(self, column: str) -> Place:
        """Where a column is stated, or where the document begins."""
        return self.place.at(self.lines.get(column, self.place.line))

    @property
    def started_at(self) -> datetime | None:
        """When the incident began, if that is stated."""
        return self.columns.get("started_at")
