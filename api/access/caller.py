"""Who makes a request of the service, however that was proven."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a caller may do; each role but `ingest` may do what the ones before it may."""

    INGEST = "ingest"
    """Send telemetry, and nothing else."""
    VIEWER = "viewer"
    """Ask and read."""
    OPERATOR = "operator"
    """Approve, write postmortems, change what others are shown."""
    ADMIN = "admin"
    """Manage keys and read the audit trail."""


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
