"""What was inserted into a conversation is inserted again, and nothing else changes (C1, C2, C12 to C14)."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context_builder.conversation.record import TurnRecord, rewritten
from context_builder.conversation.turns import Transcript, read_transcript
from tests.loopback.recording_upstream import RecordingUpstream
from tests.support.chat_client import ChatClient, agent_reply

NOW = datetime(2026, 1, 1, tzinfo=UTC)
chances = st.randoms(use_true_random=False)


class Records(dict[str, TurnRecord]):
    """What a proxy would keep: a decision for each human turn that a request has ended with."""

    def apply(self, body: bytes, chance: random.Random) -> bytes:
        transcript = read_transcript(body)
        assert transcript is not None
        if transcript.newest is not None:
            prefix = transcript.digests[transcript.newest]
            text = f'news of turn {len(self)} «]}}"»' if chance.random() < 0.6 else None
            self.setdefault(prefix, TurnRecord(prefix, NOW, "c", text))
        return rewritten(transcript, self.of(transcript), None)

    def of(self, transcript: Transcript) -> dict[int, TurnRecord]:
        digests = transcript.digests
        return {turn: self[digests[turn]] for turn in transcript.turns if digests[turn] in self}


def exchange(
    client: ChatClient, records: Records, upstream: RecordingUpstream, chance: random.Random
) -> list[tuple[bytes, bytes]]:
    """Ask until the model calls no more tools; return the bodies before and after rewriting."""
    bodies = []
    tools = chance.randrange(4)
    while True:
        body = client.request()
        sent = records.apply(body, chance)
        calls = agent_reply(chance, tools and chance.randrange(1, 3))
        upstream.reply = lambda _, calls=calls: calls  # type: ignore[misc]
        status, reply = upstream.answer("/v1/messages", {}, sent)
        assert status == 200, reply
        bodies.append((body, sent))
        tools = max(0, tools - 1)
        if not client.takes(reply):
            return bodies


@settings(deadline=None, max_examples=50)
@given(chances)
def test_the_upstream_sees_one_conversation_that_only_grows(chance: random.Random) -> None:
    """However clients reshape, branch, rewind and retry, no thinking block is ever out of its place."""
    upstream, records, clients = RecordingUpstream(), Records(), [ChatClient(chance)]
    for turn in range(6):
        client = chance.choice(clients)
        if chance.random() < 0.2 and client.messages:
            human = [
                i
                for i, m in enumerate(client.messages)
                if "tool_result" not in str(m) and m["role"] == "user"
            ]
            client = client.fork(chance.choice(human))
            clients.append(client)
        client.says(f"request {chance.randrange(3)} of turn {turn}")
        if chance.random() < 0.2:
            assert records.apply(client.request(), chance)  # an attempt of which no answer arrived
        exchange(client, records, upstream, chance)


@settings(deadline=None, max_examples=50)
@given(chances)
def test_nothing_changes_but_what_is_inserted(chance: random.Random) -> None:
    """The bytes of the client are all there in their order; decoded, only blocks of text were added."""
    client, records, upstream = ChatClient(chance), Records(), RecordingUpstream()
    for turn in range(3):
        client.says(f"request {turn}")
        for before, after in exchange(client, records, upstream, chance):
            assert _is_subsequence(before, after)
            added = _without_inserted(json.loads(before), json.loads(after))
            assert all(set(block) == {"type", "text"} for block in added)
            assert after.count(b"cache_control") == before.count(b"cache_control")
            assert added or after == before


def _is_subsequence(before: bytes, after: bytes) -> bool:
    rest = iter(after)
    return all(byte in rest for byte in before)


def _without_inserted(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the blocks that only the later body has; the rest must be equal."""
    added = []
    assert {**before, "messages": 0} == {**after, "messages": 0}
    for old, new in zip(before["messages"], after["messages"], strict=True):
        blocks = old["content"]
        if old != new and isinstance(blocks, str):
            blocks = [{"type": "text", "text": blocks}]
        if old != new:
            added += new["content"][len(blocks) :]
            assert new == {**old, "content": [*blocks, *added[-1:]]}
    return added


