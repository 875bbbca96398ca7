"""What is left out of a conversation that outgrows its window: rarely, from the head, in one big step. Pure.

The first request of a person stays, and a note behind it says what is missing. Behind the cut everything
stays as it was, so that calls of tools keep their results; only thinking from before the cut is left out,
since it is bound to the messages that are gone. Thinking that comes later is bound to what was sent, and
stays. A cut is made once and then again and again, byte for byte, until the conversation outgrows it too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate, pairwise
from typing import Any

from context_builder.conversation.body import THINKING, Edit, Message, text_block
from context_builder.conversation.turns import Transcript
from context_builder.conversation.window import raw_tokens
from context_builder.text.sanitize import quote

LOW_WATER = 0.5
"""Share of the room that is filled after a cut, so that the next one is far away."""
KEPT_TURNS = 3
"""Human turns at the end that stay, unless they alone exceed the room."""
MAX_NOTED_REQUESTS = 8
MAX_NOTED_CHARACTERS = 120
_NO_THINKING = text_block("(thinking left out)")


@dataclass(frozen=True, slots=True)
class Cut:
    """Messages `start` to `end` are left out, and thinking up to `through`, the last message at that time."""

    start: int
    end: int
    through: int
    prefix: str
    """Digest of the messages up to `through`: a branch from before it is not cut here."""

    def to_json(self) -> dict[str, Any]:
        """Return the cut as stored."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Cut:
        """Return the cut that was stored."""
        return cls(**stored)


def latest_cut(transcript: Transcript, cuts: Sequence[Cut]) -> Cut | None:
    """Return the newest of these cuts that this very conversation has had."""
    digests = transcript.digests
    own = [cut for cut in cuts if cut.through < len(digests) and digests[cut.through] == cut.prefix]
    return max(own, key=lambda cut: (cut.through, cut.end), default=None)


def make_cut(transcript: Transcript, room: float, earlier: Cut | None = None) -> Cut | None:
    """Cut a conversation to LOW_WATER of `room`, in raw tokens for its messages; None if nothing can go."""
    messages, last = transcript.messages, len(transcript.messages) - 1
    if not transcript.turns or transcript.turns[0] != 0:
        return None
    start, least = 1, earlier.end if earlier else 1
    tail = list(accumulate((raw_tokens(message) for message in reversed(messages)), initial=0.0))[::-1]
    recent = transcript.turns[-KEPT_TURNS:][0]
    ends = [end for end in _boundaries(transcript) if end > least]
    gentle = [end for end in ends if end <= recent] if recent > least else []
    head = raw_tokens(messages[0])
    fitting = (end for end in [*gentle, *ends] if head + tail[end] <= LOW_WATER * room)
    end = next(fitting, ends[-1] if ends else None)
    if end is None:
        return None
    return Cut(start, end, last, transcript.digests[last])


def without_thinking(transcript: Transcript, earlier: Cut | None) -> Cut:
    """Return a cut that leaves out the same messages as the earlier one, and all thinking so far."""
    last = len(transcript.messages) - 1
    start, end = (earlier.start, earlier.end) if earlier else (1, 1)
    return Cut(start, end, last, transcript.digests[last])


def _boundaries(transcript: Transcript) -> Iterator[int]:
    """Yield where what is kept may begin: a human turn, or a reply that goes on from nothing before it.

    The last reply is the last place, so that a call whose result has just come is never cut off.
    """
    turns, before = set(transcript.turns), ""
    last_reply = max((i for i, m in enumerate(transcript.messages) if m.role == "assistant"), default=0)
    for index, message in enumerate(transcript.messages[: last_reply + 1]):
        if index in turns or (message.role == "assistant" and before not in ("assistant", "system")):
            yield index
        before = message.role


def note_of(transcript: Transcript, cut: Cut) -> str:
    """Describe the messages left out: how many, what was asked, which tools were called.

    It is made of the client's own messages on each request, so that nothing that was said is stored.
    """
    gone = transcript.messages[cut.start : cut.end]
    asked = [transcript.messages[turn].text for turn in transcript.turns if cut.start <= turn < cut.end]
    blocks = [block for message in gone for block in message.blocks]
    tools = Counter(str(block.get("name")) for block in blocks if block.get("type") == "tool_use")
    intro = (
        f"{len(gone):,} messages that came between this one and the next were left out, so that the "
        "conversation fits the model's context window."
    )
    requests = [quote(text, limit=MAX_NOTED_CHARACTERS) for text in asked[:MAX_NOTED_REQUESTS]]
    lines = [intro, *(f"A person had asked: {request}" for request in requests)]
    if len(asked) > MAX_NOTED_REQUESTS:
        lines.append(f"and {len(asked) - MAX_NOTED_REQUESTS:,} more requests.")
    if tools:
        called = (f"{quote(name, limit=60)} {count:,} times" for name, count in sorted(tools.items()))
        lines.append(f"Tools had been called: {', '.join(called)}.")
    return "[" + "\n".join(lines) + "]"


def cut_edits(transcript: Transcript, cut: Cut) -> list[Edit]:
    """Return the edits that leave out what a cut leaves out; the note is put in with what is inserted."""
    messages = transcript.messages
    edits = []
    if cut.end > cut.start:
        edits.append(Edit(messages[cut.start - 1].span.end, messages[cut.end - 1].span.end, b""))
    for index in [*range(cut.start), *range(cut.end, cut.through + 1)]:
        if not messages[index].is_string and messages[index].kinds & THINKING:
            edits += _thinking_edits(transcript, index, messages[index])
    return edits


def _thinking_edits(transcript: Transcript, index: int, message: Message) -> Iterator[Edit]:
    """Yield what removes thinking from a message, of runs of blocks with the comma behind or before them."""
    spans = transcript.conversation.block_spans(index)
    kept = [n for n, block in enumerate(message.blocks) if block.get("type") not in THINKING]
    if not kept:
        yield Edit(spans[0].start, spans[-1].end, _NO_THINKING)
        return
    if kept[0] > 0:
        yield Edit(spans[0].start, spans[kept[0]].start, b"")
    for one, following in pairwise(kept):
        if following > one + 1:
            yield Edit(spans[one].end, spans[following - 1].end, b"")
    if kept[-1] < len(spans) - 1:
        yield Edit(spans[kept[-1]].end, spans[-1].end, b"")
