"""What a route demands of its caller: declared once, asked before the body is read, shown in OpenAPI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Annotated, Any

from fastapi import Depends, Request, Response, Security
from fastapi.openapi.models import HTTPBearer
from fastapi.params import Depends as Dependency
from fastapi.routing import APIRoute
from fastapi.security.base import SecurityBase
from starlette.exceptions import HTTPException
from typing_extensions import override

from api.access.caller import LOOPBACK, Caller, Role
from api.access.errors import Forbidden, Unauthenticated
from api.access.key_ring import KeyRing
from api.access.peer import is_local
from api.errors import ArcpointApiError
from api.http.middleware.body_limit import discard_body

_ALSO = {
    Role.INGEST: {Role.ADMIN},
    Role.VIEWER: {Role.OPERATOR, Role.ADMIN},
    Role.OPERATOR: {Role.ADMIN},
    Role.ADMIN: set[Role](),
}
"""Roles that may do what a role may, besides itself."""
_WANTED = "send an API key in the header `Authorization: Bearer` or `x-api-key`"


CallerOf = Callable[[Request], Awaitable[Caller | None]]
"""Another way to prove who calls, in `app.state.people`: None if a request does not use it."""


class Needs(SecurityBase):
    """The role that a route needs; None: it is open to everybody."""

    scheme_name = "bearer"
    model = HTTPBearer(description="An API key, made with `arcpoint keys create`.")

    def __init__(self, role: Role | None, *, confines: bool = False) -> None:
        """`confines` is for a route that shows a caller who is bound to a user that user's data only."""
        self.role = role
        self.confines = confines

    async def __call__(self, request: Request) -> Caller | None:
        """Return the caller. Raises what `admit` raises, if that was not asked before the body was read."""
        if not hasattr(request.state, "caller"):
            await self.admit(request)
        caller: Caller | None = request.state.caller
        return caller

    async def admit(self, request: Request) -> None:
        """Let in a caller who may use the route, as `request.state.caller`.

        Raises:
            Unauthenticated: Nobody knows who calls.
            Forbidden: The caller has another role, or may see only one user's data.
            RateLimited: The caller's key has used up what it may ask for now.
            DatabaseError: Keys cannot be read.
        """
        caller = None if self.role is None else await authenticate(request)
        request.state.caller = caller
        if self.role is None or caller is None:
            return
        if caller.role is not self.role and caller.role not in _ALSO[self.role]:
            raise Forbidden(f"this needs the role {self.role}, and {caller.name} has the role {caller.role}")
        if caller.user is not None and not self.confines:
            raise Forbidden(
                f"{caller.name} is bound to the user {caller.user}, and this shows the data of all users; it "
                f"needs the role {self.role} without a user"
            )


class GuardedRoute(APIRoute):
    """A route that declares exactly one `Needs`, which is asked before the body is read."""

    @property
    def needs(self) -> Needs:
        """What it demands; raises ValueError if that is not declared."""
        found = [each.dependency for each in self.dependencies if isinstance(each.dependency, Needs)]
        if len(found) != 1:
            raise ValueError(f"{self.path} declares {len(found)} roles, not one")
        return found[0]

    @override
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle, needs = super().get_route_handler(), self.needs

        async def guarded(request: Request) -> Response:
            try:
                await needs.admit(request)
            except (ArcpointApiError, HTTPException):
                # Most clients read the response only after sending everything.
                request.state.is_read = await discard_body(request.receive)
                raise
            return await handle(request)

        return guarded


async def authenticate(request: Request) -> Caller:
    """Return who makes a request. Raises Unauthenticated, RateLimited and DatabaseError."""
    keys: KeyRing = request.app.state.keys
    if (token := token_of(request)) and await keys.has_keys():
        return await keys.caller_of(token)
    people: Sequence[CallerOf] = request.app.state.people
    for way in people:
        if caller := await way(request):
            return caller
    if not is_local(request.scope):
        raise Unauthenticated(f"{_WANTED}; only programs on the service's own machine may do without")
    if people or await keys.has_keys():
        raise Unauthenticated(f"{_WANTED}; programs on this machine need one, too")
    return LOOPBACK


def token_of(request: Request) -> str:
    """Return the key that a request brings; empty text if there is none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "").strip()


def declared(needs: Needs) -> Dependency:
    """Return the dependency that declares what a route or router needs."""
    dependency: Dependency = Security(needs, scopes=[needs.role.value] if needs.role else [])
    return dependency


OPEN = declared(Needs(None))
VIEWER = declared(Needs(Role.VIEWER))
VIEWER_OF_OWN = declared(Needs(Role.VIEWER, confines=True))
"""For a route that shows a caller who is bound to a user that user's data only."""
OPERATOR = declared(Needs(Role.OPERATOR))


async def current_caller(request: Request) -> Caller:
    """Return the caller whom the route's role has let in."""
    caller: Caller = request.state.caller
    return caller


CurrentCaller = Annotated[Caller, Depends(current_caller)]
