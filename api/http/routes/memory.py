"""`GET /v1/memory/search`: past incidents that resemble a text."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.http.dependencies import Reading, RunningServices
from api.http.openapi import problems, query_problems
from api.http.schemas.memory import RecollectionBody, SearchBody, SearchParameters
from context_builder.queries.scope import resolve_moment
from context_builder.question.checks import check_question
from memory.recall.results import RecallQuery

router = APIRouter(tags=["memory"])


@router.get("/v1/memory/search", responses=query_problems() | problems(503))
async def search(
    parameters: Annotated[SearchParameters, Query()], services: RunningServices, session: Reading
) -> SearchBody:
    """Resolved incidents that resemble a text; at a past moment those that were over by then.

    503 with the reason where memory or the database cannot be used.
    """
    query = RecallQuery(text=check_question(parameters.text))
    moment = resolve_moment(parameters.as_of)
    found = await services.memory.recall(session, [query], as_of=moment.as_of, limit=parameters.limit)
    return SearchBody(
        as_of=moment.as_of,
        recollections=[RecollectionBody.model_validate(each) for each in found.recollections],
        nothing_similar=bool(found.misses),
        best_similarity=found.misses[0].best_similarity if found.misses else None,
    )
