"""What outgrows a window is cut rarely, in one step, and stays a valid conversation (C21 to C24)."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context_builder.conversation.cut import (
    KEPT_TURNS,
    LOW_WATER,
    Cut,
    cut_edits,
    latest_cut,
    make_cut,
    without_thinking,
)
from context_builder.conversation.record import rewritten
from context_builder.conversation.turns import Transcript, read_transcript
from context_builder.conversation.window import Windows, raw_overhead, raw_tokens, window_of
from tests.loopback.recording_upstream import RecordingUpstream
from tests.support.chat_client import ChatClient, agent_reply

chances = st.randoms(use_true_random=False)


def transcript_of(client: ChatClient) -> Transcript:
    transcript = read_transcript(client.request())
    assert transcript is not None
    return transcript


def size(transcript: Transcript) -> float:
    return sum(map(raw_tokens, transcript.messages))


def long_session(messages: int, *, calls: int) -> ChatClient:
    """A client with so many messages, in which each request of a person leads to so many calls of tools."""
    client = ChatClient(random.Random(1))  # noqa: S311
    done = 0
    while len(client.messages) < messages:
        if not done:
            client.says(f"request {len(client.messages)}")
        done = done + 1 if done < calls else 0
        client.takes({"content": agent_reply(client.chance, 1 if done else 0)})
    return client


class Keeper:
    """Sends a client's requests, cut to a window, to an upstream that must accept each of them."""

    def __init__(self, client: ChatClient, room: float) -> None:
        self.client = client
        self.room = room
        self.cuts: list[Cut] = []
        self.upstream = RecordingUpstream()

    def sends(self, tools: int) -> bool:
        """Ask once; return whether tools were called."""
        transcript = transcript_of(self.client)
        cut = latest_cut(transcript, self.cuts)
        sent = read_transcript(rewritten(transcript, {}, cut))
        assert sent is not None
        if size(sent) > self.room:
            made = make_cut(transcript, self.room, cut)
            if made is not None:
                self.cuts.append(made)
                cut = made
        body = rewritten(transcript, {}, cut)
        reply = agent_reply(self.client.chance, tools)
        self.upstream.reply = lambda _: reply
        status, answer = self.upstream.answer("/v1/messages", {}, body)
        assert status == 200, answer
        return self.client.takes(answer)

    def asks(self, text: str, rounds: int) -> None:
        """Let a person ask, and the model call tools for so many rounds."""
        self.client.says(text)
        for left in range(rounds, -1, -1):
            self.sends(self.client.chance.randrange(1, 3) if left else 0)


@settings(deadline=None, max_examples=30)
@given(chances)
def test_a_conversation_of_any_length_goes_on(chance: random.Random) -> None:
    """Every request is valid and keeps every later thinking block in its place, cut or not."""
    keeper = Keeper(ChatClient(chance), room=600)
    for turn in range(5):
        keeper.asks(f"request {turn} " + "word " * chance.randrange(60), chance.randrange(4))
    last = json.loads(keeper.upstream.seen[-1].body)["messages"]
    assert "request 0" in str(last[0])
    assert "request 4" in str(last)
    for cut in keeper.cuts:
        assert (cut.start, cut.end > 1) == (1, True)


def test_a_long_agent_session_is_cut_once_and_not_soon_again() -> None:
    """C21, C22: below the room nothing is touched; above it one cut leaves half, and many turns are free."""
    client = long_session(850, calls=4)
    whole = transcript_of(client)
    keeper = Keeper(client, room=1.4 * size(whole))  # a client's spacing makes some difference
    keeper.upstream.thinks = False
    keeper.asks("below the room", 1)
    assert keeper.cuts == []
    keeper.asks("word " * int(0.36 * size(whole)), 0)  # five letters each, three to a token
    assert len(keeper.cuts) == 1
    for turn in range(4):
        keeper.asks(f"late request {turn}", 1)
    assert len(keeper.cuts) == 1
    cut = keeper.cuts[0]
    at_cut = next(seen.body for seen in keeper.upstream.seen if b"were left out" in seen.body)
    sent = read_transcript(at_cut)
    assert sent is not None
    assert size(sent) <= LOW_WATER * keeper.room + 200  # the note is not counted
    assert len(sent.turns) > KEPT_TURNS  # the first request is there as well
    note = json.loads(at_cut)["messages"][0]["content"][-1]["text"]
    assert f"{cut.end - cut.start} messages" in note
    assert "«Bash»" in note


