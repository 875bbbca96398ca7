"""Reads every name in a question's text."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from context_builder.question.lookups import Lookups
from context_builder.question.mention import NameMention
from context_builder.question.names.catalog import DeploymentName
from context_builder.question.names.deployment_names import DeploymentReading, read_deployments
from context_builder.question.names.row_names import find_row_names
from context_builder.question.names.tier_names import find_tier_names
from context_builder.question.names.unknown_names import UnknownMention, unknown_names
from context_builder.question.names.words import characters
from context_builder.question.times.zones import find_zone, zone_of_place

_ZONE = re.compile(r"\b(?:(?P<zone>[A-Z]\w+(?:/[A-Z]\w+){1,2})|(?:US )?(?P<city>[A-Z]\w+) time\b)")


@dataclass(frozen=True, slots=True)
class NameReading:
    """The names in a text. No two places overlap."""

    mentions: tuple[NameMention, ...]
    """What is known, in text order."""
    unknown: tuple[UnknownMention, ...]
    """What looks like a name but matches nothing, in text order."""


async def find_names(
    text: str, as_of: datetime, lookups: Lookups, known: Sequence[DeploymentName]
) -> NameReading:
    """Return every name in the text of a question, as known at `as_of`, where the fleet is `known`."""
    # Hundreds of names are read into parts, off the event loop.
    text, deployments = await asyncio.to_thread(_read_deployments, text, known)
    taken = [span for mention in deployments.mentions for span in mention.spans]
    used = characters(taken)
    tiers = [mention for mention in find_tier_names(text) if used.isdisjoint(characters(mention.spans))]
    taken += [span for mention in tiers for span in mention.spans]
    rows = await find_row_names(text, as_of, lookups, taken)
    taken += [span for mention in rows for span in mention.spans]
    unknown = await unknown_names(
        text, as_of, lookups, known=known, taken=taken, unmatched=deployments.unmatched
    )
    mentions = sorted((*deployments.mentions, *tiers, *rows), key=lambda mention: mention.spans)
    return NameReading(tuple(mentions), unknown)


def _read_deployments(text: str, known: Sequence[DeploymentName]) -> tuple[str, DeploymentReading]:
    text = _without_zones(text)
    return text, read_deployments(text, known)


def _without_zones(text: str) -> str:
    """Blank time zones, which hold names of regions (`Asia/Tokyo`, `Tokyo time`); every place stays."""

    def blank(match: re.Match[str]) -> str:
        zone = find_zone(match["zone"]) if match["zone"] else zone_of_place(match["city"])
        return " " * len(match.group()) if zone else match.group()

    return _ZONE.sub(blank, text)
