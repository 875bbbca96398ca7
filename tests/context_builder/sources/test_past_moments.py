"""Law 6: later events do not change what is reported about a moment."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

import pytest
from sqlalchemy import select

from context_builder.question.request import ContextRequest
from context_builder.source import Section
from memory.incident_memory import IncidentMemory
from models import Deployment, Incident, Job, QualityScore, Request, User
from models.quality_log import NewScore, append
from tests.support.gateway import DAY, HOUR, MINUTE, NOON, Gateway, asking, people, side, traffic
from tests.support.gateway_context import action, checks, hours, maintenance
from tests.support.ops_events import events_of, job
from tests.support.thinning import thinned

pytestmark = pytest.mark.asyncio(loop_scope="session")

Event = tuple[datetime, Callable[[], Awaitable[object]]]
START = NOON - 4 * DAY


class History:
    """Four days of events on a gateway that can be replayed up to any moment."""

    def __init__(self, gateway: Gateway, seed: int) -> None:
        self._gateway = gateway
        self._chance = random.Random(seed)  # noqa: S311  test data
        self._requests = traffic(gateway, seed, [START + n * 7 * MINUTE for n in range(4 * 24 * 60 // 7)])
        events = [*self._arrivals(), *self._incidents(), *self._operations(), *self._surroundings()]
        self._events = sorted(events, key=lambda event: event[0])
        self._now = START

    async def live_until(self, moment: datetime) -> None:
        """Write everything that happens up to and including the moment."""
        due = [r for r in self._requests if self._now < r.created_at <= moment]
        if due:
            await self._gateway.append(due)
            await self._score(moment)
        for at, happen in self._events:
            if self._now < at <= moment:
                await happen()
        self._now = moment

    def _at(self) -> datetime:
        """Return a random moment of the four days, sometimes a whole minute or hour."""
        at = START + timedelta(microseconds=self._chance.randrange(4 * DAY // timedelta(microseconds=1)))
        return at.replace(microsecond=0, second=0) if self._chance.random() < 0.5 else at

    def _arrivals(self) -> list[Event]:
        """New deployments and users."""
        events: list[Event] = []
        for number in range(6):
            at = self._at()
            add = partial(self._gateway.deployment, f"new-{number}/x", status="down")
            events.append((at, partial(add, created_at=at, updated_at=at)))
            at = self._at()
            join = partial(self._gateway.user, f"user_new{number}", "budget", daily_budget_usd=Decimal(1))
            events.append((at, partial(join, created_at=at, updated_at=at)))
        return events

    def _incidents(self) -> list[Event]:
        """Incidents that start, and most of which are resolved."""
        events: list[Event] = []
        for number in range(16):
            name, start, end = f"inc_{number}", *sorted((self._at(), self._at()))
            title = ("TLS handshake fails", "Connection pool exhausted", "GPU out of memory")[number % 3]
            begin = partial(self._gateway.incident, name, title=title, target="gpt-4/aws")
            events.append((start, partial(begin, started_at=start)))
            if number % 4:
                fix = partial(self._gateway.change, Incident, name, status="resolved", resolved_at=end)
                events.append((end, partial(fix, root_cause="found out", resolution="fixed")))
        return events

    def _operations(self) -> list[Event]:
        """Logs, changes, alerts and status changes; jobs that are created, started and finished."""
        events: list[Event] = []
        for number in range(25):
            name, at = self._chance.choice(list(self._gateway.deployments.items())), self._at()
            events.append((at, partial(self._gateway.add, *events_of(*name, at))))
            job_id, times = f"job_{number}", sorted((self._at(), self._at(), self._at()))
            create = job(job_id, status="queued", created_at=times[0], started_at=None)
            events.append((times[0], partial(self._gateway.add, create)))
            if number % 5:
                change = partial(self._gateway.change, Job, job_id)
                end = {"status": "failed" if number % 2 else "succeeded", "error": "found out"}
                events.append((times[1], partial(change, status="running", started_at=times[1])))
                events.append((times[2], partial(change, finished_at=times[2], **end)))
        return events

    def _surroundings(self) -> list[Event]:
        """Health checks, actions of users, and maintenance, which may be announced after it has begun."""
        events: list[Event] = []
        for number in range(40):
            at, start, end = self._at(), *sorted((self._at(), self._at()))
            deployment = self._chance.choice(list(self._gateway.deployments.values()))
            user, _ = self._chance.choice(list(self._gateway.users.values()))
            events.append((at, partial(self._gateway.add, *checks(deployment, number, at), action(user, at))))
            if number % 4 == 0 and start < end:
                window = maintenance(start, end, at, backend=self._chance.choice(("aws", "k8s", "gcp")))
                events.append((at, partial(self._gateway.add, window)))
        return events

    async def _score(self, moment: datetime) -> None:
        async with self._gateway.database.write() as session:
            scored = select(QualityScore.request_id)
            ids = await session.scalars(select(Request.id).where(Request.id.not_in(scored)).limit(5))
            scores = [NewScore(request_id=i, score=i % 5 / 5, scorer="s", scored_at=moment) for i in ids]
            await append(session, scores)


def questions(gateway: Gateway, as_of: datetime) -> list[ContextRequest]:
    """Return questions about a moment: everything, an uneven window, and one of each kind."""
    minute = as_of.replace(second=0, microsecond=0)
    return [
        asking(as_of),
        asking(as_of, since=as_of.replace(second=0, microsecond=0) - 95 * MINUTE),
        asking(as_of, deployment_ids=gateway.id_of("gpt-4/aws"), tiers=("premium",)),
        asking(as_of, user_ids=gateway.id_of("user_c"), incident_ids=(1,), request_ids=(1, 2)),
        asking(
            as_of,
            sides=(side("now", minute - 8 * HOUR, minute), side("then", minute - DAY, minute - 8 * HOUR)),
        ),
    ]


@pytest.mark.parametrize(("seed", "count"), thinned([(0, 2), (0, 4), (1, 4)], keep_every=3))
async def test_what_happens_later_changes_nothing(
    gateway: Gateway, memory: IncidentMemory, seed: int, count: int
) -> None:
    """Sections about a moment stay the same as more and more happens afterwards."""
    await people(gateway)
    await gateway.add(*hours("k8s"), *hours("gcp", "Asia/Tokyo"))
    gateway.memory = memory
    history = History(gateway, seed)
    chance = random.Random(seed)  # noqa: S311  test data
    moments = sorted(NOON - timedelta(seconds=chance.randrange(1, 3 * 86_400)) for _ in range(count))
    said: dict[datetime, dict[str, list[Section]]] = {}
    for moment in [*moments, NOON]:
        await history.live_until(moment)
        await memory.sync()
        for before, sections in said.items():
            assert await gateway.read_all(*questions(gateway, before)) == sections
        said[moment] = await gateway.read_all(*questions(gateway, moment))
    assert any(section.facts for sections in said.values() for section in sections["recall"])


LATER = "of later"


async def crowd(gateway: Gateway, memory: IncidentMemory) -> None:
    """Five hours of the fleet's traffic."""
    await people(gateway)
    await gateway.append(traffic(gateway, 6, [NOON - n * MINUTE for n in range(1, 300)]))
    await memory.sync()
    gateway.memory = memory


