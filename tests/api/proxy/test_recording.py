"""What is kept of requests: the request log, as ingestion writes it, and what only the proxy knows."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from api.proxy.call import CallRecord
from api.proxy.opening import senders_of
from api.proxy.recording.call_store import CallStore
from api.proxy.recording.recorder import Recorder
from api.proxy.untouched import Untouched
from api.settings import Settings
from context_builder.conversation.rewriter import ProxiedRequest, Rewrite
from context_builder.llm.pricing import PriceList
from context_builder.queries import conversation
from models import Deployment, ErrorLog, ProxyCall, Request, RequestRollup, Resolution, User
from models.database import Database
from models.errors import DatabaseUnreachable
from tests.loopback.raw_upstream import HANG, RawUpstream, chunk, error, raw_upstream, streamed, whole
from tests.support.patience import PATIENCE_S
from tests.support.proxied_calls import record
from tests.support.proxied_streams import HEAD, START, STREAM
from tests.support.served_proxy import ServedProxy, served_proxy

SECRET = "sk-ant-api03-very-secret-0123456789"


class Marking(Untouched):
    """A rewriter that changes nothing, names the conversation, and keeps what it is told of replies."""

    def __init__(self) -> None:
        self.replies: list[tuple[str, Mapping[str, int]]] = []

    async def rewrite(self, request: ProxiedRequest) -> Rewrite:
        return Rewrite(request.body, "conv_1", "turn_1", ("inserted 12 tokens into turn 1",))

    async def replied(
        self, request: ProxiedRequest, sent: Rewrite, text: str, usage: Mapping[str, int]
    ) -> None:
        del request, sent
        self.replies.append((text, dict(usage)))


@pytest.fixture
async def upstream() -> AsyncIterator[RawUpstream]:
    async with raw_upstream() as upstream:
        yield upstream


@pytest.fixture
def rewriter() -> Marking:
    return Marking()


@pytest.fixture
async def proxy(database: Database, upstream: RawUpstream, rewriter: Marking) -> AsyncIterator[ServedProxy]:
    async with served_proxy(database, upstream.url, rewriter) as proxy:
        yield proxy


async def ask(
    proxy: ServedProxy, body: bytes = b'{"model":"claude-opus-5-5"}', path: str = "/v1/messages"
) -> str:
    """The request id that the client was told."""
    async with proxy.client() as client:
        answer = await client.post(path, content=body, headers={"x-api-key": SECRET})
        return answer.headers["x-arcpoint-request-id"]


@pytest.mark.both_databases
async def test_a_request_is_in_the_log_with_all_that_its_reply_said(
    proxy: ServedProxy, upstream: RawUpstream, database: Database, rewriter: Marking
) -> None:
    """Model, user by key, tokens with cached ones, cost by the dated prices, times; and in the rollups."""
    upstream.script(streamed(STREAM, headers={"request-id": "req_up"}))
    request_id = await ask(proxy)
    await proxy.until_stored()
    async with database.read() as session:
        request = (await session.scalars(select(Request))).one()
        deployment = (await session.scalars(select(Deployment))).one()
        user = (await session.scalars(select(User))).one()
        rolled_up = await session.scalar(
            select(func.sum(RequestRollup.requests)).where(RequestRollup.resolution == Resolution.HOUR)
        )
        found = await conversation(session, request_id)
    assert (request.public_id, request.status, request.prompt_tokens, request.completion_tokens) == (
        request_id, "success", 947, 25,
    )  # fmt: skip
    assert (
        request.cost_usd == Decimal(7 * 4 + 25 * 20 + 40 * 5) / 10**6 + Decimal(900) * Decimal("0.4") / 10**6
    )
    assert deployment.public_id == "claude-opus-5-5/anthropic"
    assert user.public_id == f"key_{senders_of(Settings()).digest(SECRET)[:12]}"
    assert rolled_up == 1
    (call,) = found.calls
    assert (found.id, found.user, found.cache_read_ratio) == ("conv_1", user.public_id, 900 / 947)
    assert call.changes == ("inserted 12 tokens into turn 1",)
    assert (call.state, call.stop_reason, call.status, call.turn) == ("completed", "end_turn", 200, "turn_1")
    assert call.first_byte_ms is not None
    assert call.first_byte_ms <= call.latency_ms
    assert [step.state for step in call.steps] == [
        "received", "authenticated", "parsed", "rewritten", "forwarding", "streaming", "completed",
    ]  # fmt: skip
    assert rewriter.replies == [("Grüße \N{PARTY POPPER}", {
        "input_tokens": 7, "cache_read_input_tokens": 900, "cache_creation_input_tokens": 40,
        "output_tokens": 25,
    })]  # fmt: skip


@pytest.mark.both_databases
async def test_every_way_to_end_is_kept_as_what_it_is(
    proxy: ServedProxy, upstream: RawUpstream, database: Database, rewriter: Marking
) -> None:
    """Statuses of the request log, the error log, no row for what is no message; none is learned from."""
    upstream.script(
        error(529, "overloaded_error", "Overloaded"),
        error(529, "overloaded_error", f"with {SECRET}\0"),
        error(429, "rate_limit_error"),
        error(404, "not_found_error"),
        streamed(START),
        whole(b'{"input_tokens": 3}'),
    )
    for body in (b'{"model":"claude-opus-5-5"}',) * 2 + (
        b'{"model":"made-up"}',
        b'{"model":"claude-opus-5-5"}',
    ):
        await ask(proxy, body)
    await ask(proxy, path="/v1/messages/count_tokens")
    upstream.script((HEAD, chunk(START), HANG))
    reader, writer = await proxy.connect()
    writer.write(b"POST /v1/messages HTTP/1.1\r\nhost: p\r\ncontent-length: 2\r\n\r\n{}")
    await reader.readuntil(b"message_start")
    writer.close()
    await proxy.until_ended(6)
    await proxy.until_stored()
    async with database.read() as session:
        rows = await session.execute(
            select(Request.status, Request.error_code, Deployment.model)
            .join(Deployment, Deployment.id == Request.deployment_id)
            .order_by(Request.id)
        )
        logs = list(await session.scalars(select(ErrorLog).order_by(ErrorLog.id)))
        calls = list(await session.scalars(select(ProxyCall).order_by(ProxyCall.id)))
    opus = "claude-opus-5-5"
    assert [tuple(row) for row in rows] == [
        ("error", "overloaded_error", opus),
        ("rate_limited", "rate_limit_error", opus),
        ("error", "not_found_error", "unknown"),
        ("error", "truncated", opus),
        ("pending", "client_gone", opus),
    ]
    assert [(log.severity, log.target) for log in logs] == [
        ("error", f"{opus}/anthropic"), ("warning", f"{opus}/anthropic"), ("warning", "unknown/anthropic"),
        ("error", f"{opus}/anthropic"),
    ]  # fmt: skip
    assert [call.attempts for call in calls] == [2, 1, 1, 1, 1]
    assert proxy.ended == {"upstream_error": 3, "truncated": 1, "completed": 1, "client_gone": 1}
    assert rewriter.replies == []


async def test_no_credential_is_in_the_database(
    upstream: RawUpstream, sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in one byte of its file, and in no line of the log, even where an upstream repeats it."""
    database = Database(sqlite_url)
    upstream.default = error(401, "authentication_error", f"invalid key {SECRET}")
    async with served_proxy(database, upstream.url) as proxy:
        for headers in ({"x-api-key": SECRET}, {"authorization": f"Bearer {SECRET}"}):
            async with proxy.client() as client:
                await client.post("/v1/messages", content=b"{}", headers=headers)
        await proxy.until_stored()
    async with database.read() as session:
        assert await session.scalar(select(func.count()).select_from(ProxyCall)) == 2
        assert await session.scalar(select(func.count()).select_from(User)) == 1
    await database.close()
    path = Path(str(database.path))
    dump = await asyncio.to_thread(lambda: "\n".join(sqlite3.connect(path).iterdump()))
    assert "invalid key ‹SECRET:anthropic>" in dump
    assert "very-secret" not in dump + caplog.text


