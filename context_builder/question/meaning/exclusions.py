"""Finds what a question leaves out: "except gpt-4/aws", "non-premium", "without Sunday". Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from context_builder.question.meaning.coverage import overlaps
from context_builder.question.meaning.material import Material
from context_builder.question.meaning.operators import Operator, OperatorKind
from context_builder.question.mention import NameKind, NameMention, TextSpan, TimeMention
from models import Tier

_PREFIXES = (OperatorKind.EXCLUDES, OperatorKind.MAY_EXCLUDE)
_BEGINS_CLAUSE = re.compile(r"(?:^|[,;:(–—-] ?|\b(?:and|but|or) )$", re.IGNORECASE)
"""Before a `not` that leaves out a time: in "what did not work on Monday" it does not."""
_HARDLY_ORDINARY = re.compile(r"minus|outside(?: of)?|skip(?:ping)?", re.IGNORECASE)
"""Words that may leave out, and hardly do anything else."""
_CONNECTORS = frozenset(("to", "until", "till", "and", "through", "-", "–", "—"))
"""Within a range, beside which no part is a time of its own."""
_TIER = re.compile(
    rf" (?:the )?(?P<tier>{'|'.join(Tier)})\b(?! ?(?:s\b|limit|cap|alert|overrun))", re.IGNORECASE
)
MAX_TIMES = 7
"""Times left out by one operator."""


@dataclass(frozen=True, slots=True)
class Exclusions:
    """What a question leaves out."""

    names: tuple[NameMention, ...] = ()
    times: tuple[TimeMention, ...] = ()
    spans: tuple[TextSpan, ...] = ()
    """The operators that apply, and the places of what they leave out."""
    without_object: tuple[TextSpan, ...] = ()
    """Operators that apply to no known name or time."""


def find_exclusions(material: Material, operators: Sequence[Operator]) -> Exclusions:
    """Return the names and times that the operators leave out."""
    compared = [operator.span.end for operator in operators if operator.kind is OperatorKind.COMPARES]
    names = [
        name
        for name in material.names
        # "premium vs non-premium" leaves nothing out.
        if name.is_negated and not any(material.is_gap(end, name.spans[0].start) for end in compared)
    ]
    times: list[TimeMention] = []
    spans = [span for name in names for span in name.spans]
    without_object: list[TextSpan] = []
    for operator in operators:
        if operator.kind in _PREFIXES:
            found, when = _objects_after(operator, material)
        elif operator.kind is OperatorKind.EXCLUDED:
            found, when = _object_before(operator, material), []
        else:
            continue
        if found or when:
            names += found
            times += when
            spans.append(operator.span)
            spans += [span for name in found for span in name.spans]
            spans += [span for time in when for span in time.spans]
        elif not overlaps(operator.span, spans) and (
            operator.kind is OperatorKind.EXCLUDES
            or _HARDLY_ORDINARY.fullmatch(material.text, operator.span.start, operator.span.end)
        ):
            without_object.append(operator.span)
    return Exclusions(tuple(dict.fromkeys(names)), tuple(times), tuple(spans), tuple(without_object))


def _objects_after(operator: Operator, material: Material) -> tuple[list[NameMention], list[TimeMention]]:
    if tier := _TIER.match(material.text, operator.span.end):
        # Right after an exclusion even `budget` is a tier.
        span = TextSpan(*tier.span("tier"))
        if not overlaps(span, (s for name in material.names for s in name.spans)):
            name = tier["tier"].casefold()
            return [NameMention(spans=(span,), kind=NameKind.TIER, names=(name,))], []
    found = material.names_after(operator.span.end)
    if found and material.is_gap(operator.span.end, found[0].spans[0].start):
        return list(found), []
    if operator.kind is OperatorKind.MAY_EXCLUDE and not _BEGINS_CLAUSE.search(
        material.text[: operator.span.start]
    ):
        return [], []
    return [], _times_after(operator.span.end, material)


def _object_before(operator: Operator, material: Material) -> list[NameMention]:
    found = material.names_before(operator.span.start)
    return list(found) if found and material.is_gap(found[-1].spans[-1].end, operator.span.start) else []


def _times_after(position: int, material: Material) -> list[TimeMention]:
    """Read the list of times that follows, each alone: "except Sunday, show this week" leaves out Sunday."""
    times: list[TimeMention] = []
    start, follows = position, material.is_gap
    while len(times) < MAX_TIMES:
        mention = next(iter(material.times(start, len(material.text)).mentions), None)
        if mention is None or not follows(start, mention.spans[0].start):
            break
        alone = _alone(mention.spans[0], position, material)
        if alone is None:
            break
        times.append(alone)
        start, follows = alone.spans[-1].end, material.is_link
    return times


def _alone(span: TextSpan, operator_end: int, material: Material) -> TimeMention | None:
    """Read one part as a time; only its first words if nothing else would be the window."""
    text = material.text
    others = material.times(0, len(text), besides=(TextSpan(operator_end, span.end),)).mentions
    ends = [span.end]
    if not others:
        ends = [n for n in range(span.start, span.end) if text[n] == " " and not _is_in_range(n, span, text)]
        ends.append(span.end)
    found = (material.times(span.start, end).mentions for end in ends)
    return next((mentions[0] for mentions in found if len(mentions) == 1), None)


def _is_in_range(position: int, span: TextSpan, text: str) -> bool:
    before, after = text[span.start : position].split(), text[position : span.end].split()
    return not _CONNECTORS.isdisjoint(word.casefold() for word in (*before[-1:], *after[:1]))
