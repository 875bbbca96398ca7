"""Refuses state-changing requests that a page of another site makes in somebody's browser.

Browsers label such requests with Sec-Fetch-Site and Origin; programs such as curl send neither. Bodies must
be JSON, which browsers send to another site only after a CORS preflight, and that is granted to the origins
of ARCPOINT_CORS_ORIGINS alone.
"""

from __future__ import annotations

from collections.abc import Collection
from email.message import Message as Header
from urllib.parse import SplitResult, urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from api.http.middleware.body_limit import INGEST_PATHS, discard_body
from api.http.problem import answer_problem

_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_OWN_SITE = {"same-origin", "none"}
"""Values of Sec-Fetch-Site for our own pages and for addresses typed by the user."""
_QUESTION_TYPES = ("application/json",)
_INGEST_TYPES = (
    *("application/json", "application/x-ndjson", "application/jsonl", "application/x-protobuf"),
    *("application/cloudevents+json", "application/cloudevents-batch+json"),
)
"""None of them can be sent to another site by a page without a preflight."""
_DEFAULT_PORTS = {"http": 80, "https": 443}


class RefuseCrossSite:
    """Responds with 403 to cross-site requests, and with 415 to bodies that are not JSON."""

    def __init__(self, app: ASGIApp, *, allowed: Collection[str] = ()) -> None:
        """Serve the pages of these origins as well."""
        self._app = app
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        error = _refusal(scope, self._allowed) if _changes_state(scope) else None
        if error is None:
            await self._app(scope, receive, send)
            return
        is_whole = await discard_body(receive)
        response = await answer_problem(Request(scope), error)
        if not is_whole:
            response.headers["connection"] = "close"
        await response(scope, receive, send)


def _changes_state(scope: Scope) -> bool:
    return scope["type"] == "http" and scope["method"] not in _SAFE_METHODS


def _refusal(scope: Scope, allowed: Collection[str]) -> HTTPException | None:
    headers = Headers(scope=scope)
    if headers.getlist("origin") not in [[origin] for origin in allowed] and not _is_own_site(headers):
        detail = "requests from other sites are refused; send no Origin and no Sec-Fetch-Site, or your own"
        return HTTPException(403, detail)
    has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    accepted = _INGEST_TYPES if scope["path"].startswith(INGEST_PATHS) else _QUESTION_TYPES
    is_typed = has_body or "content-type" in headers
    if is_typed and _media_type(headers.get("content-type", "none")) not in accepted:
        detail = f"the body must be JSON, with the header Content-Type: {' or '.join(accepted)}"
        return HTTPException(415, detail)
    return None


def _is_own_site(headers: Headers) -> bool:
    sites, origins = headers.getlist("sec-fetch-site"), headers.getlist("origin")
    host = headers.get("host", "")
    return all(site in _OWN_SITE for site in sites) and all(_is_same_host(each, host) for each in origins)


def _is_same_host(origin: str, host: str) -> bool:
    """Compare host and port, not the scheme: a proxy may terminate TLS. `null` is foreign, as is nonsense."""
    try:
        page = urlsplit(origin)
        target = urlsplit(f"{page.scheme}://{host}")
        return page.hostname is not None and _host_and_port(page) == _host_and_port(target)
    except ValueError:
        return False


def _host_and_port(url: SplitResult) -> tuple[str | None, int | None]:
    return url.hostname, url.port or _DEFAULT_PORTS.get(url.scheme)


def _media_type(content_type: str) -> str:
    header = Header()
    header["content-type"] = content_type
    return header.get_content_type()
