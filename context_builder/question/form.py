"""Recognizes what a question in English asks for: a number, names, a cause, yes or no, a time. Pure.

A form says which kind of statement answers the question; nouns say of what. Sources tag their statements with
the same nouns, so that the answer is found without reading prose.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class Form(StrEnum):
    """What a question asks for."""

    COMPARISON = "comparison"
    """Which of two, or how they differ."""
    WHY = "why"
    WHEN = "when"
    CHANGES = "changes"
    """What changed or happened."""
    COUNT = "count"
    """How many, how much, or the value of a figure."""
    LIST = "list"
    WHICH = "which"
    """Which, who, or what of a kind."""
    WHETHER = "whether"
    """Yes or no."""
    GENERAL = "general"
    """What is most important."""


class Noun(StrEnum):
    """What questions and statements are about, in the singular."""

    ALERT = "alert"
    BACKEND = "backend"
    DEPLOYMENT = "deployment"
    ERROR = "error"
    INCIDENT = "incident"
    JOB = "job"
    MAINTENANCE = "maintenance"
    MODEL = "model"
    RATE_LIMIT = "rate limit"
    REQUEST = "request"
    SETTING = "setting"
    TIER = "tier"
    TIMEOUT = "timeout"
    USER = "user"
    VERSION = "version"


_VALUES = r"rates?|p\d\d|latency|percentage|share|costs?|spending|spend|volume|scores?|average|median"
_THINGS = (
    "users?|tiers?|deployments?|models?|backends?|errors?|incidents?|jobs?|maintenance|alerts?|requests?"
    "|settings?|versions?"
)
_COMPARATIVE = (
    "(?:slow|fast|quick|cheap|dear|prici|high|low|great|bigg|small|long|short|busi|quiet|healthi|flaki"
    "|steadi|stabl|lat|earli|old|new|few)er|larger|worse|better"
)
_FORMS = {
    Form.WHY: (
        "why|how come|reasons?|root causes?|explain"
        r"|(?:what|which|who)(?: \S+){0,3} caus(?:e|es|ed|ing)"
    ),
    Form.COMPARISON: (
        "vs|versus|compared? (?:to|with|against)|compare|comparison|differences?"
        rf"|(?:{_COMPARATIVE}) than(?! usual| normal)|(?<!other )than (?:last|the|yesterday|before)"
        rf"|or \S+ (?:{_COMPARATIVE})|or(?: \S+){{1,3}} (?:is|are|was) (?:{_COMPARATIVE})"
        rf"|(?:{_COMPARATIVE})(?: \S+){{1,3}} or"
    ),
    Form.WHEN: "since when|when (?:did|was|were|is|are|will|has|does|do)|what time|how long",
    Form.CHANGES: (
        r"what(?:'s| is| has| have| else| was)? (?:recently )?(?:chang|happen|new|differ)\w*"
        r"|what did \S+ change|changes"
    ),
    Form.COUNT: (
        "how (?:many|much|often|high|large)|number of|count|total"
        rf"|what(?:'s| is| are| was| were)(?: \S+){{0,3}} (?:{_VALUES})"
    ),
    Form.LIST: r"list|show|display|enumerate|top \d{1,3}",
    Form.WHICH: (
        "which|who|whose|whom"
        rf"|what(?: is| are)?(?: the| kinds? of| sort of| types? of)? (?:\w+ )?(?:{_THINGS})"
    ),
}
"""The first form with a match wins: "who knows why" asks why."""
_WHETHER = re.compile(
    r"(?:^|[.,;:!?-] )(?:and |or |but |so )?(?:is|isn't|are|aren't|was|were|do|does|did|didn't|has|have|had"
    r"|can|can't|could|will|should|any\w*)\b"
)
_MEASURE = re.compile(r"\b(?:(?:error|failure|success|request|cache|hit) rates?|p\d\d|median|average|mean)\b")
"""What is asked for in "p95 of gpt-4 since noon"."""
_NOUNS: dict[Noun, str] = {
    Noun.USER: r"users?|who|whom|whose|customers?|accounts?|anyone|anybody|someone|nobody|keys?|teams?",
    Noun.TIER: r"tiers?|plans?",
    Noun.DEPLOYMENT: r"deployments?|endpoints?",
    Noun.MODEL: r"models?|llms?",
    Noun.BACKEND: r"backends?|providers?|regions?|sites?|clouds?",
    Noun.REQUEST: r"requests?|calls?|traffic|volume|queries",
    Noun.INCIDENT: r"incidents?|outages?|postmortems?",
    Noun.ERROR: r"errors?|exceptions?|failures?|error codes?",
    Noun.RATE_LIMIT: r"rate.?limit\w*|throttl\w+|429s?",
    Noun.TIMEOUT: r"time.?outs?|timed out|504s?",
    Noun.JOB: r"jobs?|rollouts?|batch(?:es)?|drains?",
    Noun.MAINTENANCE: r"maintenances?|downtimes?|operating hours|opening hours",
    Noun.ALERT: r"alerts?|alerted|pages?|paged|notifications?|notified",
    Noun.SETTING: r"settings?|config\w*|parameters?",
    Noun.VERSION: r"versions?|releases?|routers?",
}
_TROUBLE = (
    r"(?:errors?|failures?|failed|latency|p\d\d|time.?outs?|\d{3}s|costs?|spend\w*|rate.?limit\w*|throttling)"
)
_BAD = (
    r"down|broken|wrong|slow\w*|sluggish|fail\w*|errors?|drop\w*|fell|worse\w*|bad|unhealthy|degrad\w+"
    r"|outages?|incidents?|problems?|issues?|over (?:\w+ )?budget|overspen\w+|reject\w*|limited|throttled"
    r"|affected|impacted|unavailable|unreachable|offline|stuck|crash\w*|flapp\w*|stale|spik\w+|regress\w*"
    r"|alert\w*|increased?|increases|increasing|ris\w+|rose"
)
_IMPROVED = (
    r"better|improv\w+|recover(?:s|ed|ing)?|back to normal|faster"
    r"|(?:is|are|was|were|been)(?: \S+){0,3} (?:over|resolved|fixed|solved|gone)"
    r"(?= ?(?:yet|now|already|[?.,;!]|$))"
    rf"|{_TROUBLE}(?: rates?)? (?:now |back |still )?(?:down|lower)"
    rf"|{_TROUBLE}(?: \S+){{0,4}} (?:(?:go|went|gone|come|came|gotten|get) (?:down|lower|fewer)|drop(?:ped)?"
    r"|fell|fallen|stop(?:ped)?|decreased?|declined?|subsided?|cleared?|disappear(?:ed)?|shr[aiu]nk)"
)
"""Asks whether things are well again, whatever bad words stand beside it."""
_GOOD = (
    "healthy|ok|okay|up|fine|working|available|normal|stable|can|could|well|reachable|online|good|recovered"
)
_MOST = r"most|top|highest|biggest|largest|busiest|slowest|worst|(?!request|latest|test)\w+est|spends?|more"
_LEAST = r"least|lowest|smallest|fewest|fastest|cheapest|best|less|quietest"
_LIMIT = re.compile(r"\btop (\d{1,3})\b|\b(\d{1,2}) (?:most|slowest|worst|biggest|largest|busiest)\b")


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w/-])(?:{pattern})(?![\w/])")


_FORM_PATTERNS = [(form, _words(pattern)) for form, pattern in _FORMS.items()]
_NOUN_PATTERNS = {noun: _words(pattern) for noun, pattern in _NOUNS.items()}
_ASKED = _words(r"which|who|whose|what|how many|how much|list|show|top \d{1,3}|all|any|number of")
_PARTICULAR = (Noun.RATE_LIMIT, Noun.TIMEOUT)
"""Kinds of failure: a question that names one is about it, whatever else it names."""
_STATES = _words(
    r"running|failed|queued|succeeded|cancelled|active|resolved|degraded|down|healthy|stale|open|closed"
)
_BY = _words(r"each|every|per|by")
_IMPROVED_WORDS, _BAD_WORDS, _GOOD_WORDS = map(_words, (_IMPROVED, _BAD, _GOOD))
_MOST_WORDS, _LEAST_WORDS = map(_words, (_MOST, _LEAST))
MAX_READ = 1_000
"""Characters of a question that are read: what is asked stands near its beginning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionForm:
    """What a question asks for."""

    form: Form
    noun: Noun | None = None
    """What it asks for: of "which deployments send errors" the deployment."""
    by: Noun | None = None
    """What a number is asked for each of: `tier` of "how many requests did each tier send"."""
    expects: bool | None = None
    """True if it asks whether, or where, something is wrong; False: whether all is well; None: neither."""
    ranks: bool = False
    """True if it asks for the most or the least of something."""
    least: bool = False
    limit: int | None = None
    """How many of them, if it says so."""
    state: str = ""
    """The state that it asks for: `running` of "which jobs are running"."""


