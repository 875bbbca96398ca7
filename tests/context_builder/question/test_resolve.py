"""Law 10: names and times become ids and a window as of the moment asked about, or a clear error."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from context_builder.question.checks import MAX_NAMES, MAX_QUESTION_CHARACTERS, check_question
from context_builder.question.lookups import Lookups
from context_builder.question.request import (
    ContextRequest,
    QuestionError,
    QuestionInput,
    ScopeNames,
    UnknownName,
)
from context_builder.question.resolve import resolve
from tests.support.gateway import DAY, HOUR, MINUTE, NOON, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")

BUDGET = 4_000


async def resolved(gateway: Gateway, question: str = "What is down?", **values: Any) -> ContextRequest:
    """Resolve a question at NOON."""
    async with gateway.database.read() as session:
        return await resolve(
            QuestionInput(question=question, **values),
            Lookups.of(session),
            now=NOON,
            default_budget=values.get("token_budget", BUDGET),
        )


async def refused(gateway: Gateway, question: Any = "What is down?", **values: Any) -> str:
    """Return the error message of a question."""
    with pytest.raises(QuestionError) as caught:
        await resolved(gateway, question, **values)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert len(message) < 400
    return message


async def small_world(gateway: Gateway) -> None:
    """Create deployments, users, incidents and requests, some only an hour ago."""
    await gateway.deployment("gpt-4/aws", "gpt-4/gcp", "llama-70b/k8s")
    await gateway.deployment("mistral/aws", created_at=NOON - HOUR)
    await gateway.user("user_acme")
    await gateway.user("User_Globex", "budget")
    await gateway.user("user_late", created_at=NOON - HOUR, updated_at=NOON - HOUR)
    await gateway.incident("inc_42", deployment_id=gateway.deployments["gpt-4/gcp"], target="gpt-4/gcp")
    await gateway.incident("INC-7b", started_at=NOON - DAY, resolved_at=NOON - DAY + HOUR)
    await gateway.send(NOON - 2 * HOUR, user="user_acme", public_id="Req_aB3")


@pytest.mark.parametrize(
    ("question", "labels"),
    [
        ("What is down?", ""),
        ("Is GPT4 slow on AWS?", "deployment gpt-4/aws"),
        (
            "gpt-4 for premium users and acme",
            "deployment gpt-4/aws, deployment gpt-4/gcp, tier premium, user user_acme",
        ),
        ("USER_ACME and User_Globex", "user User_Globex, user user_acme"),
        ("What happened in inc_42?", "incident inc_42, deployment gpt-4/gcp"),
        ("What happened in incident 42?", "incident inc_42, deployment gpt-4/gcp"),
        ("inc-42 on llama", "deployment llama-70b/k8s, incident inc_42"),
        ("and INC-7b?", "incident INC-7b"),
        ("Why was Req_aB3 slow?", "request Req_aB3"),
        ("Why did it fail 42 times in the last 7 hours?", ""),
    ],
)
async def test_names_in_the_question_become_the_scope(gateway: Gateway, question: str, labels: str) -> None:
    """In any usual spelling; an incident adds the deployment it affected, unless another is named."""
    await small_world(gateway)
    request = await resolved(gateway, question)
    assert ", ".join(request.scope.labels) == labels
    assert request.unknown_names == ()


async def test_ids_match_labels(gateway: Gateway) -> None:
    """The scope has the database's own ids."""
    await small_world(gateway)
    scope = (await resolved(gateway, "gpt-4/gcp for user_acme and budget users")).scope
    assert scope.deployment_ids == (gateway.deployments["gpt-4/gcp"],)
    assert scope.user_ids == (gateway.users["user_acme"][0],)
    assert scope.tiers == ("budget",)
    assert (scope.incident_ids, scope.request_ids) == ((), ())


async def test_later_names_are_unknown(gateway: Gateway) -> None:
    """As of a past moment, later deployments, users, incidents and requests are unknown."""
    await small_world(gateway)
    question = "mistral, gpt-4/gcp, late, inc_42, Req_aB3"
    later = await resolved(gateway, question, as_of=NOON - MINUTE)
    assert len(later.scope.labels) == 5
    earlier = await resolved(gateway, question, as_of=NOON - 3 * HOUR)
    assert earlier.scope.labels == ("deployment gpt-4/gcp",)
    assert [name.name for name in earlier.unknown_names] == ["mistral", "inc_42", "Req_aB3"]
    assert not earlier.is_now
    assert earlier.as_of == NOON - 3 * HOUR


