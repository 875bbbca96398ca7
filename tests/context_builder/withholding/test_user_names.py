"""Names of other users are found in whatever a text does with them, and nothing else is taken for one."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from context_builder.withholding.user_names import UserNames

USERS = UserNames(
    [
        (1, "user_acme", "Acme Corp"),
        (2, "user_acme_eu", "Corp of Norway"),
        (3, "user_12", "Acme"),
        (4, "j.doe@example.com", "Ωmega Ltd"),
        (5, "42", "X"),
        (6, "team-7", "東京電力"),
        (7, "user_same", "Acme Corp"),
        (8, "user_none", None),
    ]
)
OTHERS = USERS.of_others(1)


@pytest.mark.parametrize(
    "text",
    [
        "user_12 did it",
        "USER-12 did it",
        "/v1/users/user_12/keys?x=1",
        "limit_of_user_12_eu",
        "by «ＵＳＥＲ_12»",
        "Acme pays",
        "acme's calls",
        "from user_acme_eu",
        "mail j.doe@example.com.",
        "ωMEGA ltd",
        "昨日は東京電力が遅い",
        "team-7",
        "Acme Corp and Acme",
        "Acme Corp of Norway",
        "cut off at user_1… (3 more characters)",
        "cut off at Corp of … (9 more characters)",
    ],
)
def test_another_user_is_found(text: str) -> None:
    """By id or name, in any case and width, inside of paths and other names, and where a text is cut."""
    assert OTHERS.are_in(text)


@pytest.mark.parametrize(
    "text",
    [
        "user_acme (Acme Corp): 42 requests, $12.00",
        "user_123 and user_1 are nobody",
        "Acmee, team 77 and x",
        "the acmer",
        "gpt-4/aws is degraded since 10:12: queue… (4 more characters)",
        "",
    ],
)
def test_nothing_else_is(text: str) -> None:
    """The user's own names, which others may share or have a part of, numbers, and longer words."""
    assert not OTHERS.are_in(text)


def test_what_the_question_names_tells_nothing() -> None:
    """A name is excused with the words of the question, and no other with it."""
    excused = OTHERS.besides("what of user_12?")
    assert not excused.are_in("unknown name in the question: user_12")
    assert excused.are_in("user_acme_eu")


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.text(st.characters(categories=("Lu", "Ll", "Nd")), min_size=5, max_size=9), min_size=1),
    st.data(),
)
def test_every_name_is_found_between_any_words(names: list[str], data: st.DataObject) -> None:
    """A property of all names of letters and digits, between any marks."""
    users = UserNames([(number, name, None) for number, name in enumerate(names)])
    number = data.draw(st.integers(0, len(names) - 1))
    around = st.text("_-/.:;'\"«»() \n", min_size=1, max_size=3)
    text = f"a{data.draw(around)}{names[number]}{data.draw(around)}b"
    assert users.of_others(-1).are_in(text)
