"""The answer when no model writes one: the most useful facts, word for word, with references. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from context_builder.manifest import Detail, Manifest, SourceEntry
from context_builder.source import Status

MAX_FACTS = 12
_NOT_READ = (Status.TIMEOUT, Status.ERROR)


def write_brief(manifest: Manifest, reason: str, *, called: bool = False) -> str:
    """A Markdown brief of what the prompt holds.

    `reason` says why there is no model's answer; `called` that there was a call which came to nothing.
    """
    return "\n".join(
        [
            f"**{'The model gave no whole answer' if called else 'No model was called'}:** {reason}",
            "",
            "What the data says, most relevant first:",
            "",
            *(f"- {text} [{ref}]" for ref, text in _leading_facts(manifest)),
            *_limits(manifest),
        ]
    )


def _leading_facts(manifest: Manifest) -> Iterator[tuple[str, str]]:
    kept = [fact for fact in manifest.facts if fact.detail is not Detail.CUT][:MAX_FACTS]
    yield from ((fact.ref, fact.text) for fact in kept)
    if not kept:
        yield from (
            (source.ref, source.header)
            for source in manifest.sources
            if source.status not in _NOT_READ and source.header
        )


def _limits(manifest: Manifest) -> Iterator[str]:
    """What the reader must not take for complete."""
    missing = [source for source in manifest.sources if source.status in _NOT_READ]
    gaps = [f"{source.name}: {gap}" for source in manifest.sources for gap in source.gaps]
    unknown = [_unknown(name.name, name.near) for name in manifest.unknown_names]
    if missing or gaps or unknown:
        yield ""
        yield "Not known:"
        yield ""
        yield from (f"- {line}" for line in [*map(_not_read, missing), *unknown, *gaps])


def _not_read(source: SourceEntry) -> str:
    return f"{source.name} could not be read ({source.status}): {source.error} [{source.ref}]"


def _unknown(name: str, near: tuple[str, ...]) -> str:
    return f"nothing is called {name} here" + (f"; near: {', '.join(near)}" if near else "")
