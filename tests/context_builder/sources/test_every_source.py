"""The contract of every source, tested on all discovered ones."""

from __future__ import annotations

import asyncio
import inspect
import re
import shutil
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from context_builder.source import ContextSource, Section, Shown, Status
from memory.embedding.hashing import HashingEmbedder
from memory.incident_memory import IncidentMemory
from memory.index.chroma import ChromaIndex
from models.database import Database
from tests.support.gateway import (
    DAY,
    HOUR,
    MINUTE,
    NOON,
    SOURCES,
    Gateway,
    asking,
    outbreak,
    people,
    side,
    traffic,
)
from tests.support.gateway_context import surround
from tests.support.ops_events import events_of

in_session = pytest.mark.asyncio(loop_scope="session")
every_source = pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)

UNITS = ("UTC", "ms", "%", "US dollars", "minutes", "cosine")

NEEDS_CALM = "calm"
"""Has no fact where much goes on; its own tests ask about a scope."""


def module_of(source: ContextSource) -> Any:
    return sys.modules[source.read.__module__]


@every_source
def test_a_source_says_what_it_answers_with_columns_and_units(source: ContextSource) -> None:
    """A source's docstring has a question, columns and a unit, and its name is its file's."""
    docstring = inspect.getdoc(module_of(source)) or ""
    assert re.search(r'answers "[^"]+\?"', docstring.replace("\n", " "))
    assert "Columns: " in docstring
    assert any(unit in docstring for unit in UNITS)
    assert module_of(source).__name__.rpartition(".")[2] == source.name


@every_source
def test_a_source_has_a_deadline_a_prefix_and_tests_of_its_own(source: ContextSource) -> None:
    """A source has a deadline, a citable prefix, topics and a test file."""
    assert 0 < source.deadline_s <= 10
    assert re.fullmatch("[A-Z]{1,3}", source.prefix)
    assert source.topics
    assert (Path(__file__).parent / f"test_{source.name}.py").is_file()


@every_source
def test_a_source_declares_what_it_shows_to_one_user(source: ContextSource) -> None:
    """Nobody forgets to decide it: a source says it in its own file, and is closed by default."""
    assert f"shows_to_confined=Shown.{source.shows_to_confined.name}" in inspect.getsource(module_of(source))
    assert ContextSource("new", "N", source.topics, 1.0, source.read).asked(asking(confined_to=1)) is None


def test_the_page_on_security_lists_what_one_user_is_shown(repository: Path) -> None:
    """What a source shows is promised there, and nothing else is."""
    page = (repository / "docs" / "security.md").read_text("utf-8")
    listed = re.findall(r"^\| `(\w+)` \| (own|all) \|", page, re.MULTILINE)
    shown = [(s.name, s.shows_to_confined.value) for s in SOURCES if s.shows_to_confined is not Shown.NOTHING]
    assert sorted(listed) == sorted(shown)


def test_prefixes_and_names_are_unique() -> None:
    """Every reference belongs to one source."""
    assert len({source.prefix for source in SOURCES}) == len(SOURCES)
    assert len({source.name for source in SOURCES}) == len(SOURCES)


@in_session
async def test_an_empty_database_is_an_answer(gateway: Gateway, memory: IncidentMemory) -> None:
    """On an empty database every source returns an empty section with a header, whatever is asked."""
    gateway.memory = memory
    await memory.sync()
    named = asking(
        deployment_ids=(1,), tiers=("premium",), user_ids=(1,), incident_ids=(1,), request_ids=(1,)
    )
    for name, sections in (await gateway.read_all(asking(), asking(live=True), named)).items():
        for section in sections:
            assert section.status is Status.EMPTY, name
            assert section.facts == ()
            assert len(section.header) > 10


@in_session
async def test_a_snapshot_gives_the_same_sections_again(
    gateway: Gateway, memory: IncidentMemory, tmp_path: Path
) -> None:
    """Law 6: sections do not depend on the run, the clock or the order of rows."""
    await tangled(gateway, memory, tmp_path)
    once, again = await gateway.read_all(*REQUESTS), await gateway.read_all(*REQUESTS)
    assert once == again


@in_session
async def test_both_databases_give_the_same_sections(
    sqlite_url: str, postgres_url: str, shared_index: ChromaIndex, tmp_path: Path
) -> None:
    """Order, ties and sums do not depend on the database's collation, rounding or types."""
    sections = []
    for url in (sqlite_url, postgres_url):
        database = Database(url)
        gateway = Gateway(database)
        memory = IncidentMemory(database, HashingEmbedder(), shared_index, deadline_s=20)
        await tangled(gateway, memory, tmp_path)
        sections.append(await gateway.read_all(*REQUESTS))
        await database.close()
    assert sections[0] == sections[1]
    for name, read in sections[0].items():
        assert any(section.facts for section in read), name


REQUESTS = (
    asking(),
    asking(live=True, since=NOON - 100 * MINUTE),
    asking(NOON - 37 * HOUR - 11 * MINUTE),
    asking(deployment_ids=(1, 3), tiers=("premium",), request_ids=(1, 5)),
    asking(user_ids=(1,), incident_ids=(2,)),
    asking(
        excluded_user_ids=(1,),
        sides=(side("today", NOON - HOUR, NOON), side("before", NOON - DAY, NOON - HOUR)),
    ),
)


