"""Dependencies that FastAPI injects into the routes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request

from api.http.worker_load import WorkerLoad, asker_of
from api.services import Services
from context_builder.queries import query_session
from context_builder.queries.session import DEADLINE_S
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


async def read_session(services: RunningServices) -> AsyncIterator[ReadSession]:
    """Open a session with a deadline for the queries of one request.

    Raises:
        QueryTimeout: The deadline has passed.
        DatabaseError: The database is unavailable.
    """
    async with query_session(services.database, deadline_s=DEADLINE_S) as session:
        yield session


# Closed before the response is sent: a slow client must not hold a connection.
Session = Annotated[ReadSession, Depends(read_session, scope="function")]
