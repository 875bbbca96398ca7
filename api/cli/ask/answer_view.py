"""What stands below an answer: doubts, references, what is missing, what was cut and what it cost. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from api.cli.terminal.text_table import Row, TextTable
from context_builder.answer.answer import Answer, ClaimIssue
from context_builder.answer.confidence import Confidence
from context_builder.prompt.manifest import Manifest, SourceEntry
from context_builder.source import Status
from context_builder.text.formatting import format_count, format_dollars, format_time

_NOT_READ = (Status.TIMEOUT, Status.ERROR)
_WHOLE = "end_turn"


def notes(answer: Answer) -> list[TextTable]:
    """The sheets that are not empty, in the order in which they matter.

    A brief, which no model wrote, is made of the facts itself and says what could not be read.
    """
    written = answer.model is not None
    sheets = [
        TextTable(title="The answer is not whole", rows=tuple(_cut_off(answer)), warns=True),
        TextTable(title="Not supported by the facts", rows=tuple(_unsupported(answer)), warns=True),
        TextTable(title="References", rows=tuple(_references(answer)) if written else ()),
        TextTable(title="Not known", rows=tuple(_not_known(answer.manifest, brief=not written)), warns=True),
        TextTable(title="Left out to keep the token budget", rows=tuple(_cut(answer.manifest))),
    ]
    return [sheet for sheet in sheets if sheet.rows]


def footer(answer: Answer) -> list[str]:
    """How far to rely on the answer, how the question was understood, and what it cost."""
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
    """The level and the worst reason; --json has all."""
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
    for (doubt, sentence), found in details.items():
        yield f"✗ {', '.join(found)}", f"{_DOUBTS[doubt]}: “{sentence}”"


_DOUBTS = {
    ClaimIssue.UNKNOWN_REFERENCE: "no such reference was in the prompt",
    ClaimIssue.NUMBER_NOT_IN_FACTS: "not in the cited facts",
    ClaimIssue.NUMBER_WITHOUT_REFERENCE: "stated without a reference",
    ClaimIssue.UNKNOWN_NAME: "nothing in the prompt has this name",
    ClaimIssue.NAME_NOT_IN_FACTS: "the cited facts do not hold this name",
}


def _references(answer: Answer) -> Iterator[Row]:
    for citation in answer.citations:
        yield f"[{citation.ref}]", citation.source, citation.text


def _not_known(manifest: Manifest, *, brief: bool) -> Iterator[Row]:
    """What the reader must not take for complete; of a brief only what its text does not say."""
    if brief:
        stale = (source for source in manifest.sources if source.status is Status.STALE)
        yield from ((source.name, f"{source.status}: {source.header}") for source in stale)
        return
    for source in manifest.sources:
        if source.status is Status.STALE or (source.status is Status.EMPTY and source.on_topic):
            yield source.name, f"{source.status}: {source.header}"
        elif source.status in _NOT_READ:
            yield source.name, f"{source.status}: {source.error or 'could not be read'}"
        yield from ((source.name, gap) for gap in source.gaps)
    empty = [s.name for s in manifest.sources if s.status is Status.EMPTY and not s.on_topic]
    if empty:
        yield "beside the question", f"{Status.EMPTY}: {', '.join(empty)}"
    for unknown in manifest.unknown_names:
        near = f"; spelled alike: {', '.join(unknown.near)}" if unknown.near else ""
        yield unknown.name, f"nothing here has this name{near}"


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
