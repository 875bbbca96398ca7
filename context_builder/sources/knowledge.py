"""The operator's runbooks: answers "what do our runbooks say to do about it?".

Columns: file, heading, passage, and how much of the question's wording it explains (%, by BM25), at most MOST
passages. The folder is that of ARCPOINT_RUNBOOKS_PATH. Files have no history: at a past moment one that was
written later is a gap.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from context_builder.question.request import ContextRequest, Topic
from context_builder.source import ContextSource, Fact, Section, Status, Stores
from context_builder.telemetry.runbooks import Passage
from context_builder.text.formatting import format_count, format_list, format_name
from context_builder.text.sanitize import quote
from memory.text.lexical import lexical_scores, words

MOST = 5
LEAST = 0.1
"""Share of the question's wording that a passage explains at the least: one word of four or so."""
_CHARACTERS = 1_000
_LISTED = 5
_IDLE = frozenset(
    words(
        "a about all an and any are as at be been by can did do does for from had has have how i if in is it "
        "its many me much my not now of off on or our out over so than that the their them then there these "
        "they this to us was we were what when where which who why will with you your"
    )
)
"""Words that say nothing of what is asked about."""


class Match(NamedTuple):
    """A passage, and the share of the question's wording that it explains."""

    score: float
    passage: Passage


async def read(request: ContextRequest, stores: Stores) -> Section:
    """The passages that match the question and the names of its scope best."""
    library = await stores.runbooks.library()
    known = [p for p in library.passages if request.is_now or p.modified_at <= request.as_of]
    later = sorted({p.file for p in library.passages} - {p.file for p in known})
    gaps = library.gaps
    if later:
        gaps += (f"runbooks as they were at this moment: {format_list(later, _LISTED)} written later",)
    if not known:
        none = (
            "no runbook folder is configured" if stores.runbooks.folder is None else "no runbooks are there"
        )
        return Section(none, status=Status.EMPTY, gaps=gaps)
    query = " ".join([request.question, *request.scope.labels])
    matches = await asyncio.to_thread(_best, query, known)
    files = format_count(len({passage.file for passage in known}), "runbook")
    if not matches:
        return Section(f"nothing in {files} matches the question", status=Status.EMPTY, gaps=gaps)
    matching = format_count(len(matches), "passage")
    header = (
        f"{matching} of {files} most like the question; written by operators before, not about this moment"
    )
    return Section(header, tuple(_fact(match) for match in matches), gaps=gaps)


def _best(query: str, passages: Sequence[Passage]) -> list[Match]:
    texts = [_telling(f"{passage.heading} {passage.text}") for passage in passages]
    asked, known = sorted(set(_telling(query).split())), {word for text in texts for word in text.split()}
    if not asked:
        return []
    # Words that no passage has, such as names, are the rarest: with their weight nothing would explain much.
    found_words = [word for word in asked if word in known]
    share = len(found_words) / len(asked)
    scores = [share * score for score in lexical_scores(" ".join(found_words), texts)]
    found = [Match(score, passage) for score, passage in zip(scores, passages, strict=True) if score >= LEAST]
    return sorted(found, key=lambda match: (-match.score, match.passage.file))[:MOST]


def _telling(text: str) -> str:
    """The words that say what a text is about, plural and singular alike."""
    return " ".join(_singular(word) for word in words(text) if word not in _IDLE)


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word  # noqa: PLR2004  `gas` is no plural


def _fact(match: Match) -> Fact:
    passage = match.passage
    under = f", {quote(passage.heading, limit=150)}" if passage.heading else ""
    head = f"runbook {format_name(passage.file)}{under} (matches {100 * match.score:.0f} % of the question's words)"
    return Fact(
        f"{head} says: {quote(passage.text, limit=_CHARACTERS)}",
        f"runbook {format_name(passage.file)}{under}",
        min(0.9, 0.3 + match.score),
        kind="runbook passages",
    )


source = ContextSource("knowledge", "K", frozenset({Topic.HISTORY, Topic.CHANGES, Topic.HEALTH}), 3.0, read)
