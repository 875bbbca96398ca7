"""`arcpoint proxy` as a process of its own, and as a part of `arcpoint serve`."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from api.proxy.opening import senders_of
from api.settings import Settings
from tests.loopback.raw_upstream import RawUpstream, raw_upstream, streamed
from tests.support.command_line import Start, finished
from tests.support.http_service import ServiceProcess, settings_of, without_memory
from tests.support.proxied_streams import STREAM

pytestmark = pytest.mark.process


@pytest.fixture
async def upstream() -> AsyncIterator[RawUpstream]:
    async with raw_upstream() as upstream:
        upstream.default = streamed(STREAM)
        yield upstream


@pytest.fixture
def settings(sqlite_url: str, tmp_path: Path, upstream: RawUpstream) -> Settings:
    memory = without_memory(tmp_path)
    return settings_of(sqlite_url, tmp_path, memory_path=memory, proxy_upstream_url=upstream.url)


async def ask(client: httpx.AsyncClient, prefix: str = "") -> str:
    """The request id of a request that was answered as the upstream answers."""
    answer = await client.post(f"{prefix}/v1/messages?beta=true", content=b"{}")
    assert answer.content == STREAM
    request_id: str = answer.headers["x-arcpoint-request-id"]
    return request_id


@pytest.mark.parametrize("options", [(), ("--workers", "2")])
async def test_the_proxy_serves_and_its_status_shows_what_it_did(
    settings: Settings,
    upstream: RawUpstream,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
) -> None:
    """Also with several workers: a stop stores what has ended, and the status counts it."""
    served = ServiceProcess(settings, options=("--port", "0", *options), command="proxy")
    async with served as process:
        assert process.output[1] == f"point a client at it: export ANTHROPIC_BASE_URL={process.url}"
        async with process.client() as client:
            await asyncio.gather(*(ask(client) for _ in range(10)))
            status = (await client.get("/arcpoint/status")).json()
            assert status["ended"].keys() == {"completed"}
            assert status["dropped"] == 0
        process.process.send_signal(signal.SIGTERM)
        code, errors = await process.ended()
    assert (code, errors) == (0, "")
    assert {request.target for request in upstream.requests} == {"/v1/messages?beta=true"}
    monkeypatch.setenv("ARCPOINT_DATABASE_URL", settings.database_url)
    shown = await asyncio.to_thread(lambda: finished(start("proxy", "status", "--json")))
    document = json.loads(shown.out)
    assert document["traffic"]["ended"] == {"completed": 10}
    assert document["running"] is None


async def test_the_service_proxies_too_and_shows_the_conversation(settings: Settings) -> None:
    """Under /anthropic, beside its own paths, with no middleware of theirs in between."""
    async with (
        ServiceProcess(settings.model_copy(update={"proxy_mounted": True})) as process,
        process.client() as client,
    ):
        request_id = await ask(client, "/anthropic")
        assert (await client.post("/anthropic/v1/messages", content=b"\x00 no JSON")).status_code == 200
        assert (await client.get("/healthz")).json()["status"] == "ok"
        logged = await client.get(f"/v1/requests/{request_id}")
        while logged.status_code == 404:  # stored a moment later
            await asyncio.sleep(0.05)
            logged = await client.get(f"/v1/requests/{request_id}")
        assert logged.json()["request"]["deployment"] == "claude-opus-5-5/anthropic"
        unknown = await client.get(f"/v1/conversations/{request_id}")
    assert unknown.status_code == 404
    assert "x-arcpoint-request-id" in unknown.json()["detail"]


def test_a_digest_is_printed_of_a_key_that_is_piped_in(start: Start) -> None:
    """The one by which the proxy knows the sender."""
    process = start("proxy", "digest", stdin=-1)
    out, _ = process.communicate("sk-ant-x\n")
    assert out.strip() == senders_of(Settings()).digest("sk-ant-x")
    process = start("proxy", "digest", stdin=-1)
    _, err = process.communicate("\n")
    assert process.returncode == 2
    assert "no key on standard input" in err
