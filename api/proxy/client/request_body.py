"""Decodes the body of a request from its content coding."""

from __future__ import annotations

import asyncio
import zlib

from api.proxy.errors import ProxyRefusal

MAX_BODY_BYTES = 32 * 2**20
"""What the API accepts of a message, as sent and as decoded."""
_ZLIB_CODINGS = frozenset({"gzip", "x-gzip", "deflate"})
_QUICK_BYTES = 2**17
"""Compressed bytes that are decoded within a millisecond or two."""


async def decoded_body(body: bytes, coding: str) -> bytes | None:
    """Return a body without its content coding; None for a coding that cannot be decoded here.

    Raises:
        ProxyRefusal: The body is not of the coding that it states, or is too large when decoded.
    """
    if coding in ("", "identity"):
        return body
    if coding not in _ZLIB_CODINGS:
        return None
    return (
        _inflated(body, coding)
        if len(body) <= _QUICK_BYTES
        else await asyncio.to_thread(_inflated, body, coding)
    )


def _inflated(body: bytes, coding: str) -> bytes:
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        decoded = inflate.decompress(body, MAX_BODY_BYTES + 1)
    except zlib.error as error:
        raise _invalid(coding, str(error)) from None
    if len(decoded) > MAX_BODY_BYTES:
        raise ProxyRefusal(
            413,
            f"the decoded body is too large; at most {MAX_BODY_BYTES:,} bytes are accepted",
            code="request_body_too_large_after_decoding",
        )
    if not inflate.eof:
        raise _invalid(coding, "it ends too early")
    return decoded


def _invalid(coding: str, why: str) -> ProxyRefusal:
    return ProxyRefusal(
        400,
        f"the body is not {coding}, as content-encoding says: {why}",
        code="request_body_encoding_invalid",
    )
