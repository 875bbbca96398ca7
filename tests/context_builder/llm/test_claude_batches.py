"""Batches by the real SDK: submitted once, followed, read to the last result, or one line that says why."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from context_builder.llm.batch_model import (
    BatchFailure,
    BatchGone,
    BatchState,
    BatchUnavailable,
    BatchUncertain,
)
from context_builder.llm.chat_model import Reply
from context_builder.llm.claude_batches import ClaudeBatches
from context_builder.prompt.prompt import Prompt
from tests.loopback import behaviour
from tests.loopback.batch_behaviour import Canceled, Endpoint, Errored, Expired, Lost
from tests.loopback.behaviour import Cut, Fail, Garbage, Hang
from tests.loopback.calls import PROMPT, ask, closed_port
from tests.loopback.fixtures import MakeBatches, MakeClaude
from tests.loopback.messages_api import API_KEY, MessagesApi
from tests.support.patience import PATIENCE_S

SOON = {"retry-after-ms": "5"}


async def read(batches: ClaudeBatches, api_id: str) -> dict[str, Reply | BatchFailure]:
    """All results by custom id."""
    async with aclosing(batches.results(api_id)) as results:
        return {custom_id: result async for custom_id, result in results}


async def ended(batches: ClaudeBatches, *custom_ids: str) -> str:
    """A submitted batch that has ended."""
    api_id = await batches.submit([(custom_id, PROMPT) for custom_id in custom_ids])
    assert (await batches.status(api_id)).state is BatchState.ENDED
    return api_id


async def test_each_prompt_gets_its_own_outcome(messages_api: MessagesApi, make_batches: MakeBatches) -> None:
    """Replies come with text, usage and model as single calls have them; failures say why in one line."""
    usage = {"input_tokens": 7, "cache_read_input_tokens": 2, "cache_creation_input_tokens": 3}
    messages_api.batches.outcomes(
        behaviour.Reply(text="Ünïcode\u2028 a\x00b\ud83dc", thinking="Hm.", usage=usage),
        behaviour.Reply(text="", stop_reason="refusal"),
        Errored(message="no\nluck", kind="overloaded_error"),
        Canceled(),
        Expired(),
    )
    batches = await make_batches()
    started = datetime.now(UTC)
    found = await read(batches, api_id := await ended(batches, "a", "b", "c", "d", "e", "f"))
    whole, refused = found["a"], found["b"]
    assert isinstance(whole, Reply)
    assert whole.text == "Ünïcode\u2028 a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c"
    assert (whole.model, whole.stop_reason, whole.request_id) == ("claude-sonnet-5-5", "end_turn", api_id)
    assert whole.usage.prompt_tokens == 12
    assert isinstance(refused, Reply)
    assert (refused.text, refused.stop_reason) == ("", "refusal")
    assert found["c"] == BatchFailure("errored", "the API failed on it (overloaded_error): no luck")
    assert [getattr(found[name], "kind", None) for name in "def"] == ["canceled", "expired", None]
    status = await batches.status(api_id)
    assert status.total == 6
    assert abs(status.created_at - started) < timedelta(minutes=1)


async def test_a_batch_asks_as_a_single_call_does(
    messages_api: MessagesApi, make_batches: MakeBatches, make_claude: MakeClaude
) -> None:
    """The same prompt is the same request but for streaming, marks for the cache included."""
    prompt = Prompt("Answer from the facts. " * 200, "Why?", "gpt-4/aws runs on one host. " * 100)
    await ask(await make_claude(cache_minimum=1024), prompt)
    await (await make_batches(cache_minimum=1024)).submit([("a", prompt)])
    single, batch = messages_api.journal.requests
    assert batch.body == {
        "requests": [{"custom_id": "a", "params": {k: v for k, v in single.body.items() if k != "stream"}}]
    }
    assert json.dumps(batch.body).count("ephemeral") == 1
    same = ("authorization", "anthropic-version", "content-type", "user-agent")
    assert {name: single.headers.get(name) for name in same} == {
        name: batch.headers.get(name) for name in same
    }


async def test_sizes_add_up_to_the_request(messages_api: MessagesApi, make_batches: MakeBatches) -> None:
    """What fits by the sizes fits at the API, to the byte; what cannot be sent is refused beforehand."""
    batches = await make_batches()
    prompts = [(f"id{n}", Prompt("rules", 'ü\n"\u2028' * n)) for n in range(1, 4)]
    await batches.submit(prompts)
    (request,) = messages_api.journal.requests
    frame = 256_000_000 - batches.max_bytes
    sent = int(request.headers["content-length"])
    assert sent <= sum(batches.size_of(*item) for item in prompts) + frame <= sent + 1
    with pytest.raises(ValueError, match="surrogates"):
        batches.size_of("a", Prompt("rules", "\ud83d"))


@pytest.mark.long
@pytest.mark.parametrize(
    "fault", [Lost(), Hang(seconds=60), Fail(status=500, headers=SOON), Fail(status=529)]
)
async def test_what_may_have_been_taken_is_never_submitted_again(
    messages_api: MessagesApi, make_batches: MakeBatches, fault: Lost | Hang | Fail
) -> None:
    """Without an answer that tells, one request goes out, and the caller learns that nobody knows."""
    messages_api.batches.fail(Endpoint.CREATE, fault)
    batches = await make_batches(deadline_s=0.5, max_retries=5)
    with pytest.raises(BatchUncertain) as raised:
        await batches.submit([("a", PROMPT)])
    assert len(messages_api.journal.requests) == 1
    assert raised.value.reason.isprintable()
    assert len(messages_api.batches.known) == isinstance(fault, Lost)


async def test_an_answer_that_is_no_batch_leaves_it_open(
    messages_api: MessagesApi, make_batches: MakeBatches
) -> None:
    """A proxy's page with status 200 does not say that the API took nothing."""
    messages_api.batches.fail(Endpoint.CREATE, Fail(status=200, body=b"<html>"))
    with pytest.raises(BatchUncertain, match="did not answer like the Message Batches API"):
        await (await make_batches()).submit([("a", PROMPT)])


