"""The layout of our rows in Chroma and the meaning of its errors, in a folder and on a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from memory.errors import CollectionMissing, FaultKind, IndexFault, MemoryCorrupt, MemoryUnavailable

SPACE: Literal["cosine"] = "cosine"
PREFIX = "incidents-"
"""Starts the name of every collection of incident memory; a server may hold those of other programs."""

_TRANSIENT = (
    "database or disk is full",
    "No space left",
    "readonly database",
    "database is locked",
    "os error",
)
"""Internal errors about the machine, not about the stored data."""


def metadatas(stamps: Sequence[str], known_at: Sequence[int]) -> list[Mapping[str, Any]]:
    """Return the metadata stored beside each vector; `known_at` is in microseconds since 1970."""
    return [{"stamp": stamp, "known_at": moment} for stamp, moment in zip(stamps, known_at, strict=True)]


def known_at(collection: str, row: Mapping[str, object]) -> int:
    """Return `known_at` of a row's metadata, in microseconds since 1970. Raises IndexFault without one."""
    if "known_at" not in row:
        raise IndexFault("corrupt", f"collection {collection} was built by an older version")
    return int(str(row["known_at"]))


def require_cosine(collection: str, configuration: Mapping[str, Any]) -> None:
    """Raise IndexFault unless the configured distance of a collection is cosine."""
    space = (configuration.get("hnsw") or {}).get("space")
    if space != SPACE:
        raise IndexFault("corrupt", f"collection {collection} compares by {space} instead of {SPACE}")


def require_dimension(collection: str, stored: int, asked: int) -> None:
    """Raise IndexFault unless the query's dimension is that of the stored vectors."""
    if stored != asked:
        raise IndexFault("corrupt", f"collection {collection} has vectors of {stored} numbers")


def kind_of(name: str, message: str) -> FaultKind:
    """Return the kind of a Chroma error, given the error name that Chroma reports."""
    if name == "NotFoundError":
        return "missing"
    transient = any(sign in message for sign in _TRANSIENT)
    return "corrupt" if name == "InternalError" and not transient else "failed"


def unavailable(where: str, collection: str | None, fault: IndexFault) -> MemoryUnavailable:
    """Return the error to raise for a fault; `where` names the folder or server."""
    message = " ".join(str(fault).split())
    if fault.kind == "missing":
        return CollectionMissing(f"{where} has no collection {collection}; run `arcpoint memory rebuild`")
    if fault.kind == "corrupt":
        return MemoryCorrupt(
            f"{where} is damaged ({message}); `arcpoint memory rebuild` restores it from the database"
        )
    if fault.kind == "refused":
        return MemoryUnavailable(message)
    return MemoryUnavailable(f"{where} cannot be used: {message}")
