"""The way of a post: unpacked, decoded, stored, and acknowledged once it is committed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from api.ingest.errors import BodyTooSlow, SenderUnproven, UnknownWay
from api.ingest.live.body import MemoryBudget, read_body, unpack
from api.ingest.live.group_commit import GroupCommit, Post
from api.ingest.live.items import kind_receiver
from api.ingest.live.message import (
    MAX_LISTED_REJECTS,
    Decoded,
    IngestOptions,
    Message,
    PostReport,
    Receipt,
    Receiver,
    Reject,
)
from api.ingest.live.signatures import bearer
from api.ingest.receivers import discover
from api.ingest.records import RECORD_TYPES, RequestRecord
from api.ingest.store import Outcome
from api.ingest.store.cardinality import CardinalityLimits
from api.settings import Settings, SettingsError
from context_builder.observation import SCOPE, Observe, ignore
from context_builder.text.clock import utc_now
from models.database import Database

MAX_AHEAD = timedelta(minutes=10)
"""How far the clock of a sender may be ahead of ours."""
RECORD_BYTES = 2_048
"""What one decoded record takes in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyLimits:
    """How much one post may bring, in bytes, and all of a process together."""

    max_body: int = 16 * 2**20
    max_unpacked: int = 64 * 2**20
    max_memory: int = 256 * 2**20
    read_s: float = 60.0
    """Of the whole body, so that slow senders do not hold what others need."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A post as it comes in."""

    name: str
    """A kind of record, or a receiver."""
    topic: str = ""
    about: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    """By name in lower case."""
    key: str = field(default="", repr=False)
    """The parameter `key` of the URL."""
    chunks: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class IngestLoad:
    """What one process holds of posts that are not committed yet."""

    bytes: int
    oldest_s: float
    """How long the oldest of them has waited for its transaction, in seconds; 0 if none waits."""


class Ingestor:
    """Takes in posts of every kind and format."""

    def __init__(
        self,
        commits: GroupCommit,
        limits: BodyLimits,
        options: IngestOptions,
        secrets: Mapping[str, str] | None = None,
    ) -> None:
        """Find the receivers; blocks. `secrets` are by the name of the kind or receiver.

        Raises:
            UnknownWay: there is a secret for something that is not taken in.
        """
        self._commits = commits
        self._limits = limits
        self._options = options
        self._budget = MemoryBudget(limits.max_memory)
        self.observe: Observe = ignore
        """Is handed a PostReport of every post to a known way."""
        self._receivers = {kind: kind_receiver(each) for kind, each in RECORD_TYPES.items()} | discover()
        self._secrets = {self._receiver(name).name: secret for name, secret in (secrets or {}).items()}

    async def receive(self, envelope: Envelope) -> tuple[bytes, str] | Receipt:
        """Take in one post; return the receipt, or the answer that its format asks for.

        Raises:
            UnknownWay: there is no such kind or receiver.
            SenderUnproven: its secret is set, and the post does not prove that it comes from the sender.
            BodyTooLarge: the post is too large.
            BodyUnreadable: nothing of it can be read.
            UnknownEncoding: it is packed in a way that is not read.
            IngestBusy: nothing was stored, and it should be sent again.
            LoadStopped: a user or a deployment is stored under another name.
        """
        receiver = self._receiver(envelope.name)
        try:
            message, receipt, newest = await self._take_in(receiver, envelope)
        except Exception as error:
            self.observe(PostReport(way=receiver.name, receipt=None, error=type(error).__name__))
            raise
        self.observe(PostReport(way=receiver.name, receipt=receipt, newest=newest))
        return receipt if receiver.answer is None else receiver.answer(message, receipt)

    @property
    def load(self) -> IngestLoad:
        """What is on its way into the database."""
        return IngestLoad(bytes=self._budget.used, oldest_s=self._commits.oldest_s)

    async def _take_in(
        self, receiver: Receiver, envelope: Envelope
    ) -> tuple[Message, Receipt, datetime | None]:
        """Store a post; return what it was, what became of it, and the time of its newest event."""
        headers = envelope.headers
        announced = headers.get("content-length", "")
        with self._budget.share() as take:
            size = int(announced) if announced.isdecimal() else 0
            async with _within(self._limits.read_s):
                body = await read_body(envelope.chunks, size, self._limits.max_body, take)
            self._check_sender(receiver, envelope, body)
            encoding = headers.get("content-encoding", "").strip().lower()
            message = Message(
                body=await asyncio.to_thread(unpack, body, encoding, self._limits.max_unpacked, take),
                content_type=headers.get("content-type", "").partition(";")[0].strip().lower(),
                headers=headers,
                topic=envelope.topic,
                about=envelope.about,
                received_at=utc_now(),
                options=self._options,
            )
            del body
            decoded = await asyncio.to_thread(_decode, receiver, message)
            take(len(decoded.records) * RECORD_BYTES)
            stored = await self._commits.store(Post(receiver.name, message.received_at, decoded))
        receipt = Receipt(
            accepted=stored.counts[Outcome.ADDED],
            duplicate=stored.counts[Outcome.PRESENT],
            updated=stored.counts[Outcome.UPDATED],
            skipped=dict(decoded.skipped),
            rejected=len(stored.rejects),
            rejects=stored.rejects[:MAX_LISTED_REJECTS],
            notes=decoded.notes,
        )
        return message, receipt, decoded.newest

    def has_secret_of(self, name: str) -> bool:
        """Return True if posts to a kind or receiver have to prove that they come from its sender."""
        return name in self._receivers and self._receivers[name].name in self._secrets

    def _receiver(self, name: str) -> Receiver:
        receiver = self._receivers.get(name)
        if receiver is None:
            raise UnknownWay(f"{name!r} is not taken in; accepted are {', '.join(self._receivers)}")
        return receiver

    def _check_sender(self, receiver: Receiver, envelope: Envelope, body: bytes) -> None:
        secret, headers = self._secrets.get(receiver.name), envelope.headers
        if receiver.takes_key_in_url and envelope.key:
            headers = {**headers, "authorization": f"Bearer {envelope.key}"}
        if secret is not None and not receiver.proof(secret, headers, body, utc_now()):
            wanted = "a bearer token" if receiver.proof is bearer else "its signature"
            if receiver.takes_key_in_url:
                wanted += ", or ?key=SECRET in the address,"
            raise SenderUnproven(f"{wanted} with the secret of {receiver.name!r} is missing or wrong")


