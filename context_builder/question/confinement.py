"""Confines a question to what one user may see: who that is, and what is left of its scope."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import select

from context_builder.question.checks import MAX_USER_CHARACTERS, check_name
from context_builder.question.events import EventMention
from context_builder.question.lookups import Lookups
from context_builder.question.meaning.understanding import Understanding
from context_builder.question.request import NOBODY, NotUsed, QuestionError, QuestionInput, Scope
from context_builder.text.formatting import format_name
from models import User
from models.database import ReadSession
from models.own_rows import NO_USER

_REASON = "only what one user may see is shown"


@dataclass(frozen=True, slots=True)
class ConfinedUser:
    """The one user whom a question may see; NO_USER with an empty name if there is none."""

    id: int
    public_id: str

    @property
    def note(self) -> str:
        """Return what the model has to know: without it a source that is not shown seems to be empty."""
        own = "their own requests and budget and " if self.public_id else ""
        return f"for a user who may see only {own}the state of the gateway; all else is unknown here"

    def scope(self, scope: Scope) -> Scope:
        """Return the scope with nothing in it of other users, or of users in total."""
        if not self.public_id:
            return scope.of_user(None)
        return scope.of_user(self.id, f"user {format_name(self.public_id)}")

    def understood(self, found: Understanding) -> Understanding:
        """Return what was understood as far as it concerns the user, and what of it is not used."""
        scopes = [found.scope, *(side.scope for side in found.sides)]
        left_out = [f"tier {tier}" for scope in scopes for tier in scope.tiers]
        left_out += ["other users" for scope in scopes if scope.excluded_user_ids]
        sides = tuple(replace(side, scope=self.scope(side.scope)) for side in found.sides)
        if len({(side.intervals, side.scope.deployment_ids) for side in sides}) < len(sides):
            # They differ in users only, so that both would be the same.
            sides, left_out = (), [*left_out, "the comparison"]
        not_used = (*found.not_used, *(NotUsed(part, _REASON) for part in dict.fromkeys(left_out)))
        return replace(found, scope=self.scope(found.scope), sides=sides, not_used=not_used)


async def confined_user(ask: QuestionInput, lookups: Lookups) -> ConfinedUser | None:
    """Return the user that a question is confined to, the one place that looks this up; None: to none.

    Raises:
        QuestionError: There is no such user, or the question is asked in the name of another one.
    """
    name = ask.confined_to
    if name is None:
        return None
    if ask.asked_by not in (None, name):
        raise QuestionError(
            "one who may see only what one user may see cannot ask as another; leave out the user who asks"
        )
    if name == NOBODY:
        return ConfinedUser(NO_USER, NOBODY)
    check_name(name, kind="user", max_characters=MAX_USER_CHARACTERS)
    found = await lookups.each("users", [name], user_ids)
    if name not in found:
        raise QuestionError(f"user {name!r} is not known, so nothing can be shown as to them")
    return ConfinedUser(found[name], name)


async def user_ids(session: ReadSession, names: list[str]) -> dict[str, int]:
    """Return the ids of the users with these public ids."""
    rows = await session.execute(select(User.public_id, User.id).where(User.public_id.in_(names)))
    return {row[0]: row[1] for row in rows}


def shown_events(events: Sequence[EventMention]) -> tuple[EventMention, ...]:
    """Return events without a claim that one is not recorded: the tables of some are not read."""
    return tuple(
        replace(event, label="not among the events that are shown here") if event.interval is None else event
        for event in events
    )
