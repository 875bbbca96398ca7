"""Proofs that a post comes from its sender: signatures over its body, or a shared token."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import datetime

MAX_SIGNED_AGO_S = 300.0
"""Distance between the time that is signed and ours; older posts may be recordings of somebody else."""
HASHED = "sha256:"
"""Before the hash of a secret, in hexadecimal digits, that is given in place of it."""
_MAX_DIGITS = 12

Headers = Mapping[str, str]
"""By name in lower case."""
Proof = Callable[[str, Headers, bytes, datetime], bool]
"""True if the sender of headers and body knows the secret; the body is as it was sent, the time is now."""


def signed(header: str, prefix: str = "") -> Proof:
    """Return the proof of senders that put an HMAC-SHA256 of the body, in hexadecimal digits, into a header.

    The header may have several, separated by commas, while a secret is being replaced.
    """

    def has_signature(secret: str, headers: Headers, body: bytes, _: datetime) -> bool:
        expected = prefix + hmac.digest(secret.encode(), body, "sha256").hex()
        return _has(headers.get(header, "").split(","), expected)

    return has_signature


def standard_webhook(secret: str, headers: Headers, body: bytes, now: datetime) -> bool:
    """Prove the sender as the Standard Webhooks specification says; its time is signed too."""
    sent_at = headers.get("webhook-timestamp", "")
    # Longer numbers are no times, and Python refuses to read very long ones.
    is_time = sent_at.isdecimal() and len(sent_at) <= _MAX_DIGITS
    if not is_time or abs(now.timestamp() - int(sent_at)) > MAX_SIGNED_AGO_S:
        return False
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        return False
    content = f"{headers.get('webhook-id', '')}.{sent_at}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.digest(key, content, "sha256")).decode()
    return _has(headers.get("webhook-signature", "").split(" "), expected)


def bearer(secret: str, headers: Headers, _: bytes, __: datetime) -> bool:
    """Prove the sender by the secret itself, of those that sign nothing but can send a header.

    The service need not know a secret of many random characters: `sha256:` and its hash do.
    """
    scheme, _space, token = headers.get("authorization", "").partition(" ")
    if secret.startswith(HASHED):
        token = HASHED + hashlib.sha256(token.strip().encode()).hexdigest()
    return scheme.lower() == "bearer" and _has([token], secret)


def _has(given: list[str], expected: str) -> bool:
    # Each is compared in constant time, as bytes: text must be ASCII for that.
    return any(hmac.compare_digest(each.strip().encode(), expected.encode()) for each in given)
