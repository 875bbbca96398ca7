"""One post, what a decoder makes of it, and what the sender is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from api.ingest.live.redaction import redacted
from api.ingest.live.signatures import Proof, bearer
from api.ingest.records import Record, RecordInvalid, parse_record
from context_builder.text.wire import WIRE
from models import Tier

MAX_LISTED_REJECTS = 100
"""Rejected items that an answer lists and that are kept of one post; the others are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestOptions:
    """How live receivers read what they are sent."""

    tier: Tier = Tier.STANDARD
    """Of new users, where the sender does not say it."""
    max_items: int = 20_000
    keep_d: int = 0
    """Age in days from which requests are not kept; 0: all are."""
    ignored_scopes: frozenset[str] = frozenset()
    """OpenTelemetry scopes whose spans are not counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One post, unpacked."""

    body: bytes
    content_type: str = "application/json"
    """Without parameters, in lower case."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """By name in lower case."""
    topic: str = ""
    """What the path adds to the name of the receiver: `traces`."""
    about: str = ""
    """What the posts of a sender are about, if they do not say so: the parameter `about` of the URL."""
    received_at: datetime
    options: IngestOptions = IngestOptions()


@dataclass(frozen=True, slots=True)
class Reject:
    """One item that is not stored."""

    __pydantic_config__ = WIRE

    index: int
    """Of the item in the body, from 0."""
    field: str
    reason: str
    """What is wrong with the field, and what is accepted."""


@dataclass(slots=True)
class Decoded:
    """What a decoder makes of one post."""

    records: list[tuple[int, Record]] = field(default_factory=list)
    """Each with the index of the item that it came from."""
    rejects: list[Reject] = field(default_factory=list)
    originals: dict[int, str] = field(default_factory=dict)
    """What may be kept of rejected items, by index: redacted and short."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Items that are not wanted, by reason."""
    notes: list[str] = field(default_factory=list)
    """What the sender should know."""
    newest: datetime | None = None
    """Time of the newest record that has one."""

    def add(self, index: int, record_type: type[Record], values: Mapping[str, object]) -> None:
        """Add the record that the values of an item describe; if they describe none, reject the item."""
        try:
            self.records.append((index, parse_record(record_type, values)))
        except RecordInvalid as error:
            self.reject(index, error)

    def reject(self, index: int, error: RecordInvalid) -> None:
        """Reject an item because of the first of its problems."""
        first = error.problems[0]
        self.rejects.append(Reject(index, first.field, redacted(first.reason)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of one post; what is counted as accepted, updated or duplicate is committed."""

    __pydantic_config__ = WIRE

    accepted: int = 0
    """Records that are new."""
    duplicate: int = 0
    """Records that said nothing new."""
    updated: int = 0
    """Records that changed what was stored."""
    skipped: dict[str, int] = field(default_factory=dict)
    """Items that are not wanted, by reason."""
    rejected: int = 0
    """Items that cannot be stored; sending them again would not help."""
    rejects: list[Reject] = field(default_factory=list)
    """The first of them."""
    notes: list[str] = field(default_factory=list)
    """What the sender should know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostReport:
    """One post, as metrics count it."""

    way: str
    """Name of its kind or receiver."""
    receipt: Receipt | None
    """None if nothing of it was stored."""
    error: str = ""
    """Class of the error that says why."""
    newest: datetime | None = None
    """Time of the newest event in it; None if nothing in it has one."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """One foreign format."""

    name: str
    """Last part of its path."""
    decode: Callable[[Message], Decoded]
    """Turns a post into records. Pure. Raises BodyUnreadable if nothing of it can be read."""
    answer: Callable[[Message, Receipt], tuple[bytes, str]] | None = None
    """Body and content type of the answer that the format asks for; None: the receipt as JSON."""
    proof: Proof = bearer
    """How posts prove where they come from, once a secret is set."""
    takes_key_in_url: bool = False
    """True if its sender can be given nothing but an address: then `?key=` counts as a bearer token."""
