"""The text of a question with its names, and its times on demand: what every later reader works on. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from context_builder.question.mention import NameMention, TextSpan
from context_builder.question.times.lexer import MASK, Anchor
from context_builder.question.times.reading import TimeReading, read_times

_FILLER = (
    r"(?:the|a|an|our|my|all|any|every|each|those|these|that|of|in|on|at|by|for|from|to|with|using|via|about|it|was|is"
    r"|are|were|users?|customers?|clients?|accounts?|tiers?|traffic|requests?|people|plans?|models?|deployments?"
    r"|backends?|regions?|clouds?|providers?|sites?|days?|ones?|both|either|one|latency|errors?|cost|volume|incident)"
)
_GAP = re.compile(rf"[\s,:“”\"'()]*(?:{_FILLER}\b[\s,:“”\"'()]*)*", re.IGNORECASE)
_LINK = re.compile(
    rf"\s*(?:{_FILLER}\b\s*)*(?:[,&/]|\b(?:and|or|nor|plus|as well as)\b)"
    rf"[\s,]*(?:(?:and|or|nor|{_FILLER})\b[\s,]*)*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Material:
    """A question's English text with the names in it."""

    text: str
    as_of: datetime
    names: Sequence[NameMention] = ()
    anchors: Mapping[TextSpan, Anchor] | None = None
    """Events that times refer to."""

    def times(
        self, start: int, end: int, *, besides: Iterable[TextSpan] = (), after: str = ""
    ) -> TimeReading:
        """Read the times between two places of the text, besides some parts of it.

        `after` is a word to read them after, such as `since`, in place of what stands there.
        """
        anchors = self.anchors or {}
        masked = [MASK * start, self.text[start:end], MASK * (len(self.text) - end)]
        text = "".join(masked)
        for span in (*besides, *(s for name in self.names for s in name.spans), *anchors):
            text = f"{text[: span.start]}{MASK * (span.end - span.start)}{text[span.end :]}"
        if after:
            text = f"{text[: start - len(after) - 1]}{after} {text[start:]}"
        here = {span: anchor for span, anchor in anchors.items() if start <= span.start and span.end <= end}
        return read_times(text, self.as_of, here)

    def is_gap(self, start: int, end: int) -> bool:
        """Return whether at most fillers stand between an operator and what it applies to."""
        return start <= end and _GAP.fullmatch(self.text, start, end) is not None

    def is_link(self, start: int, end: int) -> bool:
        """Return whether at most fillers and list words stand between two places."""
        return start <= end and _LINK.fullmatch(self.text, start, end) is not None

    def names_after(self, position: int) -> tuple[NameMention, ...]:
        """Return the list of names of one kind that begins first after a place."""
        return self._list([name for name in self.names if name.spans[0].start >= position])

    def names_before(self, position: int) -> tuple[NameMention, ...]:
        """Return the list of names of one kind that ends last before a place, in text order."""
        before = [name for name in self.names if name.spans[-1].end <= position]
        return self._list(before[::-1])[::-1]

    def _list(self, names: Sequence[NameMention]) -> tuple[NameMention, ...]:
        run = list(names[:1])
        for name in names[1:]:
            first, second = sorted((run[-1], name), key=lambda mention: mention.spans[0])
            if name.kind is not run[-1].kind or not self.is_link(first.spans[-1].end, second.spans[0].start):
                break
            run.append(name)
        return tuple(run)
