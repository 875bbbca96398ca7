"""Finds the words in a question that exclude or compare; what they apply to is settled elsewhere. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from context_builder.question.mention import TextSpan


class OperatorKind(StrEnum):
    """What an operator does with the names and times near it."""

    EXCLUDES = "excludes"
    """Leaves out what follows: except, without, all but."""
    MAY_EXCLUDE = "may exclude"
    """Leaves out a name or time right after it, and is an ordinary word elsewhere: not, outside."""
    EXCLUDED = "excluded"
    """Leaves out what precedes: `user_acme excluded`."""
    COMPARES = "compares"
    """Stands between the sides: vs, against, compared to, than."""
    ANNOUNCES = "announces"
    """Says that two sides follow or precede: compare, difference between, which is slower."""
    SPLITS = "splits"
    """Asks for both sides of what follows: before and after."""
    BOUNDS = "bounds"
    """Compares with a number: over 5 s, more than 3 %."""


@dataclass(frozen=True, slots=True, order=True)
class Operator:
    """One operator in the text."""

    span: TextSpan
    kind: OperatorKind


_FIGURE = (
    r"(?:[$€£]?\d[\d.,]*(?: ?(?:%|percent|ms|s|secs?|seconds?|m|mins?|minutes?|h|hours?|d|days?|usd|dollars?"
    r"|cents?|k|tokens?|requests?|errors?|times)(?!\w))?"
    r"|(?:half|twice|a (?:third|quarter|dozen))(?!\w))"
)
_COUNTED = (
    r"(?:an?|one|two|three|four|five|six|seven|eight|nine|ten) (?:percent|seconds?|minutes?|hours?|dollars?"
    r"|requests?|errors?|timeouts?|retries|users?|tokens?|calls?|times)(?!\w)"
)
_BETTER = (
    r"(?:slower|slowest|faster|fastest|cheaper|cheapest|dearer|pricier|healthier|busier|busiest|higher|highest"
    r"|lower|lowest|bigger|larger|smaller|longer|shorter|quicker|better|worse|more|less|fewer|most|least|best"
    r"|worst|greater|safer|earlier|later|older|newer)"
)
_PATTERNS = {
    OperatorKind.BOUNDS: rf"{_BETTER} than (?:about |around )?(?:{_FIGURE}|{_COUNTED})|[<>≤≥]=? ?{_FIGURE}"
    rf"|{_FIGURE} (?:or|and) (?:more|less|fewer|higher|lower|longer|above|below|over|slower|faster)"
    r"|between \d[\d.,]* and \d[\d.,]* ?(?:%|percent|ms|s|secs?|seconds?|usd|dollars?|k|tokens)(?!\w)"
    r"|(?:over|above|below|under|beyond|at least|at most|exceed(?:s|ed|ing)?|no more than|no less than)"
    rf" (?:{_FIGURE}|{_COUNTED})",
    OperatorKind.EXCLUDES: r"(?:all|any\w*|every\w*|no ?one|nobody|none)(?: [\w-]+){0,2} (?:but(?! not)|bar)"
    r"|(?:with the )?except(?:ion of|ing|ed)?(?: for)?|exclud(?:e|es|ing)|excl\.?|exclusive of"
    r"|without|w/o|apart from|aside from|but not|save for|not (?:including|counting|considering)"
    r"|(?:leav(?:e|ing)|keep(?:ing)?|tak(?:e|ing))(?: out|(?= (?:[\w/.-]+ ){1,4}out\b))"
    r"|other (?:\w+ )?than|ignor(?:e|ing)|disregard(?:ing)?|omit(?:ting)?|never ?mind"
    r"|forget(?: about)?"
    r"|(?:don't|do not|doesn't|does not) (?:care about|count|include|consider|show|want|need)",
    OperatorKind.MAY_EXCLUDE: r"not|non|no|nor|neither|ni|minus|besides|outside(?: of)?|skip(?:ping)?"
    r"|(?<=\w )(?:who|that|which) (?:(?:is|are|was|were) not|\w+n't)",
    OperatorKind.EXCLUDED: r"(?:(?:is|are|was|were) )?(?:excluded|left out|omitted|not included|aside)"
    r"|out of (?:it|this)",
    OperatorKind.SPLITS: r"before (?:and|vs\.?|versus|or|/|against) after"
    r"|after (?:and|vs\.?|versus|or|/|against) before",
    OperatorKind.COMPARES: r"vs\.?|versus|against|(?:as )?compared (?:to|with|against)"
    r"|as (?!well\b|soon\b|long\b|many\b|much\b)\w+ as|the same as|in comparison (?:to|with)"
    r"|relative to|as opposed to|rather than|instead of|(?<!other )than"
    r"|(?:(?<=up )|(?<=down ))from(?= (?:last|previous|yesterday|the (?:day|week|month|last)))",
    OperatorKind.ANNOUNCES: r"compar(?:e|es|ing|ed|ison(?: of| between)?)|side by side"
    r"|difference(?:s)?(?: between| in)?|differ(?:s|ent)?",
}
_OPERATOR = re.compile(
    "|".join(f"(?P<{kind.name}>(?<![\\w-])(?:{pattern})(?![\\w]))" for kind, pattern in _PATTERNS.items()),
    re.IGNORECASE,
)
_RANKS = re.compile(
    rf"\b(?:who|which|what|whether|is|are|was|were|does|do|did|has|have)\b[^.;]*?\b{_BETTER}\b", re.IGNORECASE
)
_CHOOSES = re.compile(
    rf"\b(?:who|which(?: one)?|what)\b[^.;]*?\b(?!\w+est\b|most\b|least\b|worst\b){_BETTER}\b", re.IGNORECASE
)
_BASELINE = re.compile(
    r"\W*(?:(?:the|its|their|our|an?) )?(?:usual(?:ly)?|normal(?:ly)?|average|expected|typical(?:ly)?"
    r"|baseline|before\b(?! \w)|ever\b|always|(?:it|they) (?:was|is|were|are|should)|we (?:expect|thought))",
    re.IGNORECASE,
)
_REST = re.compile(
    r"\W*(?:(?:all|any|every|each) (?:of )?)?(?:the )?(?:rest|others?|every(?:one|thing|body) else)"
    r"(?: of (?:the|our) \w+| \w+)?",
    re.IGNORECASE,
)


def find_operators(text: str) -> Iterator[Operator]:
    """Yield the operators of a question's English text, in order."""
    for match in _OPERATOR.finditer(text):
        yield Operator(TextSpan(*match.span()), OperatorKind[match.lastgroup or ""])


def asks_to_rank(text: str) -> bool:
    """Return whether a question asks who is slower, dearer, worse and the like."""
    return _RANKS.search(text) is not None


def asks_to_choose(text: str) -> bool:
    """Return whether a question asks which of two is more so, as in "which one fails more often"."""
    return _CHOOSES.search(text) is not None


def baseline_after(text: str, position: int) -> TextSpan | None:
    """Return the place of `usual`, `normal` and the like right after a comparison."""
    return _right_after(_BASELINE, text, position)


def rest_after(text: str, position: int) -> TextSpan | None:
    """Return the place of `the others`, `the rest` right after a comparison."""
    return _right_after(_REST, text, position)


def _right_after(pattern: re.Pattern[str], text: str, position: int) -> TextSpan | None:
    match = pattern.match(text, position)
    return TextSpan(*match.span()) if match else None
