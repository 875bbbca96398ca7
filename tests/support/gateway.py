"""A gateway that a test builds in a few lines; what was sent is kept, to count it independently."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from sqlalchemy import select

from context_builder.exploration.exploration import Exploration
from context_builder.question.request import ContextRequest, Interval, Scope, Side, Topic, Window
from context_builder.rollups.store import Rollups
from context_builder.source import ContextSource, Section, Stores
from context_builder.sources import discover
from context_builder.telemetry.runbooks import Runbooks
from memory.incident_memory import IncidentMemory
from models import Deployment, Incident, User
from models.database import Database
from models.request_log import NewRequest, append
from models.tables.schema import Table
from tests.support.no_memory import NO_MEMORY
from tests.support.rollup_views import rollups_of

SOURCES = discover()
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
AGES_AGO = NOON - 400 * DAY


def asking(
    as_of: datetime = NOON,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    question: str = "What is wrong?",
    live: bool = False,
    sides: tuple[Side, ...] = (),
    confined_to: int | None = None,
    **scope: tuple[Any, ...],
) -> ContextRequest:
    """A resolved question, by default about the day before `as_of`; `scope` holds the fields of Scope."""
    end = until or as_of.replace(second=0, microsecond=0)
    return ContextRequest(
        question=question,
        as_of=as_of,
        is_now=live,
        window=Window(since or end - DAY, end),
        token_budget=100_000,
        scope=Scope(**scope),
        topics=frozenset(Topic),
        sides=sides,
        confined_to=confined_to,
    )


def side(label: str, *ends: datetime, **scope: tuple[Any, ...]) -> Side:
    """A side of a question from the start to the end of each interval."""
    return Side(label, tuple(Interval(*ends[n : n + 2]) for n in range(0, len(ends), 2)), Scope(**scope))


class Gateway:
    """Writes to one database; numbers and names are given out in order."""

    def __init__(self, database: Database, memory: IncidentMemory = NO_MEMORY) -> None:
        self.database = database
        self.memory = memory
        self.runbooks = Runbooks()
        self.sent: list[NewRequest] = []
        """Every request appended through this gateway."""
        self.users: dict[str, tuple[int, str]] = {}
        """Id and tier by public id."""
        self.deployments: dict[str, int] = {}
        self._numbers = count()

    async def deployment(self, *public_ids: str, **columns: Any) -> int:
        """Adds deployments that are healthy as of a minute before NOON; gives the id of the last."""
        given = {"status": "healthy", "created_at": AGES_AGO, "updated_at": NOON - MINUTE}
        rows = []
        for public_id in public_ids or ("gpt-4/aws",):
            model, _, backend = public_id.partition("/")
            names = {"public_id": public_id, "model": model, "backend": backend}
            rows.append(Deployment(**given | names | columns))
        async with self.database.write() as session:
            session.add_all(rows)
        self.deployments |= {row.public_id: row.id for row in rows}
        return rows[-1].id

    async def user(self, public_id: str = "user_a", tier: str = "premium", **columns: Any) -> int:
        """Adds a user who has been as he is for ages; gives his id."""
        given = {"public_id": public_id, "tier": tier, "created_at": AGES_AGO, "updated_at": AGES_AGO}
        row = User(**given | columns)
        async with self.database.write() as session:
            session.add(row)
        self.users[public_id] = (row.id, tier)
        return row.id

    async def incident(self, public_id: str = "inc_1", **columns: Any) -> int:
        """Adds an incident that began an hour before NOON and is active, unless it has a `resolved_at`."""
        given: dict[str, Any] = {
            "public_id": public_id,
            "title": f"Trouble number {public_id}",
            "severity": "high",
            "status": "resolved" if columns.get("resolved_at") else "active",
            "started_at": NOON - HOUR,
        }
        row = Incident(**given | columns)
        async with self.database.write() as session:
            session.add(row)
        return row.id

    async def add(self, *rows: Table) -> None:
        """Adds rows of any table."""
        async with self.database.write() as session:
            session.add_all(rows)

    def request(
        self, moment: datetime, *, user: str = "user_a", deployment: str = "gpt-4/aws", **columns: Any
    ) -> NewRequest:
        """A successful request that took 100 ms, to be appended."""
        user_id, tier = self.users[user]
        given: dict[str, Any] = {
            "public_id": f"req_{next(self._numbers)}",
            "created_at": moment,
            "user_id": user_id,
            "deployment_id": self.deployments[deployment],
            "tier": tier,
            "status": "success",
            "latency_ms": 100,
        }
        return NewRequest(**given | columns)

    async def send(self, *moments: datetime, **columns: Any) -> list[str]:
        """Appends one request per moment, alike in all else; gives their public ids."""
        requests = [self.request(moment, **columns) for moment in moments]
        await self.append(requests)
        return [request.public_id for request in requests]

    async def append(self, requests: list[NewRequest]) -> None:
        """Appends requests and keeps them in `sent`."""
        async with self.database.write() as session:
            await append(session, requests)
        self.sent += requests

    async def change(self, table: type[Any], public_id: str, **columns: Any) -> None:
        """Overwrites columns of one row."""
        async with self.database.write() as session:
            row = (await session.scalars(select(table).where(table.public_id == public_id))).one()
            for name, value in columns.items():
                setattr(row, name, value)

    async def read(self, source: ContextSource, request: ContextRequest | None = None) -> Section:
        """What a source says, on a snapshot of its own."""
        async with rollups_of(self.database) as rollups:
            return await source.read(request or asking(), self._stores(rollups, Exploration(rollups)))

    async def read_all(self, *requests: ContextRequest) -> dict[str, list[Section]]:
        """What each source says to each request, all on one snapshot."""
        async with rollups_of(self.database) as rollups, Exploration(rollups) as exploration:
            stores = self._stores(rollups, exploration)
            return {
                source.name: [await source.read(request, stores) for request in requests]
                for source in SOURCES
            }

    def _stores(self, rollups: Rollups, exploration: Exploration) -> Stores:
        return Stores(rollups.snapshot, rollups, self.memory, exploration, self.runbooks)

    def sent_in(self, window: Window, **values: Any) -> list[NewRequest]:
        """What was sent in a window, with these values: counted from the list, not from the database."""
        return [
            request
            for request in self.sent
            if window.start <= request.created_at < window.end
            and all(getattr(request, name) == value for name, value in values.items())
        ]

    def id_of(self, *names: str) -> tuple[int, ...]:
        """Ids of deployments and users."""
        return tuple(self.deployments.get(name) or self.users[name][0] for name in names)


FLEET = ("gpt-4/aws", "gpt-4/k8s", "llama-70b/k8s", "llama-70b/gcp", "mistral/gcp")
TIER_OF = {"user_a": "premium", "user_b": "premium", "user_c": "standard", "user_d": "budget"}


async def people(gateway: Gateway) -> None:
    """Adds the fleet and the users of TIER_OF."""
    await gateway.deployment(*FLEET)
    for number, (name, tier) in enumerate(TIER_OF.items()):
        await gateway.user(name, tier, daily_budget_usd=Decimal(number) / 10)


def traffic(gateway: Gateway, seed: int, moments: Iterable[datetime]) -> list[NewRequest]:
    """Requests of the fleet's users at these moments, with everything else drawn by chance."""
    chance = random.Random(seed)  # noqa: S311  test data
    return [
        _request(gateway, chance, f"req_{seed}_{number}", moment) for number, moment in enumerate(moments)
    ]


