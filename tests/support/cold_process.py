"""A process that moves days and kills itself at a step: its arguments are URL FOLDER BEFORE STEP.

STEP is the name of a function of the mover, whose work is done then, or the number of a transaction, which is
not begun; `0` lets the process end by itself.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import datetime
from itertools import count
from typing import Any

from models.database import Database
from models.request_log.cold import ColdFiles, moving


def kill_at(step: str) -> None:
    """Make the process kill itself the first time it comes to a step."""
    if step.isdigit():
        numbers, write = count(1), Database.write

        def counted(database: Database) -> Any:
            if next(numbers) == int(step):
                os.kill(os.getpid(), signal.SIGKILL)
            return write(database)

        setattr(Database, "write", counted)  # noqa: B010  a method, to the type checker
        return
    original = getattr(moving, step)

    def killed(*arguments: Any) -> Any:
        original(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(moving, step, killed)


async def move(url: str, folder: str, before: str) -> None:
    database = Database(url, cold_files=ColdFiles(folder))
    await moving.move_days(database, before=datetime.fromisoformat(before))
    await database.close()


def main() -> None:
    """Do what the arguments say."""
    *place, step = sys.argv[1:]
    moving._ROWS_AT_ONCE = 400
    kill_at(step)
    asyncio.run(move(*place))
