"""Finds users, incidents and requests that a text names by their public ids."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import structlog
from sqlalchemy import func, select

from context_builder.question.lookups import Lookups
from context_builder.question.mention import NameKind, NameMention, TextSpan
from context_builder.question.names.words import ORDINARY_WORDS, Word, characters, words_in
from models import Incident, Request, User
from models.database import ReadSession
from models.errors import ColdDayUnreadable
from models.request_log.cold import cold_part

log = structlog.get_logger(__name__)

QUOTED = re.compile(r"[\"“”«»`]([^\"“”«»`]{1,100})[\"“”«»`]|(?<!\w)['‘]([^'‘’]{1,100})['’](?!\w)")
"""A name with spaces is recognized by its quotes."""
KIND_OF_NOUN = {
    "user": NameKind.USER, "customer": NameKind.USER, "client": NameKind.USER, "team": NameKind.USER,
    "tenant": NameKind.USER, "account": NameKind.USER, "org": NameKind.USER, "incident": NameKind.INCIDENT,
    "inc": NameKind.INCIDENT, "request": NameKind.REQUEST,
}  # fmt: skip
"""What the word after one of these is the name of."""
_NUMBER_NOUNS = KIND_OF_NOUN.keys() | {"id", "number"}
"""A bare number is an id only after one of these."""
_TABLES: dict[NameKind, tuple[type[User | Incident | Request], str]] = {
    NameKind.USER: (User, "user_"),
    NameKind.INCIDENT: (Incident, "inc_"),
    NameKind.REQUEST: (Request, "req_"),
}
"""Tables with the prefix of their generated public ids, which people omit; the first has precedence."""
_MAX_CHARACTERS = 100
"""Of a public id."""
_MAX_PARAMETERS = 10_000
"""Ids per statement; both databases accept about 32,000."""
_WIDTHS = range(2, 7)
"""Digits of a generated id, whose zeros people omit."""
_MAX_RECASED = 50
"""Words looked up without regard to case, which no index serves."""

Row = tuple[NameKind, int, str]


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A part of the text that may be a public id."""

    text: str
    span: TextSpan
    kind: NameKind | None = None
    """What it must be, if a noun before it says so."""
    is_negated: bool = False
    is_marked: bool = False
    """True for quotes, a noun before it or the form of an id: worth a second look-up."""


async def find_row_names(
    text: str, as_of: datetime, lookups: Lookups, taken: Sequence[TextSpan]
) -> tuple[NameMention, ...]:
    """Return the users, incidents and requests that a text names outside of `taken`, in text order.

    Their ids are looked up as written and in usual spellings, by the unique index; then, for what looks like
    the id of a user or incident, without regard to case if only one is meant.
    """
    used = characters(taken)
    candidates = [c for c in _candidates(text) if used.isdisjoint(characters([c.span]))]
    rows = await _rows(candidates, as_of, lookups)
    mentions: list[NameMention] = []
    for candidate in candidates:
        found = _meant(candidate, rows)
        if found and used.isdisjoint(characters([candidate.span])):
            used |= characters([candidate.span])
            ids, names = tuple(row[1] for row in found), tuple(row[2] for row in found)
            note = f"“{candidate.text}” means {len(found)} {found[0][0]}s: {', '.join(names)}"
            mentions.append(
                NameMention(
                    spans=(candidate.span,),
                    kind=found[0][0],
                    ids=ids,
                    names=names,
                    is_negated=candidate.is_negated,
                    note=note if len(found) > 1 else "",
                )
            )
    return tuple(sorted(mentions, key=lambda mention: mention.spans))


def _candidates(text: str) -> list[_Candidate]:
    """Return the parts of a text that may be public ids, the longest first."""
    found = []
    for match in QUOTED.finditer(text):
        group = match.lastindex or 1
        found.append(_Candidate(match[group], TextSpan(*match.span(group)), is_marked=True))
    words = tuple(words_in(text))
    for before, word in zip((None, *words), words, strict=False):
        noun = before.folded if before else ""
        kind = KIND_OF_NOUN.get(noun)
        if is_candidate(word, noun):
            is_marked = kind is not None or re.search(r"[\d@.:/_-]", word.text) is not None
            found.append(_Candidate(word.text, word.span, kind, word.is_negated, is_marked))
        if before and kind and text[before.span.end : word.span.start] == " ":
            span = TextSpan(before.span.start, word.span.end)
            found += [_Candidate(f"{noun}{mark}{word.text}", span, kind) for mark in "-_:"]
    for match in re.finditer(r"\S+", text):
        whole = match.group().strip(".,;:!?()[]{}<>\"'“”‘’«»`…")
        start = match.start() + match.group().find(whole)
        if len(whole) > 1 and any(character.isalpha() for character in whole):
            found.append(_Candidate(whole, TextSpan(start, start + len(whole))))
    found = [c for c in found if len(c.text) <= _MAX_CHARACTERS and c.text.casefold() not in ORDINARY_WORDS]
    unique = {(c.text, c.span): c for c in reversed(found)}
    return sorted(unique.values(), key=lambda c: (c.span.start - c.span.end, c.span))


