"""Joint transactions: what concurrent posts brought is committed together."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api.ingest.errors import IngestBusy
from api.ingest.live.message import MAX_LISTED_REJECTS, Decoded, Reject
from api.ingest.records import FieldProblem, Record, RequestRecord
from api.ingest.store import WRITERS, Outcome, commit
from api.ingest.store.cardinality import CardinalityLimits, folded
from api.ingest.store.rejects import store_rejects
from context_builder.observation import Observe, ignore, span
from models.audit_chain import Act, AuditRecord, DetailValue, current_act
from models.database import Database, WriteSession


@dataclass(frozen=True, slots=True, eq=False)
class Post:
    """What one post wants to have stored."""

    source: str
    """Name of its receiver."""
    received_at: datetime
    decoded: Decoded
    act: Act = field(default_factory=current_act)
    """For the audit trail; the transaction is that of several posts."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of one post."""

    counts: Counter[Outcome]
    rejects: list[Reject]
    """Items that could not be decoded, or that contradict the database, by index."""


@dataclass(frozen=True, slots=True)
class CommitReport:
    """One joint transaction, as metrics count it."""

    records: int
    seconds: float
    succeeded: bool


@dataclass(slots=True, eq=False)
class _Group:
    posts: list[Post] = field(default_factory=list)
    size: int = 0
    """Records of all posts."""
    full: asyncio.Event = field(default_factory=asyncio.Event)
    since: float = field(default_factory=time.monotonic)
    is_begun: bool = False
    """True once its transaction has begun."""
    outcome: asyncio.Task[Mapping[Post, Stored | Exception]] | None = None

    def add(self, post: Post) -> None:
        self.posts.append(post)
        self.size += len(post.decoded.records)

    def remove(self, post: Post) -> None:
        if not self.is_begun:
            self.posts.remove(post)
            self.size -= len(post.decoded.records)


