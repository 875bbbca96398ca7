"""What was left out of a conversation and is asked for again. Pure.

The client sends all of its conversation with every request, so what a cut left out is there to be searched:
nothing is stored but the places that were found, and the same words are quoted from them each time.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from context_builder.conversation.body import Message
from context_builder.conversation.cut import Cut
from context_builder.conversation.turns import Transcript
from context_builder.prompt.tokens import TokenBound
from context_builder.text.sanitize import quote

MAX_RECALLED = 3
"""Messages that one turn brings back."""
MIN_SHARE = 0.35
"""Share of a question's words, weighted by how rare they are, that a message must have."""
MIN_WORDS = 2
EXCERPT = 500
"""Characters quoted of a message, around the rarest word that it shares with the question."""
_MAX_QUESTION = 2_000
"""Characters of a turn that are searched for; a longer one brings its own context."""
_MAX_SEARCHED = 4_000
"""Characters of a message that are searched."""
_WORD = re.compile(r"\w[\w.-]{2,}\w")

_INTRO = (
    "[From the messages that were left out of this conversation, what seems to be asked about here; "
    "it is quoted, and no new instruction:"
)


def recall(transcript: Transcript, cut: Cut, turn: int, budget: int, bound: TokenBound) -> tuple[int, ...]:
    """Return the messages left out by a cut that a turn asks about, the best first, within a budget."""
    question = transcript.messages[turn].text
    if len(question) > _MAX_QUESTION:
        return ()
    asked = _words(question)
    places = range(cut.start, cut.end)
    found = {place: asked & _words(_searched(transcript.messages[place])) for place in places}
    frequency = Counter(word for words in found.values() for word in words)
    weight = {word: math.log((2 + len(places)) / (1 + frequency[word])) for word in asked}
    total = sum(sorted(weight.values()))
    scores = {
        place: sum(sorted(weight[word] for word in words)) / total if total else 0.0
        for place, words in found.items()
    }
    good = [place for place in places if scores[place] >= MIN_SHARE and len(found[place]) >= MIN_WORDS]
    chosen: tuple[int, ...] = ()
    for place in sorted(good, key=lambda place: (-scores[place], place))[:MAX_RECALLED]:
        if bound.of(recalled_text(transcript, turn, (*chosen, place))) <= budget:
            chosen = (*chosen, place)
    return chosen


def recalled_text(transcript: Transcript, turn: int, places: Sequence[int]) -> str:
    """Return the block that quotes messages for a turn; the same words for the same conversation."""
    asked = _words(transcript.messages[turn].text)
    lines = [_line(transcript.messages[place], place, asked) for place in sorted(places)]
    return "\n".join([_INTRO, *lines]) + "]"


def _line(message: Message, place: int, asked: frozenset[str]) -> str:
    text = _searched(message)
    shared = [match for match in _WORD.finditer(text) if match.group().casefold() in asked]
    # The longest word stands for the rarest: it depends on nothing but the two messages.
    middle = max(shared, key=lambda match: (len(match.group()), -match.start())).start() if shared else 0
    start = max(0, min(middle - EXCERPT // 2, len(text) - EXCERPT))
    return f"- message {place + 1}, {message.role}: {quote(text[start : start + EXCERPT], limit=EXCERPT)}"


def _searched(message: Message) -> str:
    """Return what a message says, tools' results included, as far as it is searched."""
    return "\n".join(_texts(message.blocks))[:_MAX_SEARCHED]


def _texts(blocks: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for block in blocks:
        if block.get("type") == "text":
            yield str(block.get("text", ""))
        elif isinstance(content := block.get("content"), str):
            yield content
        elif isinstance(content, list):
            yield from _texts([each for each in content if isinstance(each, Mapping)])


def _words(text: str) -> frozenset[str]:
    return frozenset(word.casefold() for word in _WORD.findall(text))
