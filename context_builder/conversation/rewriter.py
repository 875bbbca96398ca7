"""What may change a conversation's request on its way to the upstream."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ProxiedRequest:
    """One request of a client, decoded from its content encoding."""

    path: str
    """`/v1/messages` or `/v1/messages/count_tokens`."""
    headers: Mapping[str, str]
    """Lower-case names; credentials among them are never stored."""
    body: bytes
    credential: str
    """A keyed digest of the credential, hex: equal for equal credentials, tells nothing else."""
    asker: str | None = None
    """Public id of the gateway's user behind the credential, if one is known."""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """The body to send, and what was changed in it."""

    body: bytes
    """The very bytes of the request where nothing was changed."""
    conversation: str | None = None
    """Id of the conversation, stable over its turns; None: the body is not one that can be read."""
    turn: str | None = None
    """Digest of the prefix up to and including the newest human turn."""
    changes: tuple[str, ...] = ()
    """In words, one per change: `inserted 412 tokens into turn 3`, `cut 120 messages`."""
    model: str = ""
    """The model that is asked for; empty if that is not known."""
    raw_tokens: float = 0.0
    """About how many tokens the body has, before any correction; 0 for one too short to tell by its bill."""
    dropped_encoding: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers to set upstream beyond those of the client, e.g. a beta that a recovery needs."""


class Rewriter(Protocol):
    """Rewrites requests; never raises, never takes longer than its deadline."""

    async def rewrite(self, request: ProxiedRequest) -> Rewrite:
        """Return what to send."""
        ...

    async def recover(
        self, request: ProxiedRequest, sent: Rewrite, status: int, error: bytes
    ) -> Rewrite | None:
        """Return what to send once instead, before the first byte, or None: the error stands."""

    async def replied(
        self, request: ProxiedRequest, sent: Rewrite, text: str, usage: Mapping[str, int]
    ) -> None:
        """Take note of a completed reply (learning, cache read ratio)."""
