"""Reads every name in a question's text."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from context_builder.question.mention import NameKind, NameMention
from context_builder.question.names.deployment_names import read_deployments
from context_builder.question.names.known_names import deployment_names_at
from context_builder.question.names.row_names import find_row_names
from context_builder.question.names.tier_names import find_tier_names
from context_builder.question.names.unknown_names import UnknownMention, unknown_names
from context_builder.question.names.words import characters
from context_builder.question.request import Scope, UnknownName
from models import Tier
from models.database import ReadSession


@dataclass(frozen=True, slots=True)
class NameReading:
    """The names in a text. No two places overlap."""

    mentions: tuple[NameMention, ...]
    """What is known, in text order."""
    unknown: tuple[UnknownMention, ...]
    """What looks like a name but matches nothing, in text order."""


async def find_names(text: str, as_of: datetime, session: ReadSession) -> NameReading:
    """Return every name in the text of a question, as known at `as_of`."""
    known = await deployment_names_at(session, as_of)
    # Hundreds of names are read into parts, off the event loop.
    deployments = await asyncio.to_thread(read_deployments, text, known)
    taken = [span for mention in deployments.mentions for span in mention.spans]
    used = characters(taken)
    tiers = [mention for mention in find_tier_names(text) if used.isdisjoint(characters(mention.spans))]
    taken += [span for mention in tiers for span in mention.spans]
    rows = await find_row_names(text, as_of, session, taken)
    taken += [span for mention in rows for span in mention.spans]
    unknown = await unknown_names(
        text, as_of, session, known=known, taken=taken, unmatched=deployments.unmatched
    )
    mentions = sorted((*deployments.mentions, *tiers, *rows), key=lambda mention: mention.spans)
    return NameReading(tuple(mentions), unknown)


async def scope_in_text(
    question: str, as_of: datetime, session: ReadSession
) -> tuple[Scope, tuple[UnknownName, ...]]:
    """Return the scope that the question names, and the words that look like names but match nothing."""
    reading = await find_names(question, as_of, session)
    return scope_of(reading.mentions), tuple(found.unknown for found in reading.unknown)


def scope_of(mentions: Sequence[NameMention]) -> Scope:
    """Return the union of what is named; a negated mention restricts nothing."""
    named = {
        kind: sorted(
            {
                (name, row_id)
                for mention in mentions
                if mention.kind is kind and not mention.is_negated
                for row_id, name in zip(mention.ids or (0,), mention.names, strict=True)
            }
        )
        for kind in NameKind
    }
    ids = {kind: tuple(row_id for _, row_id in rows) for kind, rows in named.items()}
    tiers = [tier for tier in Tier if (tier, 0) in named[NameKind.TIER]]
    labels = {kind: [name for name, _ in rows] for kind, rows in named.items()} | {NameKind.TIER: tiers}
    return Scope(
        deployment_ids=ids[NameKind.DEPLOYMENT],
        tiers=tuple(tiers),
        user_ids=ids[NameKind.USER],
        incident_ids=ids[NameKind.INCIDENT],
        request_ids=ids[NameKind.REQUEST],
        labels=tuple(f"{kind} {name}" for kind in NameKind for name in labels[kind]),
    )
