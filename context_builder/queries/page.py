"""Pages of a long list: a cursor that holds where a page ended, and which list it belongs to.

The list is ordered by a moment and an id, newest first. A page goes on below the last row of the page before,
so that rows which are added meanwhile are neither repeated nor push others out.
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
_MICROSECOND = timedelta(microseconds=1)
_CONTENT = re.compile(r"([0-9a-f]{16}) (-?[0-9]{1,18}) ([0-9]{1,18}) ([0-9a-f]{16})", re.ASCII)
_MAX_CURSOR = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Which part of a list is wanted."""

    limit: int = DEFAULT_LIMIT
    """Rows at the most, 1 to MAX_LIMIT."""
    cursor: str | None = None
    """`next` of the page before; None: the first page."""


FIRST_PAGE = Page()


@dataclass(frozen=True, slots=True)
class PagePosition:
    """The last row of a page."""

    moment: datetime
    id: int


@dataclass(frozen=True, slots=True)
class Listing:
    """One list, as its filters choose it, and where in it the page begins."""

    limit: int
    fingerprint: str
    start: PagePosition | None

    def below(
        self, moment: InstrumentedAttribute[datetime], row_id: InstrumentedAttribute[int]
    ) -> ColumnElement[bool]:
        """Rows that come after the page before."""
        if self.start is None:
            return true()
        # The first condition says nothing new; it is the one that an index on the moment can use.
        later = or_(moment < self.start.moment, row_id < self.start.id)
        return and_(moment <= self.start.moment, later)

    def cut(
        self, found: Sequence[_Row], position_of: Callable[[_Row], PagePosition]
    ) -> tuple[Sequence[_Row], str | None]:
        """The page and the cursor of the next one, of rows that were read to one beyond the limit."""
        shown = found[: self.limit]
        return shown, self.cursor(position_of(shown[-1])) if len(found) > len(shown) else None

    def cursor(self, last: PagePosition) -> str:
        """The cursor of a page that ended with this row."""
        content = f"{self.fingerprint} {(last.moment - _EPOCH) // _MICROSECOND} {last.id}"
        return urlsafe_b64encode(f"{content} {_digest(content)}".encode()).decode().rstrip("=")


def open_listing(query: str, filters: Any, page: Page) -> Listing:
    """A page of what a query lists under some filters (a dataclass).

    Raises QuestionError for a limit out of bounds, and for a cursor that is none or of another list.
    """
    if not 1 <= page.limit <= MAX_LIMIT:
        raise QuestionError(f"limit {page.limit} cannot be used; accepted are 1 to {MAX_LIMIT}")
    fingerprint = _digest(f"{query} {_canonical(filters)}")
    if page.cursor is None:
        return Listing(page.limit, fingerprint, None)
    written_for, start = _read(page.cursor)
    if written_for != fingerprint:
        raise QuestionError(
            "the cursor belongs to a list with other filters; repeat the filters of the page it came with, "
            "or leave the cursor out to begin anew"
        )
    return Listing(page.limit, fingerprint, start)


def _read(cursor: str) -> tuple[str, PagePosition]:
    broken = QuestionError(
        "the cursor is damaged; take `next` of the page before as it is, or leave it out to begin anew"
    )
    try:
        if len(cursor) > _MAX_CURSOR:
            raise broken
        text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except ValueError:  # no base64, or no ASCII in it
        raise broken from None
    parts = _CONTENT.fullmatch(text)
    # Decoding skips characters that do not belong there.
    if parts is None or urlsafe_b64encode(text.encode()).decode().rstrip("=") != cursor:
        raise broken
    fingerprint, micros, row_id, digest = parts.groups()
    if digest != _digest(f"{fingerprint} {micros} {row_id}"):
        raise broken
    try:
        return fingerprint, PagePosition(_EPOCH + int(micros) * _MICROSECOND, int(row_id))
    except OverflowError:
        raise broken from None


def _canonical(filters: Any) -> str:
    """The same text for filters that choose the same rows, however they are written."""
    return repr([(one.name, _plain(getattr(filters, one.name))) for one in fields(filters)])


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return sorted(set(value)) if isinstance(value, tuple) else value


def _digest(text: str) -> str:
    """Guards against mistakes, not against forgery: a cursor opens nothing that filters would not."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]