class GroupCommit:
    """Stores posts, each as a whole: its caller continues once they are committed."""

    def __init__(
        self,
        database: Database,
        *,
        wait_s: float = 0.05,
        commit_s: float = 30.0,
        max_records: int = 10_000,
        limits: CardinalityLimits | None = None,
        observe: Observe = ignore,
    ) -> None:
        """Let posts join a transaction for `wait_s`, or until it has `max_records`.

        A transaction that is not committed within `commit_s`, such as behind somebody's lock, is given up.
        """
        self._database = database
        self._wait_s = wait_s
        self._commit_s = commit_s
        self._max_records = max_records
        self._limits = limits or CardinalityLimits()
        self._observe = observe
        self._open: _Group | None = None
        self._pending: set[_Group] = set()
        """Those whose transaction has not ended."""
        self._turn = asyncio.Lock()

    @property
    def oldest_s(self) -> float:
        """How long the oldest post has waited for its commit, in seconds; 0 if none waits."""
        return max((time.monotonic() - each.since for each in self._pending), default=0.0)

    async def store(self, post: Post) -> Stored:
        """Return what became of a post, once it is committed.

        Raises:
            IngestBusy: the database failed, and nothing of the post is stored.
            LoadStopped: a user or a deployment is stored under another name.
        """
        if not (post.decoded.records or post.decoded.rejects):
            return Stored(Counter(), [])
        group = self._open
        if group is None:
            group = self._open = _Group()
            group.outcome = asyncio.create_task(self._run(group))
            self._pending.add(group)
            group.outcome.add_done_callback(lambda _: self._pending.discard(group))
        group.add(post)
        if group.size >= self._max_records:
            group.full.set()
            self._open = None
        assert group.outcome is not None  # noqa: S101  set where the group was made
        try:
            # A sender that disconnects takes nothing from the others.
            stored = (await asyncio.shield(group.outcome))[post]
            if isinstance(stored, Exception):
                raise stored
        except asyncio.CancelledError:
            # Nobody waits for it, so that it would wait for its turn in memory that is counted as free.
            group.remove(post)
            raise
        except (DBAPIError, PoolTimeout, OSError) as error:
            raise IngestBusy("the database does not take it; nothing was stored, send it again") from error
        return stored

    async def _run(self, group: _Group) -> Mapping[Post, Stored | Exception]:
        try:
            async with asyncio.timeout(self._wait_s):
                await group.full.wait()
        except TimeoutError:
            pass
        async with self._turn:
            if self._open is group:
                self._open = None
            group.is_begun = True
            try:
                return await self._commit(group.posts)
            except (OperationalError, InterfaceError, PoolTimeout, OSError):
                raise
            except Exception:  # noqa: BLE001  told to the sender that it belongs to
                # One of them cannot be stored: that is not the fault of the others.
                return {post: await self._commit_alone(post) for post in group.posts}

    async def _commit_alone(self, post: Post) -> Stored | Exception:
        try:
            return (await self._commit([post]))[post]
        except Exception as error:  # noqa: BLE001  likewise
            return error

    async def _commit(self, posts: Sequence[Post]) -> Mapping[Post, Stored]:
        if not posts:
            return {}
        records = sum(len(post.decoded.records) for post in posts)
        started, succeeded = time.perf_counter(), False
        try:
            with span("ingest commit", posts=len(posts), records=records):
                async with asyncio.timeout(self._commit_s):
                    stored = await commit(self._database, lambda session: self._write(session, posts))
            succeeded = True
        finally:
            self._observe(CommitReport(records, time.perf_counter() - started, succeeded))
        return stored

    async def _write(self, session: WriteSession, posts: Sequence[Post]) -> Mapping[Post, Stored]:
        records = [record for post in posts for _, record in post.decoded.records]
        outcomes = iter(await self._write_records(session, records))
        stored = {post: _stored(post, list(islice(outcomes, len(post.decoded.records)))) for post in posts}
        rows = [row for post, each in stored.items() for row in _reject_rows(post, each.rejects)]
        await store_rejects(session, rows, max(post.received_at for post in posts))
        session.audited += [_audit_record(post, each) for post, each in stored.items()]
        return stored

    async def _write_records(
        self, session: WriteSession, records: Sequence[Record]
    ) -> Sequence[Outcome | FieldProblem]:
        outcomes: list[Outcome | FieldProblem] = [Outcome.PRESENT] * len(records)
        by_type: dict[type[Record], list[int]] = {}
        for place, record in enumerate(records):
            by_type.setdefault(type(record), []).append(place)
        for record_type, writer in WRITERS.items():
            places = by_type.get(record_type)
            if not places:
                continue
            some: Sequence[Any] = [records[place] for place in places]
            if record_type is RequestRecord:
                some = await folded(session, some, self._limits)
            for place, outcome in zip(places, (await writer(session, some)).outcomes, strict=True):
                outcomes[place] = outcome
        return outcomes


def _stored(post: Post, outcomes: Sequence[Outcome | FieldProblem]) -> Stored:
    contradictions = [
        Reject(index, each.field, each.reason)
        for (index, _), each in zip(post.decoded.records, outcomes, strict=True)
        if isinstance(each, FieldProblem)
    ]
    return Stored(
        counts=Counter(each for each in outcomes if isinstance(each, Outcome)),
        rejects=sorted([*post.decoded.rejects, *contradictions], key=lambda each: each.index),
    )


def _audit_record(post: Post, stored: Stored) -> AuditRecord:
    counts: dict[str, DetailValue] = {
        outcome.name.lower(): number for outcome, number in stored.counts.items()
    }
    detail = counts | {"rejected": len(stored.rejects)}
    return AuditRecord(action="ingest", subject=post.source, detail=detail, act=post.act, at=post.received_at)


def _reject_rows(post: Post, rejects: Sequence[Reject]) -> Iterator[dict[str, Any]]:
    for reject in rejects[:MAX_LISTED_REJECTS]:
        yield {
            "received_at": post.received_at,
            "source": post.source,
            "item": reject.index,
            "field": reject.field[:100],
            "reason": reject.reason,
            "original": post.decoded.originals.get(reject.index),
        }
