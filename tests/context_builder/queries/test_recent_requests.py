"""Pages of recent requests contain exactly the matching requests, each once, for any filters."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context_builder.queries import Page, RequestFilter, RequestPage, query_session, recent_requests
from context_builder.question.request import QuestionError
from models import RequestStatus, Tier, User
from models.request_log import NewRequest
from tests.support.bounded_plans import planning, unbounded
from tests.support.gateway import DAY, FLEET, HOUR, MINUTE, NOON, TIER_OF, Gateway
from tests.support.statements import captured

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.both_databases]

TINY = timedelta(microseconds=1)
MODULE = import_module("context_builder.queries.recent_requests")
"""The module, which has the name of its function."""
NO_FILTER = RequestFilter()

filters = st.builds(
    RequestFilter,
    users=st.lists(st.sampled_from(list(TIER_OF)), max_size=2).map(tuple),
    tiers=st.lists(st.sampled_from(Tier), max_size=2).map(tuple),
    deployments=st.lists(st.sampled_from(FLEET), max_size=2).map(tuple),
    models=st.just(()) | st.sampled_from([("gpt-4",), ("llama-70b", "mistral")]),
    backends=st.just(()) | st.sampled_from([("k8s",), ("gcp", "gcp")]),
    statuses=st.lists(st.sampled_from(RequestStatus), max_size=3).map(tuple),
    since=st.none() | st.integers(0, 9 * 24 * 60).map(lambda minutes: NOON - minutes * MINUTE),
)


def matching(gateway: Gateway, chosen: RequestFilter) -> list[str]:
    """Return public ids of the sent requests that match, newest first; ties by insertion, last first."""
    deployments = {number: name for name, number in gateway.deployments.items()}
    users = {number: name for name, (number, _) in gateway.users.items()}

    def is_chosen(sent: NewRequest) -> bool:
        deployment = deployments[sent.deployment_id]
        model, backend = deployment.split("/")
        return all(
            not wanted or value in wanted
            for wanted, value in (
                (chosen.users, users[sent.user_id]), (chosen.tiers, sent.tier),
                (chosen.deployments, deployment), (chosen.models, model), (chosen.backends, backend),
                (chosen.statuses, sent.status),
            )
        ) and (chosen.since is None or sent.created_at >= chosen.since)  # fmt: skip

    order = sorted(enumerate(gateway.sent), key=lambda pair: (pair[1].created_at, pair[0]), reverse=True)
    return [sent.public_id for _, sent in order if is_chosen(sent)]


def names(page: RequestPage) -> list[str]:
    return [one.id for one in page.requests]


async def page_of(gateway: Gateway, chosen: RequestFilter = NO_FILTER, **page: Any) -> RequestPage:
    async with query_session(gateway.database) as session:
        return await recent_requests(session, chosen, Page(**page))


async def pages_of(gateway: Gateway, chosen: RequestFilter, limit: int) -> list[RequestPage]:
    pages = [await page_of(gateway, chosen, limit=limit)]
    while pages[-1].next is not None:
        pages.append(await page_of(gateway, chosen, limit=limit, cursor=pages[-1].next))
        assert len(pages) < 1_000
    return pages


@given(chosen=filters, limit=st.integers(1, 200), walk=st.sampled_from([100, 700, 5_000]))
@settings(max_examples=40, deadline=None)
async def test_the_first_page_holds_the_newest(
    busy: Gateway, chosen: RequestFilter, limit: int, walk: int
) -> None:
    """Each page is a prefix of the right list, complete or with a cursor, however many rows are scanned."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MODULE, "MAX_ROWS_SCANNED", walk)
        try:
            page = await page_of(busy, chosen, limit=limit)
        except QuestionError as error:
            assert "no deployment has all" in str(error)  # noqa: PT017  only some filters contradict each other
            return
    expected = matching(busy, chosen)
    assert names(page) == expected[: len(page.requests)]
    assert len(page.requests) <= limit
    if page.next is None:
        assert len(page.requests) == len(expected)


