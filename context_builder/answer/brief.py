"""Writes the answer when no model does: at most MAX_LINES lines, of which the first are the answer. Pure.

Then come the evidence, what else is wrong, what is not known, and why no model wrote it. The rest is in the
manifest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from context_builder.answer.clause import first_clauses
from context_builder.answer.closing import MAX_LINE, closing_lines, folded
from context_builder.answer.statements import BULLET, Line, LineWriter, Statement, statements_of
from context_builder.answer.verdict import Verdict
from context_builder.prompt.manifest import Manifest
from context_builder.question.form import form_of
from context_builder.question.text import read_text
from context_builder.source import Status
from context_builder.text.formatting import format_time
from context_builder.text.sanitize import single_line

MAX_LINES = 12
"""Lines of a brief that are not empty: it is read in the middle of an outage."""
MAX_PER_SOURCE = 2
"""Lines of evidence."""
MAX_OTHERS = 2
"""Lines about what else is wrong."""
MIN_OTHER_IMPORTANCE = 0.7
MAX_REASON = 100
"""Characters of why one source is incomplete."""


def write_brief(manifest: Manifest, reason: str, *, called: bool = False) -> str:
    """Return a Markdown brief of the facts in the prompt.

    `reason` explains why there is no answer of a model; `called` is True if a call was made and failed.
    """
    told = statements_of(manifest)
    writer = LineWriter(manifest)
    asked = form_of(read_text(manifest.question).english)
    verdict = Verdict(manifest, asked, told)
    answer: list[str] = []
    for line in verdict.lines():
        if text := writer.words(line, bullet=bool(answer)):
            answer.append(text)
    answer = answer or ["Nothing is known: no source had anything to say."]
    last = [*_limitations(manifest), *_below(manifest, reason, called=called)]
    room = MAX_LINES - len(answer) - len(last)
    others = [s for s in told if not s.on_topic and s.importance >= MIN_OTHER_IMPORTANCE and _is_alarm(s)]
    beside = _lines(others, writer, min(MAX_OTHERS, room), prefix="Also: ", per_source=1)
    # What measures something else comes last, though it may have begun at the same time.
    near = sorted((s for s in told if s.on_topic), key=lambda s: not verdict.is_about(s.headline))
    evidence = _lines(near, writer, room - len(beside))
    return "\n".join([answer[0], "", *answer[1:], *evidence, *beside, *last]).replace("\n\n\n", "\n\n")


def _is_alarm(statement: Statement) -> bool:
    return statement.headline is not None and statement.headline.alarm is True


def _lines(
    told: Sequence[Statement],
    writer: LineWriter,
    most: int,
    *,
    prefix: str = "",
    per_source: int = MAX_PER_SOURCE,
) -> list[str]:
    """Return lines of statements that are not used yet, facts before summaries."""
    lines: list[str] = []
    of_source: Counter[str] = Counter()
    for statement in sorted(told, key=lambda one: one.is_summary):
        if len(lines) >= most:
            break
        if statement.subject in writer.told or of_source[statement.source] >= per_source:
            continue
        text = writer.words(Line(prefix, (statement,)))
        if statement.subject in writer.told:
            lines.append(text)
            of_source[statement.source] += 1
    return lines


def _limitations(manifest: Manifest) -> Iterator[str]:
    """Yield what could not be read, is stale, or has gaps.

    Only a source alone in its line says why: untrusted text shares no line with another reference.
    """
    failed = {s: f"{s.status}: {s.error or s.header}" for s in manifest.sources if s.status.is_failure}
    stale = {s: s.header for s in manifest.sources if s.status is Status.STALE}
    gaps = {s: s.gaps[0] for s in manifest.sources if s.gaps and not s.folded}
    for title, reasons in (("Could not be read", failed), ("Stale", stale), ("Some data is not known", gaps)):
        alone = len(reasons) == 1
        said = [
            f"{s.name}{f' ({first_clauses(why, MAX_REASON)})' if alone else ''} [{s.ref}]"
            for s, why in reasons.items()
        ]
        yield from folded(f"{BULLET}{title}: ", said, most=3)


def _below(manifest: Manifest, reason: str, *, called: bool) -> Iterator[str]:
    """Yield the window and scope, why no model wrote this, and what every answer ends with."""
    window = f"{format_time(manifest.window.start)} to {format_time(manifest.window.end)} UTC"
    scope = ", ".join(manifest.scope) or "the whole gateway"
    yield f"{BULLET}{first_clauses(f'{window}, {scope}', MAX_LINE - len(BULLET))}"
    title = "The model returned no complete answer" if called else "No model was called"
    why = first_clauses(single_line(reason), MAX_LINE - len(title) - 2)
    yield from ("", f"{title}: {why}")
    for line in closing_lines(manifest):
        yield from ("", line)
