"""The answer when no model writes one: the most useful facts in their own words, with references. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from context_builder.prompt.manifest import FactEntry, Manifest, SourceEntry
from context_builder.source import Status
from context_builder.text.formatting import format_time

MAX_SUMMARIES = 3
"""Of the sources that have most to say."""
MAX_ON_TOPIC = 10
MAX_OFF_TOPIC = 3
"""What else is going on, for a reader who may have asked about a symptom."""
MAX_CHARACTERS = 320
"""Of one fact: at three in the morning nobody reads a paragraph in a list."""
_NOT_READ = (Status.TIMEOUT, Status.ERROR)


def write_brief(manifest: Manifest, reason: str, *, called: bool = False) -> str:
    """A Markdown brief of what the prompt holds.

    `reason` says why there is no model's answer; `called` that there was a call which came to nothing.
    """
    kept = [fact for fact in manifest.facts if fact.is_shown]
    on_topic = [fact for fact in kept if fact.on_topic]
    beside = [fact for fact in kept if not fact.on_topic]
    about = {fact.source for fact in on_topic}
    summaries = [source for source in manifest.sources if source.name in about and not source.stable]
    window = f"From {format_time(manifest.window.start)} to {format_time(manifest.window.end)} UTC"
    return "\n".join(
        [
            f"**{'The model gave no whole answer' if called else 'No model was called'}:** {reason}",
            "",
            f"{window}, {', '.join(manifest.scope) or 'the whole gateway'}:",
            "",
            *(_header(source) for source in summaries[:MAX_SUMMARIES]),
            *_facts(on_topic[:MAX_ON_TOPIC]),
            *_listed("Also going on:" if on_topic else "What is known:", _facts(beside[:MAX_OFF_TOPIC])),
            *_listed("Not known:", _limits(manifest)),
        ]
    )


def _header(source: SourceEntry) -> str:
    return f"- {source.name}: {source.header} [{source.ref}]"


def _facts(facts: list[FactEntry]) -> Iterator[str]:
    return (f"- {_clipped(fact.text)} [{fact.ref}]" for fact in facts)


def _clipped(text: str) -> str:
    """A long fact's first clauses, its quotation closed; the manifest has the whole."""
    if len(text) <= MAX_CHARACTERS:
        return text
    start = text[:MAX_CHARACTERS]
    # Between clauses, so that no number is parted from its unit, and never within a word.
    end = max(start.rfind(mark) for mark in ("; ", ", ", ". ", "» "))
    kept = start[: end + 1] if end > 0 else start.rpartition(" ")[0]
    return f"{kept.rstrip(' ;,')}{'»' if kept.count('«') > kept.count('»') else ''} …"


def _listed(title: str, lines: Iterator[str]) -> Iterator[str]:
    found = list(lines)
    if found:
        yield from ("", title, "", *found)


def _limits(manifest: Manifest) -> Iterator[str]:
    """What the reader must not take for complete."""
    for source in manifest.sources:
        if source.status in _NOT_READ:
            said = source.error or source.header
            yield f"- {source.name} could not be read ({source.status}): {said} [{source.ref}]"
        elif source.status is Status.EMPTY and not source.folded:
            yield f"- {source.name}: {source.header} [{source.ref}]"
        if not source.folded:
            yield from (f"- {source.name}: {gap} [{source.ref}]" for gap in source.gaps)
    empty = [source.name for source in manifest.sources if source.folded and source.status is Status.EMPTY]
    if empty:
        yield f"- read and empty: {', '.join(empty)}"
    for unknown in manifest.unknown_names:
        near = f"; near: {', '.join(unknown.near)}" if unknown.near else ""
        yield f"- nothing is called {unknown.name} here{near}"
