"""Posts of our own kinds: what is acknowledged is committed, and each item is told what became of it."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from backports import zstd
from fastapi import FastAPI
from sqlalchemy import func, select

from api.ingest.live.body import MemoryBudget
from api.ingest.records import RECORD_TYPES
from models import Deployment, IngestReject, Request, User
from models.database import Database
from models.tables.schema import Table
from tests.support.http_service import ServiceProcess, settings_of, without_memory
from tests.support.kinds_of_records import EXAMPLES

Post = Callable[..., Awaitable[httpx.Response]]
CANARY = "sk-canary-0123456789abcdef"


def requests(*ids: object, **changes: Any) -> list[dict[str, Any]]:
    return [EXAMPLES["requests"] | {"id": str(name)} | changes for name in ids]


def body(*items: Any) -> bytes:
    return json.dumps(items).encode()


async def stored(database: Database, column: Any = Request.public_id) -> set[Any]:
    async with database.write() as session:
        return set(await session.scalars(select(column)))


@pytest.mark.both_databases
async def test_every_kind_is_taken_in_once(database: Database, post: Post) -> None:
    """An item that is posted again is a duplicate, in whatever shape and packing it comes."""
    for kind, example in EXAMPLES.items():
        one = json.dumps(example).encode()
        first = (await post(kind, one)).json()
        assert (first["accepted"], first["rejected"]) == (1, 0), (kind, first)
        line = json.dumps(example, sort_keys=True).encode()
        for again in (
            await post(kind, b"[" + one + b"]", content_encoding="identity"),
            await post(kind, gzip.compress(one) + gzip.compress(b"\n"), content_encoding="gzip"),
            await post(kind, zstd.compress(line), content_encoding="zstd"),
            await post(kind, line + b"\n\n", content_type="application/x-ndjson; charset=utf-8"),
        ):
            receipt = again.json()
            assert (receipt["accepted"], receipt["duplicate"]) == (0, 1), (kind, receipt)


async def test_each_item_is_told_what_became_of_it(database: Database, post: Post) -> None:
    """Good items are stored whatever is wrong with the others, which are named by index and field."""
    ahead = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    items = [
        *requests("a"),
        None,
        *requests("b", status="OK"),
        *requests("c", created_at=ahead),
        *requests("d", cost_usd=1e308, latency_ms="x"),
        *requests("e", created_at="2026-11-20 09:00:00"),
        *requests("f", user="nul\0"),
        *requests("a", "g"),
    ]
    receipt = (await post("requests", body(*items))).json()
    assert (receipt["accepted"], receipt["duplicate"], receipt["rejected"]) == (2, 1, 6)
    assert [(each["index"], each["field"]) for each in receipt["rejects"]] == [
        (1, "record"), (2, "status"), (3, "created_at"), (4, "latency_ms"), (5, "created_at"), (6, "user"),
    ]  # fmt: skip
    assert "accepted are success, error" in receipt["rejects"][1]["reason"]
    assert await stored(database) == {"a", "g"}
    assert await stored(database, IngestReject.item) == {1, 2, 3, 4, 5, 6}
    contradicting = EXAMPLES["quality"] | {"request": "never heard of"}
    assert (await post("quality", body(contradicting))).json()["rejected"] == 1
    assert await stored(database, IngestReject.source) == {"requests", "quality"}


@pytest.mark.both_databases
async def test_rejects_are_the_newest_ones(
    database: Database, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sender of nothing but garbage fills no disk: so many are kept, and none for longer than a week."""
    monkeypatch.setattr("api.ingest.store.rejects.MAX_KEPT", 50)
    old = {
        "source": "requests",
        "field": "id",
        "reason": "old",
        "received_at": datetime(2026, 1, 1, tzinfo=UTC),
    }
    async with database.write() as session:
        session.add(IngestReject(item=7, **old))
    for _ in range(2):
        receipt = (await post("requests", body(*[None] * 150))).json()
        assert (receipt["rejected"], len(receipt["rejects"])) == (150, 100)
        async with database.write() as session:
            assert await session.scalar(select(func.count()).select_from(IngestReject)) == 50
    assert "old" not in await stored(database, IngestReject.reason)


