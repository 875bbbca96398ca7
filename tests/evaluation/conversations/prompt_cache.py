"""What inserting context costs a prompt cache: `python -m tests.evaluation.conversations.prompt_cache`.

The same clients talk to the recording upstream directly and through the rewriter: 50 human turns each, with
tools and thinking, while the gateway breaks and recovers. The cache is the upstream's: breakpoints, a
look-back of 20 blocks, least sizes; nothing expires.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from models.database import Database
from models.migrations import upgrade
from tests.loopback.recording_upstream import Seen
from tests.support.chat_client import MARK, ChatClient
from tests.support.gateway import MINUTE, NOON, Gateway
from tests.support.proxied_chat import ALWAYS, TROUBLE, Chat, breaks, worker

TURNS = 50
DEPLOYMENTS = ("gpt-4/aws", "gpt-4/azure", "claude-3/gcp")
CLIENTS = {"one breakpoint": 1, "two breakpoints": 2, "four breakpoints": 4, "automatic": 0}
NEWS_EVERY = 4
"""Turns after which another deployment breaks or recovers."""


@dataclass(frozen=True)
class CacheUse:
    """What a conversation read of its cache."""

    read: int
    written: int
    uncached: int

    @classmethod
    def of(cls, seen: list[Seen]) -> CacheUse:
        """Add up the usage of every request."""
        usages = [each.usage for each in seen if each.usage]
        names = ("cache_read_input_tokens", "cache_creation_input_tokens", "input_tokens")
        return cls(*(sum(usage[name] for usage in usages) for name in names))

    @property
    def ratio(self) -> float:
        """The share of all input that was read from the cache."""
        return self.read / (self.read + self.written + self.uncached)

    @property
    def price(self) -> float:
        """The input in units of one uncached token: reading costs 0.1, writing 1.25."""
        return 0.1 * self.read + 1.25 * self.written + self.uncached


@dataclass(frozen=True)
class Comparison:
    """One kind of client, directly and through the rewriter."""

    client: str
    direct: CacheUse
    proxied: CacheUse
    blocks: int
    """Blocks of context in the last request."""
    refusals: int
    """Requests that the upstream refused: thinking out of its place."""

    @property
    def kept(self) -> float:
        """The ratio of reads as a share of that of the direct conversation."""
        return self.proxied.ratio / self.direct.ratio


async def compare(
    folder: Path, client: str, seed: int, *, turns: int = TURNS, always: bool = False
) -> Comparison:
    """Let one client talk twice, with the same chance."""
    uses, sent = [], []
    for number, told in enumerate((False, True)):
        database = Database(f"sqlite:///{folder / f'{client}-{always}-{number}.db'}")
        await upgrade(database)
        await Gateway(database).deployment(*DEPLOYMENTS)
        async with worker(database, ALWAYS if always else TROUBLE) as here:
            chat = Chat(
                here, client=_client(client, seed), headers={} if told else {"x-arcpoint-context": "off"}
            )
            await _talk(chat, database, random.Random(seed), turns)  # noqa: S311
        await database.close()
        uses.append(CacheUse.of(chat.upstream.seen))
        sent.append(chat.upstream.seen)
    refusals = sum(not seen.usage for seen in sent[1])
    blocks = sent[1][-1].body.count(b"=== gateway context")
    return Comparison(client, uses[0], uses[1], blocks, refusals)


def _client(kind: str, seed: int) -> ChatClient:
    """A client that writes its requests the same way each time, as real ones do for their cache's sake."""
    client = ChatClient(random.Random(seed), marks=CLIENTS[kind])  # noqa: S311
    client.fields["system"] = [{"type": "text", "text": "You are an agent. " * 400, **MARK}]
    client.marks = min(client.marks, 3)  # one of four is that of the system text
    if kind == "automatic":
        client.fields |= MARK
    return client


async def _talk(chat: Chat, database: Database, chance: random.Random, turns: int) -> None:
    for turn in range(turns):
        if turn % NEWS_EVERY == 0:
            status = "down" if turn // NEWS_EVERY % 2 else "healthy"
            name = DEPLOYMENTS[turn // NEWS_EVERY % len(DEPLOYMENTS)]
            await breaks(database, name, NOON + turn * MINUTE, status)
            chat.worker.states._kept.clear()
        chat.worker.clock.now = NOON + turn * MINUTE
        await chat.asks(
            f"request {turn}: " + "do this and that " * chance.randrange(5, 60), chance.randrange(5)
        )


def show(console: Console, comparisons: list[Comparison]) -> None:
    """Print what was compared."""
    table = Table(title=f"prompt cache over {TURNS} human turns with tools and thinking")
    for heading in ("client", "direct read", "proxied read", "kept", "input cost", "blocks", "refusals"):
        table.add_column(heading, justify="left" if heading == "client" else "right")
    for each in comparisons:
        cost = each.proxied.price / each.direct.price - 1
        table.add_row(
            each.client, f"{each.direct.ratio:.2%}", f"{each.proxied.ratio:.2%}", f"{each.kept:.2%}",
            f"{cost:+.2%}", str(each.blocks), str(each.refusals),
        )  # fmt: skip
    console.print(table)


async def main() -> None:
    """Compare every kind of client, with context in trouble only and always."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--turns", type=int, default=TURNS)
    arguments = parser.parse_args()
    console = Console(width=110)
    with tempfile.TemporaryDirectory() as folder:
        comparisons = [
            await compare(Path(folder), client, arguments.seed, turns=arguments.turns) for client in CLIENTS
        ]
        show(console, comparisons)


if __name__ == "__main__":
    asyncio.run(main())
