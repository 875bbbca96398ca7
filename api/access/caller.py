"""Who makes a request of the service, however that was proven."""

from __future__ import annotations

from dataclasses import dataclass

from models import Role

__all__ = ["LOOPBACK", "Caller", "Role"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A program or a person that makes a request."""

    name: str
    """As the audit trail records it: `key:ci`, `person:ann@example.org` or `loopback`."""
    role: Role
    user: str | None = None
    """Public id of the gateway's user whom the caller is bound to; None sees all users."""
    key_id: int | None = None
    """Id of its API key; None: it was let in without one."""


LOOPBACK = Caller(name="loopback", role=Role.ADMIN)
"""Anyone who reaches a service that listens on this machine only and has no keys."""
