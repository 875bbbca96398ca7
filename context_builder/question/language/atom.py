"""The parts of a question that the grammar arranges: words of a known role, and the rest as asked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, auto


class Kind(StrEnum):
    """The role of a word. Lexicons have a table per role."""

    WORD = auto()
    """A translated word without a role in the grammar."""
    UNKNOWN = auto()
    NAME = auto()
    PUNCTUATION = auto()
    COMMA = auto()
    DOT = auto()
    OPEN = auto()
    CLOSE = auto()
    """Parentheses."""
    DASH = auto()
    ARTICLE = auto()
    OF = auto()
    AND = auto()
    OR = auto()
    """In a question only: 还是."""
    NOT = auto()
    NOT_AHEAD = auto()
    """The first of the two words of a negation: `ne marche pas`."""

    SINCE = auto()
    UNTIL = auto()
    BEFORE = auto()
    BEFORE_OR_AGO = auto()
    """One word for both in German: "ago" if a duration follows, else "before"."""
    AFTER = auto()
    MAYBE_AFTER = auto()
    """`nach` is "after" only next to a time or an event."""
    BEFORE_AND_AFTER = auto()
    """After an event both, after a time "around": 前后."""
    BETWEEN = auto()
    FROM = auto()
    AT = auto()
    TO = auto()
    """`à`, `a`: "to" within a range, "at" next to a clock time, else nothing."""
    AGO = auto()
    BACK = auto()
    """After a duration "ago", after anything else "before": 前."""
    START = auto()
    """After its time, "since" or "from": から."""
    AFTERWARDS = auto()
    """A relation that follows its time, in English: 以降."""
    END = auto()
    """After its time, "until": まで."""
    PARTICLE = auto()
    """Marks a phrase and says nothing: に."""
    LINK = auto()
    """Joins a word to the next: の."""
    LAST = auto()
    """Also "this" and "next"; before or after its noun."""
    WITHIN = auto()
    EDGE = auto()
    """Beginning, middle or end of a period."""

    NUMBER = auto()
    YEAR_NUMBER = auto()
    UNIT = auto()
    UNIT_SHORT = auto()
    HOUR_LETTER = auto()
    DURATION = auto()
    YEAR_MARK = auto()
    MONTH_MARK = auto()
    DAY_MARK = auto()
    ORDINAL = auto()
    WEEKDAY = auto()
    WEEKDAY_SHORT = auto()
    DAY_MONTH = auto()
    """Numbers that are a date only in the company of a time: `3.5.`, `3/5`."""
    MONTH = auto()
    MONTH_SHORT = auto()
    DAY = auto()
    TOMORROW = auto()
    """Also "morning": `gestern morgen`."""
    PERIOD = auto()
    PART = auto()
    """A part of the day; next to a clock time it tells which half of the day."""
    HOUR_WORD = auto()
    PAST = auto()
    """Minutes after the hour: `y media`."""
    HALF_TO = auto()
    """Half an hour before the hour: `halb drei`."""
    CLOCK_ARTICLE = auto()
    CLOCK_TO = auto()
    CLOCK = auto()
    HALF_DAY_CLOCK = auto()
    """A clock time whose half of the day is known."""
    RANGE = auto()
    MOMENT = auto()
    ZONE = auto()
    ZONE_NOUN = auto()
    """`Zeit`, 时间, which make a place a zone."""
    PLACE = auto()
    """A place whose time is a zone, by a name that is not the English one."""

    TIER = auto()
    TIER_NOUN = auto()
    TIER_USERS = auto()
    EVENT = auto()
    EXCEPT = auto()
    EXCEPT_AFTER = auto()
    AGAINST = auto()
    """`gegen` is "around" before a clock time, else "against"."""
    COMPARED = auto()
    COMPARED_AFTER = auto()
    COMPARE = auto()
    WITH = auto()
    NOR = auto()
    """Before each of a list that is left out, `ni acme ni globex`, or before all but the first: `noch`."""
    NEITHER = auto()
    SAME = auto()
    """Of times: `zur gleichen Zeit`, before or after the other day."""
    UNREAD = auto()
    """A word of time, exclusion or comparison that no reader knows, so that it has to be told."""
    MORE = auto()
    LESS = auto()
    """`menos` is also "except"."""
    ADJECTIVE = auto()
    WHICH = auto()
    RANKING = auto()
    """A question of which is slower, dearer and the like."""
    THAN = auto()


ONLY_IN_A_PHRASE = frozenset(
    {
        Kind.MAYBE_AFTER, Kind.TO, Kind.BACK, Kind.START, Kind.AFTERWARDS, Kind.PARTICLE, Kind.LINK, Kind.END,
        Kind.NUMBER, Kind.YEAR_NUMBER, Kind.UNIT_SHORT, Kind.HOUR_LETTER, Kind.YEAR_MARK,
        Kind.MONTH_MARK, Kind.DAY_MARK,
        Kind.ORDINAL, Kind.WEEKDAY_SHORT, Kind.MONTH_SHORT, Kind.HOUR_WORD, Kind.PAST, Kind.HALF_TO,
        Kind.CLOCK_ARTICLE, Kind.CLOCK_TO, Kind.WITH, Kind.THAN, Kind.COMPARED_AFTER, Kind.EXCEPT_AFTER,
        Kind.WITHIN, Kind.EDGE, Kind.NOT_AHEAD, Kind.DAY_MONTH, Kind.ZONE_NOUN, Kind.PLACE,
        Kind.BEFORE_AND_AFTER, Kind.NOR, Kind.UNREAD,
    }
)  # fmt: skip
"""Roles whose words mean this only within a phrase of the grammar; elsewhere they stay as asked."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A text and the part of the question that it stands for, by position."""

    text: str
    start: int
    end: int
    is_as_asked: bool = False
    """True if each character stands for the one in its place."""


@dataclass(frozen=True, slots=True)
class Atom:
    """A word or phrase in its role."""

    kind: Kind
    pieces: tuple[Piece, ...]
    is_spaced: bool
    """True if white space stands before it."""

    @property
    def text(self) -> str:
        """The English of the whole atom."""
        return "".join(piece.text for piece in self.pieces)

    @property
    def start(self) -> int:
        """The first position in the question that it stands for."""
        return min(piece.start for piece in self.pieces)

    @property
    def end(self) -> int:
        """The position behind the last one that it stands for."""
        return max(piece.end for piece in self.pieces)
