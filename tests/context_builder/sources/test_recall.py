"""Recall queries memory for current incidents and reports matches, or why there are none."""

from __future__ import annotations

from datetime import timedelta

import pytest

from context_builder.builder import ContextBuilder
from context_builder.question.request import QuestionInput
from context_builder.source import Section, Status
from context_builder.sources.recall import MAX_QUERIES, MAX_RECALLED, source
from memory.errors import MemoryUnavailable
from memory.incident_memory import IncidentMemory
from tests.support.gateway import DAY, HOUR, MINUTE, NOON, Gateway, asking
from tests.support.no_memory import NO_MEMORY

pytestmark = pytest.mark.asyncio(loop_scope="session")

POOL = {"title": "Connection pool exhausted in the router", "target": "gpt-4/aws"}
TLS = {"title": "TLS handshake fails on every call", "target": "mistral/gcp"}
COST = {"title": "Hourly spend four times the usual", "target": "gpt-4/azure"}


async def past(gateway: Gateway, name: str, days_ago: float, **columns: str) -> int:
    """Add an incident that lasted an hour."""
    started = NOON - days_ago * DAY
    return await gateway.incident(name, started_at=started, resolved_at=started + HOUR, **columns)


async def remembered(gateway: Gateway, memory: IncidentMemory) -> Gateway:
    """Put the incidents into memory and return the gateway."""
    await memory.sync()
    gateway.memory = memory
    return gateway


def found(section: Section) -> list[str]:
    return [fact.text.split(" ")[0] for fact in section.facts]


async def test_an_active_incident_finds_the_one_it_resembles(
    gateway: Gateway, memory: IncidentMemory
) -> None:
    """A precedent shows cause, fix and what it resembles; dissimilar incidents are left out."""
    await past(gateway, "inc_pool", 9, **POOL, root_cause="cap of 50", resolution="raised the cap")
    await past(gateway, "inc_tls", 8, **TLS, root_cause="expired certificate")
    await gateway.incident("inc_now", **POOL)
    await remembered(gateway, memory)
    section = await gateway.read(source, asking(question="Anything wrong?"))
    assert section.header == "1 similar past incident in memory"
    (fact,) = section.facts
    assert fact.text.startswith("inc_pool resembles inc_now (similarity 0.")
    assert fact.text.endswith(
        "«Connection pool exhausted in the router», started 2026-03-01 12:00, on «gpt-4/aws»; "
        "past fix: «raised the cap»; past cause: «cap of 50»"
    )
    assert fact.short == fact.text.replace("; past cause: «cap of 50»", "")
    assert 0.4 < fact.importance <= 0.95


async def test_an_unapproved_draft_is_marked(gateway: Gateway, memory: IncidentMemory) -> None:
    """Cause and fix that nobody approved say so, and who wrote them."""
    draft = {"review": "draft", "provenance": "model", "root_cause": "cap of 50"}
    await past(gateway, "inc_pool", 9, **POOL, **draft)
    await gateway.incident("inc_now", **POOL)
    await remembered(gateway, memory)
    (fact,) = (await gateway.read(source)).facts
    assert fact.text.endswith("; past cause (an unapproved draft written by a model): «cap of 50»")


async def test_the_question_finds_what_it_resembles(gateway: Gateway, memory: IncidentMemory) -> None:
    """Without an active incident the question itself is the query."""
    await past(gateway, "inc_tls", 8, **TLS)
    await remembered(gateway, memory)
    section = await gateway.read(
        source, asking(question="Did TLS handshake fails on every call happen before?")
    )
    assert section.facts[0].text.startswith("inc_tls resembles the question (similarity 0.")


async def test_two_active_incidents_alike_in_every_word_are_told_apart(
    gateway: Gateway, memory: IncidentMemory
) -> None:
    """Incidents without a precedent are named, even if their texts are equal."""
    await past(gateway, "inc_tls", 8, **TLS)
    await gateway.incident("inc_1", **COST)
    await gateway.incident("inc_2", **COST)
    await gateway.incident("inc_3", **TLS)
    await remembered(gateway, memory)
    section = await gateway.read(source, asking(question="Anything wrong?"))
    assert section.header == "1 similar past incident in memory; nothing similar to inc_1, inc_2"


async def test_a_recurrence_is_told_once_with_how_often(gateway: Gateway, memory: IncidentMemory) -> None:
    """Recurrences are one fact with a count."""
    for number in range(3):
        await past(gateway, f"inc_{number}", 30 - 10 * number, **POOL, root_cause="cap of 50")
    await gateway.incident("inc_now", **POOL)
    await remembered(gateway, memory)
    section = await gateway.read(source, asking(question="Anything wrong?"))
    (fact,) = section.facts
    assert "; 3 times in total, last 2026-02-28 12:00; past cause" in fact.text


