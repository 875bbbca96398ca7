"""One streamed call per prompt, by the real SDK, to the configured address and nowhere else."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span

from context_builder.llm.chat_model import ModelUnavailable
from context_builder.llm.claude import Claude
from context_builder.llm.claude_options import API_URL, ClaudeOptions
from context_builder.llm.pricing import PriceList
from context_builder.llm.usage import Usage
from context_builder.prompt.prompt import Prompt
from tests.loopback import behaviour
from tests.loopback.calls import PROMPT, ask, closed_port
from tests.loopback.fixtures import MakeClaude
from tests.loopback.messages_api import API_KEY, MessagesApi


async def test_a_reply_arrives_in_pieces_and_ends_in_one_reply(
    messages_api: MessagesApi, make_claude: MakeClaude
) -> None:
    """The pieces put together are the reply's text, and the usage is the API's own."""
    usage = {
        "input_tokens": 7,
        "output_tokens": 9,
        "cache_read_input_tokens": 2,
        "cache_creation_input_tokens": 3,
    }
    messages_api.script(behaviour.Reply(text="Ünïcode 🎉\nand more [H1]", piece_length=3, usage=usage))
    pieces, reply = await ask(await make_claude())
    assert len(pieces) > 3
    assert "".join(pieces) == reply.text == "Ünïcode 🎉\nand more [H1]"
    assert reply.stop_reason == "end_turn"
    assert reply.model == "claude-sonnet-5-5"
    assert reply.usage == Usage(7, 9, cache_read_tokens=2, cache_write_tokens=3)
    assert reply.request_id is not None
    assert reply.request_id.startswith("req_")
    assert reply.first_token_ms is not None
    assert 0 <= reply.first_token_ms <= reply.latency_ms


async def test_one_request_with_neither_tools_nor_sampling(
    messages_api: MessagesApi, make_claude: MakeClaude
) -> None:
    """A question is one streamed request: rules, one user message, nothing else."""
    await ask(await make_claude())
    (request,) = messages_api.journal.requests
    assert request.path == "/v1/messages"
    assert request.body == {
        "model": "claude-sonnet-5-5",
        "max_tokens": 500,
        "system": [{"type": "text", "text": PROMPT.system}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": PROMPT.user}]}],
        "stream": True,
    }


OPTIONS = ClaudeOptions(api_key="k", model="m", max_output_tokens=1, deadline_s=1)
RULES = "Answer from the facts. " * 200
STABLE = "gpt-4/aws runs on one host. " * 100


async def test_a_cached_prefix_is_reported_as_such(make_claude: MakeClaude) -> None:
    """Tokens written to and read from the cache are distinguished from other input and priced as such."""
    claude, prices = await make_claude(cache_minimum=1024), await asyncio.to_thread(PriceList.load)
    _, first = await ask(claude, Prompt(RULES, "Why?", STABLE))
    _, second = await ask(claude, Prompt(RULES, "What else?", STABLE))
    assert first.usage.cache_write_tokens == second.usage.cache_read_tokens > 1024
    assert first.usage.cache_read_tokens == second.usage.cache_write_tokens == 0
    full = Usage(first.usage.prompt_tokens, first.usage.output_tokens)
    dear, plain, cheap = (prices.cost(first.model, usage) for usage in (first.usage, full, second.usage))
    assert dear > plain > 2 * cheap


@pytest.mark.parametrize(
    ("stable", "minimum", "marked"),
    [(STABLE, 1024, "stable"), (STABLE, 4096, None), ("", 512, "system"), ("", 1024, None)],
)
async def test_one_breakpoint_ends_a_prefix_that_is_long_enough(
    messages_api: MessagesApi, make_claude: MakeClaude, stable: str, minimum: int, marked: str | None
) -> None:
    """Stable texts come first, one block each; the last one is marked if it can be cached."""
    await ask(await make_claude(cache_minimum=minimum), Prompt(RULES, "Why?", stable))
    (request,) = messages_api.messages
    (message,) = request.body["messages"]
    blocks = [*request.body["system"], *message["content"]]
    assert [block["text"] for block in blocks] == [text for text in (RULES, stable, "Why?") if text]
    ends = {RULES: "system", stable: "stable"}
    assert [ends[block["text"]] for block in blocks if "cache_control" in block] == (
        [marked] if marked else []
    )
    assert all(block.get("cache_control", {"type": "ephemeral"}) == {"type": "ephemeral"} for block in blocks)


async def test_thinking_is_not_part_of_the_text(messages_api: MessagesApi, make_claude: MakeClaude) -> None:
    """Only text blocks are the answer."""
    messages_api.script(behaviour.Reply(thinking="Let me see. " * 9, text="It is gpt-4/aws [H1]."))
    pieces, reply = await ask(await make_claude())
    assert "".join(pieces) == reply.text == "It is gpt-4/aws [H1]."


@pytest.mark.parametrize("stop_reason", ["refusal", "max_tokens", "model_context_window_exceeded", "new_one"])
async def test_a_stop_reason_comes_back_as_it_is(
    messages_api: MessagesApi, make_claude: MakeClaude, stop_reason: str
) -> None:
    """An incomplete answer is recognizable; one without any text is still a reply."""
    messages_api.script(behaviour.Reply(text="", stop_reason=stop_reason))
    pieces, reply = await ask(await make_claude())
    assert (pieces, reply.text, reply.first_token_ms) == ([], "", None)
    assert reply.stop_reason == stop_reason


async def test_text_that_no_database_takes_is_replaced(
    messages_api: MessagesApi, make_claude: MakeClaude
) -> None:
    """A paid answer can be stored, whichever characters the API sends."""
    messages_api.script(behaviour.Reply(text="a\x00b\ud83dc"))
    _, reply = await ask(await make_claude())
    assert reply.text == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c"


@pytest.mark.long
async def test_fifty_questions_at_once_keep_their_own_answers(
    messages_api: MessagesApi, make_claude: MakeClaude
) -> None:
    """Calls that share a client never mix, and none waits for another's stream."""
    count = 50
    messages_api.always(
        behaviour.Reply(
            text=lambda body: body["messages"][0]["content"][0]["text"], piece_length=9, delay_s=0.3
        )
    )
    claude = await make_claude()
    prompts = [Prompt(system="rules", user=f"Question number {number} of many.") for number in range(count)]
    answers = await asyncio.gather(*(ask(claude, prompt) for prompt in prompts))
    assert [reply.text for _, reply in answers] == [prompt.user for prompt in prompts]
    assert messages_api.journal.most_open_streams > 10
    assert len(messages_api.messages) == count


