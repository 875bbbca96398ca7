"""Errors as problem documents (RFC 9457): what is wrong, where, and what would be accepted."""

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

from context_builder.postmortems.writer import PostmortemFailed
from context_builder.queries import NotFound, NotResolved, QueryTimeout
from context_builder.question.request import QuestionError
from memory.errors import MemoryUnavailable, UnknownIncident, UnusableReviewer
from models.errors import DatabaseError

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5
"""How long a client is asked to wait for the database, for memory or for the model."""
_TITLES = {
    "question": "The question cannot be used",
    "body": "The body cannot be used",
    "malformed-json": "The body is not JSON",
    "parameters": "The parameters cannot be used",
    "unknown": "Nothing has this name",
    "database": "The database cannot be used",
    "timeout": "The query took too long",
    "conflict": "The state of things does not allow it",
    "memory": "Incident memory cannot be used",
    "model": "The model cannot be used",
}
_MAX_FIELD_ERRORS = 20
_MAX_SHOWN = 80
"""Characters of a name that a client made up which are repeated to it."""


class Conflict(Exception):
    """What is asked for does not go together with what there is; the message says why."""


class FieldError(BaseModel):
    """What is wrong with one field of the body, or with one parameter."""

    field: str = Field(
        description="Parameter, or path within the body, such as `scope.tiers.0`; empty for the body itself."
    )
    message: str = Field(description="What is wrong, in terms of what would be accepted.")
    accepted: list[str] | None = Field(
        None, description="The fields or parameters that exist, where an unknown one was given."
    )


class Problem(BaseModel):
    """An error as RFC 9457 has it; `request_id` and `errors` are extensions."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(description="A URI that names the kind of problem; `about:blank` means its status.")
    title: str = Field(description="The kind of problem, in words.")
    status: int = Field(description="The HTTP status.", ge=400, le=599)
    detail: str = Field(description="What was wrong this time and what would be accepted.")
    instance: str = Field(description="The path that was called.")
    request_id: str = Field(description="The request as the service's log names it.")
    errors: list[FieldError] | None = Field(None, description="One entry for each field that is wrong.")


def problem_of(error: Exception, request: Request) -> Problem:
    """The error as it is told to a client: never with a traceback."""
    status, kind, detail = _told(error, request)
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
    """The one exception handler; what nobody foresaw is logged with its traceback."""
    problem = problem_of(error, request)
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if isinstance(error, DatabaseError):
        log.warning("database unusable", reason=str(error))
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["retry-after"] = str(RETRY_AFTER_S)
    if problem.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        await log_unforeseen(error, request)
        # This response is made outside the middleware that adds the header to all others.
        headers["x-request-id"] = problem.request_id
    return Response(problem_json(problem), problem.status, headers, MEDIA_TYPE)


def problem_json(problem: Problem) -> str:
    """The document on one line, in ASCII: a client's own words in it may not be valid Unicode."""
    return problem.model_dump_json(exclude_none=True, ensure_ascii=True)


async def log_unforeseen(error: Exception, request: Request) -> None:
    """Logs an error that is a fault of ours."""
    # In a thread: a traceback quotes source files.
    await asyncio.to_thread(log.error, "request failed", exc_info=error, request_id=request.state.request_id)


def _told(error: Exception, request: Request) -> tuple[int, str, str]:
    """Status, kind and detail; an empty kind means that the status says it all."""
    match error:
        case QuestionError():
            return _told_of_question(error, request)
        case RequestValidationError():
            return _told_of_fields(error, request)
        case QueryTimeout():
            return 504, "timeout", str(error)
        case DatabaseError():
            # Where the database is and who logs in there is for the log, and for /readyz.
            return 503, "database", "the database cannot be used now; try again soon, /readyz says when"
        case HTTPException():
            return _told_of_http(error)
        case _:
            return _told_of_incidents(error)


def _told_of_incidents(error: Exception) -> tuple[int, str, str]:
    """What memory and postmortems raise."""
    match error:
        case UnknownIncident():
            return 404, "unknown", str(error)
        case UnusableReviewer():
            return 422, "body", f"by: {error}"
        case Conflict():
            return 409, "conflict", str(error)
        case MemoryUnavailable():
            return 503, "memory", _line(str(error))
        case PostmortemFailed():
            return 503, "model", _line(str(error))
        case _:
            return 500, "", "a fault of the service; its log has the details under this request_id"


def _told_of_question(error: QuestionError, request: Request) -> tuple[int, str, str]:
    if isinstance(error, NotFound):
        return 404, "unknown", str(error)
    if isinstance(error, NotResolved):
        return 409, "conflict", str(error)
    asked = "questions" in getattr(request.scope.get("route"), "tags", ())
    return 422, "question" if asked else "parameters", str(error)


def _told_of_fields(error: RequestValidationError, request: Request) -> tuple[int, str, str]:
    malformed = next((fault for fault in error.errors() if fault["type"] == "json_invalid"), None)
    if malformed is not None:
        where = f"{malformed['ctx']['error'].lower()} at character {malformed['loc'][-1]}"
        return 400, "malformed-json", f"the body is not JSON: {where}"
    first, *others = _field_errors(error, request)
    more = f" (and {len(others)} more)" if others else ""
    kind = "parameters" if error.errors()[0]["loc"][0] == "query" else "body"
    return 422, kind, f"{first.field or 'the body'}: {first.message}{more}"


def _told_of_http(error: HTTPException) -> tuple[int, str, str]:
    match error.status_code:
        case 400:
            # All that FastAPI says of bytes that are not Unicode, or of JSON that no parser takes.
            detail = "the body is not JSON in UTF-8, or it is nested too deeply or holds too long a number"
            return 400, "malformed-json", detail
        case 404:
            return 404, "", "nothing is served at this path; /openapi.json lists what is"
        case 405:
            return 405, "", f"this path accepts {(error.headers or {}).get('Allow', 'another method')}"
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
    """The parameters that the path takes."""
    return [one["name"] for one in _operation(request)["parameters"] if one["in"] == "query"]


def _fields(request: Request, path: Sequence[object]) -> list[str]:
    """The fields of the body, or of the object in it that the path leads to."""
    schemas = request.app.openapi()["components"]["schemas"]
    schema = _named(_operation(request)["requestBody"]["content"]["application/json"]["schema"], schemas)
    for part in path:
        schema = _named(schema["properties"][str(part)], schemas)
    return list(schema["properties"])


def _named(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema that a reference names, or the first of a choice."""
    reference = next(one["$ref"] for one in (schema, *schema.get("anyOf", ())) if "$ref" in one)
    named: Mapping[str, Any] = schemas[reference.rpartition("/")[2]]
    return named


def _operation(request: Request) -> Mapping[str, Any]:
    """What was called, as it is described."""
    path = request.app.openapi()["paths"][request.scope["route"].path_format]
    operation: Mapping[str, Any] = path[request.method.lower()]
    return operation


def _line(text: str) -> str:
    return " ".join(text.split())


def _plain(message: str) -> str:
    """Pydantic's sentence as the rest of one of ours."""
    message = message.removeprefix("Value error, ")
    return message[:1].lower() + message[1:]