@pytest.mark.parametrize("kind", [name for name, each in RECORD_TYPES.items() if each.time_field])
async def test_what_has_not_happened_yet_is_rejected(post: Post, kind: str) -> None:
    """A clock that is wrong by days would decide what counts as newest until it is right again."""
    name = RECORD_TYPES[kind].time_field
    ahead = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    later = {field: ahead for field in ("finished_at", "resolved_at") if field in EXAMPLES[kind]}
    receipt = (await post(kind, body(EXAMPLES[kind] | later | {name: ahead}))).json()
    assert [each["field"] for each in receipt["rejects"]] == [name]
    assert "in the future" in receipt["rejects"][0]["reason"]


@pytest.mark.parametrize("changes", [{"keep_d": 30}])
async def test_requests_that_are_not_kept_are_rejected(database: Database, post: Post) -> None:
    """Removed and sent again, they would be counted twice; other records of that age are taken in."""
    old, newer = (datetime.now(UTC) - timedelta(days=days) for days in (31, 29))
    sent = requests("old", created_at=old.isoformat()) + requests("newer", created_at=newer.isoformat())
    receipt = (await post("requests", body(*sent))).json()
    assert (receipt["accepted"], receipt["rejected"]) == (1, 1)
    assert "older than 30 days" in receipt["rejects"][0]["reason"]
    assert await stored(database) == {"newer"}
    assert (await post("changes", body(EXAMPLES["changes"]))).json()["accepted"] == 1


async def test_what_lenient_encoders_write_is_read(database: Database, post: Post) -> None:
    """NaN is no value and half a character is a mark; neither costs the rest of the body."""
    text = json.dumps(requests("a", "b", latency_ms=float("nan"), error_code="\ud800 \\ud800 \U0001f600"))
    receipt = (await post("requests", text.encode())).json()
    assert receipt["accepted"] == 2, receipt
    assert await stored(database, Request.error_code) == {"\ufffd \\ud800 \U0001f600"}


async def test_content_and_secrets_are_nowhere(database: Database, post: Post) -> None:
    """Fields that a kind has not are named and left out; a secret in a rejected item is not kept."""
    items = [
        *requests("a", messages=[{"content": CANARY}]),
        *requests("b", status=f"key={CANARY}"),
        *requests("c", status="?", model=f"Bearer {CANARY}", response=CANARY),
    ]
    response = await post("requests", body(*items))
    assert response.json()["notes"] == ["fields that requests have not were left out: messages, response"]
    assert CANARY not in response.text
    async with database.write() as session:
        for table in Table.metadata.tables.values():
            for row in await session.execute(select(table)):
                assert CANARY not in repr(row), table.name
    assert {"b", "c"}.isdisjoint(await stored(database))


async def test_items_without_an_id_are_known_by_content(database: Database, post: Post) -> None:
    """Equal items of a body are as many, the same body again adds none, another key makes others."""
    item = {name: value for name, value in EXAMPLES["requests"].items() if name not in ("id", "tier")}
    twice = body(item, item)
    accepted = [(await post("requests", twice, **headers)).json()["accepted"] for headers in KEYS]
    assert accepted == [2, 0, 2, 0]
    assert len(await stored(database)) == 4
    assert await stored(database, User.tier) == {"standard"}


KEYS: list[dict[str, str]] = [{}, {}, {"idempotency_key": "x"}, {"idempotency_key": "x"}]