@pytest.mark.long
async def test_a_certain_refusal_is_retried_or_reported(
    messages_api: MessagesApi, make_batches: MakeBatches
) -> None:
    """The rate limit is waited for; a wrong key, a redirect, nobody at the address: nothing was taken."""
    batches = await make_batches()
    messages_api.batches.fail(Endpoint.CREATE, Fail(status=429, headers=SOON), Fail(status=429, headers=SOON))
    await batches.submit([("a", PROMPT)])
    assert len(messages_api.batches.known) == 1
    elsewhere = {"location": f"{messages_api.url}/v1/messages/batches"}
    absent = await make_batches(base_url=await closed_port(), max_retries=1)
    messages_api.batches.fail(Endpoint.CREATE, Fail(status=307, headers=elsewhere), Fail(status=413))
    for client, reason in (
        (await make_batches(api_key="sk-ant-wrong"), "the API rejected the key (401)"),
        (batches, "the API's address redirects (307)"),
        (batches, "the batch is too large for the API (413)"),
        (absent, "connection refused; check the network"),
    ):
        with pytest.raises(BatchUnavailable) as raised:
            await client.submit([("a", PROMPT)])
        assert type(raised.value) is BatchUnavailable
        assert reason in raised.value.reason
    assert len(messages_api.batches.known) == 1


