"""How our rows look in Chroma, and what its errors mean, wherever it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

SPACE: Literal["cosine"] = "cosine"
PREFIX = "incidents-"
"""Of every collection that incident memory makes; a server may hold those of other programs too."""

Kind = Literal["missing", "corrupt", "failed"]
"""What is wrong: no such collection; what is stored cannot be read; the call alone failed."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_PASSING = (
    "database or disk is full",
    "No space left",
    "readonly database",
    "database is locked",
    "os error",
)
"""Internal errors that say something about the machine, not about what is stored."""


class Unfit(Exception):
    """A collection holds other vectors than ours."""


class ChromaFault(Exception):
    """Chroma says that it cannot do what was asked."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def microseconds(moment: datetime) -> int:
    """Since 1970: whole numbers compare exactly, in Chroma too, and the database keeps no finer ones."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def metadatas(stamps: Sequence[str], known_at: Sequence[int]) -> list[Mapping[str, Any]]:
    """What is stored beside each vector; moments in microseconds since 1970."""
    return [{"stamp": stamp, "known_at": moment} for stamp, moment in zip(stamps, known_at, strict=True)]


def stamp_of(row: Mapping[str, object]) -> str:
    """The stamp in a row's metadata."""
    return str(row["stamp"])


def known_at(collection: str, row: Mapping[str, object]) -> int:
    """The moment in a row's metadata. Raises Unfit where there is none."""
    try:
        return int(str(row["known_at"]))
    except KeyError:
        raise Unfit(f"collection {collection} was made by an older version") from None


def require_cosine(collection: str, configuration: Mapping[str, Any]) -> None:
    """Raises Unfit unless a collection, configured like this, compares by cosine."""
    space = (configuration.get("hnsw") or {}).get("space")
    if space != SPACE:
        raise Unfit(f"collection {collection} compares by {space} instead of {SPACE}")


def require_dimension(collection: str, stored: int, asked: int) -> None:
    """Raises Unfit unless a vector of `asked` numbers can be compared with those stored."""
    if stored != asked:
        raise Unfit(f"collection {collection} has vectors of {stored} numbers")


def kind_of(name: str, message: str) -> Kind:
    """What an error of Chroma's means; `name` is the one that Chroma has for its class."""
    if name == "NotFoundError":
        return "missing"
    passing = any(sign in message for sign in _PASSING)
    return "corrupt" if name == "InternalError" and not passing else "failed"
