"""What the database says about the names in questions, read once for all questions of a snapshot."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, TypeVar, cast

from models.database import ReadSession
from models.own_rows import only_rows_of

T = TypeVar("T")
_ABSENT: Any = object()


class Lookups:
    """Results of look-ups by key; a session is opened only for what was not read before."""

    def __init__(self, session: Callable[[], AbstractAsyncContextManager[ReadSession]]) -> None:
        """Look up in sessions of one snapshot."""
        self._session = session
        self._known: dict[Hashable, Any] = {}
        self._confined: dict[int, Lookups] = {}

    @classmethod
    def of(cls, session: ReadSession) -> Lookups:
        """Return look-ups in a session that is open."""

        @asynccontextmanager
        async def opened() -> AsyncIterator[ReadSession]:
            yield session

        return cls(opened)

    def confined_to(self, user_id: int) -> Lookups:
        """Return look-ups that see only what a user may see, and share no results with others."""
        if user_id not in self._confined:
            self._confined[user_id] = Lookups(partial(_of_user, self._session, user_id))
        return self._confined[user_id]

    async def once(self, key: Hashable, read: Callable[[ReadSession], Awaitable[T]]) -> T:
        """Return what `read` returns; the key holds everything that its result depends on."""
        if key not in self._known:
            async with self._session() as session:
                self._known[key] = await read(session)
        return cast("T", self._known[key])

    async def each(
        self,
        kind: Hashable,
        names: Iterable[str],
        read: Callable[[ReadSession, list[str]], Awaitable[dict[str, T]]],
    ) -> dict[str, T]:
        """Return the values of those names that have one; `read` gets the names not looked up before."""
        wanted = sorted(set(names))
        missing = [name for name in wanted if (kind, name) not in self._known]
        if missing:
            async with self._session() as session:
                found = await read(session, missing)
            self._known |= {(kind, name): found.get(name, _ABSENT) for name in missing}
        values = ((name, self._known[kind, name]) for name in wanted)
        return {name: value for name, value in values if value is not _ABSENT}


@asynccontextmanager
async def _of_user(
    opened: Callable[[], AbstractAsyncContextManager[ReadSession]], user_id: int
) -> AsyncIterator[ReadSession]:
    async with opened() as session:
        with only_rows_of(session, user_id):
            yield session