@pytest.mark.parametrize("walk", [150, 5_000])
@pytest.mark.parametrize(
    "chosen",
    [
        RequestFilter(since=NOON - HOUR),
        RequestFilter(tiers=("premium",), since=NOON - DAY),
        RequestFilter(tiers=("budget",), models=("gpt-4",), statuses=("error", "error", "timeout")),
        RequestFilter(users=("user_c", "user_a"), backends=("gcp",), since=NOON - 4 * HOUR),
        RequestFilter(users=("user_d",), tiers=("premium",)),
        RequestFilter(statuses=("pending",), tiers=("standard", "budget")),
    ],
    ids=["time", "tier", "tier, model, status", "users, backend", "nobody", "status, tiers"],
)
async def test_pages_together_are_the_whole_list(
    busy: Gateway, monkeypatch: pytest.MonkeyPatch, chosen: RequestFilter, walk: int
) -> None:
    """Pages neither repeat nor lose a request, also if the scan ends before the page is full."""
    monkeypatch.setattr(MODULE, "MAX_ROWS_SCANNED", walk)
    pages = await pages_of(busy, chosen, 37)
    assert [name for page in pages for name in names(page)] == matching(busy, chosen)
    assert all(len(page.requests) <= 37 for page in pages)


async def small(gateway: Gateway) -> None:
    await gateway.deployment("gpt-4/aws", "mistral/gcp")
    await gateway.user("user_a", "premium")
    await gateway.user("user_b", "budget")


async def test_what_is_added_between_pages_neither_shifts_nor_repeats(gateway: Gateway) -> None:
    """New, late and simultaneous requests do not disturb the following pages."""
    await small(gateway)
    moments = [NOON - (n // 3) * MINUTE for n in range(30)]
    before = await gateway.send(*moments)
    seen: list[str] = []
    page = await page_of(gateway, limit=7)
    while True:
        seen += names(page)
        if page.next is None:
            break
        last = page.requests[-1].created_at
        await gateway.send(NOON + MINUTE, last, last + TINY, user="user_b")
        page = await page_of(gateway, limit=7, cursor=page.next)
    assert len(seen) == len(set(seen))
    assert [name for name in seen if name in before] == sorted(
        before, key=lambda name: (moments[before.index(name)], before.index(name)), reverse=True
    )
    assert set(seen) == set(before)


async def test_many_of_one_moment_are_paged_through(gateway: Gateway) -> None:
    """Requests that share one timestamp are paged like any others."""
    await small(gateway)
    sent = await gateway.send(*[NOON] * 250)
    pages = await pages_of(gateway, NO_FILTER, 100)
    assert [len(page.requests) for page in pages] == [100, 100, 50]
    assert [name for page in pages for name in names(page)] == sent[::-1]


async def test_a_time_span_has_its_first_moment_and_not_its_last(gateway: Gateway) -> None:
    """The span is half-open, to the microsecond."""
    await small(gateway)
    since, until = NOON - 100 * MINUTE, NOON - 20 * MINUTE
    _, first, last, _ = await gateway.send(since - TINY, since, until - TINY, until)
    assert names(await page_of(gateway, RequestFilter(since=since, until=until))) == [last, first]


async def test_a_request_is_told_with_its_names(gateway: Gateway) -> None:
    """The tier is that of the time; for users who changed later it is unknown and matches no filter."""
    await small(gateway)
    await gateway.send(NOON - HOUR, status="timeout", error_code="504", latency_ms=30_000, task_type="chat")
    (told,) = (await page_of(gateway)).requests
    assert (told.user, told.tier, told.deployment, told.model, told.backend) == (
        "user_a", "premium", "gpt-4/aws", "gpt-4", "aws",
    )  # fmt: skip
    assert (told.status, told.error_code, told.latency_ms, told.task_type) == (
        "timeout",
        "504",
        30_000,
        "chat",
    )
    await gateway.change(User, "user_a", tier="standard", updated_at=NOON - MINUTE)
    (told,) = (await page_of(gateway)).requests
    assert told.tier is None
    for tier in ("premium", "standard"):
        assert names(await page_of(gateway, RequestFilter(tiers=(tier,)))) == []


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        (RequestFilter(users=("user_aa",)), "user 'user_aa' is not known; known names include user_a"),
        (RequestFilter(tiers=("gold",)), "tier 'gold' is not known; known names include"),
        (RequestFilter(deployments=("gpt-4/awz",)), "known names include gpt-4/aws"),
        (RequestFilter(statuses=("failed",)), "status 'failed' is not known"),
        (RequestFilter(models=("mistral",), backends=("aws",)), "no deployment has all"),
        (RequestFilter(since=NOON, until=NOON), "is empty; since must be before until"),
        (RequestFilter(since=NOON.replace(tzinfo=None)), "since 2026-03-10T12:00:00 has no time zone"),
        (RequestFilter(until=NOON.replace(year=2999)), "is in the future"),
        (RequestFilter(users=tuple(f"user_{n}" for n in range(101))), "at most 100 are accepted"),
    ],
)
async def test_what_cannot_be_used_is_told(busy: Gateway, chosen: RequestFilter, said: str) -> None:
    """The error is one line and says what is accepted."""
    with pytest.raises(QuestionError) as caught:
        await page_of(busy, chosen)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_cursor_goes_with_its_filters(busy: Gateway) -> None:
    """A cursor accepts another limit and another spelling of its filters, but no other filter."""
    chosen = RequestFilter(tiers=("premium", "budget"), since=NOON - DAY)
    cursor = (await page_of(busy, chosen, limit=10)).next
    same = RequestFilter(tiers=("budget", "premium", "budget"), since=(NOON - DAY).astimezone())
    page = await page_of(busy, same, limit=20, cursor=cursor)
    assert names(page) == matching(busy, chosen)[10:30]
    with pytest.raises(QuestionError, match="belongs to a list with other filters"):
        await page_of(busy, RequestFilter(tiers=("premium",)), cursor=cursor)