def form_of(english: str) -> QuestionForm:
    """Return what a question asks for, from its text in English."""
    text = " ".join(english[:MAX_READ].casefold().replace("’", "'").split())
    form = next((form for form, pattern in _FORM_PATTERNS if pattern.search(text)), None)
    if form is None and _WHETHER.search(text):
        form = Form.WHETHER
    elif form is None:
        form = Form.COUNT if _MEASURE.search(text) else Form.GENERAL
    limit = _LIMIT.search(text)
    improves = form is Form.WHETHER and _IMPROVED_WORDS.search(text)
    bad, good = not improves and _BAD_WORDS.search(text), improves or _GOOD_WORDS.search(text)
    state = _STATES.search(text)
    least = _LEAST_WORDS.search(text) is not None
    return QuestionForm(
        form=form,
        noun=_particular(text) or _noun_after(text, _ASKED) or _first_noun(text),
        by=_noun_after(text, _BY),
        expects=True if bad else False if good else None,
        ranks=least or limit is not None or _MOST_WORDS.search(text) is not None,
        least=least,
        state=state.group() if state else "",
        limit=int(limit.group(1) or limit.group(2)) if limit else None,
    )


def _first_noun(text: str, start: int = 0, end: int | None = None) -> Noun | None:
    places = {
        noun: match.start()
        for noun, pattern in _NOUN_PATTERNS.items()
        if (match := pattern.search(text, start, len(text) if end is None else end))
    }
    return min(places, key=places.__getitem__) if places else None


def _particular(text: str) -> Noun | None:
    return next((noun for noun in _PARTICULAR if _NOUN_PATTERNS[noun].search(text)), None)


def _noun_after(text: str, words: re.Pattern[str]) -> Noun | None:
    """Return the noun that one of these words stands before, with at most two words between."""
    for word in words.finditer(text):
        following = re.match(r"(?: ?\S+){0,3}", text[word.start() :])
        if following and (noun := _first_noun(text, word.start(), word.start() + following.end())):
            return noun
    return None
