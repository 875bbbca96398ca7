"""Formats a manifest as tables of its sources and facts. Pure."""

from __future__ import annotations

from api.cli.terminal.text_table import Row, TextTable
from context_builder.prompt.manifest import Detail, FactEntry, Manifest, SourceEntry

_SHOWN = {Detail.FULL: "kept", Detail.SHORT: "short", Detail.COUNTED: "counted", Detail.CUT: "cut"}


def manifest_tables(manifest: Manifest) -> list[TextTable]:
    """Return the tables of all sources and facts of a question, most useful first."""
    used = f"{manifest.token_bound:,} of {manifest.token_budget:,} tokens"
    return [
        TextTable(
            title=f"Sources, read in parallel in {manifest.build_ms:,} ms",
            columns=("ref", "source", "status", "ms", "kept", "cut", "summary"),
            rows=tuple(map(_source, manifest.sources)),
        ),
        TextTable(
            title=f"Facts, most useful first; the prompt uses at most {used}",
            columns=("ref", "source", "shown", "tokens", "reason", "text"),
            rows=tuple(map(_fact, manifest.facts)),
            stacked=True,
        ),
    ]


def _source(source: SourceEntry) -> Row:
    said = "; ".join([source.error or source.header, *source.gaps])
    figures = (f"{source.milliseconds:,}", f"{source.kept:,}", f"{source.cut:,}")
    return (source.ref, source.name, source.status.value, *figures, said)


def _fact(fact: FactEntry) -> Row:
    return (fact.ref, fact.source, _SHOWN[fact.detail], f"{fact.tokens:,}", fact.reason, fact.text)
