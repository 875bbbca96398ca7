"""Checks on the arguments of a question or query, before anything is looked up."""

from __future__ import annotations

import re
from dataclasses import fields
from datetime import UTC, datetime, timedelta

from context_builder.question.moments import subtract
from context_builder.question.request import QuestionError, ScopeNames, Window
from context_builder.question.time_phrases import DEFAULT_LENGTH, MIN_TIME, floor_to_minute

MAX_QUESTION_CHARACTERS = 4_000
MIN_TOKEN_BUDGET = 500
MAX_TOKEN_BUDGET = 1_000_000
MAX_NAMES = 100
"""How many names one field of a scope may hold."""
MAX_NAME_CHARACTERS = 200
MAX_USER_CHARACTERS = 100

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def check_question(text: object) -> str:
    """The question without outer white space. Raises QuestionError."""
    if not isinstance(text, str):
        raise QuestionError(f"a question is text, not {type(text).__name__}")
    question = text.strip()
    if not question:
        raise QuestionError("the question is empty; ask for example: Which deployments are unhealthy?")
    if len(question) > MAX_QUESTION_CHARACTERS:
        raise QuestionError(
            f"the question has {len(question):,} characters; at most {MAX_QUESTION_CHARACTERS:,} are accepted"
        )
    control = _CONTROL.search(question)
    if control:
        raise QuestionError(
            f"the question holds the control character U+{ord(control.group()):04X} "
            f"at position {control.start()}; only text is accepted"
        )
    if not any(character.isalnum() for character in question):
        raise QuestionError("the question holds no word; ask for example: Why are premium users slow?")
    return question


def check_moment(moment: datetime | None, *, name: str, now: datetime) -> datetime | None:
    """An aware moment that is not in the future, in UTC. Raises QuestionError naming the argument."""
    if moment is None:
        return None
    if moment.utcoffset() is None:
        raise QuestionError(
            f"{name} {moment.isoformat()} has no time zone; write for example 2026-11-20T08:00Z"
        )
    if moment > now:
        raise QuestionError(
            f"{name} {moment.isoformat()} is in the future; it is {now.isoformat(timespec='seconds')}"
        )
    if moment < MIN_TIME:
        raise QuestionError(f"{name} {moment.isoformat()} is too early; accepted are moments from 1970 on")
    return moment.astimezone(UTC)


def check_budget(tokens: int) -> int:
    """A usable token budget. Raises QuestionError."""
    if not MIN_TOKEN_BUDGET <= tokens <= MAX_TOKEN_BUDGET:
        raise QuestionError(
            f"a token budget of {tokens:,} cannot be used; "
            f"accepted are {MIN_TOKEN_BUDGET:,} to {MAX_TOKEN_BUDGET:,}"
        )
    return tokens


def check_name(name: str, *, kind: str, longest: int = MAX_NAME_CHARACTERS) -> None:
    """Raises QuestionError for a text that can be nobody's public id, whatever the database holds."""
    if not name.strip() or len(name) > longest or _CONTROL.search(name):
        raise QuestionError(
            f"{kind} {name[:40]!r} cannot be a name; accepted are 1 to {longest} characters of plain text"
        )


def check_scope(scope: ScopeNames) -> None:
    """Raises QuestionError for more names than a question can be about, and for what is no name."""
    for field in fields(scope):
        names: tuple[str, ...] = getattr(scope, field.name)
        if len(names) > MAX_NAMES:
            raise QuestionError(
                f"the scope names {len(names):,} {field.name}; at most {MAX_NAMES} are accepted"
            )
        for name in names:
            check_name(name, kind=field.name.removesuffix("s"))


def explicit_window(
    since: datetime | None,
    until: datetime | None,
    *,
    as_of: datetime,
    now: datetime,
    length: timedelta = DEFAULT_LENGTH,
) -> Window:
    """The window that a caller gives exactly; by default it ends at `as_of` and has `length`.

    Raises QuestionError for moments that cannot be used, and for a window that holds no minute.
    """
    since = check_moment(since, name="since", now=now)
    until = check_moment(until, name="until", now=now)
    end = floor_to_minute(min(until or as_of, as_of))
    start = floor_to_minute(since) if since else subtract(end, length)
    if start >= end:
        raise QuestionError(
            f"the window from {start.isoformat()} to {end.isoformat()} is empty; "
            "since must be before until and before as_of, by a minute at least"
        )
    return Window(start, end, origin="given as an argument")
