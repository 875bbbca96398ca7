"""How many requests a key may make: a bucket of tokens for each, in this process. Pure."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from api.access.errors import RateLimited

_MINUTE_S = 60.0


class RateLimits:
    """Buckets by key. One holds a minute's requests and fills evenly.

    So a worker serves at most `rate * (1 + minutes)` requests of a key in so many minutes, and each worker
    has its own buckets: a count in the database would be exact, and a write for every request.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[int, tuple[float, float]] = {}
        """Tokens, and when there were so many, by id of the key."""

    def take(self, key_id: int, per_minute: int) -> None:
        """Count one request of a key. Raises RateLimited."""
        now = self._clock()
        tokens, at = self._buckets.get(key_id, (float(per_minute), now))
        tokens = min(float(per_minute), tokens + (now - at) * per_minute / _MINUTE_S)
        if tokens < 1:
            self._buckets[key_id] = tokens, now
            wait_s = max(1, math.ceil((1 - tokens) * _MINUTE_S / per_minute))
            raise RateLimited(
                f"this key may make {per_minute} requests a minute; try again in {wait_s} s", wait_s
            )
        self._buckets[key_id] = tokens - 1, now
