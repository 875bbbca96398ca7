"""The queries for one who may see one user only: their own rows, and the state of the gateway.

    async with confined_queries(database, "user_a") as confined:
        page = confined.shown(await recent_requests(confined.session, RequestFilter(users=("user_a",))))

Another user, and a request of theirs, is unknown there like any other name.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from context_builder.queries.errors import NotFound
from context_builder.queries.session import DEADLINE_S, query_session
from context_builder.question.confinement import user_ids
from context_builder.withholding.gate import load_names, without_names
from context_builder.withholding.user_names import OtherNames
from models.database import Database, ReadSession
from models.own_rows import only_rows_of

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class ConfinedQueries:
    """A session that sees one user's rows, and what may be shown of a result."""

    session: ReadSession
    user: str
    """Public id."""
    others: OtherNames

    def shown(self, result: _Result) -> _Result:
        """Return a result with every text replaced that names another user."""
        return without_names(result, self.others)


@asynccontextmanager
async def confined_queries(
    database: Database, user: str, *, deadline_s: float = DEADLINE_S
) -> AsyncIterator[ConfinedQueries]:
    """Open a session for one user.

    Raises:
        NotFound: There is no such user; the message names no other.
        QueryTimeout: The block took longer than `deadline_s` seconds.
        DatabaseUnreachable: The database does not answer, or stops answering.
    """
    async with query_session(database, deadline_s=deadline_s) as session:
        found = await user_ids(session, [user])
        if user not in found:
            raise NotFound(f"user {user!r} is not known")
        others = (await load_names(session)).of_others(found[user])
        with only_rows_of(session, found[user]):
            yield ConfinedQueries(session, user, others)
