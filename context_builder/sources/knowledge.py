"""The operator's runbooks: answers "what do our runbooks say to do about it?".

Columns: file, heading, passage, and how much of the question's wording it matches (%, by BM25), at most
MAX_PASSAGES. The folder is ARCPOINT_RUNBOOKS_PATH. Files have no history: at a past moment a file that was
written later is a gap.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from context_builder.question.request import ContextRequest, Topic, Wording
from context_builder.source import ContextSource, Fact, Section, Shown, Status, Stores
from context_builder.telemetry.runbooks import Passage
from context_builder.text.formatting import format_count, format_list, format_name
from context_builder.text.sanitize import quote
from memory.text.lexical import lexical_scores, words

MAX_PASSAGES = 5
MIN_SCORE = 0.1
"""Minimum share of the question's wording that a passage matches: about one word in four."""
_MAX_CHARACTERS = 1_000
_MAX_FILES_LISTED = 5
_STOP_WORDS = frozenset(
    words(
        "a about all an and any are as at be been by can did do does for from had has have how i if in is it "
        "its many me much my not now of off on or our out over so than that the their them then there these "
        "they this to us was we were what when where which who why will with you your"
    )
)
"""Words that carry no topic."""


class PassageMatch(NamedTuple):
    """A passage and the share of the question's wording that it matches."""

    score: float
    passage: Passage


async def read(request: ContextRequest, stores: Stores) -> Section:
    """Return the passages that best match the question and the names in its scope."""
    library = await stores.runbooks.library()
    known = [p for p in library.passages if request.is_now or p.modified_at <= request.as_of]
    later = sorted({p.file for p in library.passages} - {p.file for p in known})
    gaps = library.gaps
    if later:
        gaps += (
            f"runbooks as they were at this moment: {format_list(later, _MAX_FILES_LISTED)} written later",
        )
    if not known:
        none = (
            "no runbook folder is configured" if stores.runbooks.folder is None else "no runbooks were found"
        )
        return Section(none, status=Status.EMPTY, gaps=gaps, applies=bool(gaps))
    query = " ".join([request.question, *request.scope.labels])
    matches = await asyncio.to_thread(_best_matches, query, known)
    files = format_count(len({passage.file for passage in known}), "runbook")
    if not matches:
        return Section(f"nothing in {files} matches the question", status=Status.EMPTY, gaps=gaps)
    matching = format_count(len(matches), "passage")
    header = (
        f"{matching} of {files} closest to the question; written earlier by operators, not about this event"
    )
    return Section(header, tuple(_fact(match) for match in matches), gaps=gaps)


def _best_matches(query: str, passages: Sequence[Passage]) -> list[PassageMatch]:
    texts = [_content_words(f"{passage.heading} {passage.text}") for passage in passages]
    asked, known = (
        sorted(set(_content_words(query).split())),
        {word for text in texts for word in text.split()},
    )
    if not asked:
        return []
    # Words that no passage has, such as names, are the rarest: with their weight no passage would match much.
    found_words = [word for word in asked if word in known]
    share = len(found_words) / len(asked)
    scores = [share * score for score in lexical_scores(" ".join(found_words), texts)]
    found = [
        PassageMatch(score, passage)
        for score, passage in zip(scores, passages, strict=True)
        if score >= MIN_SCORE
    ]
    return sorted(found, key=lambda match: (-match.score, match.passage.file))[:MAX_PASSAGES]


def _content_words(text: str) -> str:
    """Return the words that carry a text's topic, in the singular."""
    return " ".join(_singular(word) for word in words(text) if word not in _STOP_WORDS)


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word  # noqa: PLR2004  `gas` is no plural


def _fact(match: PassageMatch) -> Fact:
    passage = match.passage
    under = f", {quote(passage.heading, limit=150)}" if passage.heading else ""
    short = f"runbook {format_name(passage.file)}{under}"
    matched = f"matches {100 * match.score:.0f} % of the question's words"
    return Fact(
        f"{short} ({matched}) says: {quote(passage.text, limit=_MAX_CHARACTERS)}",
        short,
        min(0.9, 0.3 + match.score),
        kind="runbook passages",
        approved=True,
    )


source = ContextSource(
    "knowledge",
    "K",
    frozenset({Topic.HISTORY, Topic.CHANGES, Topic.HEALTH}),
    3.0,
    read,
    asks=frozenset({Wording.QUESTION}),
    shows_to_confined=Shown.NOTHING,
)
