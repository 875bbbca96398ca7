"""`GET /v1/memory/search`: past incidents that resemble a text."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from api.http.auth.guard import VIEWER, GuardedRoute
from api.http.dependencies import Load, RunningServices
from api.http.openapi import problems, query_problems
from api.http.schemas.bodies import SearchBody
from api.http.schemas.parameters import SearchParameters
from api.http.worker_load import asker_of
from context_builder.queries import query_session
from context_builder.queries.scope import resolve_moment
from context_builder.question.checks import check_question
from memory.recall.results import RecallQuery

router = APIRouter(tags=["memory"], route_class=GuardedRoute, dependencies=[VIEWER])


@router.get("/v1/memory/search", responses=query_problems() | problems(503))
async def search(
    parameters: Annotated[SearchParameters, Query()], request: Request, load: Load, services: RunningServices
) -> SearchBody:
    """Find resolved incidents similar to a text; with `as_of`, only those resolved by then.

    503 with the reason if memory or the database is unavailable.
    """
    query = RecallQuery(text=check_question(parameters.text))
    as_of = resolve_moment(parameters.as_of).as_of
    # It embeds a text and ranks, as a build does. A connection is taken only when it is its turn.
    async with load.builds.slot(asker_of(request)), query_session(services.database) as session:
        recall = await services.memory.recall(session, [query], as_of=as_of, limit=parameters.limit)
    return SearchBody.of(recall, as_of)
