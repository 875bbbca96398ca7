"""Reads every name in a question's text."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import available_timezones

from context_builder.question.mention import NameMention
from context_builder.question.names.catalog import DeploymentName
from context_builder.question.names.deployment_names import read_deployments
from context_builder.question.names.row_names import find_row_names
from context_builder.question.names.tier_names import find_tier_names
from context_builder.question.names.unknown_names import UnknownMention, unknown_names
from context_builder.question.names.words import characters
from models.database import ReadSession

_ZONE = re.compile(r"\b(?:(?P<zone>[A-Z]\w+(?:/[A-Z]\w+){1,2})|(?:US )?(?P<city>[A-Z]\w+) time\b)")
_ZONES = frozenset(part for zone in available_timezones() for part in (zone, zone.rpartition("/")[2]))


@dataclass(frozen=True, slots=True)
class NameReading:
    """The names in a text. No two places overlap."""

    mentions: tuple[NameMention, ...]
    """What is known, in text order."""
    unknown: tuple[UnknownMention, ...]
    """What looks like a name but matches nothing, in text order."""


async def find_names(
    text: str, as_of: datetime, session: ReadSession, known: Sequence[DeploymentName]
) -> NameReading:
    """Return every name in the text of a question, as known at `as_of`, where the fleet is `known`."""
    zones = _zones_in(text)
    # As long, so that places stay.
    text = "".join(" " if at in zones else character for at, character in enumerate(text))
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


def _zones_in(text: str) -> set[int]:
    """Return the positions of time zones, which hold names of regions: `Asia/Tokyo`, `Tokyo time`."""
    words = (match for match in _ZONE.finditer(text) if (match["zone"] or match["city"]) in _ZONES)
    return {at for match in words for at in range(*match.span())}
