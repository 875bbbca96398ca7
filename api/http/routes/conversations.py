"""`GET /v1/conversations/{conversation_id}`: what went through the proxy."""

from __future__ import annotations

from fastapi import APIRouter

from api.http.auth.guard import VIEWER, GuardedRoute
from api.http.dependencies import Session
from api.http.openapi import query_problems
from context_builder import queries
from context_builder.queries import Conversation

router = APIRouter(tags=["queries"], route_class=GuardedRoute, dependencies=[VIEWER])


@router.get("/v1/conversations/{conversation_id}", responses=query_problems(404))
async def conversation(conversation_id: str, session: Session) -> Conversation:
    """Return a conversation by its id, or a request's of it: changes, tokens, cost, how each ended."""
    return await queries.conversation(session, conversation_id)
