"""Writes the answer when no model does: the most useful facts in their own words, with references. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from context_builder.prompt.manifest import FactEntry, Manifest, SourceEntry
from context_builder.source import Status
from context_builder.text.formatting import format_time

MAX_SUMMARIES = 3
"""Summary lines of sources."""
MAX_ON_TOPIC = 10
MAX_OFF_TOPIC = 3
"""Facts off topic, for a reader who may have asked about a symptom."""
MAX_CHARACTERS = 320
"""Length of one fact: a brief is read in the middle of an outage."""
_FAILED = (Status.TIMEOUT, Status.ERROR)


def write_brief(manifest: Manifest, reason: str, *, called: bool = False) -> str:
    """Return a Markdown brief of the facts in the prompt.

    `reason` explains why there is no answer of a model; `called` is True if a call was made and failed.
    """
    shown = [fact for fact in manifest.facts if fact.is_shown]
    on_topic = [fact for fact in shown if fact.on_topic]
    off_topic = [fact for fact in shown if not fact.on_topic]
    names = {fact.source for fact in on_topic}
    summaries = [source for source in manifest.sources if source.name in names and not source.stable]
    window = f"From {format_time(manifest.window.start)} to {format_time(manifest.window.end)} UTC"
    return "\n".join(
        [
            f"**{'The model returned no complete answer' if called else 'No model was called'}:** {reason}",
            "",
            f"{window}, {', '.join(manifest.scope) or 'the whole gateway'}:",
            "",
            *(f"- {source.name}: {_cited(source, source.header)}" for source in summaries[:MAX_SUMMARIES]),
            *_facts(on_topic[:MAX_ON_TOPIC]),
            *_section("Also happening:" if on_topic else "What is known:", _facts(off_topic[:MAX_OFF_TOPIC])),
            *_section("Not known:", _limitations(manifest)),
        ]
    )


def _facts(facts: Iterable[FactEntry]) -> Iterator[str]:
    return (f"- {_shortened(fact.text)} [{fact.ref}]" for fact in facts)


def _cited(source: SourceEntry, text: str) -> str:
    return f"{text} [{source.ref}]"


def _shortened(text: str) -> str:
    """Return the first clauses of a long fact, with its quotation closed."""
    if len(text) <= MAX_CHARACTERS:
        return text
    start = text[:MAX_CHARACTERS]
    # Between clauses, to keep numbers with their units, or at least between words.
    end = max(start.rfind(mark) for mark in ("; ", ", ", ". ", "» "))
    kept = start[: end + 1] if end > 0 else start.rpartition(" ")[0]
    return f"{kept.rstrip(' ;,')}{'»' if kept.count('«') > kept.count('»') else ''} …"


def _section(title: str, lines: Iterator[str]) -> Iterator[str]:
    items = list(lines)
    if items:
        yield from ("", title, "", *items)


def _limitations(manifest: Manifest) -> Iterator[str]:
    """Yield what makes the brief incomplete."""
    for source in manifest.sources:
        yield from _source_limitations(source)
    empty = [source.name for source in manifest.sources if source.folded and source.status is Status.EMPTY]
    if empty:
        yield f"- no data: {', '.join(empty)}"
    for unknown in manifest.unknown_names:
        near = f"; similar names: {', '.join(unknown.near)}" if unknown.near else ""
        yield f"- unknown name: {unknown.name}{near}"


def _source_limitations(source: SourceEntry) -> Iterator[str]:
    if source.status in _FAILED:
        message = _cited(source, source.error or source.header)
        yield f"- {source.name} could not be read ({source.status}): {message}"
    if not source.folded:
        texts = [source.header] if source.status is Status.EMPTY else []
        yield from (f"- {source.name}: {_cited(source, text)}" for text in (*texts, *source.gaps))
