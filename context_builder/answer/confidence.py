"""How far an answer can be relied on, judged by what it was built from; no model is asked. Pure.

An answer starts high. Whatever is missing, old, cut or unsupported limits it, and is a reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from context_builder.prompt.manifest import Manifest, SourceEntry
from context_builder.source import Status

MIN_IMPORTANT = 0.6
"""From this importance on a fact on topic that had no room is missed."""
MIN_UNSUPPORTED_FOR_LOW = 3
"""Unsupported claims from which on the others are in doubt as well."""
_NAMED = 5
"""Names that one reason lists."""


class ConfidenceLevel(StrEnum):
    """How far an answer can be relied on."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Confidence:
    """The level of an answer, and what keeps it from being higher, the worst first."""

    level: ConfidenceLevel
    reasons: tuple[str, ...] = ()


_Limit = tuple[ConfidenceLevel, str]
_NOT_READ = (Status.TIMEOUT, Status.ERROR)
_ORDER = list(ConfidenceLevel)


def confidence_of(manifest: Manifest, *, unsupported: int) -> Confidence:
    """The confidence in an answer, from its manifest and how many claims in it the facts do not back."""
    limits = [*_of_sources(manifest.sources), *_of_facts(manifest), *_of_claims(unsupported)]
    limits.sort(key=lambda limit: -_ORDER.index(limit[0]))
    level = limits[0][0] if limits else ConfidenceLevel.HIGH
    return Confidence(level, tuple(reason for _, reason in limits))


def _of_sources(sources: Sequence[SourceEntry]) -> Iterator[_Limit]:
    for source in sources:
        if source.status in _NOT_READ:
            level = ConfidenceLevel.LOW if source.on_topic else ConfidenceLevel.MEDIUM
            yield level, f"{source.name} could not be read ({source.status})"
    stale = [source.name for source in sources if source.status is Status.STALE and source.on_topic]
    if stale:
        yield ConfidenceLevel.MEDIUM, f"older than it should be: {_listed(stale)}"
    gaps = [source.name for source in sources if source.gaps and source.on_topic]
    if gaps:
        yield ConfidenceLevel.MEDIUM, f"something cannot be known for this moment: {_listed(gaps)}"


def _of_facts(manifest: Manifest) -> Iterator[_Limit]:
    on_topic = [fact for fact in manifest.facts if fact.on_topic]
    read = any(source.on_topic and source.status in (Status.OK, Status.STALE) for source in manifest.sources)
    if not read and not any(fact.is_shown for fact in on_topic):
        yield ConfidenceLevel.LOW, "nothing is known of what the question is about"
    shown = {fact.ref for fact in manifest.facts if fact.is_shown}
    missed: dict[str, str] = {}
    for fact in on_topic:
        # What states it instead may be beside the question, or have had no room itself.
        stating = fact.same_as or fact.ref
        if fact.importance >= MIN_IMPORTANT and stating not in shown:
            missed.setdefault(stating, fact.source)
    if missed:
        sources = list(dict.fromkeys(missed.values()))
        facts = "1 important fact" if len(missed) == 1 else f"{len(missed):,} important facts"
        yield ConfidenceLevel.MEDIUM, f"{facts} had no room: {_listed(sources)}"
    if manifest.unknown_names:
        names = _listed([unknown.name for unknown in manifest.unknown_names])
        yield ConfidenceLevel.MEDIUM, f"the question names what nothing here is called: {names}"


def _of_claims(unsupported: int) -> Iterator[_Limit]:
    if unsupported:
        claims = "1 claim is" if unsupported == 1 else f"{unsupported:,} claims are"
        yield (
            ConfidenceLevel.LOW if unsupported >= MIN_UNSUPPORTED_FOR_LOW else ConfidenceLevel.MEDIUM,
            f"{claims} not supported by the facts",
        )


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join([*names[:_NAMED], *([f"and {rest:,} more"] if rest > 0 else [])])