@pytest.mark.long
async def test_a_slow_caller_is_never_cancelled_by_the_deadline(
    messages_api: MessagesApi, make_claude: MakeClaude
) -> None:
    """The deadline ends the call, not the work of the caller on a piece of it."""
    messages_api.script(behaviour.Reply(text="x" * 100, piece_length=10, delay_s=0.05))
    done = 0
    with pytest.raises(ModelUnavailable, match=r"1 s"):
        async for _ in (await make_claude(deadline_s=1)).stream(PROMPT):
            await asyncio.sleep(1.2)
            done += 1
    assert done >= 1


@pytest.mark.parametrize("cancel", [True, False])
async def test_leaving_closes_the_connection_at_once(
    messages_api: MessagesApi, make_claude: MakeClaude, cancel: bool
) -> None:
    """A caller that is cancelled or leaves early also stops the stream at the server."""
    messages_api.script(behaviour.Hang(seconds=60, after_pieces=1))
    claude, began = await make_claude(), asyncio.Event()

    async def read() -> None:
        async with aclosing(claude.stream(PROMPT)) as stream:
            async for _ in stream:
                began.set()
                if not cancel:
                    break

    reading = asyncio.create_task(read())
    await began.wait()
    if cancel:
        reading.cancel()
    await asyncio.wait([reading])
    assert reading.cancelled() is cancel
    await messages_api.until(lambda journal: journal.disconnects == 1 and journal.open_streams == 0)


