"""The public ids and names of all users, found in texts as whole words. Pure."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

_WORD = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+"
)
"""A run of letters and digits; each character where a script has no spaces."""
_CUT = "…"
_MIN_CHARACTERS = 2
_MIN_DIGITS = 5
"""A shorter number says nothing: figures would be taken for a user."""
_MIN_CUT_CHARACTERS = 4

Words = tuple[str, ...]


def words_of(text: str) -> Words:
    """Return the words of a text in their plainest spelling."""
    return tuple(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


@dataclass(frozen=True)
class UserNames:
    """Everything that users of the gateway are called."""

    users: Sequence[tuple[int, str, str | None]]
    """Id, public id and name."""

    @cached_property
    def _all(self) -> frozenset[Words]:
        return frozenset(_telling(name for _, *names in self.users for name in names))

    @cached_property
    def _sorted(self) -> Sequence[str]:
        return sorted(map("\0".join, self._all))

    @cached_property
    def _lengths(self) -> Sequence[int]:
        return sorted({len(words) for words in self._all})

    def of_others(self, user_id: int) -> OtherNames:
        """Return the names of all users but one, who may share some of them."""
        own = _telling(name for number, *names in self.users if number == user_id for name in names)
        return OtherNames(self, frozenset(own))

    def found_in(self, words: Words) -> Iterator[slice]:
        """Yield where a name is."""
        for start in range(len(words)):
            for length in self._lengths:
                if words[start : start + length] in self._all:
                    yield slice(start, start + length)

    def may_begin(self, words: Words) -> bool:
        """Return whether a name may begin with the last of these words, the very last of which may be cut."""
        for length in self._lengths:
            beginning = "\0".join(words[-length:])
            place = bisect_left(self._sorted, beginning)
            if len(beginning) >= _MIN_CUT_CHARACTERS and any(
                name.startswith(beginning) for name in self._sorted[place : place + 1]
            ):
                return True
        return False


@dataclass(frozen=True)
class OtherNames:
    """The names of all users but one."""

    known: UserNames
    excused: frozenset[Words]
    """Names that tell nothing: the user's own, and those that they have said themselves."""

    def besides(self, text: str) -> OtherNames:
        """Return these names without those in a text."""
        words = words_of(text)
        return OtherNames(self.known, self.excused | {words[place] for place in self.known.found_in(words)})

    def are_in(self, text: str) -> bool:
        """Return whether a text names another user, or is cut where it may do so."""
        words = words_of(text)
        found = list(self.known.found_in(words))
        own = [place for place in found if words[place] in self.excused]
        if any(not _is_within(place, own) for place in found):
            return True
        parts = text.split(_CUT)[:-1]
        return any(self.known.may_begin(words_of(part)) for part in parts)


def _is_within(place: slice, others: Collection[slice]) -> bool:
    return any(other.start <= place.start and place.stop <= other.stop for other in others)


def _telling(names: Iterable[str | None]) -> Iterator[Words]:
    """Yield the words of the names by which a text can be told to speak of a user."""
    for words in {words_of(name) for name in names if name}:
        joined = "".join(words)
        if len(joined) >= (_MIN_DIGITS if joined.isdigit() else _MIN_CHARACTERS):
            yield words
