"""A cursor is used exactly as it was given or rejected in one line."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from context_builder.queries.page import Page, PagePosition, open_listing
from context_builder.question.request import QuestionError
from tests.support.gateway import NOON

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@dataclass(frozen=True)
class Filter:
    names: tuple[str, ...] = ()
    since: datetime | None = None


def cursor_at(moment: datetime = NOON, row_id: int = 7) -> str:
    return open_listing("things", Filter(), Page()).cursor(PagePosition(moment, row_id))


def read(cursor: str, query: str = "things") -> PagePosition | None:
    return open_listing(query, Filter(), Page(cursor=cursor)).start


@given(
    st.datetimes(datetime(1900, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001  hypothesis wants naive bounds
    st.integers(0, 2**59),
)
def test_a_cursor_says_where_the_page_ended(moment: datetime, row_id: int) -> None:
    """A cursor round-trips to the microsecond and needs no escaping in a URL."""
    cursor = cursor_at(moment, row_id)
    assert set(cursor) <= set(ALPHABET)
    assert read(cursor) == PagePosition(moment, row_id)


@given(st.data())
def test_a_damaged_cursor_is_refused(data: st.DataObject) -> None:
    """A cursor with one character changed, lost or added is rejected."""
    cursor = cursor_at()
    place = data.draw(st.integers(0, len(cursor) - 1))
    put = data.draw(st.sampled_from(["", *ALPHABET, "=", " ", "ü"]))
    lost = data.draw(st.integers(0, 2))
    damaged = cursor[:place] + put + cursor[place + lost :]
    assume(damaged != cursor)
    with pytest.raises(QuestionError, match="the cursor is malformed") as caught:
        read(damaged)
    assert "\n" not in str(caught.value)


def test_a_cursor_at_the_end_of_time_is_refused() -> None:
    """A forged one leads beyond what a moment can be."""
    with pytest.raises(QuestionError, match="the cursor is malformed"):
        read(cursor_at(datetime.max.replace(tzinfo=UTC)))


@given(st.text(max_size=300))
def test_a_text_that_is_no_cursor_is_refused(text: str) -> None:
    """Arbitrary text is rejected as a cursor."""
    with pytest.raises(QuestionError, match="the cursor is malformed"):
        read(text)


def test_another_list_refuses_it() -> None:
    """A cursor of another query is rejected, even with the same filters."""
    with pytest.raises(QuestionError, match="with other filters"):
        read(cursor_at(), "others")


@pytest.mark.parametrize("limit", [0, -1, 201, 10**30])
def test_a_limit_out_of_bounds_is_refused(limit: int) -> None:
    """The error says what is accepted."""
    with pytest.raises(QuestionError, match="accepted are 1 to 200"):
        open_listing("things", Filter(), Page(limit=limit))
