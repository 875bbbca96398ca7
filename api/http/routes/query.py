"""`POST /v1/query`: a question and its answer, whole or streamed."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from api.http.accept import wants_events
from api.http.dependencies import RunningServices
from api.http.event_stream import EventStream
from api.http.json_body import to_json
from api.http.openapi import problems
from api.http.schemas.question import QuestionBody
from context_builder.answer.answer import Answer

router = APIRouter(tags=["questions"])

_EVENTS = """event: context
data: {"question": "Which deployments are unhealthy?", ...}

event: delta
data: {"text": "gpt-4/aws is unhealthy "}

event: delta
data: {"text": "since 07:12 [H1]."}

event: answer
data: {"id": "ans_4f0c3f6e8f5a4c0c9a5d0f6f0a2b1c3d", ...}
"""
_RESPONSES = problems(400, 403, 413, 415, 422, 500, 503) | {
    200: {
        "description": "The answer; server-sent events if the Accept header prefers them.",
        "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EVENTS}},
    }
}


@router.post("/v1/query", response_model=Answer, responses=_RESPONSES)
async def query(body: QuestionBody, request: Request, services: RunningServices) -> Response:
    """Answer a question about the gateway with at most one model call.

    With `Accept: text/event-stream` the events are `context` (the manifest), then `delta` (the next words,
    as `{"text": ...}`), finally `answer` (the same JSON as without streaming) or `error` (a problem
    document). If `answer.model` is null, the model failed and the answer's text replaces all earlier deltas.
    Disconnecting cancels the model call.
    """
    question = body.to_input()
    if wants_events(request.headers.get("accept", "")):
        events = services.answerer.stream(question)
        # An error before the context is built still gets its own status.
        return EventStream(request, events, first=await anext(events))
    return Response(to_json(await services.answerer.answer(question)), media_type="application/json")
