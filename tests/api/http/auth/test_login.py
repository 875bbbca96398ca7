"""Logins at an OpenID provider: only what it signed, for this login, of this browser, logs anybody in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi import FastAPI, Request
from itsdangerous import TimestampSigner
from joserfc.jwk import OctKey

from api.http.auth.mounting import add_people
from api.settings import Settings
from models.audit_chain import AuditRecord
from tests.loopback.identity_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    IdentityProvider,
    new_key,
    provided,
)

HOME = "https://arcpoint.example.org"
COOKIE = "__Host-arcpoint"
OWN = {"origin": HOME}


@pytest.fixture
async def provider() -> AsyncIterator[IdentityProvider]:
    async with provided() as provider:
        yield provider


def settings_for(provider: IdentityProvider, folder: Path, **changes: Any) -> Settings:
    values: dict[str, Any] = {
        "public_url": f"{HOME}/",
        "people_roles": "sre=operator, person:root@example.org=admin",
        "session_key_path": folder / "session.key",
        "oidc_client_id": CLIENT_ID,
        "oidc_client_secret": CLIENT_SECRET,
        "oidc_issuer": provider.url,
    }
    return Settings(**(values | changes))


def service(settings: Settings) -> FastAPI:
    """A service whose one route says who calls."""
    app = FastAPI()
    recorded: list[AuditRecord] = []
    app.state.settings = settings
    app.state.recorded = recorded
    app.state.services = SimpleNamespace(audit=SimpleNamespace(put=recorded.append))
    add_people(app, settings)

    @app.api_route("/whoami", methods=["GET", "POST"])
    async def whoami(request: Request) -> list[str]:
        callers = [await caller_of(request) for caller_of in app.state.people]
        return [f"{caller.name} {caller.role}" for caller in callers if caller]

    return app


def browser(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=HOME)


@pytest.fixture
def app(provider: IdentityProvider, tmp_path: Path) -> FastAPI:
    return service(settings_for(provider, tmp_path))


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(app) as client:
        yield client


async def callback_of(client: httpx.AsyncClient, query: str = "") -> str:
    """Begin a login, and go to the provider: the address that it sends the browser back to."""
    begun = await client.get(f"/login{query}")
    assert begun.status_code == httpx.codes.SEE_OTHER, begun.text
    async with httpx.AsyncClient(trust_env=False) as elsewhere:
        return (await elsewhere.get(begun.headers["location"])).headers["location"]


async def test_a_person_logs_in_changes_something_and_logs_out(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    """The cookie is one that scripts and other sites cannot use; the name and the role are the provider's."""
    response = await client.get(await callback_of(client, "?next=/docs%3Fa=b"))
    assert (response.status_code, response.headers["location"]) == (303, "/docs?a=b")
    (cookie,) = [each for each in response.headers.get_list("set-cookie") if each.startswith(f"{COOKIE}=")]
    attributes = {"HttpOnly", "Secure", "SameSite=lax", "Path=/", "Max-Age=28800"}
    assert set(cookie.split("; ")[1:]) == attributes
    assert (await client.get("/whoami")).json() == ["person:ann@example.org operator"]
    assert (await client.post("/whoami", headers=OWN)).status_code == 200
    (record,) = app.state.recorded
    assert (record.action, record.act.actor_of().name) == ("login", "person:ann@example.org")
    assert (await client.post("/logout", headers=OWN)).status_code == 204
    assert (await client.get("/whoami")).json() == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"person": {"nonce": "another"}}, "nonce"),
        ({"person": {"nonce": None}}, "nonce"),
        ({"person": {"aud": "another"}}, "aud"),
        ({"person": {"aud": [CLIENT_ID, "x"], "azp": "x"}}, "another client"),
        ({"person": {"iss": "https://another.example"}}, "iss"),
        ({"person": {"exp": int(time.time()) - 600}}, "expired"),
        ({"person": {"iat": int(time.time()) + 86_400}}, "in the future"),
        ({"person": {"sub": "a\nb", "email_verified": False}}, "plain text"),
        ({"unsigned": True}, "not signed"),
        ({"signs_with": new_key("one", 2)}, "not signed"),
        ({"signs_with": OctKey.import_key(CLIENT_SECRET * 8), "header": {"alg": "HS256"}}, "not signed"),
        ({"person": {"groups": ["staff"]}}, "gives no role to ann@example.org"),
    ],
)
async def test_a_token_that_proves_nothing_logs_nobody_in(
    provider: IdentityProvider, client: httpx.AsyncClient, changes: dict[str, Any], says: str
) -> None:
    """Of another login, client, provider or time, not signed by it, or of somebody without a role."""
    for name, value in changes.items():
        setattr(provider, name, value)
    response = await client.get(await callback_of(client))
    assert response.status_code == httpx.codes.FORBIDDEN
    assert says in response.json()["detail"]
    assert COOKIE not in client.cookies


