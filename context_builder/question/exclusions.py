"""Finds what a question leaves out: "except gpt-4/aws", "non-premium", "without Sunday". Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from context_builder.question.material import Material
from context_builder.question.mention import NameMention, TextSpan, TimeMention
from context_builder.question.operators import Operator, OperatorKind

_PREFIXES = (OperatorKind.EXCLUDES, OperatorKind.MAY_EXCLUDE)
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
    names = [name for name in material.names if name.is_negated]
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
            spans += [operator.span, *(span for mention in (*found, *when) for span in mention.spans)]
        elif operator.kind is OperatorKind.EXCLUDES and not any(_touches(operator.span, s) for s in spans):
            without_object.append(operator.span)
    return Exclusions(tuple(dict.fromkeys(names)), tuple(times), tuple(spans), tuple(without_object))


def _touches(span: TextSpan, other: TextSpan) -> bool:
    return span.start < other.end and other.start < span.end


def _objects_after(operator: Operator, material: Material) -> tuple[list[NameMention], list[TimeMention]]:
    found = material.names_after(operator.span.end)
    if found and material.is_gap(operator.span.end, found[0].spans[0].start):
        return list(found), []
    return [], _times_after(operator.span.end, material)


def _object_before(operator: Operator, material: Material) -> list[NameMention]:
    found = material.names_before(operator.span.start)
    return list(found) if found and material.is_gap(found[-1].spans[-1].end, operator.span.start) else []


def _times_after(position: int, material: Material) -> list[TimeMention]:
    """Read the list of times that follows, each on its own: "except Sunday, show this week" leaves out Sunday."""
    times: list[TimeMention] = []
    follows = material.is_gap
    while len(times) < MAX_TIMES:
        mention = next(iter(material.times(position, len(material.text)).mentions), None)
        if mention is None or not follows(position, mention.spans[0].start):
            break
        alone = material.times(mention.spans[0].start, mention.spans[0].end).mentions
        if len(alone) != 1:
            break
        times.append(alone[0])
        position, follows = mention.spans[0].end, material.is_link
    return times
