"""People with a browser: the ways in which they prove who they are, and what they may do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import Request

from api.access.caller import Caller, Role
from api.settings import Settings

CallerOf = Callable[[Request], Awaitable[Caller | None]]
"""One way: the caller, None if the request does not use it. Raises HTTPException if it is misused."""

MAX_NAME = 150
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_FROM_THE_LEAST = (Role.VIEWER, Role.OPERATOR, Role.ADMIN)


@dataclass(frozen=True, slots=True)
class PeopleRoles:
    """Who may do what."""

    by_group: dict[str, Role]

    @classmethod
    def of(cls, settings: Settings) -> PeopleRoles:
        """Return those of the settings."""
        return cls({group: Role(role) for group, role in settings.role_names().items()})

    def relevant(self, groups: Collection[str]) -> list[str]:
        """Return the groups that give a role."""
        return sorted(set(groups) & self.by_group.keys())

    def caller(self, name: str, groups: Collection[str]) -> Caller:
        """Return a person with the highest role of all groups. Raises HTTPException if none gives one."""
        named = {"*", f"person:{name}", *groups}
        found = [role for group, role in self.by_group.items() if group in named]
        if not found:
            raise HTTPException(403, f"ARCPOINT_PEOPLE_ROLES gives no role to {name} or a group of theirs")
        return Caller(name=f"person:{name}", role=max(found, key=_FROM_THE_LEAST.index))


def is_name(name: str) -> bool:
    """Return whether a text can name a person in logs and in the audit trail."""
    return 0 < len(name) <= MAX_NAME and name.isprintable() and name == name.strip()


def require_own_page(request: Request, public_url: str) -> None:
    """Refuse a change that no page of this service asked for. Raises HTTPException.

    Browsers send what proves a person by themselves, and say which page asks. Programs say nothing about
    pages; they send a key.
    """
    if request.method in _SAFE_METHODS:
        return
    origins, sites = request.headers.getlist("origin"), request.headers.getlist("sec-fetch-site")
    is_own = all(site == "same-origin" for site in sites) and all(origin == public_url for origin in origins)
    if not is_own or not (origins or sites):
        raise HTTPException(
            403, f"a person's changes are accepted from pages of {public_url} only; programs send an API key"
        )