async def test_what_was_overwritten_is_a_gap_and_not_shown_from_now(
    gateway: Gateway, memory: IncidentMemory
) -> None:
    """Health reports, tiers and budgets have no history and become gaps."""
    await crowd(gateway, memory)
    about_user = asking(user_ids=gateway.id_of("user_a"))
    about_tier = asking(tiers=("premium",))
    names = ("health", "budgets", "requests", "volume", "latency")
    before = await gateway.read_all(asking(), about_user, about_tier)
    await gateway.change(
        Deployment, "gpt-4/aws", status="down", status_reason=LATER, status_since=NOON, updated_at=NOON + HOUR
    )
    await gateway.change(
        User, "user_a", tier="standard", daily_budget_usd=Decimal(77), updated_at=NOON + timedelta(seconds=1)
    )
    after = await gateway.read_all(asking(), about_user, about_tier)
    gaps = {name: [" ".join(section.gaps) for section in after[name]] for name in names}
    assert "gpt-4/aws" in gaps["health"][0]
    assert all("1 user changed later" in gap for gap in gaps["budgets"])
    assert "the tier of user_a when" in gaps["requests"][0]
    assert "failed requests by tier of 1 user" in gaps["requests"][2]
    for name in ("volume", "latency"):
        assert "the tier at this moment of user_a" in gaps[name][1]
        assert [after[name][n] for n in (0, 2)] == [before[name][n] for n in (0, 2)]
    for name in names:
        for section in after[name]:
            assert LATER not in str(section)
            assert "77" not in str([fact for fact in section.facts if "user_a" in fact.text])
            assert not [f for f in section.facts if "user_a" in f.text and "standard" in f.text]
            assert not [f for f in section.facts if "gpt-4/aws is DOWN" in f.text]


async def test_other_rows_keep_their_facts_when_one_is_overwritten(
    gateway: Gateway, memory: IncidentMemory
) -> None:
    """A gap about one deployment or user does not affect the others."""
    await crowd(gateway, memory)
    await gateway.deployment("bad/x", status="down")
    before = await gateway.read_all(asking())
    await gateway.change(Deployment, "gpt-4/aws", status="down", updated_at=NOON + HOUR)
    await gateway.change(User, "user_a", daily_budget_usd=Decimal(77), updated_at=NOON + HOUR)
    after = await gateway.read_all(asking())
    for name, told in (
        ("health", "bad/x"),
        ("budgets", "user_b"),
        ("budgets", "user_c"),
        ("requests", "user_b"),
    ):
        kept = [fact for fact in before[name][0].facts if told in fact.text]
        assert kept
        assert kept == [fact for fact in after[name][0].facts if told in fact.text]
