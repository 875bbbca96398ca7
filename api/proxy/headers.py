"""Which headers pass the proxy, in both directions. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from multidict import CIMultiDict

RawHeaders = Sequence[tuple[bytes, bytes]]
"""Names and values as they came."""

OWN_PREFIX = "x-arcpoint-"
"""Of headers between a client and the proxy; none of them reaches an upstream."""
REQUEST_ID = f"{OWN_PREFIX}request-id"
CREDENTIALS = ("x-api-key", "authorization")

_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
_NOT_SENT = _HOP_BY_HOP | {"host", "content-length", "expect"}
_READABLE = {"gzip", "x-gzip", "deflate", "identity"}
"""Content codings that capture can decode."""


def decoded(raw: RawHeaders) -> CIMultiDict[str]:
    """Return headers as text that encodes to the same bytes again."""
    return CIMultiDict((_text(name).lower(), _text(value)) for name, value in raw)


def upstream_headers(client: CIMultiDict[str], changes: Mapping[str, str]) -> CIMultiDict[str]:
    """Return what an upstream is sent of a client's headers, with those of a rewrite in place of its own.

    Only content codings that the proxy can read are accepted, so that usage can be captured from every reply.
    """
    dropped = _NOT_SENT | _named_by_connection(client.getall("connection", ()))
    kept: CIMultiDict[str] = CIMultiDict()
    for name, value in client.items():
        if name in dropped or name.startswith((OWN_PREFIX, "proxy-")):
            continue
        kept.add(name, _readable_codings(value) if name == "accept-encoding" else value)
    for name, value in changes.items():
        kept[name] = value
    return kept


def client_headers(upstream: RawHeaders, request_id: str) -> list[tuple[bytes, bytes]]:
    """Return what a client is sent of an upstream's headers, with the request's id.

    The server adds its own Date.
    """
    connection = [_text(value) for name, value in upstream if name.lower() == b"connection"]
    dropped = _HOP_BY_HOP | _named_by_connection(connection) | {"date", REQUEST_ID}
    kept = [
        (name.lower(), value)
        for name, value in upstream
        if (lower := _text(name).lower()) not in dropped and not lower.startswith("proxy-")
    ]
    return [*kept, (REQUEST_ID.encode(), request_id.encode())]


def token_of(headers: CIMultiDict[str]) -> str:
    """Return the API key or token of a request, however it is sent; empty if there is none."""
    for name in CREDENTIALS:
        if value := headers.get(name, "").strip():
            scheme, _, token = value.partition(" ")
            return (
                token.strip() if name == "authorization" and token and scheme.lower() == "bearer" else value
            )
    return ""


def _text(value: bytes) -> str:
    # The client library encodes as UTF-8; bytes that are no UTF-8 become what is nearest.
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _named_by_connection(values: Iterable[str]) -> frozenset[str]:
    return frozenset(name.strip().lower() for value in values for name in value.split(","))


def _readable_codings(value: str) -> str:
    codings = [each for each in value.split(",") if each.partition(";")[0].strip().lower() in _READABLE]
    return ",".join(codings).strip() or "identity"
