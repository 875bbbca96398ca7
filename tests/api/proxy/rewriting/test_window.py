"""A conversation beyond its model's window goes on, cut the same by every worker (C22 to C24, C27)."""

from __future__ import annotations

import json

import pytest

from models.database import Database
from tests.loopback.recording_upstream import RecordingUpstream
from tests.support.gateway import NOON, Gateway
from tests.support.proxied_chat import Chat, Worker, breaks, worker

MODEL = "claude-opus-5-5"
WINDOW = 6_000


def narrow(here: Worker) -> Worker:
    """Let the model's window be a small one, so that a test's conversation outgrows it."""
    here.rewriter.windows._windows[MODEL] = WINDOW
    return here


async def talk(chat: Chat, *turns: int) -> None:
    for turn in turns:
        await chat.asks(f"request {turn} " + "word " * 250, tools=turn % 3)


@pytest.mark.both_databases
async def test_every_worker_makes_the_same_cut(database: Database) -> None:
    """The upstream, which checks every thinking block, sees one conversation whoever serves it."""
    gateway = Gateway(database)
    await gateway.deployment("gpt-4/aws")
    await breaks(database, "gpt-4/aws", NOON)
    async with worker(database) as one, worker(database) as other:
        chat = Chat(narrow(one), RecordingUpstream(window=WINDOW))
        narrow(other)
        for turn in range(24):
            chat.worker = one if turn % 2 else other
            await talk(chat, turn)
        cuts = one.rewriter.counts["cut"] + other.rewriter.counts["cut"]
        rewrites = [
            change for rewrite in chat.rewrites for change in rewrite.changes if change.startswith("cut")
        ]
        assert 2 <= cuts == len(set(rewrites))
        assert [w.rewriter.counts["recovered: prefix mismatch"] for w in (one, other)] == [0, 0]
    last = json.dumps(chat.messages())
    assert "request 0 " in last
    assert "request 23 " in last
    assert "gpt-4/aws is DOWN" in last


async def test_what_was_cut_comes_back_where_it_is_asked_for(database: Database) -> None:
    """The quotation is in the turn that asks, and there it stays, on another worker too."""
    async with worker(database) as one, worker(database) as other:
        chat = Chat(narrow(one), RecordingUpstream(window=WINDOW))
        narrow(other)
        await chat.asks("Begin the work.")
        background = "The invoices migration is what this is about. " * 4  # more than a note quotes
        await chat.asks(f"{background} It runs at 02:30 with a batch size of 500.")
        while not one.rewriter.counts["cut"]:
            await talk(chat, len(chat.client.messages))
        asked = await chat.asks("Which batch size has the invoices migration?")
        assert asked.count("batch size of 500") == 1
        assert chat.rewrites[-1].changes[0].startswith("quoted 1 left-out messages")
        chat.worker = other
        assert (await chat.asks("Thank you.")).count("batch size of 500") == 1
        assert other.rewriter.counts["recovered: prefix mismatch"] == 0


@pytest.mark.parametrize("field", ["context_management", "compaction"])
async def test_who_lets_the_api_edit_is_not_cut(database: Database, field: str) -> None:
    """C24: two hands on one conversation would undo each other."""
    async with worker(database) as here:
        chat = Chat(narrow(here))
        chat.client.fields[field] = {"edits": []}
        await talk(chat, *range(8))
        assert len(chat.messages()) == len(chat.client.messages) - 1
        assert here.rewriter.counts["cut"] == 0
        long = b"prompt is too long: 7000 tokens > 6000 maximum"
        assert await here.rewriter.recover(chat.request(), chat.rewrites[-1], 400, long) is None


async def test_a_client_may_let_the_api_edit(database: Database) -> None:
    """Then one field and its beta are added, the messages stay whole, and the client's own betas are kept."""
    headers = {"x-arcpoint-window": "api", "anthropic-beta": "oauth-2025-04-20,other"}
    async with worker(database) as here:
        chat = Chat(narrow(here), headers=headers)
        await talk(chat, *range(8))
        sent = chat.upstream.seen[-1].json
        (edit,) = sent["context_management"]["edits"]
        assert 0 < edit["clear_at_least"]["value"] < edit["trigger"]["value"] < WINDOW
        assert chat.rewrites[-1].headers == {
            "anthropic-beta": "oauth-2025-04-20,other,context-management-2025-06-27"
        }
        assert len(sent["messages"]) == len(chat.client.messages) - 1
        assert here.rewriter.counts["cut"] == 0


async def test_a_window_that_was_not_known_is_learnt_from_the_refusal(database: Database) -> None:
    """C27: one refusal, one cut before the first byte, and none after that."""
    async with worker(database) as here:
        chat = Chat(here, RecordingUpstream(window=WINDOW))
        chat.client.spacings = [(",", ":")]
        await talk(chat, *range(20))
        refused = [seen for seen in chat.upstream.seen if not seen.usage]
        assert len(refused) == here.rewriter.counts["recovered: prompt too long"] == 1
        assert here.rewriter.counts["cut"] > 1
        assert f"cut {len(chat.client.messages)}" not in str(chat.rewrites[-1].changes)


async def test_what_cannot_be_cut_keeps_its_refusal(database: Database) -> None:
    """C27: a single request beyond the window is the client's to shorten."""
    async with worker(database) as here:
        chat = Chat(here, RecordingUpstream(window=500))
        chat.client.says("word " * 3_000)
        status, error = await chat.sends()
        assert (status, "prompt is too long" in error["error"]["message"]) == (400, True)
        assert len(chat.upstream.seen) == 1
