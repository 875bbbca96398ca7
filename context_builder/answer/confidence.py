"""Derives the confidence in an answer from its inputs, without asking a model. Pure.

The confidence starts at high. Missing, stale, omitted or unsupported information limits it,
each with a reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from context_builder.prompt.manifest import FactEntry, Manifest, SourceEntry
from context_builder.prompt.summaries import first_with_rest
from context_builder.source import Status

MIN_IMPORTANT = 0.6
"""Importance from which the omission of a fact on topic lowers the confidence."""
MIN_UNSUPPORTED_FOR_LOW = 3
"""Unsupported claims from which the confidence is low."""
MIN_NOT_USED_FOR_LOW = 3
"""Parts of the question that are not used from which the confidence is low."""
_MAX_NAMES = 5
"""Names listed in one reason."""


class ConfidenceLevel(StrEnum):
    """How much an answer can be relied on."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Confidence:
    """The confidence level of an answer and the reasons that limit it, the most severe first."""

    level: ConfidenceLevel
    reasons: tuple[str, ...] = ()


_Limit = tuple[ConfidenceLevel, str]
_ORDER = list(ConfidenceLevel)


def confidence_of(manifest: Manifest, *, unsupported: int) -> Confidence:
    """Return the confidence in an answer with this manifest and number of unsupported claims."""
    limits = [
        *_failed_sources(manifest.sources),
        *_limited_sources([source for source in manifest.sources if source.on_topic]),
        *_missing_facts(manifest),
        *_unknown_names(manifest),
        *_not_used(manifest),
        *_unsupported_claims(unsupported),
    ]
    limits.sort(key=lambda limit: -_ORDER.index(limit[0]))
    level = limits[0][0] if limits else ConfidenceLevel.HIGH
    return Confidence(level, tuple(reason for _, reason in limits))


def _failed_sources(sources: Sequence[SourceEntry]) -> Iterator[_Limit]:
    for source in sources:
        if source.status.is_failure:
            level = ConfidenceLevel.LOW if source.on_topic else ConfidenceLevel.MEDIUM
            yield level, f"{source.name} could not be read ({source.status})"


def _limited_sources(on_topic: Sequence[SourceEntry]) -> Iterator[_Limit]:
    if stale := [source.name for source in on_topic if source.status is Status.STALE]:
        yield ConfidenceLevel.MEDIUM, f"stale data: {_names(stale)}"
    if incomplete := [source.name for source in on_topic if source.gaps]:
        yield ConfidenceLevel.MEDIUM, f"some data is not available for this moment: {_names(incomplete)}"


def _missing_facts(manifest: Manifest) -> Iterator[_Limit]:
    on_topic = [fact for fact in manifest.facts if fact.on_topic]
    read = any(source.on_topic and source.status in (Status.OK, Status.STALE) for source in manifest.sources)
    if not read and not any(fact.is_shown for fact in on_topic):
        yield ConfidenceLevel.LOW, "no data on the subject of the question"
    shown = {fact.ref for fact in manifest.facts if fact.is_shown}
    if omitted := _important_omitted(on_topic, shown):
        sources = list(dict.fromkeys(omitted.values()))
        facts = "1 important fact" if len(omitted) == 1 else f"{len(omitted):,} important facts"
        yield ConfidenceLevel.MEDIUM, f"{facts} did not fit the token budget: {_names(sources)}"


def _important_omitted(on_topic: Sequence[FactEntry], shown: set[str]) -> dict[str, str]:
    """Map the reference of each important omitted fact to its source."""
    omitted: dict[str, str] = {}
    for fact in on_topic:
        # The fact that replaces a duplicate may be off topic, or omitted itself.
        ref = fact.same_as or fact.ref
        if fact.importance >= MIN_IMPORTANT and ref not in shown:
            omitted.setdefault(ref, fact.source)
    return omitted


def _unknown_names(manifest: Manifest) -> Iterator[_Limit]:
    if manifest.unknown_names:
        names = _names([unknown.name for unknown in manifest.unknown_names])
        yield ConfidenceLevel.MEDIUM, f"unknown names in the question: {names}"


def _not_used(manifest: Manifest) -> Iterator[_Limit]:
    if manifest.not_used:
        is_low = len(manifest.not_used) >= MIN_NOT_USED_FOR_LOW
        parts = _names([f"“{part.text}”" for part in manifest.not_used])
        level = ConfidenceLevel.LOW if is_low else ConfidenceLevel.MEDIUM
        yield level, f"not used of the question: {parts}"


def _unsupported_claims(number: int) -> Iterator[_Limit]:
    if number:
        claims = "1 claim is" if number == 1 else f"{number:,} claims are"
        level = ConfidenceLevel.LOW if number >= MIN_UNSUPPORTED_FOR_LOW else ConfidenceLevel.MEDIUM
        yield level, f"{claims} not supported by the facts"


def _names(names: Sequence[str]) -> str:
    return ", ".join(first_with_rest(names, _MAX_NAMES))
