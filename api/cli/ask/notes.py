"""Notes below an answer: unsupported claims, references, gaps, cut facts and cost. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from api.cli.terminal.text_table import Row, TextTable
from context_builder.answer.answer import Answer, ClaimIssue
from context_builder.answer.confidence import Confidence
from context_builder.prompt.manifest import Manifest, SourceEntry
from context_builder.source import Status
from context_builder.text.formatting import format_count, format_dollars, format_time

_WHOLE = "end_turn"


def notes(answer: Answer) -> list[TextTable]:
    """Return the tables that are not empty, most important first.

    A brief, which no model wrote, consists of facts and already says what could not be read or is stale.
    """
    written = answer.model is not None
    tables = [
        TextTable(title="The answer is incomplete", rows=tuple(_cut_off(answer)), warns=True),
        TextTable(title="Not supported by the facts", rows=tuple(_unsupported(answer)), warns=True),
        TextTable(title="References", rows=tuple(_references(answer)) if written else ()),
        TextTable(title="Unknown", rows=tuple(_missing(answer.manifest, brief=not written)), warns=True),
        TextTable(title="Left out to stay within the token budget", rows=tuple(_cut(answer.manifest))),
    ]
    return [table for table in tables if table.rows]


def footer(answer: Answer) -> list[str]:
    """Return the confidence, how the question was understood, and the cost."""
    manifest = answer.manifest
    window = manifest.window
    understood = [
        f"{format_time(window.start)} to {format_time(window.end)} UTC ({window.origin})",
        ", ".join(manifest.scope) or "the whole gateway",
    ]
    if not manifest.live:
        understood.insert(0, f"as of {format_time(answer.as_of)} UTC")
    return [_confidence(answer.confidence), " · ".join(understood), " · ".join(_cost(answer))]


def _confidence(confidence: Confidence) -> str:
    """Return the level and the most serious reason; --json has all of them."""
    worst, rest = confidence.reasons[:1], len(confidence.reasons) - 1
    more = f" (and {format_count(rest, 'more reason')})" if rest > 0 else ""
    return f"{confidence.level} confidence{''.join(f': {reason}' for reason in worst)}{more}"


def _cut_off(answer: Answer) -> Iterator[Row]:
    if answer.model is not None and answer.stop_reason != _WHOLE:
        remedy = "; raise ARCPOINT_MAX_OUTPUT_TOKENS" if answer.stop_reason == "max_tokens" else ""
        yield (f"the model stopped early ({answer.stop_reason}){remedy}",)


def _unsupported(answer: Answer) -> Iterator[Row]:
    details: dict[tuple[ClaimIssue, str], list[str]] = {}
    for claim in answer.unsupported:
        details.setdefault((claim.doubt, claim.sentence), []).append(claim.detail)
    for (issue, sentence), found in details.items():
        yield f"✗ {', '.join(found)}", f"{_ISSUES[issue]}: “{sentence}”"


_ISSUES = {
    ClaimIssue.UNKNOWN_REFERENCE: "no such reference was in the prompt",
    ClaimIssue.NUMBER_NOT_IN_FACTS: "not in the cited facts",
    ClaimIssue.NUMBER_WITHOUT_REFERENCE: "stated without a reference",
    ClaimIssue.UNKNOWN_NAME: "this name was not in the prompt",
    ClaimIssue.NAME_NOT_IN_FACTS: "the cited facts do not contain this name",
    ClaimIssue.LINK_NOT_IN_FACTS: "do not follow this link: it was not in the prompt",
    ClaimIssue.LINK_OF_OTHERS: "a link from quoted text; no operator approved it",
    ClaimIssue.COMMAND_NOT_IN_FACTS: "do not run this: it was not in the prompt",
    ClaimIssue.COMMAND_OF_OTHERS: "a command from quoted text; no operator approved it",
    ClaimIssue.WORDS_OF_OTHERS: "repeats quoted text without its reference",
}


def _references(answer: Answer) -> Iterator[Row]:
    for citation in answer.citations:
        yield f"[{citation.ref}]", citation.source, citation.text


def _missing(manifest: Manifest, *, brief: bool) -> Iterator[Row]:
    """Yield what the answer lacks; not what its last lines say, or a brief itself."""
    if brief:
        empty = [source.name for source in manifest.sources if _is_empty(source)]
        yield from (("no data", ", ".join(names)) for names in [empty] if names)
        return
    for source in manifest.sources:
        yield from _gaps(source)
    empty = [source.name for source in manifest.sources if _is_empty(source) and not source.on_topic]
    if empty:
        yield "off topic", f"{Status.EMPTY}: {', '.join(empty)}"


def _gaps(source: SourceEntry) -> Iterator[Row]:
    is_incomplete = source.status is Status.STALE or source.status.is_failure
    if is_incomplete or (_is_empty(source) and source.on_topic):
        yield source.name, _state(source)
    yield from ((source.name, gap) for gap in source.gaps)


def _is_empty(source: SourceEntry) -> bool:
    return source.status is Status.EMPTY


def _state(source: SourceEntry) -> str:
    text = (source.error or "could not be read") if source.status.is_failure else source.header
    return f"{source.status}: {text}"


def _cut(manifest: Manifest) -> Iterator[Row]:
    cut = [source for source in manifest.sources if source.cut]
    if cut:
        total = sum(source.cut for source in cut)
        by_source = ", ".join(map(_share, cut))
        yield (f"{format_count(total, 'fact')} ({by_source}); --why lists them",)


def _share(source: SourceEntry) -> str:
    return f"{source.name} {source.cut} of {source.kept + source.cut}"


def _cost(answer: Answer) -> Iterator[str]:
    manifest = answer.manifest
    bound = f"bound {manifest.token_bound:,}, budget {manifest.token_budget:,}"
    yield answer.model or "no model"
    if answer.usage is None:
        yield f"prompt of at most {manifest.token_bound:,} tokens, budget {manifest.token_budget:,}"
    else:
        yield format_dollars(answer.cost_usd)
        yield f"prompt {format_count(answer.usage.prompt_tokens, 'token')} ({bound})"
        yield f"reply {format_count(answer.usage.output_tokens, 'token')}"
    yield f"{_seconds(answer.latency_ms)}, of which context {_seconds(manifest.build_ms)}"
    yield answer.id


def _seconds(milliseconds: int) -> str:
    return f"{timedelta(milliseconds=milliseconds).total_seconds():.1f} s"
