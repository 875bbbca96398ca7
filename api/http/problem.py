"""Errors as problem documents (RFC 9457): what is wrong, where, and what is accepted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from api.access.errors import Forbidden, RateLimited, Unauthenticated
from api.errors import ArcpointApiError
from api.http.admission import Overloaded
from api.http.middleware.body_limit import INGEST_PATHS
from api.http.middleware.security_headers import SECURITY_HEADERS
from api.ingest.errors import (
    BodyTooLarge,
    BodyUnreadable,
    IngestBusy,
    LoadStopped,
    SenderUnproven,
    UnknownEncoding,
    UnknownWay,
)
from context_builder.postmortems.writer import PostmortemFailed
from context_builder.queries import NotFound, NotResolved, QueryTimeout
from context_builder.question.request import QuestionError
from context_builder.risk.policy.decision import UnknownCandidates
from context_builder.spend.ledger import CapReached
from memory.errors import MemoryUnavailable, UnknownIncident, UnusableReviewer
from models.errors import ColdDayUnreadable, DatabaseError

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5
"""Suggested wait if the database, memory or the model is unavailable."""
_TITLES = {
    "question": "The question cannot be used",
    "body": "The body cannot be used",
    "malformed-json": "The body is not JSON",
    "parameters": "The parameters cannot be used",
    "unknown": "Not found",
    "database": "The database is unavailable",
    "timeout": "The query timed out",
    "conflict": "Not possible in the current state",
    "memory": "Incident memory is unavailable",
    "model": "The model is unavailable",
    "overloaded": "Too many questions at once",
    "ingest": "Nothing was stored",
    "rate": "Too many requests with this key",
}
_MAX_FIELD_ERRORS = 20
_MAX_SHOWN = 80
"""Characters of a client's own field names that are repeated to it."""

_Kind = tuple[int, str, str]
"""Status, kind and detail; the kind is empty if the status alone says it."""


class Conflict(ArcpointApiError):
    """A request that does not fit the current state; the message says why."""


_KNOWN: Sequence[tuple[tuple[type[Exception], ...], int, str, str]] = (
    ((NotFound, UnknownIncident), 404, "unknown", "{}"),
    ((NotResolved, Conflict, CapReached), 409, "conflict", "{}"),
    ((UnusableReviewer,), 422, "body", "by: {}"),
    ((UnknownCandidates,), 422, "body", "{}"),
    ((QueryTimeout,), 504, "timeout", "{}"),
    ((ColdDayUnreadable,), 503, "database", "{}"),
    # Host and user of the database are for the log, and for /readyz.
    ((DatabaseError,), 503, "database", "the database is unavailable; try again soon, /readyz has the state"),
    ((MemoryUnavailable,), 503, "memory", "{}"),
    ((PostmortemFailed,), 503, "model", "{}"),
    ((Overloaded,), 503, "overloaded", "{}"),
    ((UnknownWay,), 404, "unknown", "{}"),
    ((BodyUnreadable,), 400, "ingest", "{}"),
    ((BodyTooLarge,), 413, "", "{}"),
    ((UnknownEncoding,), 415, "", "{}"),
    ((SenderUnproven, Unauthenticated), 401, "", "{}"),
    ((Forbidden,), 403, "", "{}"),
    ((RateLimited,), 429, "rate", "{}"),
    ((LoadStopped,), 409, "conflict", "{}"),
    ((IngestBusy,), 503, "ingest", "{}"),
)
"""Errors whose class decides status and kind, with the format of the detail."""


class FieldError(BaseModel):
    """A problem with one field of the body, or with one parameter."""

    field: str = Field(
        description="Parameter, or path within the body, such as `scope.tiers.0`; empty for the body itself."
    )
    message: str = Field(description="What is wrong, in terms of what is accepted.")
    accepted: list[str] | None = Field(
        None, description="Valid fields or parameters, if an unknown one was given."
    )