async def test_cancelling_before_the_headers_closes_the_connection(
    messages_api: MessagesApi, make_claude: MakeClaude
) -> None:
    """A call that waits for its first byte can be cancelled like any other."""
    messages_api.script(behaviour.Hang(seconds=60))
    asking = asyncio.create_task(ask(await make_claude()))
    await messages_api.until(lambda journal: len(journal.requests) == 1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await messages_api.until(lambda journal: journal.disconnects == 1)


async def test_nothing_is_taken_from_the_environment(
    messages_api: MessagesApi, make_claude: MakeClaude, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Keys, addresses, headers, proxies, profiles and traces meant for other programs change nothing."""
    _, expected = await ask(await make_claude())
    (tmp_path / "configs").mkdir()
    profile = {"base_url": "http://127.0.0.1:9", "authentication": {"type": "user_oauth"}}
    (tmp_path / "configs" / "default.json").write_text(json.dumps(profile))
    elsewhere = await closed_port()
    foreign = {
        "ANTHROPIC_API_KEY": "sk-ant-foreign",
        "ANTHROPIC_AUTH_TOKEN": "foreign-token",
        "ANTHROPIC_BASE_URL": elsewhere,
        "ANTHROPIC_CUSTOM_HEADERS": "Authorization: foreign\nX-Foreign: 1\nX-Stainless-Raw-Response: raw",
        "ANTHROPIC_PROFILE": "default",
        "ANTHROPIC_CONFIG_DIR": str(tmp_path),
        "ANTHROPIC_OPEN_TELEMETRY_TRACES_CONTENT_MODE": "content",
        "HTTP_PROXY": elsewhere,
        "http_proxy": elsewhere,
        "ALL_PROXY": elsewhere,
        "SSL_CERT_FILE": str(tmp_path / "none.pem"),
    }
    for name, value in foreign.items():
        monkeypatch.setenv(name, value)
    span = NonRecordingSpan(SpanContext(1, 1, is_remote=True, trace_flags=TraceFlags(1)))
    with use_span(span):
        _, reply = await ask(await make_claude())
    assert reply.text == expected.text
    before, after = messages_api.messages
    assert before.headers == after.headers
    assert after.headers["authorization"] == f"Bearer {API_KEY}"
    assert "foreign" not in str(after).lower()


async def test_the_default_address_is_the_public_api(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a configured address a call goes to the public API, whatever the environment names."""
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    claude = await asyncio.to_thread(Claude, OPTIONS)
    assert str(claude._connection.client.base_url).rstrip("/") == API_URL
    await claude.close()


@pytest.mark.parametrize("key", ["", " ", "a b", "key\n", "schlüssel", "key\x00"])
async def test_no_request_goes_out_without_a_usable_key(
    messages_api: MessagesApi, make_claude: MakeClaude, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    """A key that is missing or cannot be sent is refused before any request, without showing it."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", API_KEY)
    with pytest.raises(ValueError, match="the API key is empty, or holds") as raised:
        await make_claude(api_key=key)
    assert not key.strip() or key not in str(raised.value)
    assert messages_api.journal.requests == []


@pytest.mark.parametrize(
    "url",
    ["localhost:80", "ftp://host", "http://", "http://h:x", "http://u:secret@h", "http://\x00"],
)
def test_an_address_that_cannot_be_called_is_refused(url: str) -> None:
    """A wrong address is one line at start, and never shows a password in it."""
    with pytest.raises(ValueError, match="must be like https://") as raised:
        Claude(replace(OPTIONS, base_url=url))
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)
