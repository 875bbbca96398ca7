"""Limits what a caller who is bound to a user asks for to that user's data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from api.access.caller import Caller
from api.access.errors import Forbidden
from context_builder.question.request import QuestionInput


def require_own(caller: Caller, users: Iterable[str]) -> None:
    """Check that a caller names no other user than its own. Raises Forbidden."""
    other = next((user for user in users if user != caller.user), None)
    if caller.user is not None and other is not None:
        raise Forbidden(f"{caller.name} is bound to the user {caller.user}, not to {other[:100]!r}")


def as_asked_by(caller: Caller, asked: QuestionInput) -> QuestionInput:
    """Return the question as asked by a bound caller's own user, who sees nobody else.

    Raises:
        Forbidden: It names another user as the one who asks, or who is asked about.
    """
    if caller.user is None:
        return asked
    require_own(caller, (*asked.scope.users, *([] if asked.asked_by is None else [asked.asked_by])))
    return replace(asked, asked_by=caller.user, confined_to=caller.user)