def create_ingestor(settings: Settings, database: Database, observe: Observe = ignore) -> Ingestor:
    """Create what takes in posts, as the settings say; blocks.

    Raises:
        SettingsError: there is a secret for something that is not taken in.
    """
    mebibyte = 2**20
    scopes = (scope.strip() for scope in settings.otlp_ignore_scopes.split(","))
    commits = GroupCommit(
        database,
        wait_s=settings.ingest_join_ms / 1000,
        limits=CardinalityLimits(settings.ingest_users, settings.ingest_deployments),
        observe=observe,
    )
    limits = BodyLimits(
        max_body=settings.ingest_body_mb * mebibyte,
        max_unpacked=settings.ingest_unpacked_mb * mebibyte,
        max_memory=settings.ingest_memory_mb * mebibyte,
        read_s=settings.ingest_read_s,
    )
    options = IngestOptions(
        tier=settings.ingest_tier,
        max_items=settings.ingest_items,
        keep_d=settings.keep_d,
        # Our own calls are of questions; if a gateway forwards them, it reports them itself.
        ignored_scopes=frozenset(scope for scope in scopes if scope) | {SCOPE},
    )
    try:
        ingestor = Ingestor(commits, limits, options, settings.secrets_of_senders())
    except UnknownWay as error:
        raise SettingsError(f"ARCPOINT_INGEST_SECRETS: {error}") from None
    ingestor.observe = observe
    return ingestor


@asynccontextmanager
async def _within(seconds: float) -> AsyncIterator[None]:
    """Raise BodyTooSlow if a body does not come in time."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise BodyTooSlow(f"the body did not come within {seconds:g} s; send it again") from None


def _decode(receiver: Receiver, message: Message) -> Decoded:
    decoded = without_future(receiver.decode(message), message.received_at)
    return without_unkept(decoded, message.received_at, message.options.keep_d)


def without_future(decoded: Decoded, received_at: datetime) -> Decoded:
    """Reject what comes from the future; return the same object."""
    latest = received_at + MAX_AHEAD
    kept = []
    for index, record in decoded.records:
        name = record.time_field
        moment: datetime | None = getattr(record, name) if name else None
        if moment is not None and moment > latest:
            reason = f"in the future: {moment}; the clock here says {received_at}"
            decoded.rejects.append(Reject(index, name, reason))
            continue
        kept.append((index, record))
        if moment is not None and (decoded.newest is None or moment > decoded.newest):
            decoded.newest = moment
    decoded.records = kept
    return decoded


def without_unkept(decoded: Decoded, received_at: datetime, keep_d: int) -> Decoded:
    """Reject requests that are too old to be kept: removed, they would be counted again if sent again."""
    if keep_d:
        oldest = received_at - timedelta(days=keep_d)
        old = [
            (index, record)
            for index, record in decoded.records
            if isinstance(record, RequestRecord) and record.created_at < oldest
        ]
        reason = f"older than {keep_d} days, which is how long requests are kept"
        decoded.rejects += [Reject(index, record.time_field, reason) for index, record in old]
        gone = {index for index, _ in old}
        decoded.records = [each for each in decoded.records if each[0] not in gone]
    return decoded