async def test_unknown_names_have_suggestions(gateway: Gateway) -> None:
    """A misspelled user, incident or model is reported with similar known names."""
    await small_world(gateway)
    unknown = (await resolved(gateway, "Is user_acmee slow on gpt-5 since inc_43?")).unknown_names
    assert [(name.name, name.near[0]) for name in unknown] == [
        ("user_acmee", "user_acme"),
        ("gpt-5", "gpt-4"),
        ("inc_43", "inc_42"),
    ]


async def test_an_unknown_asking_user_is_reported(gateway: Gateway) -> None:
    """The question is answered nevertheless."""
    await small_world(gateway)
    assert (await resolved(gateway, asked_by="user_acme")).unknown_names == ()
    nobody = await resolved(gateway, asked_by="user_nobody")
    assert nobody.unknown_names == (UnknownName("user_nobody"),)


async def test_an_explicit_scope_overrides_the_text(gateway: Gateway) -> None:
    """Names in the text are ignored; the given fields restrict together."""
    await small_world(gateway)
    given = ScopeNames(models=("gpt-4",), backends=("aws", "k8s"), tiers=("premium",), users=("user_acme",))
    request = await resolved(gateway, "llama and gpt-5 for budget users", scope=given)
    assert request.scope.labels == ("deployment gpt-4/aws", "tier premium", "user user_acme")
    assert request.unknown_names == ()
    incident = await resolved(gateway, scope=ScopeNames(incidents=("inc_42",)))
    assert incident.scope.labels == ("incident inc_42", "deployment gpt-4/gcp")


@pytest.mark.parametrize(
    ("scope", "message"),
    [
        (
            {"deployments": ("gpt-4/azure",)},
            "deployment 'gpt-4/azure' is not known; known names include gpt-4/aws",
        ),
        ({"models": ("gpt",)}, "model 'gpt' is not known; known names include gpt-4"),
        ({"backends": ("xyz",)}, "backend 'xyz' is not known; known names include aws, gcp, k8s"),
        ({"tiers": ("gold",)}, "tier 'gold' is not known; known names include budget, premium, standard"),
        ({"users": ("acme",)}, "user 'acme' is not known; known names include user_acme"),
        ({"users": ("USER_ACME",)}, "user 'USER_ACME' is not known"),
        ({"incidents": ("inc_43",)}, "incident 'inc_43' is not known; known names include inc_42"),
        ({"models": ("llama-70b",), "backends": ("aws",)}, "no deployment has all of the given"),
        ({"users": ("",)}, "user '' cannot be a name"),
        ({"users": ("a\x00b",)}, r"user 'a\x00b' cannot be a name; use 1 to 200 characters"),
        ({"users": ("\ud800",)}, "cannot be a name"),
        ({"users": ("x" * 100_000,)}, "cannot be a name"),
        ({"users": ("x",) * (MAX_NAMES + 1)}, "the scope has 101 users; at most 100 are accepted"),
    ],
)
async def test_a_given_name_must_be_known(gateway: Gateway, scope: dict[str, Any], message: str) -> None:
    """Law 10: exactly as spelled; the error suggests known names."""
    await small_world(gateway)
    assert message in await refused(gateway, scope=ScopeNames(**scope))


async def test_in_an_empty_gateway_nothing_is_known(gateway: Gateway) -> None:
    """Law 10: the error suggests nothing that does not exist."""
    assert "none exist yet" in await refused(gateway, scope=ScopeNames(users=("user_acme",)))
    assert (await resolved(gateway, "gpt-4 for user_acme")).scope.labels == ()


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ("", "the question is empty; ask for example"),
        (" \n\t ", "the question is empty"),
        ("?!", "the question contains no words; ask for example"),
        ("\u200b\u202e", "the question contains no words"),
        (
            "x" * 100_000,
            f"the question has 100,000 characters; at most {MAX_QUESTION_CHARACTERS:,} are accepted",
        ),
        ("what\x00?", "control character U+0000 at position 4"),
        ("is \ud800 up", "control character U+D800 at position 3"),
        ("a\x1b[31m", "control character U+001B"),
        (None, "a question must be text, not NoneType"),
        (b"What?", "a question must be text, not bytes"),
        (42, "a question must be text, not int"),
    ],
)
async def test_an_invalid_question_is_rejected(gateway: Gateway, question: Any, message: str) -> None:
    """Law 10: with one line that names the problem, before the database is read."""
    assert message in await refused(gateway, question)


