"""The last gate before packing: what names another user is withheld, and counted.

Sources have shown only what they may; what is left are names in text that people and programs wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeVar, cast

from sqlalchemy import select

from context_builder.question.request import ContextRequest, QuestionInput
from context_builder.source import Fact, SourceResult, Status
from context_builder.text.formatting import format_count
from context_builder.text.redaction import with_texts
from context_builder.withholding.user_names import OtherNames, UserNames
from models import User
from models.database import ReadSession

WITHHELD = "(withheld: it names another user)"
_FAILED = "it could not be read"
"""In place of an error, which may quote anything."""

_Value = TypeVar("_Value")


async def load_names(session: ReadSession) -> UserNames:
    """Load the names of all users, also of those who came later than the moment asked about."""
    rows = await session.execute(select(User.id, User.public_id, User.name))
    return UserNames([(row[0], row[1], row[2]) for row in rows])


def withhold(
    ask: QuestionInput, request: ContextRequest, results: Iterable[SourceResult], names: OtherNames
) -> tuple[ContextRequest, list[SourceResult]]:
    """Return a resolved question and what was read for it without what names another user. Blocks.

    The question keeps the names that are in it, known or not: to take out the known ones would tell which
    they are.
    """
    return without_names(request, names.besides(ask.said)), [_open(one, names) for one in results]


def without_names(value: _Value, names: OtherNames) -> _Value:
    """Return a value with every text replaced that names another user, in dataclasses and sequences alike."""
    return cast("_Value", with_texts(value, lambda text: WITHHELD if names.are_in(text) else text))


def _open(result: SourceResult, names: OtherNames) -> SourceResult:
    """Return a result with the facts that may be shown; the same object if that is all of it."""
    section = result.section
    shown = tuple(fact for fact in section.facts if not any(map(names.are_in, _texts(fact))))
    gaps = without_names(section.gaps, names)
    if omitted := len(section.facts) - len(shown):
        gaps += (f"{format_count(omitted, 'fact')} that name other users, withheld",)
    header = without_names(section.header, names)
    headline = section.headline
    if headline is not None and names.are_in(headline.text):
        headline = None
    error = _FAILED if result.status is Status.ERROR else result.error
    opened = replace(section, facts=shown, gaps=gaps, header=header, headline=headline)
    return (
        result if (opened, error) == (section, result.error) else replace(result, section=opened, error=error)
    )


def _texts(fact: Fact) -> Sequence[str]:
    headline = fact.headline.text if fact.headline else ""
    return (fact.text, fact.short, headline, fact.kind, fact.key, *fact.states)
