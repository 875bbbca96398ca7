"""Who sent a request: a digest of the credential, and the gateway's user behind it."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from models import Tier

_SHOWN_DIGITS = 12


@dataclass(frozen=True, slots=True)
class ProxyUser:
    """A user of the gateway, as requests are counted."""

    id: str
    tier: Tier = Tier.STANDARD


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sent a request."""

    credential: str
    """A keyed digest of the credential, hex."""
    user: ProxyUser
    is_known: bool
    """True if the operator has named the user; otherwise the user is named after the digest."""


@dataclass(frozen=True, slots=True)
class Senders:
    """Recognizes senders by their credential, which is kept nowhere."""

    key: bytes
    """Of the digests; the same in every worker and after every restart."""
    users: Mapping[str, ProxyUser] = field(default_factory=dict)
    """Users that the operator has named, by digest."""

    def sender_of(self, token: str) -> Sender:
        """Return the sender of a request with this API key or token; empty text if it has none."""
        digest = self.digest(token)
        if user := self.users.get(digest):
            return Sender(digest, user, is_known=True)
        name = f"key_{digest[:_SHOWN_DIGITS]}" if token else "anonymous"
        return Sender(digest, ProxyUser(name), is_known=False)

    def digest(self, token: str) -> str:
        """Return the digest of a credential: equal for equal ones, and of no use to anyone else."""
        return hmac.digest(self.key, token.encode(errors="surrogatepass"), "sha256").hex()
