"""A process that changes memory and kills itself at a step: its arguments are URL FOLDER CHANGE STEP.

STEP is `before:NAME` or `after:NAME`, NAME one of STEPS; `none` lets it end by itself.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from memory.embedding.hashing import HashingEmbedder
from memory.entries.entries import Entries
from memory.entries.outbox import Outbox
from memory.incident_memory import IncidentMemory
from memory.index.chroma import ChromaIndex
from memory.maintenance import collection, index_maintenance
from models.database import Database

STEPS: dict[str, tuple[Any, str]] = {
    "store entries": (Entries, "_store"),
    "acknowledge": (Outbox, "acknowledge"),
    "write rows": (ChromaIndex, "upsert"),
    "remove rows": (ChromaIndex, "delete"),
    "verify": (collection, "_verify"),
    "flip": (index_maintenance, "activate"),
    "erase": (index_maintenance, "erase"),
    "drop": (ChromaIndex, "drop"),
}


def kill_at(step: str) -> None:
    """Make the process kill itself the first time it comes to a step."""
    when, _, name = step.partition(":")
    owner, attribute = STEPS[name]
    original = getattr(owner, attribute)

    async def killed(*arguments: Any, **options: Any) -> Any:
        if when == "after":
            await original(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, attribute, killed)


async def change(url: str, folder: Path, what: str) -> None:
    database = Database(url)
    memory = IncidentMemory(database, HashingEmbedder(), ChromaIndex(folder), deadline_s=20)
    if what == "process_outbox":
        memory.maintenance._compared = (await memory.status()).collection  # as after an earlier turn
        await memory.maintenance.process_outbox()
    elif what == "forget":
        await memory.maintenance.forget(["inc_1"], at=datetime.now(UTC))
    else:
        await getattr(memory.maintenance, what)()
    await memory.close()
    await database.close()


def main() -> None:
    """Do what the arguments say."""
    url, folder, what, step = sys.argv[1:]
    if step != "none":
        kill_at(step)
    asyncio.run(change(url, Path(folder), what))
