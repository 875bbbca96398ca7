"""Forecasts of the deployments in scope: answers "what capacity risks are there in the next five minutes?".

Columns: probability (%) that p95 latency crosses the deployment's limit within 5 minutes, expected p95 with
its 90 % interval (ms), baseline and limit (ms), headroom (%), the forecaster that leads, its skill (% less
error than "as now") over matured forecasts and their number, the last false alarm (UTC), or why there is no
forecast. They follow from the last three hours of the rollups alone, without the trained model.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from context_builder.question.form import Noun
from context_builder.question.request import ContextRequest, Topic, Wording
from context_builder.risk.forecast.forecaster import Forecaster
from context_builder.risk.measures.history import Minute
from context_builder.risk.measures.reading import read_minutes
from context_builder.risk.outlook import HORIZON, Outlook
from context_builder.rollups.scope import rollup_scope
from context_builder.rollups.span import MINUTE
from context_builder.source import (
    ContextSource,
    Fact,
    Headline,
    Role,
    Section,
    Shown,
    Status,
    Stores,
    by_importance,
)
from context_builder.telemetry.fleet import known_deployments
from context_builder.text.formatting import (
    format_count,
    format_list,
    format_milliseconds,
    format_name,
    format_time,
)

LEARNED_FROM = timedelta(hours=3)
NOTABLE_PROBABILITY = 0.2
MAX_DEPLOYMENTS = 200
"""Deployments that are forecast for a question, those with the most requests."""
MAX_FACTS = 30
_MAX_NAMES = 8
_MINUTES = HORIZON // MINUTE
_OVER = 0.7
"""Importance of a deployment above its limit without a forecast, ..."""
_SILENT = 0.38
"""... and of another one without."""


async def read(request: ContextRequest, stores: Stores) -> Section:
    """Return the outlook of each deployment, the likeliest breach first."""
    if request.topics and Topic.RISK not in request.topics:
        return Section("the question does not ask what is to come", status=Status.EMPTY)
    scope = await rollup_scope(stores.rollups, request)
    end = request.as_of.replace(second=0, microsecond=0)
    minutes = await read_minutes(stores.rollups, end - LEARNED_FROM, end, scope)
    async with stores.snapshot.session() as session:
        deployments = await known_deployments(session, request)
    names = {one.id: one.public_id for one in deployments}
    objectives = {one.id: float(one.p95_objective_ms) for one in deployments if one.p95_objective_ms}
    outlooks, left_out = await asyncio.to_thread(_outlooks, minutes, objectives, end)
    known = sorted((names[number], one) for number, one in outlooks.items() if number in names)
    if not known:
        return Section("no requests in the last three hours to forecast from", status=Status.EMPTY)
    told = [(name, one) for name, one in known if not one.silence]
    silent = [(name, one) for name, one in known if one.silence]
    facts = [_fact(name, one) for name, one in told] + [_silent_fact(name, one) for name, one in silent]
    gaps = scope.gaps
    if left_out:
        gaps += (f"the risks of {format_count(left_out, 'deployment')} with fewer requests than others",)
    if silent:
        gaps += (f"what comes of {format_count(len(silent), 'deployment')} without a forecast",)
    header = _header(known)
    headline = Headline(text=header, role=Role.COUNT, nouns=(Noun.DEPLOYMENT,), topic=Topic.RISK)
    return Section(header, _shown(facts, silent), gaps=gaps, headline=headline)


def _header(known: Sequence[tuple[str, Outlook]]) -> str:
    """Return what matters most of all deployments: who is above the limit, and who may be soon."""
    told = [one for _, one in known if not one.silence]
    likely = sum((one.breach_probability or 0.0) >= NOTABLE_PROBABILITY for one in told)
    over = [format_name(name) for name, one in known if (one.headroom or 0.0) < 0]
    silent = len(known) - len(told)
    parts = [f"above the limit now: {format_list(over, _MAX_NAMES) if over else 'none'}"]
    if silent:
        parts.append(f"no forecast for {format_count(silent, 'deployment')}")
    if told:
        risks = (
            f"{likely} with at least {_percent(NOTABLE_PROBABILITY)} risk of being above the latency limit"
        )
        parts.insert(0, f"of {format_count(len(told), 'deployment')} with a forecast {risks}")
    return f"next {_MINUTES} minutes: {'; '.join(parts)}"


def _outlooks(
    minutes: Sequence[Minute], objectives: Mapping[int, float], end: datetime
) -> tuple[dict[int, Outlook], int]:
    """Return the outlooks of the busiest deployments, and how many others there are."""
    loads: dict[int, float] = {}
    for minute in minutes:
        for number, load in zip(minute.deployment_ids.tolist(), minute.measures[:, 0].tolist(), strict=True):
            loads[number] = loads.get(number, 0.0) + load
    busiest = sorted(loads, key=lambda number: (-loads[number], number))[:MAX_DEPLOYMENTS]
    forecaster = Forecaster(objectives=objectives)
    forecaster.observe_all(minute.of(busiest) for minute in minutes)
    return forecaster.tick(end), len(loads) - len(busiest)


def _shown(facts: Iterable[Fact], silent: Sequence[tuple[str, Outlook]]) -> tuple[Fact, ...]:
    """Return the most important facts, and the names of further deployments without a forecast."""
    ranked = by_importance(facts)
    if len(ranked) <= MAX_FACTS:
        return ranked
    told = len(ranked) - len(silent)
    names = [name for name, _ in silent[max(0, MAX_FACTS - told) :]]
    text = f"further deployments without a forecast: {format_list(names, _MAX_NAMES)}"
    return (*ranked[:MAX_FACTS], *([Fact(text, "", 0.1, kind="forecasts")] if names else []))


def _fact(name: str, one: Outlook) -> Fact:
    probability = one.breach_probability or 0.0
    happens = "stays above" if (one.headroom or 0.0) < 0 else "crosses"
    head = (
        f"{format_name(name)}: {_percent(probability)} probability that p95 latency {happens} its limit of "
        f"{_ms(one.limit_ms)} within {_MINUTES} min, expected {_ms(one.latency_ms)}"
    )
    false_alarm = one.last_false_alarm
    skill = f"{_percent(one.skill or 0.0)} less error than assuming no change"
    parts = [
        f"{head} (90 % interval {_ms(one.low_ms)} to {_ms(one.high_ms)})",
        f"usual {_ms(one.baseline_ms)}, headroom {_percent(one.headroom or 0.0)}",
        f"forecast by {one.expert}, {skill} over {format_count(one.matured, 'matured forecast')}",
        f"last false alarm {format_time(false_alarm)} UTC" if false_alarm else "no false alarm so far",
    ]
    parts += [f"off now: {one.anomaly}"] if one.anomaly else []
    headline = Headline(
        text=head,
        role=Role.RANKING,
        nouns=(Noun.DEPLOYMENT,),
        topic=Topic.RISK,
        alarm=probability >= NOTABLE_PROBABILITY,
        value=probability,
    )
    importance = round(0.4 + 0.6 * probability, 3)
    return Fact("; ".join(parts), head, importance, kind="forecasts", headline=headline)


def _silent_fact(name: str, one: Outlook) -> Fact:
    parts = []
    if one.headroom is not None and one.limit_ms is not None:
        now = _ms((1 - one.headroom) * one.limit_ms)
        usual = f", usual {_ms(one.baseline_ms)}" if one.baseline_ms is not None else ""
        parts.append(
            f"p95 latency {now}{usual}, limit {_ms(one.limit_ms)}, headroom {_percent(one.headroom)}"
        )
    elif one.latency_ms is not None:
        parts.append(f"p95 latency by moving average {_ms(one.latency_ms)}")
    parts.append(f"no forecast of a breach: {one.silence}")
    head = f"{format_name(name)}: {parts[0]}"
    parts[0] = head
    parts += [f"off now: {one.anomaly}"] if one.anomaly else []
    is_over = (one.headroom or 0.0) < 0
    headline = Headline(
        text="; ".join(parts[:2]), role=Role.STATE, nouns=(Noun.DEPLOYMENT,), topic=Topic.RISK,
        alarm=is_over, value=one.headroom if one.headroom is not None else 1.0,
    )  # fmt: skip
    return Fact("; ".join(parts), head, _OVER if is_over else _SILENT, kind="forecasts", headline=headline)


def _ms(value: float | None) -> str:
    return "unknown" if value is None else format_milliseconds(value)


def _percent(share: float) -> str:
    return f"{round(100 * share)} %"


source = ContextSource(
    "risk",
    "RK",
    frozenset({Topic.RISK}),
    3.0,
    read,
    asks=frozenset({Wording.TOPICS}),
    shows_to_confined=Shown.ALL,
)