COMBINATIONS: Sequence[RequestFilter] = [
    NO_FILTER,
    RequestFilter(tiers=("premium",)),
    RequestFilter(models=("gpt-4",)),
    RequestFilter(models=("gpt-4",), tiers=("budget",), statuses=("error",)),
    RequestFilter(backends=("gcp", "k8s"), tiers=("budget",)),
    RequestFilter(users=("user_a", "user_b"), statuses=("error",), models=("gpt-4",)),
    RequestFilter(statuses=("error", "timeout"), since=NOON - DAY, until=NOON - HOUR),
    RequestFilter(deployments=FLEET, tiers=("standard",), since=NOON - DAY),
    RequestFilter(users=tuple(TIER_OF), tiers=("standard",), until=NOON - DAY),
]


@pytest.mark.parametrize("walk", [40, 5_000])
async def test_no_filter_reads_the_log_whole(
    busy: Gateway, monkeypatch: pytest.MonkeyPatch, walk: int
) -> None:
    """First and next pages read requests only by key or by an index up to a limit."""
    monkeypatch.setattr(MODULE, "MAX_ROWS_SCANNED", walk)
    for chosen in COMBINATIONS:
        with captured(busy.database) as statements:
            page = await page_of(busy, chosen, limit=3)
            if page.next is not None:
                await page_of(busy, chosen, limit=3, cursor=page.next)
        async with planning(busy.database) as session:
            for statement in statements:
                if "requests" in statement[0]:
                    assert await unbounded(session, statement) == [], f"{chosen}: {statement[0]}"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id FROM requests WHERE created_at > '2026-01-01'",
        "SELECT id FROM requests ORDER BY created_at",
        "SELECT id FROM requests ORDER BY latency_ms LIMIT 5",
        "SELECT id FROM requests WHERE status = 'error' ORDER BY latency_ms LIMIT 5",
        "SELECT count(*) FROM (SELECT id FROM requests WHERE status = 'error') AS r LIMIT 5",
    ],
)
async def test_a_statement_that_does_is_found_out(busy: Gateway, sql: str) -> None:
    """The plan check detects a missing limit, and a sort or an aggregate below one."""
    async with planning(busy.database) as session:
        assert await unbounded(session, (sql, ()))