def outbreak(gateway: Gateway, moment: datetime) -> list[NewRequest]:
    """Requests for code that all fail from a moment on, of two deployments and tiers; before, none did."""
    return [
        gateway.request(
            moment + number * 11 * MINUTE,
            user=user,
            deployment=deployment,
            status="success" if number < 0 else "error",
            error_code=None if number < 0 else "503",
            task_type="code",
        )
        for deployment in (FLEET[0], FLEET[-1])
        for user in ("user_a", "user_c")
        for number in range(-12, 4)
        for _ in range(10)
    ]


def _request(gateway: Gateway, chance: random.Random, public_id: str, moment: datetime) -> NewRequest:
    status = chance.choices(("success", "error", "timeout", "rate_limited", "pending"), (80, 8, 4, 4, 4))[0]
    user_id, tier = gateway.users[chance.choice(list(gateway.users))]
    failed = status in ("error", "timeout", "rate_limited")
    return NewRequest(
        public_id=public_id,
        created_at=moment,
        user_id=user_id,
        deployment_id=chance.choice(list(gateway.deployments.values())),
        tier=tier,
        status=status,
        error_code=chance.choice(("502", "504", None)) if failed else None,
        latency_ms=None if status == "pending" else round(chance.lognormvariate(7, 1)),
        cost_usd=Decimal(chance.randrange(10**8)).scaleb(-9),
        prompt_tokens=0 if failed else 120,
        completion_tokens=0 if failed else 40,
        task_type=chance.choice(("chat", "code", None)),
        router_version="v2" if moment > NOON - 2 * DAY else "v1",
        routing_reason={"policy": "tier-affinity"},
    )
