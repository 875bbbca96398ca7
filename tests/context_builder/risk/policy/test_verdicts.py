"""The verdict table is swapped as a whole, and tickets are taken by at most so many."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from types import MappingProxyType

from context_builder.risk.policy.breaker import BreakerState
from context_builder.risk.policy.probes import ProbeTickets
from context_builder.risk.policy.verdicts import RoutingVerdict, VerdictBoard, VerdictTable

MOMENT = datetime(2026, 11, 20, tzinfo=UTC)
NAMES = [f"m/{number}" for number in range(20)]


def table(number: int) -> VerdictTable:
    """Return a table whose every verdict bears its number."""
    verdicts = {
        name: RoutingVerdict(name, BreakerState.CLOSED, 1 / len(NAMES), 1 / len(NAMES), reason=str(number))
        for name in NAMES
    }
    return VerdictTable(MOMENT, MappingProxyType(verdicts), number=number)


def test_readers_see_one_tick_while_tables_are_swapped() -> None:
    """No reader ever sees verdicts of two ticks, nor an older table after a newer one."""
    board, mixed, done = VerdictBoard(), [], threading.Event()
    board.post(table(0))

    def read() -> None:
        last = 0
        while not done.is_set():
            now = board.table
            if {verdict.reason for verdict in now.verdicts.values()} != {
                str(now.number)
            } or now.number < last:
                mixed.append(now.number)
            last = now.number

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(1, 300):
        board.post(table(number))
    done.set()
    for reader in readers:
        reader.join()
    assert not mixed
    assert board.table.number == 299


def test_threads_together_take_no_more_tickets_than_there_are() -> None:
    """A stampede on a half-open deployment is three requests."""
    tickets, barrier = ProbeTickets(3), threading.Barrier(8)
    taken: list[int] = []

    def take() -> None:
        barrier.wait()
        taken.extend(1 for _ in range(50) if tickets.take())

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 3


def test_the_age_of_a_table_is_counted_by_a_clock_that_cannot_be_set() -> None:
    """The time that a table bears may lie ahead or back: its age does not follow it."""
    now = [100.0]
    board = VerdictBoard(lambda: now[0])
    board.post(table(1))
    now[0] = 107.5
    assert board.read() == (board.table, 7.5)
