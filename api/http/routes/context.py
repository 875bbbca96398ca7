"""`POST /v1/context`: the prompt of a question, without a model call."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from api.http.dependencies import Load, RunningServices
from api.http.json_body import to_json
from api.http.openapi import problems
from api.http.schemas.bodies import ContextBody
from api.http.schemas.question import QuestionBody
from api.http.worker_load import asker_of

router = APIRouter(tags=["questions"])


@router.post("/v1/context", response_model=ContextBody, responses=problems(400, 403, 413, 415, 422, 500, 503))
async def context(body: QuestionBody, request: Request, load: Load, services: RunningServices) -> Response:
    """Build the prompt of a question and its manifest; no model is called."""
    async with load.builds.slot(asker_of(request, body.user)):
        built = await services.answerer.builder.build(body.to_input())
    # Serialized here: FastAPI would first copy hundreds of facts.
    return Response(to_json(ContextBody(built.prompt, built.manifest)), media_type="application/json")
