"""The recording upstream judges as the API does: what it lets pass may pass, what it refuses is refused."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.loopback.prefix_rule import DROP_BETA
from tests.loopback.recording_upstream import RecordingServer, RecordingUpstream

Body = dict[str, Any]


def conversation(turns: int, upstream: RecordingUpstream) -> Body:
    """A conversation in which the model thought before every reply, ready for its next one."""
    body: Body = {"model": "m", "max_tokens": 9, "thinking": {"type": "adaptive"}, "messages": []}
    for turn in range(turns):
        body["messages"].append({"role": "user", "content": f"question {turn}"})
        status, message = ask(upstream, body)
        assert status == 200, message
        body["messages"].append({"role": "assistant", "content": message["content"]})
    body["messages"].append({"role": "user", "content": "and now?"})
    return body


def ask(upstream: RecordingUpstream, body: Body, beta: str = "") -> tuple[int, Body]:
    return upstream.answer("/v1/messages", {"anthropic-beta": beta}, json.dumps(body).encode())


def without_thinking(body: Body, *indices: int) -> None:
    for index in indices:
        content = body["messages"][index]["content"]
        content[:] = [block for block in content if block["type"] != "thinking"]


def reshaped(body: Body) -> None:
    body["messages"][0]["content"] = [
        {"cache_control": {"type": "ephemeral"}, "text": "question 0", "type": "text"}
    ]


ALLOWED: dict[str, Callable[[Body], None]] = {
    "nothing": lambda _: None,
    "a breakpoint and another shape": reshaped,
    "first thinking left out": lambda body: without_thinking(body, 1),
    "all thinking left out": lambda body: without_thinking(body, 1, 3, 5),
    "last thinking left out": lambda body: without_thinking(body, 5),
}
REFUSED: dict[str, Callable[[Body], None]] = {
    "a text added": lambda body: body["messages"].__setitem__(2, {"role": "user", "content": "other"}),
    "a system text": lambda body: body.update(system="Be brief."),
    "a tool": lambda body: body.update(tools=[{"name": "t"}]),
    "thinking left out in the middle": lambda body: without_thinking(body, 3),
    "messages left out": lambda body: body["messages"].__delitem__(slice(0, 2)),
}


@pytest.mark.parametrize("change", ALLOWED)
def test_what_keeps_the_prefix_passes(change: str) -> None:
    """Breakpoints, the shape of a text and thinking from either end may change."""
    upstream = RecordingUpstream()
    body = conversation(3, upstream)
    ALLOWED[change](body)
    assert ask(upstream, body)[0] == 200


@pytest.mark.parametrize("change", REFUSED)
def test_what_changes_the_prefix_is_refused(change: str) -> None:
    """With the API's own words, and unless the client asked for the blocks to be dropped."""
    upstream = RecordingUpstream()
    body = conversation(3, upstream)
    REFUSED[change](body)
    status, error = ask(upstream, body)
    assert (status, "bound to a different conversation" in error["error"]["message"]) == (400, True)
    body["thinking"]["block_binding"] = {"prefix_mismatch_behavior": "drop_block"}
    assert ask(upstream, body)[0] == 400
    assert ask(upstream, body, beta=DROP_BETA)[0] == 200


def test_the_cache_reads_what_an_earlier_breakpoint_wrote() -> None:
    """A prefix is read if one of the 20 blocks before a breakpoint ended what was written, else not."""
    upstream = RecordingUpstream(minimum=10)
    mark = {"cache_control": {"type": "ephemeral"}}
    block = {"type": "text", "text": "word " * 20}
    body: Body = {"model": "m", "messages": [{"role": "user", "content": [{**block, **mark}]}]}
    first = ask(upstream, body)[1]["usage"]
    assert first["cache_read_input_tokens"] == 0
    assert first["cache_creation_input_tokens"] > 10
    for further, is_read in ((20, True), (21, False)):
        longer = copy.deepcopy(body)
        del longer["messages"][0]["content"][0]["cache_control"]
        blocks = [{**block, "text": f"{block['text']} {further} {n}"} for n in range(further)]
        longer["messages"].append({"role": "user", "content": [block, *blocks[1:-1], {**blocks[-1], **mark}]})
        usage = ask(upstream, longer)[1]["usage"]
        assert (usage["cache_read_input_tokens"] > 0) == is_read
        assert sum(usage.values()) - 20 == upstream.cache.usage(longer)["cache_read_input_tokens"]


def test_the_server_streams_what_the_function_answers() -> None:
    """Over a socket come the same words, as events."""
    import urllib.request  # noqa: PLC0415  the plainest client there is

    with RecordingServer() as server:
        body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
        request = urllib.request.Request(f"{server.url}/v1/messages", json.dumps(body).encode())  # noqa: S310
        with urllib.request.urlopen(request) as response:  # noqa: S310
            text = response.read().decode()
    assert "Reply number 1." in text
    assert text.rstrip().endswith('data: {"type": "message_stop"}')
    assert server.upstream.seen[0].json == body
