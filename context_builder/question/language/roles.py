"""Sets of roles by name, from which rules are built."""

from __future__ import annotations

from context_builder.question.language.atom import Kind
from context_builder.question.language.grammar import Reading, Rule, rule

_SETS = {
    "amount": "[number year_number]",
    "length": "[unit unit_short hour_letter year_mark day_mark]",
    "any_month": "[month month_short]",
    "any_weekday": "[weekday weekday_short]",
    "any_clock": "[clock half_day_clock]",
    "hour": "[number clock]",
    "time": "[day tomorrow period weekday month moment range part clock half_day_clock]",
    "times": "time(?:link? time){0,3}",
    "happening": "(?:[last article]link?)?event{1,2}",
    "anchor": "(?:times|happening|name)",
    "noun": "(?:times|happening|name{1,3}|unknown|tier|tier_users|word)",
    "named": "(?:name{1,3}|unknown)",
    "nouns": "(?:named(?:[and comma]named){0,8}|times(?:[and comma]times){0,8}|noun)",
    "side": "(?:times|happening|name{1,3}|tier|tier_users)",
    "dashes": "[to clock_to until dash and start]",
    "the": "[article clock_article last]",
    "ahead": "[since until before before_or_ago after maybe_after between from at and to clock_to of]",
    "lead": "([of from since between]?) article? clock_article?",
    "to_clock": "[to clock_to until dash and start] article? clock_article?",
}


def phrase(pattern: str, kind: Kind, becomes: str | Reading) -> Rule:
    """Return a rule whose pattern may name the sets."""
    return rule(pattern, kind, becomes, _SETS)
