"""The loopback API is as strict as the real one; otherwise a test under it would prove nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import anthropic
import httpx
import pytest

from tests.loopback.behaviour import Reply
from tests.loopback.messages_api import API_KEY, MessagesApi
from tests.loopback.wire import Message, PromptCache, tokens

BODY: dict[str, Any] = {
    "model": "claude-haiku-5-5",
    "max_tokens": 100,
    "messages": [
        {"role": "user", "content": "[H0] all\n[H1] 17 errors\nno fact\n[I12] inc_7 is open\n[0] none"}
    ],
}
HEADERS = {"x-api-key": API_KEY, "anthropic-version": "2026-10-21"}
MARKED = [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]


async def post(
    api: MessagesApi, body: Any, headers: dict[str, str] = HEADERS, path: str = ""
) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.post(f"{api.url}/v1/messages{path}", json=body, headers=headers)


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"temperature": 0}, 400, "temperature: this parameter is not accepted"),
        ({"top_p": 1}, 400, "top_p: "),
        ({"top_k": 1}, 400, "top_k: "),
        ({"sytem": "x"}, 400, "sytem: Extra inputs are not permitted"),
        ({"max_tokens": 0}, 400, "max_tokens: "),
        ({"max_tokens": True}, 400, "max_tokens: "),
        ({"messages": []}, 400, "messages: at least one"),
        ({"messages": [{"role": "system", "content": "x"}]}, 400, "messages.0.role"),
        ({"messages": [{"role": "user", "content": " "}]}, 400, "messages.0: text content must be non-empty"),
        ({"messages": [*BODY["messages"], {"role": "assistant", "content": "So"}]}, 400, "prefill"),
        ({"system": [{"type": "text", "text": ""}]}, 400, "system: "),
        ({"system": [{"type": "text", "text": "x", "cache_control": {}}] * 5}, 400, "A maximum of 4 blocks"),
        ({"messages": [{"role": "user", "content": MARKED * 5}]}, 400, "A maximum of 4 blocks"),
        (
            {"messages": [{"role": "user", "content": [*MARKED, {"type": "text", "text": ""}]}]},
            400,
            "non-empty",
        ),
        ({"model": "claude-unheard-of"}, 404, "model: claude-unheard-of"),
    ],
)
async def test_bad_requests_are_refused(
    messages_api: MessagesApi, change: dict[str, Any], status: int, message: str
) -> None:
    """What the API refuses, it refuses, in the same JSON form."""
    response = await post(messages_api, BODY | change)
    assert response.status_code == status
    error = response.json()
    assert error["type"] == "error"
    assert error["error"]["type"] == {400: "invalid_request_error", 404: "not_found_error"}[status]
    assert message in error["error"]["message"]
    assert error["request_id"] == response.headers["request-id"]


@pytest.mark.parametrize("field", ["model", "max_tokens", "messages"])
async def test_required_fields_are_required(messages_api: MessagesApi, field: str) -> None:
    """A request that lacks a field is told which."""
    response = await post(messages_api, {name: BODY[name] for name in BODY if name != field})
    assert response.json()["error"]["message"] == f"{field}: Field required"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"anthropic-version": "2026-10-21"}, 401),
        (HEADERS | {"x-api-key": "sk-ant-other"}, 401),
        ({"x-api-key": API_KEY}, 400),
        ({"authorization": f"Bearer {API_KEY}", "anthropic-version": "2026-10-21"}, 200),
    ],
)
async def test_a_key_and_a_version_are_required(
    messages_api: MessagesApi, headers: dict[str, str], status: int
) -> None:
    """A call without the right key or without a version gets no answer; both forms of the key do."""
    assert (await post(messages_api, BODY, headers)).status_code == status


async def test_without_streaming_the_message_is_whole(messages_api: MessagesApi) -> None:
    """One JSON message cites the first facts; a line that is no fact, or a summary line, is not cited."""
    async with anthropic.AsyncAnthropic(api_key=API_KEY, base_url=messages_api.url) as client:
        message = await client.messages.create(**BODY)
        counted = await client.messages.count_tokens(model=BODY["model"], messages=BODY["messages"])
    (block,) = message.content
    assert block.type == "text"
    assert block.text == "- 17 errors [H1]\n- inc_7 is open [I12]"
    assert message.stop_reason == "end_turn"
    assert message.usage.input_tokens == counted.input_tokens


async def test_the_sdk_reads_the_stream_as_the_same_message(messages_api: MessagesApi) -> None:
    """The SDK's own reader puts the events together to what was scripted, thinking included."""
    messages_api.script(Reply(text="Well: 17.", thinking="Hm.", stop_reason="stop_sequence"))
    async with (
        anthropic.AsyncAnthropic(api_key=API_KEY, base_url=messages_api.url) as client,
        client.messages.stream(**BODY) as stream,
    ):
        message = await stream.get_final_message()
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert message.stop_reason == "stop_sequence"
    assert message.usage.output_tokens == tokens("Hm.") + tokens("Well: 17.")


def test_a_long_reply_stops_at_max_tokens() -> None:
    """The output never costs more than was asked for, and says that it was cut."""
    message = Message.of("msg_1", Reply(text="word " * 500), BODY, PromptCache())
    assert message.stop_reason == "max_tokens"
    assert message.usage["output_tokens"] == BODY["max_tokens"]
    assert tokens(message.text) <= BODY["max_tokens"]


@pytest.mark.process
async def test_it_runs_as_a_process_of_its_own(repository: Path) -> None:
    """A test of the installed command line can start it and see what was asked."""
    process = subprocess.Popen(  # noqa: ASYNC220 - starting is quick, and nothing else runs in this loop
        [sys.executable, "-m", "tests.loopback.messages_api", "--port", "0", "--key", "k"],
        cwd=repository / "tests",
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        async with httpx.AsyncClient(trust_env=False, base_url=url) as client:
            response = await client.post("/v1/messages", json=BODY, headers=HEADERS | {"x-api-key": "k"})
            journal = (await client.get("/journal")).json()
    finally:
        process.terminate()
        process.communicate()
    assert response.status_code == 200
    assert journal["requests"] == [{"path": "/v1/messages", "body": BODY}]
