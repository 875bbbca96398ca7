"""Who is on this machine: the peer of a connection, and the address that is listened on. Pure."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
"""Headers by which proxies say that somebody else asks; nobody else sends them, so they only take away."""


def is_local(scope: Scope) -> bool:
    """Return True if a program on this machine makes a request, and means this machine.

    A page whose own host name leads here (DNS rebinding) is on this machine and means another.
    """
    is_socket = scope.get("client") is None
    return is_local_peer(scope) and (is_socket or _names_this_machine(Headers(scope=scope).get("host", "")))


def is_from_page(scope: Scope) -> bool:
    """Return True if a page in a browser makes a request: browsers say so of all that could do harm."""
    headers = Headers(scope=scope)
    return "origin" in headers or "sec-fetch-site" in headers


def is_local_peer(scope: Scope) -> bool:
    """Return True if a request comes from a loopback address, or by the Unix socket of our own user."""
    headers = Headers(scope=scope)
    if any(name in headers for name in _FORWARDED):
        return False
    client, server = scope.get("client"), scope.get("server")
    if client is None:
        return server is not None and server[1] is None
    return is_loopback(client[0])


def is_loopback(host: str) -> bool:
    """Return True for an IP address that only this machine can reach."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _names_this_machine(host: str) -> bool:
    """Return True for the Host header of a URL with `localhost` or a loopback address."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return name == "localhost" or is_loopback(name)
