"""The first lines of a brief: what answers the question as asked. Pure.

A statement is chosen by what its source tagged it with: the kind of question that it answers, what it is
about, what it measures, whether something is wrong. No prose is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from context_builder.answer.closing import folded, unknown_name
from context_builder.answer.statements import SIDES, Line, Statement
from context_builder.prompt.manifest import Manifest
from context_builder.question.form import Form, Noun, QuestionForm
from context_builder.question.request import Topic
from context_builder.source import Headline, Role

MAX_LINES = 2
_METRICS = frozenset({Topic.ERRORS, Topic.LATENCY, Topic.COST, Topic.VOLUME, Topic.QUALITY})
_EXISTING = frozenset({Noun.JOB, Noun.MAINTENANCE, Noun.ALERT, Noun.SETTING, Noun.RATE_LIMIT, Noun.TIMEOUT})
"""Asked whether there are any; of everything else, whether something is wrong with it."""
_SERVED = frozenset(Noun) - {Noun.JOB, Noun.MAINTENANCE, Noun.ALERT, Noun.SETTING, Noun.INCIDENT}
"""What sends, serves or is a request: if no request failed, none of them did."""
_WORD = re.compile(r"\w+")
_OF_THE_PAST = ("recall", "knowledge")
"""Sources that say nothing about how things are."""
_CHANGE = (Role.DRIVER, Role.CHANGE)
_ELSEWHERE = "The whole gateway: "


@dataclass(frozen=True, slots=True)
class Tagged:
    """A statement with its headline."""

    statement: Statement
    headline: Headline


class Verdict:
    """Finds the answer among the statements of one prompt."""

    def __init__(self, manifest: Manifest, asked: QuestionForm, told: Sequence[Statement]) -> None:
        self._manifest = manifest
        self._asked = asked
        self._told = told
        topics = frozenset(Topic(topic) for topic in manifest.topics)
        self._topics = topics
        self._metrics = topics & _METRICS
        tagged = [Tagged(one, one.headline) for one in told if one.headline is not None]
        self._tagged = [one for one in tagged if self.is_about(one.headline)]
        needed = (s for s in manifest.sources if s.on_topic and s.status.is_failure)
        asks_past = Topic.HISTORY in topics
        self._unread = [s.name for s in needed if asks_past or s.name not in _OF_THE_PAST]

    def lines(self) -> list[Line]:
        """Return one or two lines, none if the prompt says nothing at all."""
        sides = [one for one in self._told if one.source == SIDES and one.on_topic and not one.is_summary]
        if sides:
            return [Line("", (one,)) for one in sides[:MAX_LINES]]
        lines = self._forecast() or self._by_form[self._asked.form](self) or self._unknown()
        scope = self._manifest.scope
        is_incident = any(label.startswith("incident ") for label in scope)
        if self._manifest.unknown_names and (is_incident or not scope):
            # What is known is about something else than what was asked about.
            known = [replace(line, prefix="" if scope else _ELSEWHERE) for line in lines if line.statements]
            lines = [self._unknown_name(), *known[:1]]
        return lines[:MAX_LINES]

    def _forecast(self) -> list[Line]:
        """Return what is to come, if that is asked for, whatever the form of the question."""
        if Topic.RISK not in self._topics:
            return []
        forecasts = [one for one in self._tagged if one.headline.topic is Topic.RISK]
        ranked = [one for one in forecasts if one.headline.role is Role.RANKING]
        ranked.sort(key=lambda one: -(one.headline.value or 0.0))
        silent = [one for one in forecasts if one.headline.role is Role.STATE]
        counts = [one for one in forecasts if one.headline.role is Role.COUNT]
        silent.sort(key=lambda one: one.headline.value or 0.0)
        return [*_single(counts), *_each("", ranked or silent)]

    def is_about(self, headline: Headline | None) -> bool:
        """Return whether a headline measures what the question is about."""
        if headline is None:
            return False
        topic = headline.topic
        if topic is None or topic in self._topics:
            return True
        if Noun.USER in headline.nouns and any(label.startswith("user ") for label in self._manifest.scope):
            return True
        is_open = self._asked.form in (Form.WHY, Form.CHANGES, Form.WHEN, Form.GENERAL)
        return is_open and not self._metrics

    def _with(self, *roles: Role, noun: Noun | None = None) -> list[Tagged]:
        """Return what has one of these roles and tells of a noun; earlier roles first."""
        found = [
            one
            for one in self._tagged
            if one.headline.role in roles and (noun is None or noun in one.headline.nouns)
        ]
        return sorted(found, key=lambda one: roles.index(one.headline.role))

    def _count(self) -> list[Line]:
        asked = self._asked
        if asked.by and (lists := self._members(self._with(Role.RANKING, noun=asked.by))):
            return [*_listed("", lists), *_single(self._with(Role.COUNT, noun=asked.noun))]
        counts = self._with(Role.COUNT, noun=asked.noun) or self._with(Role.COUNT)
        exact = sorted(counts, key=lambda one: (one.headline.topic is None, not one.statement.on_topic))
        return [*_single(exact), *_listed("", self._members(self._with(Role.RANKING, noun=asked.noun)))]

    def _which(self) -> list[Line]:
        asked = self._asked
        # "Which are unhealthy?" asks for a judgement: what is judged comes before what is only measured.
        judges = bool(asked.expects) and not asked.ranks
        roles = (Role.RANKING, Role.STATE) if asked.ranks else (Role.STATE, Role.RANKING)
        found = self._with(*roles, Role.EVENT, noun=asked.noun)
        if asked.ranks or (self._metrics and asked.noun in _SERVED):
            # How many users there are says nothing about who failed.
            found = [one for one in found if one.headline.topic is not None]
        members = self._members(sorted(found, key=lambda one: judges and one.headline.alarm is None))
        wrong = [one for one in members if one.headline.alarm]
        if judges and not wrong and (none := self._none(members)):
            return none
        if not members:
            return [] if asked.ranks else self._without_members()
        shown = wrong if judges and wrong else members
        counts = [one for one in self._with(Role.COUNT, noun=asked.noun) if one.headline.topic is not None]
        return [*_listed("", shown[: asked.limit]), *_single(counts)]

    def _without_members(self) -> list[Line]:
        """Say how many there are where none is listed, or that there are none."""
        if self._asked.noun in _EXISTING:
            return [] if self._may_exist() else [Line("None is known")]
        measured = [one for one in self._with(Role.COUNT) if one.headline.topic in self._metrics]
        return _single(measured or self._with(Role.COUNT, noun=self._asked.noun))

    def _none(self, members: Sequence[Tagged]) -> list[Line]:
        """Say that nothing is wrong with any, if something says so and all that could tell was read."""
        noun = self._asked.noun
        if noun in _SERVED and self._metrics == {Topic.ERRORS} and not members:
            noun = Noun.REQUEST
        judged = [one for one in self._with(Role.COUNT, noun=noun) if one.headline.alarm is False]
        is_calm = bool(members) and all(one.headline.alarm is False for one in members)
        if self._unread or not (judged or is_calm):
            return []
        return [*_single(judged or members, "None: "), *_listed("Closest: ", members)]

    def _members(self, found: Sequence[Tagged]) -> list[Tagged]:
        """Return what is of the same kind as the best of them, in the order of its figures."""
        if not found:
            return []
        best = found[0]
        same = [one for one in found if _kind(one) == _kind(best)]
        if any(one.headline.value is not None for one in same):
            sign = 1 if self._asked.least else -1
            same.sort(key=lambda one: sign * (one.headline.value or 0.0))
        return [one for one in same if self._has_state(one)] or same

    def _why(self) -> list[Line]:
        changes = [one for one in self._with(*_CHANGE) if one.headline.alarm is not False]
        worse = [one for one in changes if one.headline.alarm] or changes
        if not worse:
            wrong = self._wrong()
            calm = [one for one in self._with(Role.CHANGE) if one.headline.alarm is False]
            return [
                *_each("Likely related: ", wrong),
                *_single(calm, "Not known: " if wrong else "It is not: "),
            ]
        topic = worse[0].headline.topic
        causes = [one for one in self._with(Role.CAUSE) if one.headline.topic is topic]
        return [*_single(worse, "Likely: "), *_single(causes, "Likely cause: "), *_single(worse[1:])]

    def _when(self) -> list[Line]:
        dated = [
            one
            for one in self._with(*_CHANGE, Role.STATE, Role.EVENT, Role.CAUSE)
            if one.headline.at is not None and (self._asked.expects is not True or one.headline.alarm)
        ]
        dated.sort(key=lambda one: not self._has_state(one))
        return _each("", _once(dated))

    def _has_state(self, one: Tagged) -> bool:
        state = self._asked.state
        return bool(state) and state in _WORD.findall(one.headline.text.casefold())

    def _changes(self) -> list[Line]:
        found = self._with(Role.CAUSE, Role.EVENT, *_CHANGE)
        states = [one for one in self._wrong() if one.headline.role is Role.STATE]
        found += [one for one in states if Noun.ERROR not in one.headline.nouns][:1]
        found.sort(key=lambda one: (not one.headline.alarm, -one.statement.importance))
        start = self._manifest.window.start
        if self._manifest.window.origin.startswith("“"):
            found.sort(key=lambda one: one.headline.at is None or one.headline.at < start)
        calm = [one for one in found if one.headline.alarm is False]
        changed = [one for one in found if one.headline.alarm is not False]
        return _each("", _once(changed)) or _single(calm, "Nothing unusual: ")

    def _wrong(self) -> list[Tagged]:
        """Return what is wrong within the window, the most important first, each once."""
        found = [one for one in self._tagged if one.headline.alarm and self._is_in_time(one.headline)]
        found.sort(key=lambda one: (not one.statement.on_topic, -one.statement.importance))
        return _once(found)

    def _is_in_time(self, headline: Headline) -> bool:
        return headline.at is None or headline.at < self._manifest.window.end

    def _may_exist(self) -> bool:
        """Return whether what is asked for can be in a source that failed, or in a fact without room."""
        hidden = (fact.headline for fact in self._manifest.facts if not fact.is_shown)
        return bool(self._unread) or any(self._asked.noun in one.nouns for one in hidden if one)

    def _whether(self) -> list[Line]:
        asked = self._asked
        if asked.noun in _EXISTING:
            members = self._members(self._with(Role.RANKING, Role.STATE, Role.EVENT, noun=asked.noun))
            return _listed("Yes: ", members) or ([] if self._may_exist() else [Line("No: none is known")])
        if Topic.HISTORY in self._topics:
            past = [one for one in self._tagged if one.headline.topic is Topic.HISTORY]
            wrong = [one for one in past if one.headline.alarm]
            return [*_each("Likely yes: ", wrong[:1]), *_each("", wrong[1:])] or _single(past, "No: ")
        wrong = self._wrong()
        well = [one for one in self._tagged if one.headline.alarm is False and not one.headline.at]
        expects = asked.expects is not False
        if wrong:
            return [*_each("Yes: " if expects else "No: ", wrong[:1]), *_each("", wrong[1:])]
        moved = self._with(*_CHANGE)
        if well and not self._unread:
            return [*_each("No: " if expects else "Yes: ", well[:1]), *_each("", well[1:])]
        return _each("Not known; what changed: ", [one for one in moved if one.headline.alarm is None])

    def _general(self) -> list[Line]:
        wrong = self._wrong()
        if wrong or self._unread:
            return _each("", wrong)
        return _each("Nothing unusual: ", [one for one in self._tagged if one.headline.alarm is False])

    def _compare(self) -> list[Line]:
        compared = self._with(Role.COMPARISON)
        scope = next((word for label in self._manifest.scope[:1] for word in label.split()[:1]), "")
        noun = Noun(scope) if scope in set(Noun) else self._asked.noun
        ranked = self._members(self._with(Role.RANKING, noun=noun) or self._with(Role.RANKING))
        return [*_listed("", ranked), *_single(compared), *_single(self._with(Role.COUNT))]

    def _unknown_name(self) -> Line:
        """Say that the only names of the question are not known."""
        names = [unknown_name(one.name, one.near) for one in self._manifest.unknown_names]
        return Line(next(folded("Not known, since the name is unknown: ", names, most=1)).removesuffix("."))

    def _unknown(self) -> list[Line]:
        """Say that nothing answers the question, then the most important of what it is about."""
        why = f"{', '.join(self._unread)} could not be read" if self._unread else "no fact answers this"
        best = [one for one in self._told if one.on_topic] or list(self._told)
        return [Line(f"Not known: {why}"), *(Line("Closest: ", (one,)) for one in best[:1])]

    _by_form: dict[Form, Callable[[Verdict], list[Line]]] = {  # noqa: RUF012  never changed
        Form.COMPARISON: _compare,
        Form.WHY: _why,
        Form.WHEN: _when,
        Form.CHANGES: _changes,
        Form.COUNT: _count,
        Form.LIST: _which,
        Form.WHICH: _which,
        Form.WHETHER: _whether,
        Form.GENERAL: _general,
    }


def _once(found: Iterable[Tagged]) -> list[Tagged]:
    """Return each change once, though its onset and its drivers are told apart."""
    return list({one.statement.subject: one for one in reversed(list(found))}.values())[::-1]


def _kind(one: Tagged) -> tuple[object, ...]:
    headline = one.headline
    return one.statement.source, headline.role, headline.nouns, headline.topic


def _single(found: Sequence[Tagged], prefix: str = "") -> list[Line]:
    """Return a line of the first of them."""
    return _each(prefix, found[:1])


def _each(prefix: str, found: Sequence[Tagged]) -> list[Line]:
    """Return a line of each; only the first has the prefix."""
    return [Line("" if place else prefix, (one.statement,)) for place, one in enumerate(found)]


def _listed(prefix: str, found: Sequence[Tagged]) -> list[Line]:
    """Return one line of them all."""
    return [Line(prefix, tuple(one.statement for one in found), is_list=True)] if found else []
