"""A conversation that went through the proxy: its requests, what was changed in them, tokens and cost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select

from context_builder.queries.errors import NotFound
from context_builder.question.checks import check_name
from context_builder.text.wire import WIRE, Usd
from models import ConversationTurn, ProxyCall
from models.database import ReadSession

MAX_SHOWN = 1_000
"""Newest turns and requests of a conversation that are shown; the sums are of all."""


@dataclass(frozen=True, slots=True)
class CallStep:
    """One step of a request's life cycle."""

    state: str
    after_ms: float
    """Milliseconds since the request was received."""
    detail: str


@dataclass(frozen=True, slots=True)
class ConversationCall:
    """One request of a conversation."""

    request_id: str
    """As in the response header `x-arcpoint-request-id`, and in the request log."""
    received_at: datetime
    turn: str | None
    """Equal for requests of one human turn: its tool calls, and retries by the client."""
    state: str
    """How it ended."""
    status: int | None
    model: str
    upstream: str | None
    attempts: int
    changes: tuple[str, ...]
    """What was changed in the request, in words; empty: nothing."""
    steps: tuple[CallStep, ...]
    stop_reason: str | None
    error: str | None
    latency_ms: float
    first_byte_ms: float | None
    input_tokens: int | None
    """Neither read from the prompt cache nor written to it."""
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    output_tokens: int | None
    cost_usd: Usd


@dataclass(frozen=True, slots=True)
class ConversationTold:
    """What was decided about one human turn: to insert something, or nothing."""

    number: int
    """Counts the human turns of the conversation that the proxy has decided about."""
    turn: str
    """As in its requests."""
    decided_at: datetime
    tokens: int
    """Of the text; 0 without one."""
    text: str | None
    """What was inserted, and is again in every later request; None: nothing."""
    cut_messages: tuple[int, ...]
    """How many messages each cut that was made in this turn left out."""
    quoted_messages: int
    """Of those that were left out, how many were quoted again."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation, by its requests in order."""

    __pydantic_config__ = WIRE

    id: str
    user: str | None
    requests: int
    since: datetime
    until: datetime
    cache_read_ratio: float | None
    """Share of the input tokens that were read from the prompt cache; None: no tokens are known."""
    cost_usd: Usd
    turns: tuple[ConversationTold, ...]
    """The newest, at most 1,000."""
    calls: tuple[ConversationCall, ...]
    """The newest, at most 1,000."""


async def conversation(session: ReadSession, conversation_id: str) -> Conversation:
    """Return a conversation by its id, or by the id of one of its requests.

    Raises:
        NotFound: The proxy has forwarded no such conversation, or no such request of one.
        QuestionError: The id cannot be one.
    """
    check_name(conversation_id, kind="conversation")
    of_request = select(ProxyCall.conversation).where(ProxyCall.request_id == conversation_id)
    name = await session.scalar(of_request) or conversation_id
    sums = (
        await session.execute(
            select(
                func.count(),
                func.min(ProxyCall.received_at),
                func.max(ProxyCall.received_at),
                func.sum(ProxyCall.cost_usd),
                func.sum(ProxyCall.cache_read_tokens),
                func.sum(ProxyCall.input_tokens),
                func.sum(ProxyCall.cache_write_tokens),
            ).where(ProxyCall.conversation == name)
        )
    ).one()
    if not sums[0]:
        raise NotFound(
            f"conversation {conversation_id!r} is not known; accepted is an id of a conversation, or a "
            "request id that the proxy sent as x-arcpoint-request-id"
        )
    newest = await session.scalars(
        select(ProxyCall)
        .where(ProxyCall.conversation == name)
        .order_by(ProxyCall.received_at.desc(), ProxyCall.id.desc())
        .limit(MAX_SHOWN)
    )
    rows = list(newest)[::-1]
    return Conversation(
        id=name,
        user=rows[-1].user,
        requests=sums[0],
        since=sums[1],
        until=sums[2],
        cache_read_ratio=_ratio(*sums[4:]),
        cost_usd=sums[3] or Decimal(0),
        turns=await _turns(session, name),
        calls=tuple(map(_call, rows)),
    )


async def _turns(session: ReadSession, name: str) -> tuple[ConversationTold, ...]:
    own = select(ConversationTurn).where(ConversationTurn.conversation == name)
    newest = await session.scalars(own.order_by(ConversationTurn.id.desc()).limit(MAX_SHOWN))
    rows = list(newest)[::-1]
    total = await session.scalar(select(func.count()).select_from(own.subquery())) or 0
    return tuple(
        ConversationTold(
            number=number,
            turn=row.prefix,
            decided_at=row.decided_at,
            tokens=row.tokens,
            text=row.text,
            cut_messages=tuple(cut["end"] - cut["start"] for cut in row.cuts),
            quoted_messages=len(row.recalled),
        )
        for number, row in enumerate(rows, start=total - len(rows) + 1)
    )


def _ratio(read: int | None, *others: int | None) -> float | None:
    total = int(read or 0) + sum(int(each or 0) for each in others)
    return int(read or 0) / total if total else None


def _call(row: ProxyCall) -> ConversationCall:
    plain: dict[str, Any] = {
        name: getattr(row, name)
        for name in ConversationCall.__dataclass_fields__
        if name not in ("changes", "steps")
    }
    steps = tuple(CallStep(*step) for step in row.transitions)
    return ConversationCall(changes=tuple(row.changes), steps=steps, **plain)