@pytest.mark.parametrize(
    ("name", "content", "headers", "status", "told"),
    [
        ("nothing", b"[]", {}, 404, "accepted are deployments"),
        ("requests", b"", {}, 400, "is empty"),
        ("requests", b'[{"a":', {}, 400, "not JSON"),
        ("requests", b"[" * 10_000 + b"]" * 10_000, {}, 400, "not JSON"),
        ("requests", b"x", {"content_encoding": "gzip"}, 400, "not gzip"),
        ("requests", gzip.compress(b"[]", mtime=0)[:-9], {"content_encoding": "gzip"}, 400, "not gzip"),
        ("requests", zstd.compress(b"[]")[:-1], {"content_encoding": "zstd"}, 400, "not zstd"),
        ("requests", b"x", {"content_encoding": "br"}, 415, "gzip, zstd"),
        ("requests", b"a=b", {"content_type": "text/plain"}, 415, "application/x-ndjson"),
        (
            "requests",
            gzip.compress(b" " * 70 * 2**20, mtime=0),
            {"content_encoding": "gzip"},
            413,
            "67,108,864",
        ),
        ("requests", zstd.compress(b" " * 70 * 2**20), {"content_encoding": "zstd"}, 413, "67,108,864"),
        ("requests", gzip.compress(b"", mtime=0) * 10_001, {"content_encoding": "gzip"}, 413, "10,000"),
        ("requests", zstd.compress(b"") * 10_001, {"content_encoding": "zstd"}, 413, "10,000"),
        ("requests", b"{}\n" * 20_001, {"content_type": "application/x-ndjson"}, 413, "20,000"),
        ("requests", b" " * (16 * 2**20 + 1), {}, 413, "16,777,216"),
    ],
)
async def test_a_body_that_can_never_be_stored_is_refused(
    post: Post, name: str, content: bytes, headers: dict[str, str], status: int, told: str
) -> None:
    """Status and words say what is accepted, and nobody is asked to send it again."""
    response = await post(name, content, **headers)
    assert response.status_code == status, response.text
    assert told in response.json()["detail"]
    assert "retry-after" not in response.headers


@pytest.mark.parametrize("changes", [{"ingest_memory_mb": 1}])
async def test_a_body_for_which_there_is_no_memory_is_to_be_sent_again(post: Post) -> None:
    """503 with Retry-After for a large body, announced or not, packed or not; a small one is stored."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b" " * 2**19

    for content, headers in (
        (b" " * 2**21, {}),
        (chunks(), {}),
        (gzip.compress(b" " * 2**21, mtime=0), {"content_encoding": "gzip"}),
    ):
        response = await post("requests", content, **headers)
        assert (response.status_code, response.json()["title"]) == (503, "Nothing was stored")
        assert int(response.headers["retry-after"]) > 0
    assert (await post("requests", body(*requests("a")))).json()["accepted"] == 1


@pytest.mark.parametrize("changes", [{"ingest_memory_mb": 2}])
async def test_decoded_records_count_as_memory(post: Post) -> None:
    """A body of many small items takes many times its size, and is to be sent again before it does."""
    small = body(*requests(*range(2_000)))
    assert len(small) < 2**20
    assert (await post("requests", small)).status_code == 503
    assert (await post("requests", body(*requests("a")))).json()["accepted"] == 1


@pytest.mark.parametrize("changes", [{"ingest_read_s": 0.2, "ingest_memory_mb": 1}])
async def test_a_slow_sender_does_not_hold_what_others_need(post: Post) -> None:
    """What it announced is free again after a while, and it may send again."""

    async def drops() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.05)

    slow = await post("requests", drops(), content_length=str(2**20))
    assert (slow.status_code, "0.2 s" in slow.json()["detail"]) == (503, True)
    assert (await post("requests", body(*requests("a")))).json()["accepted"] == 1


async def test_a_sender_that_gave_up_leaves_nothing_that_waits(
    app: FastAPI, database: Database, post: Post
) -> None:
    """While a transaction is under way, senders that time out and come again do not pile up."""
    commits = app.state.ingestor._commits
    async with commits._turn:
        for number in range(20):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await post("requests", body(*requests(number)))
        assert commits._open.posts == []
        last = asyncio.ensure_future(post("requests", body(*requests("a"))))
        await asyncio.sleep(0.05)
    assert (await last).json()["accepted"] == 1
    assert await stored(database) == {"a"}


async def test_what_nobody_foresaw_in_one_post_costs_the_others_nothing(
    app: FastAPI, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An item that breaks its writer is told so alone, however often it comes again."""
    commits = app.state.ingestor._commits
    write = commits._write_records

    async def breaks(session: Any, records: Any) -> Any:
        if any(getattr(each, "id", "") == "poison" for each in records):
            raise ZeroDivisionError
        return await write(session, records)

    monkeypatch.setattr(commits, "_write_records", breaks)
    monkeypatch.setattr(commits, "_wait_s", 0.5)
    bad, good = await asyncio.gather(
        post("requests", body(*requests("poison"))), post("requests", body(*requests("a")))
    )
    assert (bad.status_code, good.json()["accepted"]) == (503, 1)