@pytest.mark.long
@pytest.mark.parametrize("endpoint", [Endpoint.RETRIEVE, Endpoint.RESULTS])
@pytest.mark.parametrize("fault", [Fail(status=429, headers=SOON), Fail(status=529, headers=SOON), Lost()])
async def test_reading_is_tried_again(
    messages_api: MessagesApi, make_batches: MakeBatches, endpoint: Endpoint, fault: Fail | Lost
) -> None:
    """What changes nothing gets as many chances as configured; the last failure is the reason."""
    batches = await make_batches(max_retries=1)
    api_id = await ended(batches, "a")
    messages_api.batches.fail(endpoint, fault)
    assert set(await read(batches, api_id)) == {"a"}
    messages_api.batches.fail(endpoint, fault, fault)
    with pytest.raises(BatchUnavailable, match=r"429|529|cannot reach"):
        await read(batches, api_id)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Cut(after_pieces=2), "the connection broke during the answer"),
        (Cut(after_pieces=2, clean=True), "ended early: 2 of 4 arrived"),
        (Garbage(body=b'{"custom_id": "a"}\n', after_pieces=2), "unexpected line"),
        (Garbage(body=b"\xff\xfe\n", after_pieces=2), "did not answer like the Message Batches API"),
        (Garbage(body=b"null\n", after_pieces=2), "ended early"),
        (Garbage(body=f'["{API_KEY}"]\n'.encode(), after_pieces=2), "[key]"),
    ],
)
async def test_results_that_are_not_whole_are_never_taken_for_all(
    messages_api: MessagesApi, make_batches: MakeBatches, fault: Cut | Garbage, reason: str
) -> None:
    """What arrived counts, the rest is reported as missing, and the next attempt gives everything."""
    batches = await make_batches()
    api_id = await ended(batches, "a", "b", "c", "d")
    messages_api.batches.fail(Endpoint.RESULTS, fault)
    arrived = []
    with pytest.raises(BatchUnavailable) as raised:
        async for custom_id, _ in batches.results(api_id):
            arrived.append(custom_id)
    assert len(arrived) == 2
    assert reason in raised.value.reason
    assert raised.value.reason.isprintable()
    assert API_KEY not in raised.value.reason
    assert set(await read(batches, api_id)) == {"a", "b", "c", "d"}


async def test_a_batch_in_progress_or_gone_has_no_results(
    messages_api: MessagesApi, make_batches: MakeBatches
) -> None:
    """Not yet, not any more and never are told apart: only the last two are final."""
    messages_api.batches.polls = 1
    batches = await make_batches()
    api_id = await batches.submit([("a", PROMPT)])
    with pytest.raises(BatchUnavailable, match="has not ended yet") as raised:
        await read(batches, api_id)
    assert not isinstance(raised.value, BatchGone)
    assert set(await read(batches, api_id)) == {"a"}
    later = messages_api.batches.clock() + timedelta(days=30)
    messages_api.batches.clock = lambda: later
    with pytest.raises(BatchGone, match=r"no longer keeps the results of batch"):
        await read(batches, api_id)
    messages_api.batches.clock = lambda: later - timedelta(days=30)
    messages_api.batches.fail(Endpoint.RESULTS, Fail(status=404))
    with pytest.raises(BatchUnavailable, match="knows no such batch") as raised:
        await read(batches, api_id)
    assert not isinstance(raised.value, BatchGone), "the batch itself says that it has results"
    for name in ("msgbatch_none", "ü?#"):
        with pytest.raises(BatchGone, match=r"knows no such batch \(404\)"):
            await batches.status(name)
    nowhere = await make_batches(base_url=f"{messages_api.url}/other")
    with pytest.raises(BatchUnavailable, match="check ARCPOINT_ANTHROPIC_BASE_URL") as raised:
        await nowhere.status(api_id)
    assert not isinstance(raised.value, BatchGone), "a wrong address says nothing of the batch"


@pytest.mark.long
async def test_a_slow_reader_is_not_cut_off(messages_api: MessagesApi, make_batches: MakeBatches) -> None:
    """The deadline is for each result's arrival, not for what is done with it."""
    batches = await make_batches(deadline_s=2)
    api_id = await ended(batches, "a", "b")
    async with aclosing(batches.results(api_id)) as results:
        async for _ in results:
            await asyncio.sleep(2.2)


@pytest.mark.long
async def test_many_prompts_do_not_block_the_loop(
    messages_api: MessagesApi, make_batches: MakeBatches, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Putting a batch of several megabytes together leaves the loop free for others."""
    batches = await make_batches(deadline_s=PATIENCE_S)
    prompts = [(f"id{n}", Prompt("rules", "word " * 4_000)) for n in range(500)]
    put_together, threads = batches._body, []

    def recorded(items: Any) -> Any:
        threads.append(threading.get_ident())
        return put_together(items)

    monkeypatch.setattr(batches, "_body", recorded)
    api_id = await batches.submit(prompts)
    assert (await batches.status(api_id)).total == 500
    assert threads
    assert threading.get_ident() not in threads