def test_a_loop_without_people_is_cut_inside_but_never_at_a_call_that_waits() -> None:
    """C24: the call whose result has just come stays, however little room there is."""
    keeper = Keeper(long_session(120, calls=10**9), room=1.0)
    assert keeper.sends(1)
    sent = json.loads(keeper.upstream.seen[-1].body)["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "user"]
    assert "request 0" in str(sent[0])


@settings(deadline=None, max_examples=30)
@given(chances)
def test_thinking_goes_without_a_trace_of_commas(chance: random.Random) -> None:
    """Whatever blocks a reply has, without its thinking it is valid JSON with the others as they were."""
    kinds: list[Callable[[], dict[str, Any]]] = [
        lambda: {"type": "thinking", "thinking": "…", "signature": "s"},
        lambda: {"type": "redacted_thinking", "data": "d"},
        lambda: {"type": "text", "text": "said"},
    ]
    client = ChatClient(chance)
    client.says("hi")
    blocks = [chance.choice(kinds)() for _ in range(chance.randrange(1, 7))]
    client.messages.append({"role": "assistant", "content": blocks})
    client.says("go on")
    transcript = transcript_of(client)
    cut = without_thinking(transcript, None)
    after = json.loads(rewritten(transcript, {}, cut))["messages"]
    kept = [block for block in blocks if "thinking" not in block["type"]]
    shown = after[1]["content"]
    if len(kept) == 1 and isinstance(shown, str):
        shown = [{"type": "text", "text": shown}]
    assert shown == (kept or [{"type": "text", "text": "(thinking left out)"}])
    assert bool(cut_edits(transcript, cut)) == (len(kept) < len(blocks))


def test_a_branch_from_before_a_cut_is_whole() -> None:
    """A cut belongs to the conversation in which it was made, and to what goes on from it."""
    client = ChatClient(random.Random(3))  # noqa: S311
    keeper = Keeper(client, room=10**9)
    for turn in range(6):
        keeper.asks(f"request {turn}", 1)
    client.says("the last")
    transcript = transcript_of(client)
    cut = make_cut(transcript, 200.0)
    assert cut is not None
    assert latest_cut(transcript, [cut]) == cut
    branch = client.fork(cut.through)
    branch.says("another")
    assert latest_cut(transcript_of(branch), [cut]) is None


def test_room_goes_by_model_and_by_what_may_be_answered() -> None:
    """C23: a million tokens where the model has them, else 180,000; less what it may answer."""
    assert (window_of("claude-opus-4-6-20260101"), window_of("claude-sonnet-4-5"), window_of("gpt-9")) == (
        1_000_000,
        200_000,
        200_000,
    )
    windows, client = Windows(), ChatClient(random.Random(4), model="claude-haiku-4-5")  # noqa: S311
    client.says("hi")
    assert windows.room(transcript_of(client).conversation) == 180_000
    client.fields["max_tokens"] = 64_000
    assert windows.room(transcript_of(client).conversation) == 136_000
    windows.refused("claude-haiku-4-5", 100_000, 150_000, 100_000)
    assert windows.room(transcript_of(client).conversation) == 36_000
    assert windows.ratio("claude-haiku-4-5") == 1.5


def test_an_image_counts_as_one_whatever_its_bytes() -> None:
    """Base64 is not read by the model; a picture in a tool's result is one too."""
    big = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 900_000}}
    for content in ([big], [{"type": "tool_result", "tool_use_id": "t", "content": [big]}]):
        body = json.dumps({"messages": [{"role": "user", "content": content}]}).encode()
        transcript = read_transcript(body)
        assert transcript is not None
        assert 1_600 < size(transcript) + raw_overhead(transcript.conversation) < 1_800


@pytest.mark.parametrize("billed", [0, 500, 10**9])
def test_one_strange_bill_does_not_upset_estimates(billed: int) -> None:
    """What is billed corrects an estimate within limits, and nothing bills nothing."""
    windows = Windows()
    windows.billed("m", 1_000, billed)
    assert 0.5 <= windows.ratio("m") <= 2


def test_thinking_from_after_a_cut_stays() -> None:
    """It is bound to what was sent, and a call that waits must not be without it."""
    client = ChatClient(random.Random(6))  # noqa: S311
    keeper = Keeper(client, room=10**9)
    for turn in range(5):
        keeper.asks(f"request {turn}", 1)
    client.spacings = [(",", ":")]
    keeper.room = size(transcript_of(client))
    client.says("the last")
    keeper.sends(1)
    keeper.sends(0)
    after = [m["content"][0]["type"] for m in json.loads(keeper.upstream.seen[-1].body)["messages"]][-2:]
    assert (len(keeper.cuts), after) == (1, ["thinking", "tool_result"])


def test_a_cut_of_any_length_leaves_every_call_its_result() -> None:
    """Wherever the room ends, what is kept is a conversation that the API accepts."""
    client = long_session(60, calls=5)
    client.says("Go on.")
    transcript = transcript_of(client)
    upstream = RecordingUpstream()
    ends = set()
    for room in range(100, int(3 * size(transcript)), 60):
        cut = make_cut(transcript, float(room))
        if cut is not None:
            ends.add(cut.end)
            assert upstream.answer("/v1/messages", {}, rewritten(transcript, {}, cut))[0] == 200
    assert len(ends) > 20