async def tangled(gateway: Gateway, memory: IncidentMemory, folder: Path) -> None:
    """Fill a gateway with ties and with names that collations sort differently."""
    names = ["Zeta/x", "alpha/x", "\u00e9clair/x", "_u/x", "a-b/x", "ab/x", "aB/X", "10/x", "9/x"]
    for name in names:
        await gateway.deployment(name, status=("down", "degraded", "healthy")[len(name) % 3])
    for name in ("user_b", "User_B", "user-b", "user_10", "user_9"):
        await gateway.user(name, "premium", daily_budget_usd="0.5")
    moments = [NOON - n * 17 * MINUTE for n in range(300)]
    await gateway.append(traffic(gateway, 9, moments))
    tied = [gateway.request(NOON - HOUR, user=user, deployment=name, status="error", latency_ms=7, cost_usd=1)
            for user in gateway.users for name in names]  # fmt: skip
    await gateway.append(tied)
    for number in range(6):
        over = NOON - number * DAY if number % 2 else None
        await gateway.incident(
            f"inc_{number}", title="TLS fails", started_at=NOON - 7 * DAY, resolved_at=over
        )
    for name, number in gateway.deployments.items():
        for at in (NOON - HOUR, NOON - 20 * MINUTE, NOON - 38 * HOUR):
            await gateway.add(*events_of(name, number, at))
    await surround(gateway, folder)
    await memory.sync()
    gateway.memory = memory


SHOWS_WHAT_IS_ELSEWHERE = {
    "changes": "what was done to something else at an onset may be its cause",
    "incidents": "what hit something else may be the reason, and comes last",
    "recall": "the past of another deployment may hold the fix",
    "topology": "the whole gateway is the background of every question",
}


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def crowded(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """Traffic, an outbreak, a user who fails and costs much, events of all; only to be read."""
    folder = tmp_path_factory.mktemp("crowded")
    await asyncio.to_thread(shutil.copyfile, sqlite_template, folder / "crowded.db")
    gateway = Gateway(Database(f"sqlite:///{folder / 'crowded.db'}"))
    await people(gateway)
    await gateway.append(traffic(gateway, 4, [NOON - n * MINUTE for n in range(1, 400)]))
    await gateway.append(outbreak(gateway, NOON - 50 * MINUTE))
    await gateway.send(
        *(NOON - n * MINUTE for n in range(40)), user="user_c", status="error", latency_ms=10**6, cost_usd=1
    )
    for name, number in gateway.deployments.items():
        await gateway.add(*events_of(name, number, NOON - HOUR))
    await surround(gateway, folder)
    yield gateway
    await gateway.database.close()


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def scoped(crowded: Gateway) -> dict[str, list[Section]]:
    """Read what every source tells of one deployment, one tier and one user."""
    named: dict[str, Any] = {"deployment_ids": crowded.id_of("gpt-4/aws"), "tiers": ("premium",)}
    of_user = asking(**named, user_ids=crowded.id_of("user_a"))
    day_before = side("the day before", NOON - 2 * DAY, NOON - DAY, **named)
    compared = asking(sides=(side("today", NOON - DAY, NOON, **named), day_before), **named)
    quiet = asking(NOON - 3 * HOUR, **named)
    return await crowded.read_all(asking(**named), of_user, compared, quiet)


@pytest.mark.parametrize("source", [s for s in SOURCES
                                    if s.name not in (*SHOWS_WHAT_IS_ELSEWHERE, NEEDS_CALM)],
                         ids=lambda source: source.name)  # fmt: skip
def test_a_source_tells_nothing_outside_the_scope(
    crowded: Gateway, scoped: dict[str, list[Section]], source: ContextSource
) -> None:
    """With deployment, tier and user in scope, no other deployment, tier or user appears."""
    sections = scoped[source.name]
    assert any(section.facts for section in sections)
    outside = {name for name in crowded.deployments if name != "gpt-4/aws"} | {"user_c", "user_d"}
    outside |= {"llama", "mistral", "k8s", "gcp", "standard"}
    assert not [name for name in outside if name in str(sections)]


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def without_user(crowded: Gateway) -> dict[str, list[Section]]:
    """Read what every source tells of all users but user_c."""
    left_out = crowded.id_of("user_c")
    tiers = ("premium", "standard")
    asked = (asking(), asking(tiers=tiers), asking(user_ids=crowded.id_of("user_a", "user_c")))
    return await crowded.read_all(
        *(replace(one, scope=replace(one.scope, excluded_user_ids=left_out)) for one in asked)
    )


@every_source
def test_a_user_left_out_appears_nowhere(
    without_user: dict[str, list[Section]], source: ContextSource
) -> None:
    """No fact tells of a user left out; that rollups count the user is a gap, not a silent subtraction."""
    for section in without_user[source.name]:
        assert "user_c" not in section.header
        assert not [fact.text for fact in section.facts if "user_c" in fact.text]
        if source.name in COUNTS_TRAFFIC:
            assert any("without user_c" in gap for gap in section.gaps)


COUNTS_TRAFFIC = {"changes", "drivers", "failures", "latency", "providers", "quality", "volume"}
"""Sources whose figures come from rollups, which have no users."""
