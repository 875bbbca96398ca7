"""Shortens a text to its first clauses without cutting a figure or leaving a quotation open. Pure."""

from __future__ import annotations

import re

ELLIPSIS = " …"
_CLAUSE_END = re.compile(r"(?:(?<=»)|(?=[;,:.] )|(?= \())(?=.)")
_WORD_END = re.compile(r"(?= )")
_FIGURE_BEFORE = re.compile(r"\d\S*(?: \S{1,3})?$")
_FIGURE_AFTER = re.compile(r" \S*\d")
_MAX_FIGURE = 40
"""Characters before an end in which a figure may stand."""
_LEAST_SHARE = 0.5
"""Share of the limit from which the end of a clause is preferred to more words."""


def first_clauses(text: str, limit: int) -> str:
    """Return at most `limit` characters; empty if not even the first words fit without cutting a figure."""
    if len(text) <= limit:
        return text
    room = limit - len(ELLIPSIS) - 1
    clauses = [m.start() for m in _CLAUSE_END.finditer(text, 1, room + 2) if m.start() <= room]
    words = [m.start() for m in _WORD_END.finditer(text, 1, room + 1) if _is_between_figures(text, m.start())]
    long = [end for end in clauses if end >= _LEAST_SHARE * limit]
    end = max(long or words or clauses, default=0)
    kept = text[:end].rstrip(" ;,:(")
    return kept and f"{kept}{ELLIPSIS}{'»' if kept.count('«') > kept.count('»') else ''}"


def first_clause(text: str) -> str:
    """Return what stands before the first comma, semicolon, colon or reason; the whole of a single clause."""
    return re.split(r"; |, |: ", text, maxsplit=1)[0]


def _is_between_figures(text: str, end: int) -> bool:
    """Return whether no figure goes on at `end`, as in `10 h 51 min` or `2026-11-20 08:46`."""
    before = _FIGURE_BEFORE.search(text[max(0, end - _MAX_FIGURE) : end])
    return before is None and _FIGURE_AFTER.match(text, end) is None