class Problem(BaseModel):
    """An error according to RFC 9457; `request_id` and `errors` are extensions."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(description="A URI for the kind of problem; `about:blank` if the status says it all.")
    title: str = Field(description="The kind of problem, in words.")
    status: int = Field(description="The HTTP status.", ge=400, le=599)
    detail: str = Field(description="What went wrong this time, and what is accepted.")
    instance: str = Field(description="The path that was called.")
    request_id: str = Field(description="Id of the request in the service's log.")
    errors: list[FieldError] | None = Field(None, description="One entry per wrong field.")


def problem_of(error: Exception, request: Request) -> Problem:
    """Return the problem document of an error; it never holds a traceback."""
    status, kind, detail = _kind_of(error, request)
    errors = None
    if isinstance(error, RequestValidationError) and kind != "malformed-json":
        errors = _field_errors(error, request)
    return Problem(
        type=f"urn:arcpoint:problem:{kind}" if kind else "about:blank",
        title=_TITLES.get(kind) or HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=request.url.path,
        request_id=request.state.request_id,
        errors=errors,
    )


async def answer_problem(request: Request, error: Exception) -> Response:
    """Handle any exception; unexpected ones are logged with their traceback."""
    problem = problem_of(error, request)
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if isinstance(error, HTTPException) and problem.status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = _methods(request, error)
    if isinstance(error, DatabaseError):
        log.warning("database unavailable", reason=str(error))
    if problem.status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        seconds = RETRY_AFTER_S
        if isinstance(error, Overloaded | IngestBusy | RateLimited):
            seconds = error.retry_after_s
        headers["retry-after"] = str(seconds)
    if problem.status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"
    if not getattr(request.state, "is_read", True):
        headers["connection"] = "close"
    if problem.detail.startswith("an internal error"):
        await log_unexpected(error, request)
        # This response is created outside the middleware that adds headers to all others.
        headers |= {"x-request-id": problem.request_id, **SECURITY_HEADERS}
    return Response(problem_json(problem), problem.status, headers, MEDIA_TYPE)


def problem_json(problem: Problem) -> str:
    """Return the document on one line, in ASCII: text from the client may not be valid Unicode."""
    return problem.model_dump_json(exclude_none=True, ensure_ascii=True)


async def log_unexpected(error: Exception, request: Request) -> None:
    """Log an internal error."""
    # In a thread: a traceback quotes source files.
    await asyncio.to_thread(log.error, "request failed", exc_info=error, request_id=request.state.request_id)


def _kind_of(error: Exception, request: Request) -> _Kind:
    for kinds, status, kind, detail in _KNOWN:
        if isinstance(error, kinds):
            return status, kind, detail.format(_one_line(str(error)))
    match error:
        case QuestionError():
            is_question = "questions" in getattr(request.scope.get("route"), "tags", ())
            return 422, "question" if is_question else "parameters", str(error)
        case RequestValidationError():
            return _kind_of_fields(error, request)
        case HTTPException():
            return _kind_of_http(error, request)
        case _ if request.url.path.startswith(INGEST_PATHS):
            # Senders drop what is answered with 500, and send again what is answered with 503.
            return 503, "ingest", "an internal error; the service's log has the details under this request_id"
        case _:
            return 500, "", "an internal error; the service's log has the details under this request_id"


def _kind_of_fields(error: RequestValidationError, request: Request) -> _Kind:
    malformed = next((fault for fault in error.errors() if fault["type"] == "json_invalid"), None)
    if malformed is not None:
        where = f"{malformed['ctx']['error'].lower()} at character {malformed['loc'][-1]}"
        return 400, "malformed-json", f"the body is not JSON: {where}"
    first, *others = _field_errors(error, request)
    more = f" (and {len(others)} more)" if others else ""
    kind = "parameters" if error.errors()[0]["loc"][0] == "query" else "body"
    return 422, kind, _one_line(f"{first.field or 'the body'}: {first.message}{more}")


def _kind_of_http(error: HTTPException, request: Request) -> _Kind:
    match error.status_code:
        case 400:
            # FastAPI says no more about bytes that are not Unicode, or JSON that no parser accepts.
            detail = "the body is not JSON in UTF-8, or it is nested too deeply or holds too long a number"
            return 400, "malformed-json", detail
        case 404:
            return 404, "", "nothing is served at this path; /openapi.json lists what is"
        case 405:
            return 405, "", f"this path accepts {_methods(request, error) or 'another method'}"
        case status:
            return status, "", error.detail


def _field_errors(error: RequestValidationError, request: Request) -> list[FieldError]:
    return list(_each_field_error(error.errors()[:_MAX_FIELD_ERRORS], request))


def _each_field_error(faults: Sequence[Mapping[str, Any]], request: Request) -> Iterator[FieldError]:
    for fault in faults:
        place, *path = fault["loc"]
        field = ".".join(str(part)[:_MAX_SHOWN] for part in path)
        if fault["type"] == "extra_forbidden" and place == "query":
            yield FieldError(field=field, message="unknown parameter", accepted=_parameters(request))
        elif fault["type"] == "extra_forbidden":
            yield FieldError(field=field, message="unknown field", accepted=_fields(request, path[:-1]))
        elif not path:
            yield FieldError(field="", message="a JSON object is expected", accepted=_fields(request, ()))
        else:
            yield FieldError(field=field, message=_plain(fault["msg"]), accepted=None)


def _parameters(request: Request) -> list[str]:
    """Return the names of the query parameters."""
    return [one["name"] for one in _operation(request)["parameters"] if one["in"] == "query"]


def _fields(request: Request, path: Sequence[object]) -> list[str]:
    """Return the fields of the body, or of the object at a path in it."""
    schemas = request.app.openapi()["components"]["schemas"]
    schema = _named(_operation(request)["requestBody"]["content"]["application/json"]["schema"], schemas)
    for part in path:
        schema = _named(schema["properties"][str(part)], schemas)
    return list(schema["properties"])


def _named(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    """Resolve a reference, or the first one among alternatives."""
    reference = next(one["$ref"] for one in (schema, *schema.get("anyOf", ())) if "$ref" in one)
    named: Mapping[str, Any] = schemas[reference.rpartition("/")[2]]
    return named


def _methods(request: Request, error: HTTPException) -> str:
    """Return the methods of a path: the router knows only those of the first route that has it."""
    described = request.app.openapi()["paths"].get(request.scope["route"].path_format)
    return ", ".join(map(str.upper, described)) if described else (error.headers or {}).get("Allow", "")


def _operation(request: Request) -> Mapping[str, Any]:
    """Return the description of the operation that was called."""
    path = request.app.openapi()["paths"][request.scope["route"].path_format]
    operation: Mapping[str, Any] = path[request.method.lower()]
    return operation


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _plain(message: str) -> str:
    """Turn a message of pydantic into the second half of a sentence."""
    message = message.removeprefix("Value error, ")
    return message[:1].lower() + message[1:]
