"""Documents of an archive: as they are read, and as what they state about an incident."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from api.archive.errors import DocumentRejected, Location
from api.archive.pages.written_times import parse_written_time
from api.ingest.files import Bindings
from api.ingest.records import Record, ValueProblem
from api.ingest.records.fields import AnyCase, LongText, Name, QuantityType, Target, Title, storable
from api.ingest.records.parsing import EPOCH_UNITS
from api.ingest.records.problems import UNKNOWN_VALUE, excerpt
from api.ingest.records.severities import ACCEPTED_SEVERITIES, severity_named
from models import Provenance, ReviewStatus, Severity


def parse_severity(value: object) -> Severity:
    """Return the severity that a text names or begins with. Raises ValueProblem if it names none."""
    if severity := severity_named(str(value)):
        return severity
    raise ValueProblem(UNKNOWN_VALUE, f"{excerpt(value)}; accepted are {ACCEPTED_SEVERITIES}")


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueProblem("empty")
    return text


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueProblem("holds control characters", excerpt(text))
    return _not_blank(text)


Time = Annotated[datetime, QuantityType(EPOCH_UNITS, parse_written_time)]


class ArchiveRecord(Record):
    """What one document states about an incident; `model_fields_set` is what it states."""

    kind: ClassVar[str] = "incidents"
    id_prefix: ClassVar[str] = "inc_"

    id: Annotated[Name, AfterValidator(_printable)] | None = None
    title: Annotated[Title, AfterValidator(_not_blank)] | None = None
    severity: Annotated[Severity, BeforeValidator(parse_severity)] | None = None
    target: Target | None = None
    started_at: Time | None = None
    resolved_at: Time | None = None
    status: str | None = None
    """A review or a state."""
    provenance: Annotated[Provenance, AnyCase] | None = None
    symptoms: LongText | None = None
    root_cause: LongText | None = None
    resolution: LongText | None = None
    markdown: Annotated[str, Field(max_length=2_000_000), AfterValidator(storable)] | None = None


class PostmortemRecord(BaseModel):
    """What one document states about a postmortem, besides its Markdown."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    status: Annotated[ReviewStatus, AnyCase] | None = None
    provenance: Annotated[Provenance, AnyCase] | None = None
    summary: LongText | None = None
    root_cause: LongText | None = None
    resolution: LongText | None = None
    model: Name | None = None
    reviewed_by: Target | None = None
    created_at: Time | None = None
    edited_at: Time | None = None
    reviewed_at: Time | None = None


@dataclass(frozen=True, slots=True)
class RawDocument:
    """A document as it was read: text by key, not yet understood."""

    location: Location
    members: Mapping[str, Any]
    """Text, None, lists and mappings of them, by the key as it is written."""
    text: str | None = None
    """Markdown below the front matter; None if a member holds it."""
    text_line: int = 1
    """Line at which the Markdown begins."""
    date_in_name: str | None = None
    """Date that the name of the file begins with."""
    date_in_path: str | None = None
    """Date in the name of the file, or else of its folder."""

    def rejected(self, field: str, reason: str) -> DocumentRejected:
        """Return the error that says what is wrong with a field."""
        return DocumentRejected(self.location, field, reason)


@dataclass(frozen=True, slots=True)
class ImportDefaults:
    """What the caller states for documents that do not."""

    zone: tzinfo | None = None
    """Zone of times without one; None rejects them."""
    severity: Severity | None = None
    """Severity of incidents without one; None rejects them."""
    bindings: Bindings | None = None
    """Which members fill which fields, where their keys are not the usual ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentDocument:
    """What one file or one line of an archive states about one incident, and nothing else."""

    location: Location
    public_id: str
    columns: Mapping[str, Any]
    """Columns of the incident that are stated, or follow from the text."""
    is_over: bool = False
    """True if it reports how the incident ended, even if not when."""
    markdown: str | None = None
    """The postmortem; None if there is none."""
    postmortem: Mapping[str, Any]
    """Columns of the postmortem that are stated, or follow from the text."""
    review: ReviewStatus | None = None
    """None if not stated."""
    provenance: Provenance | None = None
    written_digest: str | None = None
    """Digest of the text as this product wrote it to a file, which a person may have edited since; None for
    files of any other origin."""
    notes: tuple[str, ...] = ()
    """What was taken from the text, and where, a sentence each."""
