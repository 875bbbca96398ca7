"""Every name in a question is found at its place, and ordinary questions have none."""

from __future__ import annotations

from itertools import pairwise

import pytest

from context_builder.question.lookups import Lookups
from context_builder.question.names.known_names import deployment_names_at
from context_builder.question.names.reading import NameReading, find_names
from tests.support.gateway import NOON, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def reading(gateway: Gateway, text: str) -> NameReading:
    """Read a text at NOON; places must not overlap."""
    async with gateway.database.read() as session:
        found = await find_names(text, NOON, Lookups.of(session), await deployment_names_at(session, NOON))
    spans = sorted([span for mention in found.mentions for span in mention.spans])
    spans = sorted([*spans, *(unknown.span for unknown in found.unknown)])
    assert all(one.end <= other.start for one, other in pairwise(spans))
    assert all(text[each.span.start : each.span.end] == each.unknown.name for each in found.unknown)
    return found


async def small_world(gateway: Gateway) -> None:
    """Create deployments, users with ids of many forms, and an incident."""
    await gateway.deployment("gpt-4/aws", region="us-east-1")
    await gateway.deployment("llama-70b/k8s", region="eu-central-1")
    for public_id in (
        "user_acme", "team:ml", "org/proj", "Ann@Example.com", "Jörg Müller", "пользователь", "team-7",
        "a.b.c", "non-profit", "Twin", "tWin",
    ):  # fmt: skip
        await gateway.user(public_id)
    await gateway.incident("inc_42", deployment_id=gateway.deployments["gpt-4/aws"], target="gpt-4/aws")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Is @acme slow?", "acme=user_acme"),
        ("USER_ACME, ACME", "USER_ACME=user_acme ACME=user_acme"),
        ("team:ml and org/proj vs. a.b.c", "team:ml=team:ml org/proj=org/proj a.b.c=a.b.c"),
        ("ann@example.com's errors", "ann@example.com=Ann@Example.com"),
        ("the user 'Jörg Müller' or “Jörg Müller”", "Jörg Müller=Jörg Müller Jörg Müller=Jörg Müller"),
        ("пользователь", "пользователь=пользователь"),
        ("team 7, team ml", "team 7=team-7 team ml=team:ml"),
        ("non-profit; non-acme", "non-profit=non-profit !non-acme=user_acme"),
        ("user Twin", "Twin=Twin"),
        ("incident 42, INC-42 and 42 errors", "42=inc_42 INC-42=inc_42"),
        ("gpt-4 for acme, premium or budget", "gpt-4=gpt-4/aws acme=user_acme premium=premium budget=budget"),
        ("non-premium users in the EU", "!non-premium=premium EU=llama-70b/k8s"),
        ("acme, then acme again", "acme=user_acme acme=user_acme"),
    ],
)  # fmt: skip
async def test_names_of_every_kind_have_a_place(gateway: Gateway, text: str, expected: str) -> None:
    """In any usual spelling; `!` marks a word that negates its name."""
    await small_world(gateway)
    found = await reading(gateway, text)
    assert found.unknown == ()
    assert expected == " ".join(
        "!" * mention.is_negated
        + "+".join(text[span.start : span.end] for span in mention.spans)
        + f"={','.join(mention.names)}"
        for mention in found.mentions
    )


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("Is tier gold slow in region mars for user nobody?", "gold mars nobody"),
        ("free tier, the model 'foo bar', backend zork", "free foo bar zork"),
        ("user_acmee, inc_9999, user twin", "user_acmee inc_9999 twin"),
        ("Claude 3.5 Sonnet, openai/gpt-5, gpt-4/azure", "Claude 3.5 Sonnet openai/gpt-5 gpt-4/azure"),
        ("foo-7b in eu-west-1 or Tokyo", "foo-7b eu-west-1 Tokyo"),
    ],
)  # fmt: skip
async def test_what_does_not_exist_is_unknown(gateway: Gateway, text: str, unknown: str) -> None:
    """By the form of an id or a model's name, or after a noun; nothing similar is taken for it."""
    await small_world(gateway)
    found = await reading(gateway, text)
    assert found.mentions == ()
    assert " ".join(each.unknown.name for each in found.unknown) == unknown


async def test_near_names_fit_the_kind(gateway: Gateway) -> None:
    """Models resemble models, users users, regions regions."""
    await small_world(gateway)
    found = await reading(gateway, "gpt 5, user acmee, eu-central-2, inc_43")
    assert [each.unknown.near[0] for each in found.unknown] == [
        "gpt-4", "user_acme", "eu-central-1", "inc_42"
    ]  # fmt: skip


PLAIN = """
Which region with the most errors? Tell us please, it worries us.
user traffic by region, model errors today, tier comparison, tier latency, per-user cost
Is any model slow? all models, every deployment, any user, which model gave wrong answers
Did the model change? Why did the backend die? backend failover happened at 3 am
Show deployment history for the last week. Is deployment frequency too high? What did user support say?
How much did each team spend last month? top 5 users by cost, customer churn and customer tickets
Did we exceed 99.9% availability in Q3? p95 over 2.5 s? Errors 429 and 503 since v2.4.0
Errors at 14:00 London time and 9 am US Eastern time, 14:00 Europe/Berlin
THE MODEL IS SLOW FOR US WHY
a large backlog, small spikes, a mini outage; command failed 3 times; and/or, read/write, 24/7
Can a user see other users' data? Which backend region pairs are slow?
spend vs budget, over budget, the standard error
"""


@pytest.mark.parametrize("text", PLAIN.strip().splitlines())
async def test_ordinary_questions_name_nothing(gateway: Gateway, text: str) -> None:
    """A false unknown name is as bad as a missed one."""
    await small_world(gateway)
    assert await reading(gateway, text) == NameReading((), ())


async def test_the_longest_question(gateway: Gateway) -> None:
    """Hundreds of words are looked up in few statements."""
    await small_world(gateway)
    found = await reading(gateway, " ".join(f"w{n:x}" for n in range(900))[:3_900] + " acme")
    assert [mention.names for mention in found.mentions] == [("user_acme",)]
