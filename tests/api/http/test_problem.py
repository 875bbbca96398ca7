"""Problem documents: status and kind by error, without secrets."""

from __future__ import annotations

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from api.http.problem import Conflict, problem_json, problem_of
from context_builder.postmortems.writer import PostmortemFailed
from context_builder.queries import NotFound, NotResolved, QueryTimeout
from context_builder.question.request import QuestionError
from memory.errors import MemoryUnavailable, UnknownIncident, UnusableReviewer
from models.errors import DatabaseUnreachable

SECRET = "hunter22"


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (NotFound("x"), 404, "unknown"),
        (UnknownIncident("x"), 404, "unknown"),
        (NotResolved("x"), 409, "conflict"),
        (Conflict("x"), 409, "conflict"),
        (QuestionError("x"), 422, "parameters"),
        (UnusableReviewer("x"), 422, "body"),
        (QueryTimeout("x"), 504, "timeout"),
        (DatabaseUnreachable("x"), 503, "database"),
        (MemoryUnavailable("x\ny"), 503, "memory"),
        (PostmortemFailed("{x}\ny"), 503, "model"),
        (HTTPException(415, "x"), 415, ""),
    ],
)
def test_every_error_has_its_status_and_kind_in_one_line(error: Exception, status: int, kind: str) -> None:
    """A subclass goes before its base, so that what is unknown is not merely unusable."""
    problem = problem_of(error, request())
    assert problem.status == status
    assert problem.type == (f"urn:arcpoint:problem:{kind}" if kind else "about:blank")
    assert problem.detail
    assert "\n" not in problem.detail


@pytest.mark.parametrize(
    "error", [DatabaseUnreachable(f"postgresql://u:{SECRET}@host is down"), RuntimeError(SECRET)]
)
def test_what_may_hold_a_secret_is_not_repeated(error: Exception) -> None:
    """Where the database is, and what an internal error says, is for the log."""
    assert SECRET not in problem_json(problem_of(error, request()))


def request() -> Request:
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
    return Request(scope | {"server": ("service", 80), "state": {"request_id": "r1"}})
