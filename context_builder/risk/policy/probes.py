"""Tickets for the probes of a half-open deployment: so many requests may take one, no more."""

from __future__ import annotations


class ProbeTickets:
    """A round of tickets. Taking one is atomic, so that threads never take more than there are."""

    __slots__ = ("_left",)

    def __init__(self, count: int) -> None:
        self._left = [None] * count

    def __len__(self) -> int:
        return len(self._left)

    def take(self) -> bool:
        """Take a ticket; False if none is left."""
        try:
            self._left.pop()
        except IndexError:
            return False
        return True
