"""The loopback Message Batches API does what the real one does; else a test under it would prove nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import anthropic
import httpx
import httpx2
import pytest

from tests.loopback.batch_behaviour import Canceled, Endpoint, Errored, Expired, Lost
from tests.loopback.behaviour import Cut, Fail, Garbage, Hang, Reply
from tests.loopback.messages_api import API_KEY, MessagesApi

PARAMS: dict[str, Any] = {
    "model": "claude-haiku-5-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "[H1] 17 errors"}],
}
HEADERS = {"x-api-key": API_KEY, "anthropic-version": "2026-10-21"}


def one(custom_id: Any = "a", **changes: Any) -> Any:
    """A request of a batch."""
    return {"custom_id": custom_id, "params": PARAMS | changes}


@pytest.fixture
async def client(messages_api: MessagesApi) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(api_key=API_KEY, base_url=messages_api.url, max_retries=0) as client:
        yield client


async def results(client: anthropic.AsyncAnthropic, batch_id: str) -> dict[str, Any]:
    """What the SDK reads, by custom id."""
    lines = await client.messages.batches.results(batch_id)
    return {line.custom_id: line.result async for line in lines}


async def test_the_sdk_follows_a_batch_to_its_results(
    messages_api: MessagesApi, client: anthropic.AsyncAnthropic
) -> None:
    """It is in progress for as many polls as set, then each request has its outcome, in no order."""
    messages_api.batches.polls = 2
    messages_api.batches.outcomes(Reply(text="Yes."), Errored(message="no luck"), Canceled(), Expired())
    names = [f"id-{place}" for place in range(30)]
    batch = await client.messages.batches.create(requests=[one(name) for name in names])
    for _ in range(2):
        batch = await client.messages.batches.retrieve(batch.id)
        assert (batch.processing_status, batch.request_counts.processing) == ("in_progress", 30)
        assert batch.results_url is None
        with pytest.raises(anthropic.NotFoundError, match="no results yet"):
            await client.get(f"/v1/messages/batches/{batch.id}/results", cast_to=httpx2.Response)
    batch = await client.messages.batches.retrieve(batch.id)
    assert batch.processing_status == "ended"
    assert batch.request_counts.to_dict() == {
        "processing": 0,
        "succeeded": 27,
        "errored": 1,
        "canceled": 1,
        "expired": 1,
    }
    found = await results(client, batch.id)
    assert sorted(found) == sorted(names) != list(found) != names
    assert found["id-0"].message.content[0].text == "Yes."
    assert found["id-1"].error.error.message == "no luck"
    assert [found[name].type for name in names[2:5]] == ["canceled", "expired", "succeeded"]
    assert found["id-4"].message.content[0].text == "- 17 errors [H1]"


async def test_a_request_that_is_wrong_fails_alone(
    messages_api: MessagesApi, client: anthropic.AsyncAnthropic
) -> None:
    """What a request holds is only checked when the batch is worked on."""
    batch = await client.messages.batches.create(requests=[one("good"), one("bad", model="claude-unheard")])
    await client.messages.batches.retrieve(batch.id)
    found = await results(client, batch.id)
    assert found["good"].type == "succeeded"
    assert found["bad"].error.error.type == "invalid_request_error"


@pytest.mark.parametrize(
    ("requests", "message"),
    [
        ([], "requests: List should have between 1 and 100000 items"),
        ([one("")], "requests.0.custom_id: String should match"),
        ([one("a" * 65)], "requests.0.custom_id: String should match"),
        ([one("a b")], "requests.0.custom_id: String should match"),
        ([one("a\n")], "requests.0.custom_id: String should match"),
        ([one("a"), one("a")], "requests.1.custom_id: custom_id must be unique"),
        ([{"custom_id": "a", "params": 1}], "requests.0.params: "),
        ([one("a", stream=True)], "requests.0.params.stream: "),
    ],
)
async def test_bad_batches_are_refused(messages_api: MessagesApi, requests: Any, message: str) -> None:
    """A batch that the API would refuse is refused as a whole, and nothing of it is kept."""
    async with httpx.AsyncClient(trust_env=False, base_url=messages_api.url) as http:
        body = {"requests": requests}
        response = await http.post("/v1/messages/batches", json=body, headers=HEADERS)
        unkeyed = await http.get("/v1/messages/batches/x")
    assert (response.status_code, unkeyed.status_code) == (400, 401)
    assert message in response.json()["error"]["message"]
    assert not messages_api.batches.known


async def test_results_are_kept_for_29_days(
    messages_api: MessagesApi, client: anthropic.AsyncAnthropic
) -> None:
    """After that the batch can still be seen, but not what came out of it."""
    batch = await client.messages.batches.create(requests=[one()])
    await client.messages.batches.retrieve(batch.id)
    now = messages_api.batches.clock() + timedelta(days=30)
    messages_api.batches.clock = lambda: now
    seen = await client.messages.batches.retrieve(batch.id)
    assert seen.archived_at is not None
    with pytest.raises(anthropic.NotFoundError, match="not available any more"):
        await results(client, batch.id)


@pytest.mark.parametrize("endpoint", list(Endpoint))
@pytest.mark.parametrize("status", [429, 500, 529])
async def test_every_endpoint_can_fail(
    messages_api: MessagesApi, client: anthropic.AsyncAnthropic, endpoint: Endpoint, status: int
) -> None:
    """Once, in the API's form; nothing has happened then, and the next call works."""
    messages_api.batches.fail(endpoint, Fail(status=status))
    batches = client.messages.batches
    with pytest.raises(anthropic.APIStatusError) as raised:
        await batches.create(requests=[one()])
        batch = next(iter(messages_api.batches.known))
        await batches.retrieve(batch)
        await batches.results(batch)
    assert raised.value.status_code == status
    assert len(messages_api.batches.known) == (endpoint is not Endpoint.CREATE)
    await batches.create(requests=[one()])


