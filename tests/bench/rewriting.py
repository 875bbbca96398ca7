"""What rewriting costs a request: `python -m tests.bench.rewriting`, by size of the body.

Wall time and CPU of `ContextRewriter.rewrite` alone, with the decisions known to the process, as on every
request of a conversation but its first: with nothing to insert, with blocks inserted again, and with a cut.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from models.database import Database
from models.migrations import upgrade
from tests.bench.measure import show
from tests.support.chat_client import ChatClient, agent_reply
from tests.support.gateway import NOON, Gateway
from tests.support.proxied_chat import Chat, Worker, breaks, worker

SIZES = {"1 KB": 1_000, "200 KB": 200_000, "800 KB": 800_000}
ROUNDS = 300
_MESSAGE = 4_000
"""Characters of a tool's result, so that 800 KB are some 200 messages."""


def session(size: int) -> ChatClient:
    """A session of an agent, of which the body has so many bytes."""
    client = ChatClient(random.Random(size), marks=3)  # noqa: S311
    client.spacings = [(",", ":")]
    client.says("Do the work.")
    for number in range(size // (_MESSAGE + 500)):
        asks = number % 10 == 9
        client.takes({"content": agent_reply(client.chance, 0 if asks else 1)})
        if asks:
            client.says(f"And now step {number}.")
        else:
            client.messages[-1]["content"][0]["content"] = "x y " * (_MESSAGE // 4)
    client.takes({"content": agent_reply(client.chance, 0)})
    client.says("Go on.")
    return client


async def measure(here: Worker, size: int, change: Callable[[Worker, Chat], None]) -> list[str]:
    """Return median and 99th percentile, CPU of one rewriting, in milliseconds, and the bytes added."""
    chat = Chat(here, client=session(size))
    change(here, chat)
    request = chat.request()
    rewrite = await here.rewriter.rewrite(request)
    await chat.settled()
    times = []
    began = time.process_time()
    for _ in range(ROUNDS):
        start = time.perf_counter()
        again = await here.rewriter.rewrite(request)
        times.append((time.perf_counter() - start) * 1000)
        assert again.body == rewrite.body
    cpu = (time.process_time() - began) / ROUNDS * 1000
    times.sort()
    figures = (times[ROUNDS // 2], times[int(ROUNDS * 0.99)], cpu)
    return [*(f"{figure:.2f}" for figure in figures), f"{len(rewrite.body) - len(request.body):,}"]


def _nothing(_here: Worker, chat: Chat) -> None:
    chat.headers = {"x-arcpoint-context": "off"}


def _inserted(_here: Worker, _chat: Chat) -> None:
    pass


def _cut(here: Worker, chat: Chat) -> None:
    here.rewriter.windows._windows[chat.client.fields["model"]] = len(chat.client.request()) // 6


async def main() -> None:
    """Print a row for each size and kind of change."""
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, size in SIZES.items():
            for change in (_nothing, _inserted, _cut):
                database = Database(f"sqlite:///{Path(folder) / f'{size}-{change.__name__}.db'}")
                await upgrade(database)
                await Gateway(database).deployment("gpt-4/aws", "gpt-4/azure")
                await breaks(database, "gpt-4/aws", NOON)
                async with worker(database) as here:
                    rows.append([name, change.__name__.strip("_"), *await measure(here, size, change)])
                await database.close()
    headings = ("body", "change", "p50 ms", "p99 ms", "CPU ms", "bytes added")
    show("ContextRewriter.rewrite, decisions known", headings, rows)


if __name__ == "__main__":
    asyncio.run(main())
