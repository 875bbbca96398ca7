"""Who is on this machine: the peer of a connection, and the address that is listened on. Pure."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
"""Headers by which proxies say that somebody else asks; nobody else sends them, so they only take away."""


def is_local(scope: Scope) -> bool:
    """Return True if a request was made on this machine by what is allowed to reach it.

    That is a program at the Unix socket, which is our user's, or one that connects from a loopback address
    and calls the service by a name of this machine: a page whose own host name leads here does not.
    """
    headers = Headers(scope=scope)
    if any(name in headers for name in _FORWARDED):
        return False
    client, server = scope.get("client"), scope.get("server")
    if client is None:
        return server is not None and server[1] is None
    return is_loopback(client[0]) and _names_this_machine(headers.get("host", ""))


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
