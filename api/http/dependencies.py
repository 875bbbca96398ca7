"""Dependencies that FastAPI injects into the routes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends, Request

from api.http.auth.guard import CurrentCaller
from api.http.worker_load import WorkerLoad, asker_of
from api.services import Services
from context_builder.queries import query_session
from context_builder.queries.session import DEADLINE_S
from context_builder.withholding.confined_queries import ConfinedQueries, confined_queries
from models.database import ReadSession


async def running_services(request: Request) -> Services:
    """Return the services that the application opened at startup."""
    services: Services = request.app.state.services
    return services


RunningServices = Annotated[Services, Depends(running_services)]


async def worker_load(request: Request) -> WorkerLoad:
    """Return the bounds and measures of this process."""
    load: WorkerLoad = request.app.state.load
    return load


Load = Annotated[WorkerLoad, Depends(worker_load)]


async def answer_slot(request: Request, load: Load) -> AsyncIterator[None]:
    """Count an answer as in flight until its response is sent. Raises Overloaded."""
    async with load.answers.slot(asker_of(request)):
        yield


AnswerSlot = Depends(answer_slot, scope="request")


_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class View:
    """What the caller may see of the database."""

    session: ReadSession
    """For a caller who is bound to a user, one in which no row of another user exists."""
    _confined: ConfinedQueries | None = None

    def shown(self, result: _Result) -> _Result:
        """Return a result as the caller may see it: text that people wrote may name others."""
        return result if self._confined is None else self._confined.shown(result)


async def view(caller: CurrentCaller, services: RunningServices) -> AsyncIterator[View]:
    """Open a session with a deadline for the queries of one request.

    Raises:
        QueryTimeout: The deadline has passed.
        DatabaseError: The database is unavailable.
    """
    if caller.user is not None:
        async with confined_queries(services.database, caller.user, deadline_s=DEADLINE_S) as confined:
            yield View(confined.session, confined)
        return
    async with query_session(services.database, deadline_s=DEADLINE_S) as session:
        yield View(session)


# Closed before the response is sent: a slow client must not hold a connection.
CallersView = Annotated[View, Depends(view, scope="function")]


async def read_session(view: CallersView) -> ReadSession:
    """Return the session of the caller's view."""
    return view.session


Session = Annotated[ReadSession, Depends(read_session)]
