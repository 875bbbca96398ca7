"""Every route declares the role it needs, and serves nobody else."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import APIRouter, FastAPI
from starlette.routing import BaseRoute

from api.access.keys import KeyRequest, create_key
from api.http.app import create_app
from api.http.auth.guard import GuardedRoute
from api.http.routes import risk
from context_builder.text.clock import utc_now
from models import Role, User
from tests.support.http_service import client_of, running, settings_of, without_memory

OPEN_PAGES = {"/openapi.json", "/docs", "/docs/assets"}
"""They say what the code says, and nothing of the gateway."""
MAY = {
    None: {None, *Role},
    Role.INGEST: {Role.INGEST, Role.ADMIN},
    Role.VIEWER: {Role.VIEWER, Role.OPERATOR, Role.ADMIN},
    Role.OPERATOR: {Role.OPERATOR, Role.ADMIN},
    Role.ADMIN: {Role.ADMIN},
}
"""Who may use a route, by what it needs."""
NEEDS = {
    "/healthz": None,
    "/readyz": None,
    "/v1/ingest/{name}": Role.INGEST,
    "/v1/otlp/v1/{signal}": Role.INGEST,
    "/v1/audit": Role.ADMIN,
}
"""What differs from: reading needs a viewer, and a change of what others see an operator."""
ASKING = {"/v1/query", "/v1/context", "/v1/route"}
OF_OWN = {
    "/v1/query",
    "/v1/context",
    "/v1/deployments",
    "/v1/requests",
    "/v1/requests/{request_id:path}",
    "/v1/users/{user_id:path}/context",
}
"""Routes that serve a caller bound to a user; of the others none does."""


def routes_of(routes: list[BaseRoute]) -> Iterator[BaseRoute]:
    for route in routes:
        included = getattr(route, "original_router", None)
        if isinstance(included, APIRouter):
            yield from routes_of(included.routes)
        else:
            yield route


def needed(method: str, path: str) -> Role | None:
    if path in NEEDS:
        return NEEDS[path]
    return Role.VIEWER if method == "GET" or path in ASKING else Role.OPERATOR


@dataclass
class Guarded:
    """A running service, with a key of each role."""

    app: FastAPI
    client: httpx.AsyncClient
    routes: list[tuple[str, str]] = field(default_factory=list)
    keys: dict[Role | None, str] = field(default_factory=dict)
    bound: str = ""

    async def status(self, method: str, path: str, key: str | None) -> httpx.Response:
        """The answer to a request that asks for as little as the route allows."""
        filled = path.replace(":path", "").format_map(Filling())
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        body: dict[str, Any] = {} if method == "GET" else {"json": {}}
        # A parameter that is not known is refused before anything is read.
        return await self.client.request(method, filled, params={"none": "1"}, headers=headers, **body)


class Filling(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return "requests" if name == "name" else "x"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guarded(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    path = folder / "arcpoint.db"
    shutil.copyfile(sqlite_template, path)
    settings = settings_of(f"sqlite:///{path}", folder, memory_path=without_memory(folder))
    async with running(settings) as app, client_of(app) as client:
        found = Guarded(app, client)
        for route in routes_of(app.routes):
            if isinstance(route, GuardedRoute):
                found.routes += [(method, route.path) for method in sorted(route.methods or ())]
        now = utc_now()
        async with app.state.services.database.write() as session:
            session.add(User(public_id="user_a", tier="premium", created_at=now, updated_at=now))
            await session.flush()
            for role in Role:
                wanted = KeyRequest(name=role.value, role=role)
                found.keys[role] = (await create_key(session, wanted, now=now)).secret
            wanted = KeyRequest(name="of user_a", role=Role.VIEWER, user="user_a")
            found.bound = (await create_key(session, wanted, now=now)).secret
        yield found


def test_every_route_declares_its_role_in_code_and_in_the_description(tmp_path: Path) -> None:
    """Also those that are not described; all else is one of three pages."""
    app = create_app(settings_of("sqlite:///none.db", tmp_path))
    paths = app.openapi()["paths"]
    guarded = 0
    for route in routes_of(app.routes):
        path = getattr(route, "path", "")
        if not isinstance(route, GuardedRoute):
            assert path in OPEN_PAGES
            continue
        (method,) = list(route.methods or ())
        role = needed(method, path)
        assert (path, route.needs.role) == (path, role)
        guarded += 1
        if route.include_in_schema:
            operation = paths[route.path_format][method.lower()]
            assert operation["security"] == (
                [] if role is None else [{"bearer": [role]}, {"x-api-key": [role]}]
            )
            assert role is None or f"Needs the role `{role}`." in operation["description"]
    assert guarded >= len(list(paths)) > 20
    assert app.openapi()["components"]["securitySchemes"].keys() == {"bearer", "x-api-key"}


def test_a_route_without_a_role_cannot_be_made() -> None:
    """Forgetting it is no way to open one."""
    with pytest.raises(ValueError, match="/x declares 0 roles"):
        APIRouter(route_class=GuardedRoute).get("/x")(test_a_route_without_a_role_cannot_be_made)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("role", [None, *Role])
async def test_each_role_is_served_what_it_may_and_nothing_else(
    guarded: Guarded, role: Role | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """401 without a key and 403 with another role, which names the right one, on every route there is."""
    monkeypatch.setattr(risk, "EVENTS_S", 0.0)
    monkeypatch.setattr("api.http.routes.health._memory_works", asyncio.sleep)
    monkeypatch.setattr(guarded.app.state.services.embedder, "load", lambda: asyncio.sleep(0))
    for method, path in guarded.routes:
        needs = needed(method, path)
        response = await guarded.status(method, path, guarded.keys.get(role))
        if role in MAY[needs]:
            assert response.status_code not in (401, 403, 429), (method, path, response.text)
            continue
        assert response.headers["content-type"] == "application/problem+json"
        assert response.status_code == (401 if role is None else 403), (method, path)
        if role is None:
            assert response.headers["www-authenticate"] == "Bearer"
            assert "x-api-key" in response.json()["detail"]
        else:
            assert f"needs the role {needs}" in response.json()["detail"]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_caller_bound_to_a_user_is_served_only_where_that_is_taken_into_account(
    guarded: Guarded,
) -> None:
    """403 on every route that does not say that it confines what it shows."""
    for method, path in guarded.routes:
        response = await guarded.status(method, path, guarded.bound)
        is_served = needed(method, path) is None or path in OF_OWN
        if is_served:
            assert response.status_code not in (401, 403), (method, path)
        else:
            assert response.status_code == 403, (method, path, response.text)
