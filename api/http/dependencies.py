"""What routes are handed by FastAPI."""

from __future__ import annotations

from collections.abc import AsyncIterator
from email.message import Message
from typing import Annotated

from fastapi import Depends, HTTPException, Request

from api.services import Services
from context_builder.queries import query_session
from context_builder.queries.session import DEADLINE_S
from models.database import ReadSession


async def running_services(request: Request) -> Services:
    """The services that the application opened when it started."""
    services: Services = request.app.state.services
    return services


RunningServices = Annotated[Services, Depends(running_services)]


async def read_session(services: RunningServices) -> AsyncIterator[ReadSession]:
    """A session with a deadline for the queries of one request. Raises QueryTimeout and DatabaseError."""
    async with query_session(services.database, deadline_s=DEADLINE_S) as session:
        yield session


# Given back before the response is sent: a slow client must not hold a connection.
Reading = Annotated[ReadSession, Depends(read_session, scope="function")]


async def require_json(request: Request) -> None:
    """Refuses bodies of another type: raises HTTPException with status 415."""
    given = Message()
    given["content-type"] = request.headers.get("content-type", "none")
    if given.get_content_type() != "application/json":
        raise HTTPException(415, "the body must be JSON, with the header Content-Type: application/json")