async def test_a_reply_can_be_lost(messages_api: MessagesApi, client: anthropic.AsyncAnthropic) -> None:
    """The batch is accepted, and anyone who submitted it cannot know."""
    messages_api.batches.fail(Endpoint.CREATE, Lost(delay_s=0.01))
    with pytest.raises(anthropic.APIConnectionError):
        await client.messages.batches.create(requests=[one()])
    assert messages_api.batches.submitted == ["a"]


async def test_a_client_that_leaves_a_hanging_call_submits_nothing(
    messages_api: MessagesApi, client: anthropic.AsyncAnthropic
) -> None:
    """A call that hangs before it is carried out ends with the connection."""
    messages_api.batches.fail(Endpoint.CREATE, Hang(seconds=60))
    with pytest.raises(anthropic.APITimeoutError):
        await client.messages.batches.create(requests=[one()], timeout=0.2)
    await messages_api.until(lambda journal: journal.disconnects == 1)
    assert not messages_api.batches.known


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Cut(after_pieces=2), httpx2.RemoteProtocolError),
        (Garbage(body=b"{no JSON}\n", after_pieces=2), ValueError),
        (Cut(after_pieces=2, clean=True), None),
    ],
)
async def test_results_can_be_cut_short(
    messages_api: MessagesApi,
    client: anthropic.AsyncAnthropic,
    fault: Cut | Garbage,
    error: type[Exception] | None,
) -> None:
    """In the middle of a line, by what is no line, or so that only the number of lines tells."""
    batch = await client.messages.batches.create(requests=[one(name) for name in "abcd"])
    messages_api.batches.fail(Endpoint.RESULTS, fault)
    seen: list[str] = []

    async def read() -> None:
        async for line in await client.messages.batches.results(batch.id):
            seen.append(line.custom_id)  # noqa: PERF401 - it raises half-way

    if error is None:
        await read()
    else:
        with pytest.raises(error):
            await read()
    assert len(seen) == 2
    assert len(await results(client, batch.id)) == 4
