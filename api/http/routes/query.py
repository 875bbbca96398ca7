"""`POST /v1/query`: a question and its answer, whole or as it is written."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request, Response

from api.http.accept import wants_events
from api.http.dependencies import RunningServices, require_json
from api.http.event_stream import EventStream
from api.http.openapi import problems
from api.http.schemas.answer import AnswerBody
from api.http.schemas.question import QuestionBody

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
_RESPONSES = problems(400, 413, 415, 422, 500, 503) | {
    200: {
        "description": "The answer; as server-sent events where the Accept header asks for them.",
        "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EVENTS}},
    }
}


@router.post(
    "/v1/query",
    response_model=AnswerBody,
    responses=_RESPONSES,
    dependencies=[Depends(require_json)],
)
async def query(body: QuestionBody, request: Request, services: RunningServices) -> Response:
    """Answers a question about the gateway with at most one model call.

    With `Accept: text/event-stream` the events are `context` (the manifest), then `delta` (the next words,
    as `{"text": ...}`), last `answer` (the same JSON as without streaming) or `error` (a problem document).
    Where `answer.model` is null, the words of earlier deltas came to nothing, and the answer's text stands
    in for them. A client that disconnects ends the model call.
    """
    ask = body.to_ask()
    if wants_events(request.headers.get("accept", "")):
        events = services.answerer.stream(ask)
        # Up to the built context an error still has a status of its own.
        return EventStream(request, events, first=await anext(events))
    answer = AnswerBody.model_validate(await services.answerer.answer(ask))
    return Response(answer.model_dump_json(), media_type="application/json")
