"""The way of a post: unpacked, decoded, stored, and acknowledged once it is committed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from api.ingest.errors import UnknownWay
from api.ingest.live.body import MemoryBudget, read_body, unpack
from api.ingest.live.group_commit import GroupCommit, Post, Results
from api.ingest.live.items import kind_receiver
from api.ingest.live.message import (
    MAX_LISTED_REJECTS,
    Decoded,
    IngestOptions,
    Message,
    Receipt,
    Receiver,
    Reject,
)
from api.ingest.receivers import discover
from api.ingest.records import (
    RECORD_TYPES,
    ErrorRecord,
    FieldProblem,
    HealthRecord,
    Record,
    RequestRecord,
)
from api.ingest.store import Outcome

MAX_AHEAD = timedelta(minutes=10)
"""How far the clock of a sender may be ahead of ours."""
_TIMES: Mapping[type[Record], str] = {
    RequestRecord: "created_at",
    ErrorRecord: "logged_at",
    HealthRecord: "checked_at",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyLimits:
    """How much one post may bring, in bytes, and all of a process together."""

    max_body: int = 16 * 2**20
    max_unpacked: int = 64 * 2**20
    max_memory: int = 256 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A post as it comes in."""

    name: str
    """A kind of record, or a receiver."""
    topic: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    """By name in lower case."""
    chunks: AsyncIterator[bytes]


class Ingestor:
    """Takes in posts of every kind and format."""

    def __init__(self, commits: GroupCommit, limits: BodyLimits, options: IngestOptions) -> None:
        """Find the receivers; blocks."""
        self._commits = commits
        self._limits = limits
        self._options = options
        self._budget = MemoryBudget(limits.max_memory)
        self._receivers = {kind: kind_receiver(each) for kind, each in RECORD_TYPES.items()} | discover()

    async def receive(self, envelope: Envelope) -> tuple[bytes, str] | Receipt:
        """Take in one post; return the receipt, or the answer that its format asks for.

        Raises:
            UnknownWay: there is no such kind or receiver.
            BodyTooLarge: the post is too large.
            BodyUnreadable: nothing of it can be read.
            UnknownEncoding: it is packed in a way that is not read.
            IngestBusy: nothing was stored, and it should be sent again.
            LoadStopped: a user or a deployment is stored under another name.
        """
        receiver = self._receivers.get(envelope.name)
        if receiver is None:
            raise UnknownWay(f"{envelope.name!r} is not taken in; accepted are {', '.join(self._receivers)}")
        headers = envelope.headers
        announced = headers.get("content-length", "")
        with self._budget.share() as take:
            size = int(announced) if announced.isdecimal() else 0
            body = await read_body(envelope.chunks, size, self._limits.max_body, take)
            encoding = headers.get("content-encoding", "").strip().lower()
            message = Message(
                body=await asyncio.to_thread(unpack, body, encoding, self._limits.max_unpacked, take),
                content_type=headers.get("content-type", "").partition(";")[0].strip().lower(),
                headers=headers,
                topic=envelope.topic,
                received_at=datetime.now(UTC),
                options=self._options,
            )
            del body
            decoded = await asyncio.to_thread(_decode, receiver, message)
            receipt = await self._stored(receiver, message, decoded)
        return receipt if receiver.answer is None else receiver.answer(message, receipt)

    async def _stored(self, receiver: Receiver, message: Message, decoded: Decoded) -> Receipt:
        """Store what was decoded; what contradicts the database is rejected too."""
        rejects = [_reject_row(receiver, message, decoded, each) for each in decoded.rejects]
        results: Results = []
        if decoded.records or rejects:
            records = [record for _, record in decoded.records]
            post = Post(records, rejects[:MAX_LISTED_REJECTS], message.received_at)
            results = await self._commits.store(post)
        counts = Counter(each for each in results if isinstance(each, Outcome))
        contradictions = [
            Reject(index, each.field, f"{each.kind}: {each.detail}")
            for (index, _), each in zip(decoded.records, results, strict=True)
            if isinstance(each, FieldProblem)
        ]
        every = sorted([*decoded.rejects, *contradictions], key=lambda each: each.index)
        return Receipt(
            accepted=counts[Outcome.ADDED],
            duplicate=counts[Outcome.PRESENT],
            updated=counts[Outcome.UPDATED],
            skipped=dict(decoded.skipped),
            rejected=len(every),
            rejects=every[:MAX_LISTED_REJECTS],
            notes=decoded.notes,
        )


def _decode(receiver: Receiver, message: Message) -> Decoded:
    """Decode a post, and reject what comes from the future."""
    decoded = receiver.decode(message)
    latest = message.received_at + MAX_AHEAD
    kept = []
    for index, record in decoded.records:
        name = _TIMES.get(type(record))
        moment = getattr(record, name) if name else latest
        if name and moment > latest:
            reason = f"in the future: {moment}; the clock here says {message.received_at}"
            decoded.rejects.append(Reject(index, name, reason))
        else:
            kept.append((index, record))
    decoded.records = kept
    return decoded


def _reject_row(receiver: Receiver, message: Message, decoded: Decoded, reject: Reject) -> dict[str, Any]:
    return {
        "received_at": message.received_at,
        "source": receiver.name,
        "item": reject.index,
        "field": reject.field[:100],
        "reason": reject.reason,
        "original": decoded.originals.get(reject.index),
    }
