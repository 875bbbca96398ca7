"""Classifies a question by topic from its words, without a model."""

from __future__ import annotations

import re

from context_builder.question.request import Topic

_WORDS: dict[Topic, tuple[str, ...]] = {
    Topic.HEALTH: (
        r"health\w*", "unhealthy", "down", "up", "status", "degraded", "outages?", "offline", "available",
        "availability", "unavailable", "unreachable", "broken", "stale", "wrong",
    ),
    Topic.INCIDENTS: (
        "incidents?", "outages?", "postmortems?", "severity", "alerts?", "pages?", "wrong", r"happen\w*",
        "unhealthy",
    ),
    Topic.ERRORS: (
        "errors?", r"fail\w*", r"50\d", "[45]xx", "429", r"tim(?:e|es|ed|ing)[ -]?outs?", r"reject\w*",
        r"rate.?limit\w*", r"throttl\w*", "broken", "wrong",
        r"drop\w* (?:requests?|calls?|connections?)", r"crash\w*",
    ),
    Topic.LATENCY: (
        r"slow\w*", r"latenc\w+", r"hang(?:s|ing)?", "stuck", r"fast\w*", "p50", r"p9\d", "response times?",
        "delays?", r"lag\w*", r"regress\w*", "performance", "waiting",
    ),
    Topic.COST: (
        "costs?", r"spen[dt]\w*", "budgets?", "dollars?", "money", r"expens\w+", r"\$[\d.,]*", "usd",
        r"price\w*", r"bill\w*", r"overspen\w+", "quota",
    ),
    Topic.VOLUME: (
        "how many", "requests?", "traffic", "volume", "load", r"count\w*", "throughput", "usage", "rps",
        "busy", "busiest", "capacity", "trends?",
    ),
    Topic.QUALITY: ("quality", "scores?", r"accura\w+", r"hallucinat\w+", "wrong answers?"),
    Topic.HISTORY: (
        "before", "history", "similar", "again", r"previous\w*", "last time", "ever", r"recurr\w+",
        "root causes?", "how (was|did|were)",
    ),
    Topic.CHANGES: (
        "why", r"chang\w+", r"caus\w+", r"deploy(?:s|ed|ing)?", r"roll(?:ed|ing)?[ -]?(?:outs?|backs?)",
        r"config\w*", r"releas\w+", r"upgrad\w+", "since when", "began", "begin", r"start(?:ed)?",
        "what happened", r"migrat\w+", r"maintenance", r"jobs?", r"trigger\w*", r"explain\w*", "wrong",
    ),
    Topic.RISK: (
        r"risk(?:s|y)?", r"forecasts?", r"predict\w*", "headroom", "about to",
        r"(?:in|over|within|during) the next \w+ (?:minutes?|seconds?)", "next (?:few )?minutes?",
    ),
}  # fmt: skip
_PATTERNS = {
    topic: re.compile(rf"(?<!\w)(?:{'|'.join(words)})(?!\w)", re.IGNORECASE)
    for topic, words in _WORDS.items()
}

DEFAULT_TOPICS = frozenset({Topic.HEALTH, Topic.INCIDENTS, Topic.ERRORS, Topic.LATENCY, Topic.CHANGES})
"""Topics of a question that names none: is anything wrong right now?"""


_DIMENSIONS = re.compile(r"\b(tier|model|backend|deployment)s?\b", re.IGNORECASE)


def dimensions_of(question: str) -> frozenset[str]:
    """Return the dimensions of the traffic that the question's words name."""
    return frozenset(name.lower() for name in _DIMENSIONS.findall(question))


def topics_of(question: str) -> frozenset[Topic]:
    """Return the topics that the question's words name, else DEFAULT_TOPICS."""
    found = frozenset(topic for topic, pattern in _PATTERNS.items() if pattern.search(question))
    return found or DEFAULT_TOPICS