async def test_surrounding_white_space_is_stripped() -> None:
    """Line breaks and tabs inside the question are allowed."""
    assert check_question("  What\n\tis down?\r\n") == "What\n\tis down?"


EAST = timezone(timedelta(hours=5, minutes=30))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"as_of": NOON.replace(tzinfo=None)},
            "as_of 2026-03-10T12:00:00 has no time zone; use for example 2026-",
        ),
        ({"since": NOON.replace(tzinfo=None)}, "since 2026-03-10T12:00:00 has no time zone"),
        (
            {"as_of": NOON + MINUTE},
            "as_of 2026-03-10T12:01:00+00:00 is in the future; it is 2026-03-10T12:00:00",
        ),
        ({"until": NOON + DAY}, "until 2026-03-11T12:00:00+00:00 is in the future"),
        (
            {"as_of": datetime(1, 1, 1, tzinfo=EAST)},
            "as_of 0001-01-01T00:00:00+05:30 is too early; use a time from",
        ),
        ({"since": datetime(1, 1, 1, tzinfo=UTC)}, "since 0001-01-01T00:00:00+00:00 is too early"),
        (
            {"since": NOON - HOUR, "until": NOON - HOUR},
            "is empty; since must be at least a minute before",
        ),
        (
            {"since": NOON - HOUR, "until": NOON - 2 * HOUR},
            "the window from 2026-03-10T11:00:00+00:00 to 2026-03-",
        ),
        ({"since": NOON - HOUR, "as_of": NOON - 2 * HOUR}, "is empty"),
        ({"since": NOON}, "at least a minute before"),
        ({"token_budget": 499}, "a token budget of 499 is out of range; use 500 to 1,000,000"),
        ({"token_budget": -1}, "a token budget of -1 is out of range"),
        ({"token_budget": 10**9}, "a token budget of 1,000,000,000 is out of range"),
        ({"asked_by": "user\x00"}, r"user 'user\x00' cannot be a name"),
        ({"asked_by": " "}, "user ' ' cannot be a name"),
    ],
)
async def test_an_invalid_argument_is_rejected(
    gateway: Gateway, values: dict[str, Any], message: str
) -> None:
    """Law 10: invalid times, windows, budgets and users are rejected, each named with its value."""
    assert message in await refused(gateway, **values)


async def test_windows_come_from_arguments_first(gateway: Gateway) -> None:
    """Whole UTC minutes up to as_of; arguments override the text, the text overrides the last 24 hours."""
    given = await resolved(gateway, "since Tuesday", since=(NOON - 90 * MINUTE).astimezone(EAST))
    assert (given.window.start, given.window.end) == (NOON - 90 * MINUTE, NOON)
    assert given.window.start.tzinfo is UTC
    assert given.window.origin == "given as an argument"
    until = (await resolved(gateway, until=NOON - HOUR)).window
    assert (until.start, until.end) == (NOON - HOUR - DAY, NOON - HOUR)
    clipped = (await resolved(gateway, since=NOON - DAY, until=NOON, as_of=NOON - HOUR + MINUTE / 2)).window
    assert clipped.end == NOON - HOUR
    text = (await resolved(gateway, "in the last 3 hours", as_of=NOON - HOUR)).window
    assert (text.start, text.end) == (NOON - 4 * HOUR, NOON - HOUR)
    assert (await resolved(gateway)).window.length == DAY


async def test_the_hardest_question_resolves(gateway: Gateway) -> None:
    """The longest question, full of look-alikes, resolves against hundreds of deployments and users."""
    await gateway.deployment(*(f"model-{number}/cloud-{number % 20}" for number in range(300)))
    for number in range(30):
        await gateway.user(f"user_{number:03}")
    question = " ".join(f"user_x{number} model-{number}y" for number in range(300))[:MAX_QUESTION_CHARACTERS]
    request = await resolved(gateway, question)
    assert 0 < len(request.unknown_names) <= 10