def test_memory_that_was_taken_is_given_back() -> None:
    """Shares together never exceed the budget, and an ended one leaves all of it."""
    budget = MemoryBudget(10)
    with budget.share() as one:
        one(6)
        with budget.share() as other, pytest.raises(Exception, match="send it again"):
            other(5)
        one(4)
    with budget.share() as again:
        again(10)


@pytest.mark.parametrize("changes", [{"ingest_users": 3, "ingest_deployments": 2}])
async def test_names_that_clients_make_up_are_bounded(database: Database, post: Post) -> None:
    """Users and deployments beyond the limits count as `other`; no request is lost."""
    items = [
        each for number in range(50)
        for each in requests(number, user=f"u{number}", model=f"m{number}", backend="b")
    ]  # fmt: skip
    for part in (items[:20], items[20:]):
        assert (await post("requests", body(*part))).json()["accepted"] == len(part)
    assert await stored(database, User.public_id) == {"u0", "u1", "u2", "other"}
    assert await stored(database, Deployment.public_id) == {"m0/b", "m1/b", "other/other"}
    assert len(await stored(database)) == 50


@pytest.mark.both_databases
async def test_posts_at_the_same_time_share_a_transaction(
    app: FastAPI, database: Database, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each gets the receipt of its own items, also where another one cannot be stored."""
    async with database.write() as session:
        created = datetime(2025, 1, 1, tzinfo=UTC)
        session.add(Deployment(public_id="taken/aws", model="other", backend="aws", created_at=created))
    transactions = 0
    write = app.state.ingestor._commits._write

    async def counted(*arguments: Any) -> Any:
        nonlocal transactions
        transactions += 1
        return await write(*arguments)

    monkeypatch.setattr(app.state.ingestor._commits, "_write", counted)
    monkeypatch.setattr(app.state.ingestor._commits, "_wait_s", 0.5)
    bodies = [body(*requests(number, f"x{number}")) for number in range(10)]
    receipts = await asyncio.gather(*(post("requests", each) for each in [*bodies, bodies[0]]))
    assert sum(each.json()["accepted"] for each in receipts) == 20
    assert transactions < 11
    refused, stored_too = await asyncio.gather(
        post("requests", body(*requests("y", model="taken"))), post("requests", body(*requests("z")))
    )
    assert (refused.status_code, stored_too.json()["accepted"]) == (409, 1)
    assert {"z", "0", "x9"} <= await stored(database)
    assert "y" not in await stored(database)


async def test_an_unexpected_error_asks_to_send_it_again(
    app: FastAPI, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never 500: senders drop what is answered so."""
    monkeypatch.setattr(app.state.ingestor, "_commits", None)
    response = await post("requests", body(*requests("a")))
    assert (response.status_code, "retry-after" in response.headers) == (503, True)


@pytest.mark.process
@pytest.mark.long
async def test_what_is_acknowledged_survives_a_kill(sqlite_url: str, tmp_path: Path) -> None:
    """The service is killed while eight senders post; every request that was acknowledged is in the log."""
    settings = settings_of(sqlite_url, tmp_path, memory_path=without_memory(tmp_path))
    acknowledged: set[str] = set()
    enough = asyncio.Event()

    async def send(client: httpx.AsyncClient, sender: int) -> None:
        for number in range(10_000):
            names = [f"{sender}_{number}_{item}" for item in range(5)]
            response = await client.post("/v1/ingest/requests", json=requests(*names))
            assert response.status_code == 200
            acknowledged.update(names)
            if len(acknowledged) > 200:
                enough.set()

    async with ServiceProcess(settings) as service, service.client() as client:
        senders = [asyncio.create_task(send(client, number)) for number in range(8)]
        await enough.wait()
        service.process.kill()
        ends = await asyncio.gather(*senders, return_exceptions=True)
    assert all(isinstance(end, httpx.TransportError) for end in ends), ends
    database = Database(sqlite_url)
    async with database.write() as session:
        count = await session.scalar(select(func.count()).select_from(Request))
    assert acknowledged <= await stored(database)
    assert count is not None
    assert count - len(acknowledged) <= 8 * 5, "at most what was on its way"
    await database.close()
