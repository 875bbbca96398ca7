"""Which upstream a request goes to: where its conversation is warm, unless that one keeps failing."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from api.proxy.call import Call
from api.proxy.forwarding.upstream import Upstream

log = structlog.get_logger(__name__)

FAILURES_TO_OPEN = 5
"""Failures in a row after which an upstream is avoided."""
OPEN_S = 30.0
"""How long it is; then a request tries it again."""
_MAX_CONVERSATIONS = 100_000


class Choice(Protocol):
    """Says which of several upstreams a call goes to, by their names."""

    def has_ejected(self, call: Call, name: str) -> bool:
        """Return True if even a conversation that is warm at an upstream should leave it."""

    def choose(self, call: Call, names: Sequence[str]) -> str:
        """Return one of the names."""


class InOrder:
    """The operator's order."""

    def has_ejected(self, call: Call, name: str) -> bool:
        """Eject none."""
        del call, name
        return False

    def choose(self, call: Call, names: Sequence[str]) -> str:
        """Return the first."""
        del call
        return names[0]


class Upstreams:
    """The upstreams of one process, and what it knows of them."""

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        choice: Choice | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._by_name = {upstream.name: upstream for upstream in upstreams}
        self._choice = choice or InOrder()
        self._clock = clock
        self._failures = dict.fromkeys(self._by_name, 0)
        self._open_until = dict.fromkeys(self._by_name, 0.0)
        self._warm: OrderedDict[str, str] = OrderedDict()
        """Upstream by conversation: its prompt cache holds the prefix."""

    def choose(self, call: Call) -> Upstream:
        """Return the upstream of the next attempt; each is tried once before one is tried again."""
        names = self._untried(call) or list(self._by_name)
        now = self._clock()
        usable = [name for name in names if self._open_until[name] <= now] or names
        warm = self._warm.get(_conversation(call))
        stays = warm is not None and warm in usable and not self._choice.has_ejected(call, warm)
        chosen = warm if stays else self._choice.choose(call, usable)
        return self._by_name[chosen if chosen in usable else usable[0]]

    def has_other(self, call: Call) -> bool:
        """Return True if an upstream has not been asked yet."""
        return bool(self._untried(call))

    def answered(self, call: Call, upstream: Upstream, *, failed: bool) -> None:
        """Take note of how an attempt ended."""
        name = upstream.name
        self._failures[name] = self._failures[name] + 1 if failed else 0
        if self._failures[name] >= FAILURES_TO_OPEN:
            self._open_until[name] = self._clock() + OPEN_S
            if self._failures[name] == FAILURES_TO_OPEN:
                log.warning("upstream is avoided", upstream=name, seconds=OPEN_S)
        if not failed and (conversation := _conversation(call)):
            self._warm[conversation] = name
            self._warm.move_to_end(conversation)
            if len(self._warm) > _MAX_CONVERSATIONS:
                self._warm.popitem(last=False)

    def _untried(self, call: Call) -> list[str]:
        return [name for name in self._by_name if name not in call.tried]


def _conversation(call: Call) -> str:
    return (call.sent.conversation if call.sent else None) or ""