def is_candidate(word: Word, noun: str) -> bool:
    """Return whether a word, after a noun, could be the public id of a user, incident or request."""
    if noun in _NUMBER_NOUNS:
        return word.folded not in ORDINARY_WORDS
    is_number = not any(character.isalpha() for character in word.text)
    return len(word.text) > 1 and word.folded not in ORDINARY_WORDS and not is_number


def _spellings(word: str, prefix: str) -> Iterator[str]:
    """Yield the public ids a word may stand for: of `INC-42` and `42`, `inc_42` among others."""
    for spelled in (word, word.lower(), word.upper()):
        yield from (spelled, spelled.replace("-", "_"), spelled.replace("_", "-"), f"{prefix}{spelled}")
    if number := re.fullmatch(rf"(?:{prefix[:-1]}[-_#]?)?0*(\d{{1,6}})", word, re.IGNORECASE):
        yield from (f"{prefix}{number[1].zfill(width)}" for width in _WIDTHS)


async def _rows(
    candidates: Sequence[_Candidate], as_of: datetime, lookups: Lookups
) -> dict[tuple[NameKind, str], Row]:
    """Load the rows with one of the spellings, by kind and spelling."""
    rows: dict[tuple[NameKind, str], Row] = {}
    for kind, (table, prefix) in _TABLES.items():
        spelled = {name for c in candidates for name in _spellings(c.text, prefix) if c.kind in (None, kind)}
        found = await lookups.each((kind, as_of), spelled, partial(_by_name, table, as_of))
        rows |= {(kind, name): (kind, *row) for name, row in found.items()}
    doubtful = [c for c in candidates if c.is_marked and c.text.isascii() and not _meant(c, rows)]
    for kind in (NameKind.USER, NameKind.INCIDENT):
        table, prefix = _TABLES[kind]
        lower = {name.lower() for c in doubtful[:_MAX_RECASED] for name in _spellings(c.text, prefix)}
        alone = await lookups.each((kind, as_of, "lower"), lower, partial(_by_lower_name, table, as_of))
        rows |= {(kind, name): (kind, *row) for name, row in alone.items()}
    # A look-up in files takes longer, so only for what can be nothing else.
    kind, prefix = NameKind.REQUEST, _TABLES[NameKind.REQUEST][1]
    named = [c for c in doubtful if c.kind is kind or c.text.lower().startswith(prefix)]
    spelled = {name for c in named[:_MAX_RECASED] for name in _spellings(c.text, prefix)}
    moved = await lookups.each((kind, as_of, "cold"), spelled, partial(_in_cold_days, as_of))
    return rows | {(kind, name): (kind, *row) for name, row in moved.items()}


async def _by_name(
    table: type[User | Incident | Request], as_of: datetime, session: ReadSession, names: list[str]
) -> dict[str, tuple[int, str]]:
    """Return the rows with these public ids."""
    return {row[1]: row for row in await _select(session, table, names, as_of)}


async def _in_cold_days(
    as_of: datetime, session: ReadSession, names: list[str]
) -> dict[str, tuple[int, str]]:
    """Return the requests with these public ids in cold days; none if the files cannot be read."""
    try:
        cold = await cold_part(session, until=as_of)
        statement = select(Request.id, Request.public_id).where(Request.created_at <= as_of)
        rows = await cold.execute(statement.where(Request.public_id.in_(names))) if cold else []
    except ColdDayUnreadable as error:
        log.warning("names of requests not looked up", reason=str(error))
        return {}
    return {row[1]: (row[0], row[1]) for row in rows}


async def _by_lower_name(
    table: type[User | Incident | Request], as_of: datetime, session: ReadSession, names: list[str]
) -> dict[str, tuple[int, str]]:
    """Return the rows whose public ids are these in lower case, each the only one of its kind."""
    by_lower: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for row in await _select(session, table, names, as_of, is_lower=True):
        by_lower[row[1].lower()].append(row)
    return {name: same[0] for name, same in by_lower.items() if len(same) == 1}


async def _select(
    session: ReadSession,
    table: type[User | Incident | Request],
    names: list[str],
    as_of: datetime,
    *,
    is_lower: bool = False,
) -> list[tuple[int, str]]:
    since = Incident.started_at if table is Incident else getattr(table, "created_at")  # noqa: B009
    column = func.lower(table.public_id) if is_lower else table.public_id
    found: list[tuple[int, str]] = []
    for start in range(0, len(names), _MAX_PARAMETERS):
        batch = names[start : start + _MAX_PARAMETERS]
        statement = select(table.id, table.public_id).where(column.in_(batch), since <= as_of)
        found += [(row[0], row[1]) for row in await session.execute(statement)]
    return found


def _meant(candidate: _Candidate, rows: dict[tuple[NameKind, str], Row]) -> list[Row]:
    """Return the rows that a candidate names: exactly as written, else in any spelling, of one kind."""
    for kind, (_, prefix) in _TABLES.items():
        if candidate.kind not in (None, kind):
            continue
        exact = rows.get((kind, candidate.text))
        if exact:
            return [exact]
        spelled = [rows.get((kind, name)) for name in _spellings(candidate.text, prefix)]
        found = {row[1]: row for row in spelled if row}
        if found:
            return sorted(found.values(), key=lambda row: row[2])
    return []
