"""The load of one worker: what is at work, what waits, and how far it is from saturation."""

from __future__ import annotations

import os
from dataclasses import dataclass

from starlette.requests import Request

from api.access.caller import LOOPBACK, Caller
from api.http.admission import Admission, QueueState
from api.http.loop_lag import LoopLag
from api.settings import Settings
from context_builder.text.wire import WIRE
from models.database import Database


@dataclass(frozen=True, slots=True)
class LoadState:
    """The load of the worker that responds; other workers of the same service have their own."""

    __pydantic_config__ = WIRE

    worker: int
    """Process id of the worker."""
    builds: QueueState
    """Contexts being built, which is what takes the processor, and the questions that wait for it."""
    answers: QueueState
    """Answers and postmortems in flight, the model call included; nothing waits here."""
    loop_lag_p50_ms: float
    """Median delay of the event loop in the last minute."""
    loop_lag_p99_ms: float
    """99th percentile of it."""
    connections: int | None
    """Read connections to the database in use; null if each is opened when needed."""
    max_connections: int


class WorkerLoad:
    """Bounds and measures the work of one process."""

    def __init__(self, settings: Settings) -> None:
        self.builds = Admission(
            slots=settings.max_builds, max_waiting=settings.max_waiting, max_wait_s=settings.max_wait_s
        )
        self.answers = Admission(slots=settings.max_answers, max_waiting=0, max_wait_s=settings.max_wait_s)
        self.lag = LoopLag()

    def state(self, database: Database) -> LoadState:
        """Return the load now."""
        return LoadState(
            worker=os.getpid(),
            builds=self.builds.state(),
            answers=self.answers.state(),
            loop_lag_p50_ms=self.lag.percentile_ms(0.5),
            loop_lag_p99_ms=self.lag.percentile_ms(0.99),
            connections=database.connections_in_use,
            max_connections=database.connections,
        )


def asker_of(request: Request, user: str | None = None) -> str:
    """Return whom a request is counted for: its caller, else the user who asks, else the client's address."""
    caller: Caller = request.state.caller
    if caller is not LOOPBACK:
        return f"caller {caller.key_id or caller.name}"
    headers = request.headers
    if key := headers.get("x-api-key") or headers.get("authorization"):
        return f"key {key}"
    if user:
        return f"user {user}"
    return f"address {request.client.host if request.client else ''}"
