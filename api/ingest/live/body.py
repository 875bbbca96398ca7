"""The body of a post, read and unpacked within bounds of one post and of all together."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Protocol, TypeVar

from backports import zstd

from api.ingest.errors import BodyTooLarge, BodyUnreadable, IngestBusy, UnknownEncoding

_STEP_BYTES = 2**20
_MAX_DISCARDED_BYTES = 64 * 2**20
"""Of a refused body that are still read."""
_PIECE_BYTES = 2**16
_MAX_MEMBERS = 10_000
"""Of one body; each costs as much as some ten thousand bytes."""
ENCODINGS = ("identity", "gzip", "zstd")


class _Member(Protocol):
    """What unpacks one gzip member or one zstd frame."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...


_M = TypeVar("_M", bound=_Member)


class MemoryBudget:
    """Bytes that the posts of this process may hold together; safe to use from threads."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._used = 0
        self._lock = Lock()

    @property
    def used(self) -> int:
        """Bytes that posts hold now."""
        return self._used

    @contextmanager
    def share(self) -> Iterator[Callable[[int], None]]:
        """Give a function that takes bytes for one post, which are returned at the end of the block.

        The function raises IngestBusy if there are not so many.
        """
        taken = 0

        def take(size: int) -> None:
            nonlocal taken
            with self._lock:
                if self._used + size > self._max_bytes:
                    raise IngestBusy("too much is on its way into the database; send it again")
                self._used += size
            taken += size

        try:
            yield take
        finally:
            with self._lock:
                self._used -= taken


async def read_body(
    chunks: AsyncIterator[bytes], announced: int, max_bytes: int, take: Callable[[int], None]
) -> bytes:
    """Return the body as it was sent; `announced` is its size as the sender says, 0 if it does not.

    Raises:
        BodyTooLarge: it has more than `max_bytes`.
        IngestBusy: there is no memory for it; what was announced is not even read.
    """
    received = bytearray()
    try:
        _check_size(announced, max_bytes)
        take(announced)
        async for chunk in chunks:
            size = len(received) + len(chunk)
            _check_size(size, max_bytes)
            take(max(0, size - max(announced, len(received))))
            received += chunk
    except (BodyTooLarge, IngestBusy):
        # Most clients read the response only after sending everything.
        discarded = 0
        async for chunk in chunks:
            discarded += len(chunk)
            if discarded > _MAX_DISCARDED_BYTES:
                break
        raise
    return bytes(received)


def unpack(body: bytes, encoding: str, max_bytes: int, take: Callable[[int], None]) -> bytes:
    """Return the body without its content encoding; blocks.

    Raises:
        BodyTooLarge: unpacked it has more than `max_bytes`; no more than that is unpacked.
        BodyUnreadable: it is broken.
        UnknownEncoding: the encoding is not one of ENCODINGS.
        IngestBusy: there is no memory for it.
    """
    if encoding in ("", "identity"):
        return body
    if encoding not in ENCODINGS:
        raise UnknownEncoding(
            f"content-encoding {encoding!r} is not read; accepted are {', '.join(ENCODINGS)}"
        )
    unpacked = bytearray()
    try:
        for part in _gunzip(body) if encoding == "gzip" else _unzstd(body):
            _check_size(len(unpacked) + len(part), max_bytes)
            take(len(part))
            unpacked += part
    except (zlib.error, zstd.ZstdError, EOFError) as error:
        raise BodyUnreadable(f"the body is not {encoding}: {error}") from None
    return bytes(unpacked)


def _gunzip(body: bytes) -> Iterator[bytes]:
    """Yield the content of all members."""
    for member, packed in _members(body, lambda: zlib.decompressobj(zlib.MAX_WBITS | 16)):
        yield member.decompress(packed, _STEP_BYTES)
        while not member.eof and member.unconsumed_tail:
            yield member.decompress(member.unconsumed_tail, _STEP_BYTES)


def _unzstd(body: bytes) -> Iterator[bytes]:
    """Yield the content of all frames."""
    for frame, packed in _members(body, zstd.ZstdDecompressor):
        yield frame.decompress(packed, _STEP_BYTES)
        while not frame.eof and not frame.needs_input:
            yield frame.decompress(b"", _STEP_BYTES)


def _members(body: bytes, begin: Callable[[], _M]) -> Iterator[tuple[_M, bytes]]:
    """Yield each member of a packed body with a piece of it, which has to be unpacked before the next.

    In pieces, since a member copies what is behind it: of a body of many members each would copy the rest.
    """
    members, at = 0, 0
    while at < len(body):
        members += 1
        if members > _MAX_MEMBERS:
            raise BodyTooLarge(f"the body has too many parts; at most {_MAX_MEMBERS:,} are accepted")
        member = begin()
        while not member.eof:
            if at >= len(body):
                raise EOFError("it ends too early")
            packed = body[at : at + _PIECE_BYTES]
            at += len(packed)
            yield member, packed
        at -= len(member.unused_data)


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise BodyTooLarge(
            f"the body is too large; at most {max_bytes:,} bytes are accepted, unpacked or not"
        )