@pytest.mark.both_databases
async def test_storing_a_batch_again_changes_nothing(database: Database) -> None:
    """As after a database that failed when it had already committed."""
    store = CallStore(database, await asyncio.to_thread(PriceList.load), publishes=True)
    await store.store([record(1), record(2)])
    await store.store([record(2), record(3)])
    async with database.read() as session:
        for table in ("requests", "proxy_calls", "proxy_outbox"):
            assert await session.scalar(text(f"SELECT count(*) FROM {table}")) == 3  # noqa: S608  ours
        spent = await session.scalar(select(func.sum(RequestRollup.prompt_tokens)))
    assert spent == 3 * len(Resolution)


async def test_a_database_that_is_away_delays_nothing_and_is_caught_up_with() -> None:
    """What waits is stored once it is back; what does not fit is dropped and counted (C29)."""
    stored: list[str] = []
    is_away = True

    async def store(calls: Sequence[CallRecord]) -> None:
        if is_away:
            raise DatabaseUnreachable("gone")
        stored.extend(call.id for call in calls)

    recorder = Recorder(store, every_s=0.001, max_waiting=1500)
    async with recorder.running():
        for number in range(2000):
            recorder.begin()
            recorder.note(record(number))
        await asyncio.sleep(0.05)
        assert (recorder.waiting, recorder.dropped, recorder.ended.total()) == (1500, 500, 2000)
        is_away = False
        async with asyncio.timeout(PATIENCE_S):
            while recorder.waiting:  # noqa: ASYNC110  a count
                await asyncio.sleep(0.01)
    assert stored == [f"req_{number}" for number in range(1500)]
    assert (recorder.stored, recorder.in_flight) == (1500, 0)


async def test_a_stop_stores_what_has_ended(database: Database, upstream: RawUpstream) -> None:
    """No request that a client was answered to is lost with the process."""
    upstream.default = streamed(STREAM)
    async with served_proxy(database, upstream.url) as proxy:
        for _ in range(5):
            await ask(proxy)
        await proxy.until_ended(5)
    async with database.read() as session:
        assert await session.scalar(select(func.count()).select_from(ProxyCall)) == 5
