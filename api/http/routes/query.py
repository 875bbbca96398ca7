"""`POST /v1/query` and `POST /v1/context`: a question, with its answer or as the prompt that it makes."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from api.http.accept import wants_events
from api.http.auth.guard import VIEWER_OF_OWN, CurrentCaller, GuardedRoute
from api.http.auth.own_data import as_asked_by
from api.http.dependencies import AnswerSlot, Load, RunningServices
from api.http.event_stream import EventStream
from api.http.json_body import to_json
from api.http.openapi import events, problems
from api.http.schemas.bodies import ContextBody
from api.http.schemas.question import QuestionBody
from api.http.worker_load import asker_of
from context_builder.answer.answer import Answer
from context_builder.answering import final_answer

router = APIRouter(tags=["questions"], route_class=GuardedRoute, dependencies=[VIEWER_OF_OWN])

_EVENTS = """event: context
data: {"question": "Which deployments are unhealthy?", ...}

event: delta
data: {"text": "gpt-4/aws is unhealthy "}

event: delta
data: {"text": "since 07:12 [H1]."}

event: answer
data: {"id": "ans_4f0c3f6e8f5a4c0c9a5d0f6f0a2b1c3d", ...}
"""
_RESPONSES = problems(400, 403, 408, 413, 415, 422, 500, 503) | events(
    "The answer; server-sent events if the Accept header prefers them.", _EVENTS
)


@router.post("/v1/query", response_model=Answer, responses=_RESPONSES, dependencies=[AnswerSlot])
async def query(
    body: QuestionBody, request: Request, caller: CurrentCaller, load: Load, services: RunningServices
) -> Response:
    """Answer a question about the gateway with at most one model call.

    With `Accept: text/event-stream` the events are `context` (the manifest), then `delta` (the next words,
    as `{"text": ...}`), finally `answer` (the same JSON as without streaming) or `error` (a problem
    document). If `answer.model` is null, the model failed and the answer's text replaces all earlier deltas.
    Disconnecting cancels the model call. A call that does not fit under a cap is not made: the answer is
    made of the facts, and `no_model_reason` says which cap and how much of it is left.
    """
    asked = as_asked_by(caller, body.to_input())
    steps = services.answerer.stream(asked)
    # Only building takes the processor: a slot is not held while the model writes.
    async with load.builds.slot(asker_of(request, asked.asked_by)):
        first = await anext(steps)
    if wants_events(request.headers.get("accept", "")):
        # An error before the context was built has got its own status.
        return EventStream(request, steps, first)
    return Response(to_json(await final_answer(steps)), media_type="application/json")


@router.post(
    "/v1/context", response_model=ContextBody, responses=problems(400, 403, 408, 413, 415, 422, 500, 503)
)
async def context(
    body: QuestionBody, request: Request, caller: CurrentCaller, load: Load, services: RunningServices
) -> Response:
    """Build the prompt of a question and its manifest; no model is called."""
    asked = as_asked_by(caller, body.to_input())
    async with load.builds.slot(asker_of(request, asked.asked_by)):
        built = await services.answerer.builder.build(asked)
    # Serialized here: FastAPI would first copy hundreds of facts.
    return Response(to_json(ContextBody(built.prompt, built.manifest)), media_type="application/json")
