"""What is kept of a human turn, so that the same is inserted and left out on every later request. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from context_builder.conversation.body import append_text, splice
from context_builder.conversation.cut import Cut, cut_edits, note_of
from context_builder.conversation.gateway_state import Stated
from context_builder.conversation.recall import recalled_text
from context_builder.conversation.turns import Transcript


@dataclass(frozen=True, slots=True)
class TurnRecord:
    """What was decided about one human turn."""

    prefix: str
    """Digest of the messages up to the turn."""
    decided_at: datetime
    conversation: str
    """Id of the conversation it was decided in."""
    text: str | None = None
    """What was inserted behind it; None: nothing, which is decided once as well."""
    tokens: int = 0
    stated: tuple[Stated, ...] = ()
    kinds: tuple[str, ...] = ()
    version: int = 0
    """Counts conversations that began with the same words, later than any cache or retry would know."""
    reply: str | None = None
    """Digest of the messages up to the one after the turn, once it was seen: it tells versions apart."""
    cuts: tuple[Cut, ...] = ()
    recalled: tuple[int, ...] = ()
    """Messages before the turn that a cut left out and that are quoted behind it."""


def conversation_id(credential: str, prefix: str, version: int = 0) -> str:
    """Return the id of a conversation from its first human turn."""
    return hashlib.blake2b(f"{credential} {prefix} {version}".encode(), digest_size=12).hexdigest()


def choose_version(records: Sequence[TurnRecord], reply: str | None) -> TurnRecord | None:
    """Return the record of the conversation that went on with `reply`; without one, the newest."""
    own = [record for record in records if record.reply == reply] if reply else []
    open_ends = [record for record in records if record.reply is None] if reply else []
    return max(own or open_ends or records, key=lambda record: record.version, default=None)


def rewritten(transcript: Transcript, records: Mapping[int, TurnRecord], cut: Cut | None) -> bytes:
    """Return the body with everything inserted again that was inserted, and without what was cut."""
    conversation = transcript.conversation
    edits = cut_edits(transcript, cut) if cut else []
    for turn in transcript.turns:
        if cut and cut.start <= turn < cut.end:
            continue
        record = records.get(turn)
        texts = [record.text] if record and record.text else []
        if record and record.recalled:
            texts.append(recalled_text(transcript, turn, record.recalled))
        if cut and cut.end > cut.start and turn == cut.start - 1:
            texts.append(note_of(transcript, cut))
        if texts:
            edits += append_text(conversation, turn, texts)
    return splice(conversation.body, edits) if edits else conversation.body


def told(transcript: Transcript, records: Mapping[int, TurnRecord], cut: Cut | None) -> tuple[Stated, ...]:
    """Return what the conversation has been told of the gateway, as far as it still holds it."""
    for turn in reversed(transcript.turns):
        record = records.get(turn)
        if record and record.text and not (cut and cut.start <= turn < cut.end):
            return record.stated
    return ()
