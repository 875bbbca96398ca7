"""Validation of the arguments of a question or query, before anything is looked up."""

from __future__ import annotations

import re
from dataclasses import fields
from datetime import UTC, datetime, timedelta

from context_builder.question.request import QuestionError, ScopeNames, Window
from context_builder.question.times.bounds import DEFAULT_LENGTH, MIN_TIME, floor_to_minute, subtract

MAX_QUESTION_CHARACTERS = 4_000
MIN_TOKEN_BUDGET = 500
MAX_TOKEN_BUDGET = 1_000_000
MAX_NAMES = 100
"""Per field of a scope."""
MAX_NAME_CHARACTERS = 200
MAX_USER_CHARACTERS = 100

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def check_question(text: object) -> str:
    """Return the question stripped of surrounding white space.

    Raises:
        QuestionError: It is not text, empty, too long, without a word, or contains control characters.
    """
    if not isinstance(text, str):
        raise QuestionError(f"a question must be text, not {type(text).__name__}")
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
            f"the question contains the control character U+{ord(control.group()):04X} "
            f"at position {control.start()}; only text is accepted"
        )
    if not any(character.isalnum() for character in question):
        raise QuestionError("the question contains no words; ask for example: Why are premium users slow?")
    return question


def check_moment(moment: datetime | None, *, name: str, now: datetime) -> datetime | None:
    """Return the moment in UTC.

    Raises:
        QuestionError: It has no time zone, is in the future or before 1970; the message names the argument.
    """
    if moment is None:
        return None
    if moment.utcoffset() is None:
        raise QuestionError(
            f"{name} {moment.isoformat()} has no time zone; use for example 2026-11-20T08:00Z"
        )
    if moment > now:
        raise QuestionError(
            f"{name} {moment.isoformat()} is in the future; it is {now.isoformat(timespec='seconds')}"
        )
    if moment < MIN_TIME:
        raise QuestionError(f"{name} {moment.isoformat()} is too early; use a time from 1970 on")
    return moment.astimezone(UTC)


def check_budget(tokens: int) -> int:
    """Return the token budget.

    Raises:
        QuestionError: It is outside MIN_TOKEN_BUDGET to MAX_TOKEN_BUDGET.
    """
    if not MIN_TOKEN_BUDGET <= tokens <= MAX_TOKEN_BUDGET:
        raise QuestionError(
            f"a token budget of {tokens:,} is out of range; use {MIN_TOKEN_BUDGET:,} to {MAX_TOKEN_BUDGET:,}"
        )
    return tokens


def check_name(name: str, *, kind: str, max_characters: int = MAX_NAME_CHARACTERS) -> None:
    """Check that a text can be a public id.

    Raises:
        QuestionError: It is blank, too long, or contains control characters.
    """
    if not name.strip() or len(name) > max_characters or _CONTROL.search(name):
        raise QuestionError(
            f"{kind} {name[:40]!r} cannot be a name; use 1 to {max_characters} characters of plain text"
        )


def check_scope(scope: ScopeNames) -> None:
    """Check the names of a scope.

    Raises:
        QuestionError: A field has more than MAX_NAMES names, or one that cannot be a name.
    """
    for field in fields(scope):
        names: tuple[str, ...] = getattr(scope, field.name)
        if len(names) > MAX_NAMES:
            raise QuestionError(
                f"the scope has {len(names):,} {field.name}; at most {MAX_NAMES} are accepted"
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
    """Return the window given by its bounds; by default it ends at `as_of` and spans `length`.

    Raises:
        QuestionError: A bound is invalid, or the window contains no whole minute.
    """
    since = check_moment(since, name="since", now=now)
    until = check_moment(until, name="until", now=now)
    end = floor_to_minute(min(until or as_of, as_of))
    start = floor_to_minute(since) if since else subtract(end, length)
    if start >= end:
        raise QuestionError(
            f"the window from {start.isoformat()} to {end.isoformat()} is empty; "
            "since must be at least a minute before until and as_of"
        )
    return Window(start, end, origin="given as an argument")
