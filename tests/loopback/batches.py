"""The batches that a loopback Message Batches API keeps: what it accepts, when they end, what comes out."""

from __future__ import annotations

import json
import random
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from tests.loopback.batch_behaviour import Canceled, Endpoint, Errored, Expired, Fault, Outcome
from tests.loopback.behaviour import Body, Reply
from tests.loopback.wire import ApiError, Message, PromptCache, checked

MAX_REQUESTS = 100_000
MAX_BYTES = 256_000_000

_CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}\Z")
_DAY = timedelta(days=1)
_KEPT = timedelta(days=29)


@dataclass
class Batch:
    """One accepted batch."""

    id: str
    requests: list[Mapping[str, Any]]
    outcomes: list[Outcome]
    created_at: datetime
    started: float
    """On the monotonic clock."""
    polls: int = 0
    ended_at: datetime | None = None
    lines: list[bytes] = field(default_factory=list)
    """The results, once it has ended."""

    def counts(self) -> dict[str, int]:
        """The requests by state: all of them are processing until the whole batch has ended."""
        ended = self.ended_at is not None
        kinds = [_kind(outcome) for outcome in self.outcomes] if ended else []
        return {"processing": 0 if ended else len(self.requests)} | {
            kind: kinds.count(kind) for kind in ("succeeded", "errored", "canceled", "expired")
        }


class Batches:
    """The batches of one workspace; set what becomes of them, then look at what was submitted.

    A batch ends once it was looked at `polls` times and `seconds` have passed, both as they are then.
    """

    def __init__(self) -> None:
        self.polls: float = 0
        """How often it is in progress when it is retrieved; infinite: until a test changes it."""
        self.seconds = 0.0
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.known: dict[str, Batch] = {}
        """By id, in order of creation."""
        self._outcomes: deque[Outcome] = deque()
        self._default: Outcome = Reply()
        self._faults: dict[Endpoint, deque[Fault]] = {endpoint: deque() for endpoint in Endpoint}
        self._ids = count(1)

    def outcomes(self, *outcomes: Outcome) -> None:
        """What becomes of the next requests, in the order in which batches list them."""
        self._outcomes.extend(outcomes)

    def always(self, outcome: Outcome) -> None:
        """What becomes of every request that has no outcome of its own."""
        self._default = outcome

    def fail(self, endpoint: Endpoint, *faults: Fault) -> None:
        """How the next calls of an endpoint fail, one each; then it works again."""
        self._faults[endpoint].extend(faults)

    def fault(self, endpoint: Endpoint) -> Fault | None:
        """The next fault of an endpoint, which is used up with that."""
        waiting = self._faults[endpoint]
        return waiting.popleft() if waiting else None

    @property
    def submitted(self) -> list[str]:
        """The custom ids of all batches."""
        return [request["custom_id"] for batch in self.known.values() for request in batch.requests]

    def create(self, body: Any) -> Batch:
        """Accepts a batch; raises ApiError. What each request holds is only checked when its turn comes."""
        requests = _checked_requests(body)
        batch = Batch(
            id=f"msgbatch_{next(self._ids):024d}",
            requests=requests,
            outcomes=[self._outcomes.popleft() if self._outcomes else self._default for _ in requests],
            created_at=self.clock(),
            started=time.monotonic(),
        )
        self.known[batch.id] = batch
        return batch

    def find(self, batch_id: str) -> Batch:
        """The batch of an id; raises ApiError."""
        if batch_id not in self.known:
            raise ApiError(404, f"Batch {batch_id} not found")
        return self.known[batch_id]

    def retrieve(self, batch_id: str) -> Batch:
        """The batch as it is now; being asked for brings it closer to its end."""
        batch = self.find(batch_id)
        self._look_at(batch)
        return batch

    def results(self, batch_id: str) -> list[bytes]:
        """The lines of the results, in no order; raises ApiError."""
        batch = self.find(batch_id)
        if batch.ended_at is None:
            raise ApiError(404, f"Batch {batch_id} has no results yet")
        if self.clock() > batch.created_at + _KEPT:
            raise ApiError(404, f"The results of batch {batch_id} are not available any more")
        return batch.lines

    def _look_at(self, batch: Batch) -> None:
        waited = time.monotonic() - batch.started
        if batch.ended_at is None and batch.polls >= self.polls and waited >= self.seconds:
            self._end(batch)
        batch.polls += 1

    def _end(self, batch: Batch) -> None:
        batch.ended_at = self.clock()
        cache = PromptCache()
        for place, request in enumerate(batch.requests):
            message_id = f"msg_{batch.id.removeprefix('msgbatch_')}{place:06d}"
            try:
                params = checked(request["params"])
            except ApiError as error:
                batch.outcomes[place] = Errored(kind="invalid_request_error", message=error.message)
                params = {}
            result = _result(message_id, batch.outcomes[place], params, cache)
            line = json.dumps({"custom_id": request["custom_id"], "result": result}, ensure_ascii=False)
            # Half a surrogate pair is only possible as an escape.
            batch.lines.append(line.encode(errors="backslashreplace") + b"\n")
        random.Random(batch.id).shuffle(batch.lines)  # noqa: S311  test data

    def to_json(self, batch: Batch, url: str) -> dict[str, Any]:
        """The batch object of the API at this address."""
        ended = batch.ended_at is not None
        archived_at = batch.created_at + _KEPT
        return {
            "id": batch.id,
            "type": "message_batch",
            "processing_status": "ended" if ended else "in_progress",
            "request_counts": batch.counts(),
            "created_at": batch.created_at.isoformat(),
            "expires_at": (batch.created_at + _DAY).isoformat(),
            "ended_at": batch.ended_at and batch.ended_at.isoformat(),
            "archived_at": archived_at.isoformat() if self.clock() > archived_at else None,
            "cancel_initiated_at": None,
            "results_url": f"{url}/v1/messages/batches/{batch.id}/results" if ended else None,
        }