@settings(deadline=None, max_examples=50)
@given(chances)
def test_a_turn_is_found_in_any_shape_and_only_itself(chance: random.Random) -> None:
    """Two requests have the same digests exactly where they say the same, thinking and breakpoints aside."""
    client, records = ChatClient(chance), Records()
    client.says("first")
    exchange(client, records, RecordingUpstream(), chance)
    client.says("second")
    one = read_transcript(client.request())
    client.marks = chance.randrange(4)
    other = read_transcript(client.request())
    assert one is not None
    assert other is not None
    assert one.digests == other.digests
    changed = client.fork(len(client.messages))
    place = chance.randrange(len(client.messages))
    changed.messages[place]["content"].append({"type": "text", "text": "more"})
    third = read_transcript(changed.request())
    assert third is not None
    equal = [a == b for a, b in zip(one.digests, third.digests, strict=True)]
    assert equal == [index < place for index in range(len(equal))]


TOO_DEEP = b'{"a":' * 300 + b"1" + b"}" * 300
UNREADABLE = {
    "no JSON": b"{",
    "a list": b"[]",
    "no messages": b'{"model":"m"}',
    "messages of another kind": b'{"messages":{"0":{}}}',
    "a message that is no object": b'{"messages":[1]}',
    "content of another kind": b'{"messages":[{"role":"user","content":5}]}',
    "a block that is no object": b'{"messages":[{"role":"user","content":["a"]}]}',
    "no content": b'{"messages":[{"role":"user"}]}',
    "no message": b'{"messages":[]}',
    "half a surrogate": b'{"messages":[{"role":"user","content":"\\ud83d"}]}',
    "not UTF-8": b'{"messages":[{"role":"user","content":"\xff"}]}',
    "nested a hundred thousand deep": b'{"messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "nested too deeply to be put in order": b'{"messages":[{"role":"user","content":[' + TOO_DEEP + b"]}]}",
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_what_cannot_be_read_is_left_alone(what: str) -> None:
    """A body that is no conversation as we know it is not changed, and raises nothing."""
    assert read_transcript(UNREADABLE[what]) is None


def test_of_two_lists_of_messages_the_later_counts() -> None:
    """As in every JSON reader; what is inserted goes where the API will read it."""
    body = b'{"messages":[{"role":"user","content":"old"}], "messages":[{"role":"user","content":"new"}]}'
    transcript = read_transcript(body)
    assert transcript is not None
    sent = rewritten(transcript, {0: TurnRecord("p", NOW, "c", "added")}, None)
    assert sent == body.replace(b'"new"', b'[{"type":"text","text":"new"},{"type":"text","text":"added"}]')


CLOSED: dict[str, list[dict[str, Any]]] = {
    "a tool's result": [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "n", "input": {}}]},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "t"}, {"type": "text", "text": "b"}],
        },
    ],
    "text in a message behind a result": [
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]},
        {"role": "user", "content": "b"},
    ],
    "a server's tool that has not answered": [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": [{"type": "server_tool_use", "id": "s", "name": "n", "input": {}}]},
        {"role": "user", "content": "b"},
    ],
    "a system message": [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}],
    "a prefill": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
    "nothing": [{"role": "user", "content": []}],
}


@pytest.mark.parametrize("what", CLOSED)
def test_text_goes_nowhere_but_behind_a_person(what: str) -> None:
    """C18 and C19: no text may follow what these requests end with."""
    transcript = read_transcript(json.dumps({"messages": CLOSED[what]}).encode())
    assert transcript is not None
    assert transcript.newest is None


def test_a_client_may_leave_out_its_thinking() -> None:
    """Clients drop thinking from their history; what was inserted behind it is found all the same."""
    client = ChatClient(random.Random(8))  # noqa: S311
    client.says("one")
    client.takes(
        {"content": [{"type": "thinking", "thinking": "…", "signature": "s"}, *agent_reply(client.chance, 0)]}
    )
    client.says("two")
    whole = read_transcript(client.request())
    del client.messages[1]["content"][0]
    bare = read_transcript(client.request())
    assert whole is not None
    assert bare is not None
    assert whole.digests == bare.digests
