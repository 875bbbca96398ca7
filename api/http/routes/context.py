"""`POST /v1/context`: what a model would be sent, without sending it."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from api.http.dependencies import RunningServices, require_json
from api.http.openapi import problems
from api.http.schemas.context import ContextBody
from api.http.schemas.question import QuestionBody

router = APIRouter(tags=["questions"])


@router.post(
    "/v1/context",
    responses=problems(400, 413, 415, 422, 500, 503),
    dependencies=[Depends(require_json)],
)
async def context(body: QuestionBody, services: RunningServices) -> ContextBody:
    """Builds the prompt of a question and its manifest; no model is called."""
    return ContextBody.model_validate(await services.answerer.builder.build(body.to_ask()))
