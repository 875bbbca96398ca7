"""What a prompt says, as statements that a brief can make, each in one line with its reference. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from context_builder.answer.clause import first_clause, first_clauses
from context_builder.answer.closing import MAX_LINE
from context_builder.answer.grounding import PromptClaims
from context_builder.prompt.manifest import Manifest
from context_builder.prompt.render import uncited_text
from context_builder.source import Headline, Role

BULLET = "- "
_OTHERS = "; and others"
_MIN_ROOM = 25
"""Characters below which a statement is not begun."""
SIDES = "sides"
"""The source that tells what the question compares."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A fact or summary line of the prompt."""

    ref: str
    source: str
    text: str
    """As in the prompt; of a summary line the header."""
    headline: Headline | None
    on_topic: bool
    importance: float
    is_summary: bool

    @property
    def subject(self) -> tuple[object, ...]:
        """What it tells of: onset and drivers of one change are told apart, and tell of the same."""
        headline = self.headline
        if headline is not None and headline.role in (Role.CHANGE, Role.DRIVER) and headline.at is not None:
            return headline.topic, headline.at
        return (self.ref,)


def statements_of(manifest: Manifest) -> list[Statement]:
    """Return everything that the prompt says, the most useful first; a summary before its source's facts.

    What another fact includes is said by that fact, in its own words and by that reference.
    """
    told: list[Statement] = []
    shown = manifest.shown
    summaries = {
        s.name: Statement(s.ref, s.name, s.header, s.headline, s.on_topic, 0.0, is_summary=True)
        for s in manifest.sources
        if not s.folded and not s.status.is_failure
    }
    for fact in manifest.facts:
        holder = fact.ref if fact.is_shown else fact.same_as
        if holder in shown:
            if fact.is_shown and (summary := summaries.pop(fact.source, None)):
                told.append(summary)
            told.append(
                Statement(
                    holder,
                    fact.source,
                    fact.text,
                    fact.headline,
                    fact.on_topic,
                    fact.importance,
                    is_summary=False,
                )
            )
    return [*told, *summaries.values()]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a brief before it is worded: words of its own, then statements."""

    prefix: str
    statements: tuple[Statement, ...] = ()
    is_list: bool = False
    """True if each statement is to be one item of a list, in few words."""


class LineWriter:
    """Words lines of at most MAX_LINE characters whose claims the prompt supports."""

    def __init__(self, manifest: Manifest) -> None:
        self._claims = PromptClaims(manifest.shown, uncited_text(manifest))
        self.used: set[str] = set()
        """References of the lines so far."""
        self.told: set[tuple[object, ...]] = set()
        """Subjects of the lines so far."""

    def words(self, line: Line, *, bullet: bool = True) -> str:
        """Return a line with as many of its statements as fit; those are then used. Empty if none does."""
        text = f"{BULLET if bullet else ''}{line.prefix}"
        several = line.is_list and len(line.statements) > 1
        for place, statement in enumerate(line.statements):
            separator = "; " if place else ""
            is_last = place + 1 == len(line.statements)
            room = MAX_LINE - len(text) - len(separator) - (0 if is_last else len(_OTHERS))
            told = self._told(statement, room, few_words=several, whole=place > 0)
            if not told:
                return f"{text}{_OTHERS}" if place else ""
            text += f"{separator}{told}"
            self.used.add(statement.ref)
            self.told.add(statement.subject)
        return text

    def _told(self, statement: Statement, room: int, *, few_words: bool, whole: bool) -> str:
        """Return the statement with its reference, in the first wording that fits and is supported."""
        for wording in _wordings(statement, few_words=few_words):
            cut = first_clauses(wording, room - len(f" [{statement.ref}]"))
            if not cut or (whole and cut != wording) or (cut != wording and len(cut) < _MIN_ROOM):
                continue
            told = f"{cut} [{statement.ref}]"
            if self._claims.supports(f"{BULLET}{told}"):
                return told
        return ""


def _wordings(statement: Statement, *, few_words: bool) -> Iterator[str]:
    if statement.headline is not None:
        if few_words:
            yield first_clause(statement.headline.text)
        yield statement.headline.text
    yield statement.text
