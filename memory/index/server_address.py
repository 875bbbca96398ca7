"""Validation of the address and the token of a memory server."""

from __future__ import annotations

from urllib.parse import urlsplit


def checked_server_url(url: str, *, remedy: str = "a token goes into ARCPOINT_MEMORY_TOKEN") -> str:
    """Return the address of a server without a trailing slash. Raises ValueError if it is invalid.

    `remedy` says where a secret goes that may not be in it.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{error}; write http://host:port or https://host:port") from None
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"no user or password can be in it; {remedy}")
    address = parts.hostname is not None and parts.hostname.isascii() and port != 0 and url.isprintable()
    surplus = any((parts.path.strip("/"), parts.query, parts.fragment, " " in url))
    if parts.scheme not in ("http", "https") or not address or surplus:
        raise ValueError("not the address of a server; write http://host:port or https://host:port")
    return f"{parts.scheme}://{parts.netloc}"


def checked_server_token(token: str) -> str:
    """Return the token if a header can carry it. Raises ValueError, which does not show it."""
    if not token or not all("!" <= letter <= "~" for letter in token):
        raise ValueError("a token is made of visible ASCII characters, without blanks")
    return token