async def test_a_callback_is_good_once_and_in_the_browser_that_began(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    """Without its state, with that of another login, in another browser, or a second time it is refused."""
    address = await callback_of(client)
    async with browser(app) as another:
        assert (await another.get(address)).status_code == httpx.codes.FORBIDDEN
        await another.get("/login")
        assert "state" in (await another.get(address)).json()["detail"]
    without = urlsplit(address)._replace(query="code=code-0").geturl()
    assert "state" in (await client.get(without)).json()["detail"]
    kept = dict(client.cookies)
    assert (await client.get(address)).status_code == httpx.codes.SEE_OTHER
    assert "began no login" in (await client.get(address)).json()["detail"]
    client.cookies.update(kept)
    assert "did not accept the code" in (await client.get(address)).json()["detail"]


ELSEWHERE = ["//evil.example", "https://evil.example", "/\\evil.example", "/a\\b", "evil", ""]


@pytest.mark.parametrize("target", [*ELSEWHERE, "/a%0d%0ab", "/%09/e"])
async def test_nobody_is_sent_elsewhere_after_a_login(client: httpx.AsyncClient, target: str) -> None:
    """`next` is a path of this service, also to a browser that reads addresses leniently."""
    response = await client.get(f"/login?next={target}")
    assert response.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert "next must be a path of this service" in response.json()["detail"]


async def test_a_cookie_is_ours_and_of_now(
    provider: IdentityProvider,
    app: FastAPI,
    client: httpx.AsyncClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that was changed, that has expired, of another purpose or of another key is no login."""
    await client.get("/login")
    login_cookie = client.cookies[f"{COOKIE}-login"]
    await client.get(await callback_of(client))
    good = client.cookies[COOKIE]
    content, stamp, signature = good.split(".")
    foreign = settings_for(provider, tmp_path, session_key_path=tmp_path / "other.key")
    other_app = await asyncio.to_thread(service, foreign)
    tried = [
        (app, f"{content[:-2]}AA.{stamp}.{signature}"),
        (app, f"{content}.{stamp}.{signature[:-2]}AA"),
        (app, login_cookie),
        (app, "nonsense"),
        (other_app, good),
    ]
    for tried_app, value in tried:
        async with browser(tried_app) as another:
            another.cookies[COOKIE] = value
            assert (await another.get("/whoami")).json() == [], value
    demoted = await asyncio.to_thread(service, settings_for(provider, tmp_path, people_roles="other=viewer"))
    async with browser(demoted) as another:
        another.cookies[COOKIE] = good
        assert (await another.get("/whoami")).status_code == httpx.codes.FORBIDDEN
    assert (await client.get("/whoami")).json() == ["person:ann@example.org operator"]
    in_time, too_late = int(time.time()) + 8 * 3600 - 60, int(time.time()) + 8 * 3600 + 60
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda _: in_time)
    assert (await client.get("/whoami")).json() == ["person:ann@example.org operator"]
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda _: too_late)
    assert (await client.get("/whoami")).json() == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://arcpoint.example.org"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": "cross-site", "origin": HOME},
    ],
)
async def test_a_cookie_changes_nothing_for_another_site(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    """A change needs a page of ours that asks for it, and a browser that says so."""
    await client.get(await callback_of(client))
    assert (await client.post("/whoami", headers=headers)).status_code == httpx.codes.FORBIDDEN


async def test_new_keys_are_fetched_and_a_wrong_document_is_not_believed(
    provider: IdentityProvider, app: FastAPI, client: httpx.AsyncClient
) -> None:
    """A provider may change its keys between two logins; one that calls itself otherwise is not ours."""
    await client.get(await callback_of(client))
    provider.key = new_key("two")
    assert (await client.get(await callback_of(client))).status_code == httpx.codes.SEE_OTHER
    provider.discovery = {"issuer": "https://another.example"}
    app.state.identity_provider._asked_at = -1e9
    response = await client.get("/login")
    assert response.status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert "it calls itself https://another.example" in response.json()["detail"]


async def test_what_leaves_with_the_browser_is_no_secret(client: httpx.AsyncClient) -> None:
    """The address has state, nonce and challenge, each long and new, and neither secret nor verifier."""
    seen: set[str] = set()
    for _ in range(2):
        address = (await client.get("/login")).headers["location"]
        asked = parse_qs(urlsplit(address).query)
        values = [asked[name][0] for name in ("state", "nonce", "code_challenge")]
        assert all(len(value) >= 43 for value in values)
        assert seen.isdisjoint(values)
        seen.update(values)
        assert asked["redirect_uri"] == [f"{HOME}/login/callback"]
        assert CLIENT_SECRET not in address
        assert "verifier" not in address
