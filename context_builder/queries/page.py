"""Keyset pagination: a cursor holds where a page ended and which list it belongs to.

A list is ordered by a moment and an id, newest first. A page continues after the last row of the previous
page, so that rows added meanwhile neither repeat nor push others out.
"""

from __future__ import annotations

import hashlib
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, and_, or_, true
from sqlalchemy.orm import InstrumentedAttribute

from context_builder.question.request import QuestionError

_Row = TypeVar("_Row")

DEFAULT_LIMIT = 50
MAX_LIMIT = 200

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
_CONTENT = re.compile(r"([0-9a-f]{16}) (-?[0-9]{1,18}) ([0-9]{1,18}) ([0-9a-f]{16})", re.ASCII)
_MAX_CURSOR = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The requested part of a list."""

    limit: int = DEFAULT_LIMIT
    """Maximum number of rows, 1 to MAX_LIMIT."""
    cursor: str | None = None
    """`next` of the previous page; None: the first page."""


FIRST_PAGE = Page()


@dataclass(frozen=True, slots=True, order=True)
class PagePosition:
    """A row of a list, such as the last of a page; later ones come first in it."""

    moment: datetime
    id: int


@dataclass(frozen=True, slots=True)
class Listing:
    """One filtered list and where in it the page begins."""

    limit: int
    fingerprint: str
    start: PagePosition | None

    @property
    def before(self) -> datetime | None:
        """Return the end of the span that the page is in, exclusive; None: it is the first page."""
        return None if self.start is None else self.start.moment + MICROSECOND

    def below(
        self, moment: InstrumentedAttribute[datetime], row_id: InstrumentedAttribute[int]
    ) -> ColumnElement[bool]:
        """Return the condition for rows after the previous page."""
        if self.start is None:
            return true()
        # The first condition is implied by the other, but an index on the moment can use it.
        later = or_(moment < self.start.moment, row_id < self.start.id)
        return and_(moment <= self.start.moment, later)

    def cut(
        self, found: Sequence[_Row], position_of: Callable[[_Row], PagePosition]
    ) -> tuple[Sequence[_Row], str | None]:
        """Return the page and the next cursor, given rows that were read up to one beyond the limit."""
        shown = found[: self.limit]
        return shown, self.cursor(position_of(shown[-1])) if len(found) > len(shown) else None

    def cursor(self, last: PagePosition) -> str:
        """Return the cursor of a page that ended with this row."""
        content = f"{self.fingerprint} {(last.moment - _EPOCH) // MICROSECOND} {last.id}"
        return urlsafe_b64encode(f"{content} {_digest(content)}".encode()).decode().rstrip("=")


def open_listing(query: str, filters: Any, page: Page) -> Listing:
    """Open a page of a query's list; `filters` is a dataclass.

    Raises:
        QuestionError: The limit is out of range, or the cursor is malformed or belongs to another list.
    """
    if not 1 <= page.limit <= MAX_LIMIT:
        raise QuestionError(f"limit {page.limit} is out of range; accepted are 1 to {MAX_LIMIT}")
    fingerprint = _digest(f"{query} {_canonical(filters)}")
    if page.cursor is None:
        return Listing(page.limit, fingerprint, None)
    written_for, start = _read(page.cursor)
    if written_for != fingerprint:
        raise QuestionError(
            "the cursor belongs to a list with other filters; repeat the filters of the page it came with, "
            "or omit the cursor to start over"
        )
    return Listing(page.limit, fingerprint, start)


def _read(cursor: str) -> tuple[str, PagePosition]:
    broken = QuestionError(
        "the cursor is malformed; pass `next` of the previous page unchanged, or omit it to start over"
    )
    try:
        if len(cursor) > _MAX_CURSOR:
            raise broken
        text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except ValueError:  # not base64, or not ASCII inside
        raise broken from None
    parts = _CONTENT.fullmatch(text)
    # Decoding skips invalid characters.
    if parts is None or urlsafe_b64encode(text.encode()).decode().rstrip("=") != cursor:
        raise broken
    fingerprint, micros, row_id, digest = parts.groups()
    if digest != _digest(f"{fingerprint} {micros} {row_id}"):
        raise broken
    try:
        moment = _EPOCH + int(micros) * MICROSECOND
        _ = moment + MICROSECOND  # the end of its span must be a moment, too
        return fingerprint, PagePosition(moment, int(row_id))
    except OverflowError:
        raise broken from None


def _canonical(filters: Any) -> str:
    """Return the same text for all filters that choose the same rows."""
    return repr([(one.name, _plain(getattr(filters, one.name))) for one in fields(filters)])


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return sorted(set(value)) if isinstance(value, tuple) else value


def _digest(text: str) -> str:
    """Return a checksum against mistakes, not forgery: a cursor opens nothing that filters would not."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]
