"""Writers of the audit trail in a process of their own."""

from __future__ import annotations

import asyncio
from multiprocessing.process import BaseProcess

from models.audit_chain import Act, Actor, AuditRecord
from models.database import Database
from tests.support.forked import forked


async def write_at_once(url: str, name: str, transactions: int) -> None:
    """Commit transactions of one to three entries each, all at once."""
    database = Database(url)
    act = Act(lambda: Actor(name))

    async def write(number: int) -> None:
        async with database.write() as session:
            for _ in range(1 + number % 3):
                session.audited.append(AuditRecord(action="question", subject=f"{name}-{number}", act=act))

    await asyncio.gather(*(write(number) for number in range(transactions)))
    await database.close()


def started(url: str, name: str, transactions: int) -> BaseProcess:
    """Start a process that writes."""
    return forked(_run, url, name, transactions)


def _run(url: str, name: str, transactions: int) -> None:
    asyncio.run(write_at_once(url, name, transactions))
