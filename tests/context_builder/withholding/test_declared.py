"""What a source is given of a question that is confined to one user, by what it declares."""

from __future__ import annotations

from typing import Any

from context_builder.question.request import ContextRequest, Scope, Topic, Wording
from context_builder.source import ContextSource, Section, Shown, Stores
from models.own_rows import NO_USER
from tests.support.gateway import asking

ASKED: dict[str, Any] = {
    "deployment_ids": (3,),
    "user_ids": (1,),
    "request_ids": (2,),
    "incident_ids": (4,),
}


async def read(_request: ContextRequest, _stores: Stores) -> Section:
    return Section("")


def given(shown: Shown, confined_to: int | None) -> ContextRequest | None:
    source = ContextSource(
        "any", "A", frozenset(Topic), 1.0, read, asks=frozenset({Wording.QUESTION}), shows_to_confined=shown
    )
    return source.asked(asking(confined_to=confined_to, **ASKED))


def test_of_what_all_may_see_neither_words_nor_users_choose() -> None:
    """A hit for a word, or its absence, would tell which words are in texts of others."""
    asked = given(Shown.ALL, 1)
    assert asked is not None
    assert (asked.question, asked.confined_to) == ("", 1)
    assert asked.scope == Scope(deployment_ids=(3,), incident_ids=(4,))


def test_own_rows_are_asked_for_by_a_user_only() -> None:
    """The whole question, for the one user; nothing for nobody; and all of it without confinement."""
    own, everything = given(Shown.OWN, 1), given(Shown.NOTHING, None)
    assert own is not None
    assert everything is not None
    # Equal requests share a section, so these must differ.
    assert own != everything
    assert own != given(Shown.OWN, 2)
    assert own.question == everything.question == "What is wrong?"
    assert own.scope == everything.scope == Scope(**ASKED)
    assert given(Shown.OWN, NO_USER) is None
    assert given(Shown.NOTHING, 1) is None