@pytest.mark.parametrize(("after", "known"), [(-timedelta(microseconds=1), True), (DAY, False)])
async def test_what_was_resolved_later_is_not_recalled(
    gateway: Gateway, memory: IncidentMemory, after: timedelta, known: bool
) -> None:
    """At a past moment only incidents resolved by then are recalled."""
    await gateway.incident("inc_past", started_at=NOON - 2 * DAY, resolved_at=NOON + after, **TLS)
    await remembered(gateway, memory)
    section = await gateway.read(source, asking(question="TLS handshake fails on every call"))
    assert found(section) == (["inc_past"] if known else [])
    if not known:
        assert section.status is Status.EMPTY
        assert section.header == "no incident had been resolved by then"


async def test_an_incident_that_is_asked_about_does_not_find_itself(
    gateway: Gateway, memory: IncidentMemory
) -> None:
    """An incident never recalls itself."""
    asked = await past(gateway, "inc_asked", 8, **TLS)
    await remembered(gateway, memory)
    request = asking(question="Why did TLS handshake fails on every call?", incident_ids=(asked,))
    section = await gateway.read(source, request)
    assert (section.status, section.facts) == (Status.EMPTY, ())
    assert section.header == "nothing similar in memory except what the question names"
    await past(gateway, "inc_other", 20, **TLS)
    await memory.sync()
    assert found(await gateway.read(source, request)) == ["inc_other"]


async def test_nothing_similar_is_an_answer(gateway: Gateway, memory: IncidentMemory) -> None:
    """A new kind of incident reports the closest similarity."""
    await past(gateway, "inc_tls", 8, **TLS)
    await gateway.incident("inc_now", **COST)
    await remembered(gateway, memory)
    section = await gateway.read(source, asking(question="Anything wrong?"))
    assert (section.status, section.facts) == (Status.EMPTY, ())
    assert section.header.startswith("nothing similar in memory (closest similarity ")


async def test_the_worst_of_many_active_incidents_are_asked_for(
    gateway: Gateway, memory: IncidentMemory
) -> None:
    """Queries to memory are bounded, the most severe incidents first."""
    for number in range(30):
        await gateway.incident(f"inc_{number}", severity="low", started_at=NOON - number * MINUTE, **COST)
    await gateway.incident("inc_worst", severity="critical", started_at=NOON - 5 * DAY, **TLS)
    for number in range(10):
        await past(gateway, f"old_{number}", 8 + number, title=f"{TLS['title']} {'abcdefghij'[number] * 9}")
    await remembered(gateway, memory)
    section = await gateway.read(source, asking(question="Anything wrong?"))
    assert all("resembles inc_worst " in fact.text for fact in section.facts)
    assert 0 < len(section.facts) <= MAX_RECALLED
    assert section.header.count("inc_") <= MAX_QUERIES


async def test_what_hit_a_deployment_in_scope_is_asked_for_first(
    gateway: Gateway, memory: IncidentMemory
) -> None:
    """An incident on the deployment in scope comes before more severe ones elsewhere."""
    here = await gateway.deployment("mistral/gcp")
    for number in range(MAX_QUERIES):
        await gateway.incident(f"inc_{number}", severity="critical", **COST)
    await gateway.incident("inc_here", severity="low", deployment_id=here, **TLS)
    await past(gateway, "inc_tls", 8, **TLS)
    await remembered(gateway, memory)
    anywhere = await gateway.read(source, asking(question="Anything wrong?"))
    assert found(anywhere) == []
    section = await gateway.read(source, asking(question="Anything wrong?", deployment_ids=(here,)))
    assert section.facts[0].text.startswith("inc_tls resembles inc_here ")


async def test_a_memory_that_is_down_is_the_source_s_error_and_not_the_question_s(gateway: Gateway) -> None:
    """Law 2: unavailable memory becomes a source status, and the other sources are read."""
    await past(gateway, "inc_past", 8, **TLS)
    gateway.memory = NO_MEMORY
    with pytest.raises(MemoryUnavailable, match="memory is down"):
        await gateway.read(source)
    builder = ContextBuilder(gateway.database, NO_MEMORY, [source], default_budget=4_000, clock=lambda: NOON)
    built = await builder.build(QuestionInput(question="What is wrong?"))
    (entry,) = built.manifest.sources
    assert (entry.name, entry.status, entry.error) == ("recall", Status.ERROR, "memory is down for this test")
    assert "[M0] recall (error): memory is down for this test" in built.prompt.user


async def test_a_memory_that_was_never_built_says_what_to_do(
    gateway: Gateway, memory: IncidentMemory
) -> None:
    """Law 10: unavailable memory is an error, not an empty answer."""
    await past(gateway, "inc_past", 8, **TLS)
    gateway.memory = memory
    with pytest.raises(MemoryUnavailable, match="arcpoint memory rebuild"):
        await gateway.read(source)
