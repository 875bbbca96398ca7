"""`python -m tests.evaluation.real_log FILE`: what prompts tell of each day of a real request log.

Nobody knows what was true of such a log; what is told every day of a gateway is cried too often.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import func, select

from api.ingest import RequestRecord, ingest_file, load_mapping
from context_builder.builder import ContextBuilder
from context_builder.question.request import QuestionInput
from context_builder.sources import discover
from models import Request
from models.database import Database
from models.migrations import upgrade
from tests.evaluation.runner import quiet
from tests.evaluation.worlds.told import ToldChange, told_changes
from tests.support.no_memory import NO_MEMORY

QUESTION = "What changed in the last 24 hours?"
_DAYS_BEFORE = 8
"""Of history, before the first day that is asked about."""


async def findings_by_day(file: Path, mapping: Path, folder: Path) -> dict[datetime, list[ToldChange]]:
    """Load a log and ask for each of its days, at its end, what changed."""
    database = Database(f"sqlite:///{folder / 'log.db'}", connections=16)
    await upgrade(database)
    await ingest_file(database, file, load_mapping(RequestRecord, mapping))
    async with database.write() as session:
        found = await session.execute(select(func.min(Request.created_at), func.max(Request.created_at)))
        first, last = found.one()
    end = first.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=_DAYS_BEFORE)
    told: dict[datetime, list[ToldChange]] = {}
    while end <= last:
        told[end] = await _told(database, end)
        end += timedelta(days=1)
    await database.close()
    return told


async def _told(database: Database, at: datetime) -> list[ToldChange]:
    builder = ContextBuilder(database, NO_MEMORY, discover(), default_budget=4_000, clock=lambda: at)
    built = await builder.build(QuestionInput(question=QUESTION))
    return told_changes(built.manifest, {})


def main() -> int:
    """Print what is told of each day, and how much that is."""
    parser = argparse.ArgumentParser(prog="real_log", description=__doc__)
    parser.add_argument("file", type=Path, help="a request log")
    parser.add_argument("--mapping", type=Path, default=Path("docs/examples/gateway_trace.toml"))
    arguments = parser.parse_args()
    quiet()
    with tempfile.TemporaryDirectory(prefix="arcpoint-log-") as folder:
        told = asyncio.run(findings_by_day(arguments.file, arguments.mapping, Path(folder)))
    for day, changes in told.items():
        sys.stdout.write(f"{day - timedelta(days=1):%a %Y-%m-%d}: {len(changes)} told\n")
        for change in changes:
            sys.stdout.write(f"  {change.text}\n")
    number = sum(map(len, told.values()))
    metrics = Counter(change.metric for changes in told.values() for change in changes)
    quiet_days = sum(not changes for changes in told.values())
    by_metric = ", ".join(f"{metric} {count}" for metric, count in sorted(metrics.items()))
    a_day = number / max(1, len(told))
    sys.stdout.write(
        f"{number} told of {len(told)} days ({a_day:.1f} a day), nothing of {quiet_days}; {by_metric}\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
