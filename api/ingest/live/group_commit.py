"""Joint transactions: what concurrent posts brought is committed together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api.ingest.errors import IngestBusy, LoadStopped
from api.ingest.records import FieldProblem, Record, RequestRecord
from api.ingest.store import WRITERS, Outcome, commit
from api.ingest.store.cardinality import CardinalityLimits, folded
from api.ingest.store.rejects import store_rejects
from models.database import Database, WriteSession

Results = Sequence[Outcome | FieldProblem]
"""What became of each record of a post."""


@dataclass(frozen=True, slots=True, eq=False)
class Post:
    """What one post wants to have stored."""

    records: Sequence[Record]
    rejects: Sequence[dict[str, Any]]
    """Rows of rejected items."""
    received_at: datetime


@dataclass(slots=True, eq=False)
class _Group:
    posts: list[Post] = field(default_factory=list)
    size: int = 0
    """Records of all posts."""
    full: asyncio.Event = field(default_factory=asyncio.Event)
    outcome: asyncio.Task[dict[Post, Results | LoadStopped | DBAPIError]] | None = None


class GroupCommit:
    """Stores posts, each as a whole: its caller continues once they are committed."""

    def __init__(
        self,
        database: Database,
        *,
        wait_s: float = 0.05,
        max_records: int = 10_000,
        limits: CardinalityLimits | None = None,
    ) -> None:
        """Let posts join a transaction for `wait_s`, or until it has `max_records`."""
        self._database = database
        self._wait_s = wait_s
        self._max_records = max_records
        self._limits = limits or CardinalityLimits()
        self._open: _Group | None = None
        self._turn = asyncio.Lock()

    async def store(self, post: Post) -> Results:
        """Return what became of the records of a post, once it is committed.

        Raises:
            IngestBusy: the database failed, and nothing of the post is stored.
            LoadStopped: a user or a deployment is stored under another name.
        """
        group = self._open
        if group is None:
            group = self._open = _Group()
            group.outcome = asyncio.create_task(self._run(group))
        group.posts.append(post)
        group.size += len(post.records)
        if group.size >= self._max_records:
            group.full.set()
            self._open = None
        assert group.outcome is not None  # noqa: S101  set where the group was made
        try:
            # A sender that disconnects takes nothing from the others.
            results = (await asyncio.shield(group.outcome))[post]
            if isinstance(results, Exception):
                raise results
        except (DBAPIError, PoolTimeout, OSError) as error:
            raise IngestBusy("the database does not take it; nothing was stored, send it again") from error
        return results

    async def _run(self, group: _Group) -> dict[Post, Results | LoadStopped | DBAPIError]:
        try:
            async with asyncio.timeout(self._wait_s):
                await group.full.wait()
        except TimeoutError:
            pass
        async with self._turn:
            if self._open is group:
                self._open = None
            try:
                return dict(await self._commit(group.posts))
            except (LoadStopped, IntegrityError, DataError):
                pass
            # One of them cannot be stored: that is not the fault of the others.
            return {post: await self._commit_alone(post) for post in group.posts}

    async def _commit_alone(self, post: Post) -> Results | LoadStopped | DBAPIError:
        try:
            return (await self._commit([post]))[post]
        except (LoadStopped, DBAPIError) as error:
            return error

    async def _commit(self, posts: Sequence[Post]) -> dict[Post, Results]:
        return await commit(self._database, lambda session: self._write(session, posts))

    async def _write(self, session: WriteSession, posts: Sequence[Post]) -> dict[Post, Results]:
        records = [record for post in posts for record in post.records]
        outcomes: list[Outcome | FieldProblem] = [Outcome.PRESENT] * len(records)
        by_type: dict[type[Record], list[int]] = {}
        for place, record in enumerate(records):
            by_type.setdefault(type(record), []).append(place)
        for record_type, writer in WRITERS.items():
            places = by_type.get(record_type, [])
            if not places:
                continue
            some: Sequence[Any] = [records[place] for place in places]
            if record_type is RequestRecord:
                some = await folded(session, some, self._limits)
            for place, outcome in zip(places, (await writer(session, some)).outcomes, strict=True):
                outcomes[place] = outcome
        await store_rejects(
            session, [row for post in posts for row in post.rejects], max(post.received_at for post in posts)
        )
        results: dict[Post, Results] = {}
        start = 0
        for post in posts:
            results[post] = outcomes[start : start + len(post.records)]
            start += len(post.records)
        return results