def _checked_requests(body: Any) -> list[Mapping[str, Any]]:
    requests = body.get("requests") if isinstance(body, dict) else None
    if not isinstance(requests, list) or not 1 <= len(requests) <= MAX_REQUESTS:
        raise ApiError(400, f"requests: List should have between 1 and {MAX_REQUESTS} items")
    for place, problem in _problems(requests):
        raise ApiError(400, f"requests.{place}.{problem}")
    return requests


def _problems(requests: list[Any]) -> Iterator[tuple[int, str]]:
    seen: set[str] = set()
    for place, request in enumerate(requests):
        custom_id = request.get("custom_id") if isinstance(request, dict) else None
        if not isinstance(custom_id, str) or not _CUSTOM_ID.match(custom_id):
            yield place, "custom_id: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'"
        elif custom_id in seen:
            yield place, "custom_id: custom_id must be unique within a batch"
        elif set(request) != {"custom_id", "params"} or not isinstance(request["params"], dict):
            yield place, "params: Input should be a valid dictionary, and nothing else is permitted"
        elif "stream" in request["params"]:
            yield place, "params.stream: Extra inputs are not permitted"
        else:
            seen.add(custom_id)


def _kind(outcome: Outcome) -> str:
    return "succeeded" if isinstance(outcome, Reply) else type(outcome).__name__.lower()


def _result(message_id: str, outcome: Outcome, params: Body, cache: PromptCache) -> dict[str, Any]:
    match outcome:
        case Reply():
            return {"type": "succeeded", "message": Message.of(message_id, outcome, params, cache).to_json()}
        case Errored(kind=kind, message=message):
            error = {"type": kind, "message": message}
            return {"type": "errored", "error": {"type": "error", "error": error, "request_id": None}}
        case Canceled() | Expired():
            return {"type": _kind(outcome)}
