"""People whom a proxy names: believed from its address alone, and only where their own page asks."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from api.http.auth.trusted_header import TrustedHeader
from api.settings import Settings

HOME = "https://arcpoint.example.org"
VALUES: dict[str, Any] = {
    "public_url": HOME,
    "people_roles": "sre=operator,staff=viewer,person:root@example.org=admin",
    "trusted_proxies": "10.0.0.0/30, ::1",
    "trusted_proxy_groups_header": "X-Groups",
    "trusted_proxy_header": "X-User",
}
PROXY = "10.0.0.2"


def request(peer: str | None, *headers: tuple[str, str], method: str = "GET") -> Request:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers]
    client = None if peer is None else (peer, 1)
    return Request({"type": "http", "method": method, "headers": raw, "client": client})


async def caller(sent: Request) -> str | None:
    found = await TrustedHeader(Settings(**VALUES)).caller_of(sent)
    return None if found is None else f"{found.name} {found.role}"


@pytest.mark.parametrize(
    ("peer", "headers", "expected"),
    [
        (PROXY, [("X-User", "ann"), ("X-Groups", "staff, sre")], "person:ann operator"),
        ("::ffff:10.0.0.2", [("X-User", "ann"), ("X-Groups", "staff")], "person:ann viewer"),
        ("::1", [("X-User", "root@example.org")], "person:root@example.org admin"),
        (PROXY, [], None),
        ("192.0.2.1", [("X-Groups", "sre")], None),
    ],
)
async def test_a_proxy_names_the_person(
    peer: str, headers: list[tuple[str, str]], expected: str | None
) -> None:
    """With the highest role of the groups it names; a request without the header is not its business."""
    assert await caller(request(peer, *headers)) == expected


@pytest.mark.parametrize(
    ("peer", "headers", "says"),
    [
        ("192.0.2.1", [("X-User", "ann")], "trusted proxies only"),
        ("10.0.0.4", [("X-User", "ann")], "trusted proxies only"),
        (None, [("X-User", "ann")], "trusted proxies only"),
        ("192.0.2.1", [("X-User", "ann"), ("X-Forwarded-For", PROXY)], "trusted proxies only"),
        (PROXY, [("X-User", "ann"), ("X-User", "root@example.org")], "must name one person"),
        (PROXY, [("X-User", "")], "must name one person"),
        (PROXY, [("X-User", "a\x07nn")], "must name one person"),
        (PROXY, [("X-User", "ann")], "gives no role to ann"),
        (PROXY, [("X-User", "sre")], "gives no role to sre"),
    ],
)
async def test_a_header_of_anybody_else_is_refused(
    peer: str | None, headers: list[tuple[str, str]], says: str
) -> None:
    """Who connects counts, not what a header says of it; one name, and a role for it."""
    with pytest.raises(HTTPException, match=says) as refused:
        await caller(request(peer, *headers))
    assert refused.value.status_code == 403


async def test_a_change_needs_a_page_of_ours() -> None:
    """The proxy lets every page's requests through with the person's name on them."""
    named = [("X-User", "ann"), ("X-Groups", "sre")]
    assert await caller(request(PROXY, *named, ("Origin", HOME), method="POST"))
    with pytest.raises(HTTPException, match="pages of"):
        await caller(request(PROXY, *named, method="POST"))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"trusted_proxies": ""}, "needs ARCPOINT_TRUSTED_PROXIES"),
        ({"people_roles": ""}, "needs ARCPOINT_PEOPLE_ROLES"),
        ({"people_roles": "sre=ingest"}, "expected group=role"),
        ({"trusted_proxies": "proxy.example"}, "does not appear to be an IPv4 or IPv6 network"),
        ({"public_url": "https://a.example/path"}, "and no path"),
        ({"oidc_issuer": "http://idp.example"}, "needs ARCPOINT_OIDC_CLIENT_ID"),
        ({"oidc_issuer": "http://idp.example", "oidc_client_id": "x"}, "expected an https:// URL"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, Any], says: str) -> None:
    """At the start, with the names of those that are missing."""
    with pytest.raises(ValidationError, match=says):
        Settings(**(VALUES | changes))
