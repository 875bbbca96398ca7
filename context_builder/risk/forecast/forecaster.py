"""Turns what is measured of deployments, minute by minute, into their outlooks. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import numpy as np

from context_builder.risk.forecast.anomaly import Anomalies
from context_builder.risk.forecast.conformal import MIN_PAIRS
from context_builder.risk.forecast.experts import EXPERTS, Step
from context_builder.risk.forecast.limits import MIN_POINTS, Limits
from context_builder.risk.forecast.panel import Forecasts, Panel, Trained
from context_builder.risk.measures.history import KEPT, MEASURES, History, Minute
from context_builder.risk.measures.series_table import Field, Floats, Mask, Places, SeriesTable
from context_builder.risk.outlook import HORIZON, NO_EXPERT, Outlook
from context_builder.rollups.span import MINUTE, minute_of, moment_of

HORIZON_MINUTES = HORIZON // MINUTE
DAY = 1_440
COLD_POINTS = 5
"""Minutes with a p95 below which nothing is forecast."""
MATURED_PAIRS = 100
"""Matured forecasts below which the moving average speaks, without a probability."""
STALE_MINUTES = 30
"""Minutes without a p95 after which nothing is forecast."""
ALARM_PROBABILITY = 0.5
"""A forecast at least as likely that does not come true is a false alarm."""
_OFF = (
    *("requests a second", "requests in flight", "p50 latency", "p95 latency", "share of errors"),
    *("share of rate-limited requests", "prompt tokens a request", "completion tokens a request"),
    *("p95 latency against its forecast", "requests a second against their forecast"),
)
"""Measures in words, in their order; the last two are errors of the forecasts."""
_EWMA = EXPERTS.index("ewma")
_P95, _LOAD = MEASURES.index("p95_ms"), MEASURES.index("load_rps")


class Forecaster:
    """Outlooks of all deployments: the state goes in with `observe`, and comes out with `tick`."""

    def __init__(
        self, *, objectives: Mapping[int, float] | None = None, trained: Trained | None = None
    ) -> None:
        """Create an empty forecaster; `objectives` are limits of p95 in ms by deployment."""
        self.history = History()
        self.panel = Panel(HORIZON_MINUTES, DAY, trained)
        """Two series of each row: p95 and load."""
        self._limits = Limits()
        self._anomalies = Anomalies(len(_OFF))
        self._table = SeriesTable(
            {
                "held": Field(kind="i8"),
                "objective": Field((), np.nan),
                "alarms": Field((HORIZON_MINUTES,), 0, "u1"),
                "false_alarm": Field((), -1, "i8"),
            }
        )
        self.last_values: Floats = np.zeros(0)
        """p95 and load of each row in turn in the last minute, NaN where nothing was measured."""
        self.standardized_errors: Floats = np.zeros(0)
        """Errors of the p95 forecasts that matured in the last minute, in units of the scale; NaN if none."""
        self._objectives: Mapping[int, float] = dict(objectives or {})
        self._forecasts: Forecasts | None = None
        self._outlooks: dict[int, Outlook] = {}

    @property
    def last_step(self) -> Step:
        """Return what was known after the last minute, of p95 and load of each row in turn.

        Raises:
            LookupError: Nothing has been observed.
        """
        if self._forecasts is None:
            raise LookupError("nothing has been observed")
        return self._forecasts.step

    @property
    def bytes(self) -> int:
        """Return the memory that the deployments take."""
        tables = (self.history.table, self._limits.table, self._anomalies.table, self._table)
        return self.panel.bytes + sum(table.bytes for table in tables)

    def observe(self, minute: Minute) -> bool:
        """Take in a whole minute; return False if it is late and was left out."""
        advance = self.history.advance(minute.number)
        if advance.is_late:
            return False
        if advance.is_break:
            self.panel.interrupt()
        rows, changed = self.history.take(minute)
        self._fit(changed)
        for back in range(advance.missing, 0, -1):
            self._step(np.full((len(self._table["held"]), len(MEASURES)), np.nan), minute.number - back)
        measures = np.full((len(self._table["held"]), len(MEASURES)), np.nan)
        measures[rows] = self.history.table["measures"][rows, minute.number % KEPT]
        self._step(measures, minute.number)
        self.history.forgotten()
        self._outlooks = {}
        return True

    def observe_all(self, minutes: Iterable[Minute]) -> None:
        """Take in minutes in their order."""
        for minute in minutes:
            self.observe(minute)

    def tick(self, now: datetime) -> dict[int, Outlook]:
        """Return the outlook of every deployment, as of the newest minute before `now`."""
        last = self.history.last
        if last is None or self._forecasts is None:
            return {}
        if minute_of(now) - last - 1 > STALE_MINUTES:
            silence = f"nothing was measured in the last {STALE_MINUTES} minutes"
            return {number: _silent(number, moment_of(last + 1), silence) for number in self.history.rows}
        if not self._outlooks:
            self._outlooks = self._told(moment_of(last + 1), self._forecasts)
        return self._outlooks

    def _fit(self, changed: Places) -> None:
        """Make room for new deployments, and forget whose rows they have taken."""
        size, old = len(self.history.table["seen"]), len(self._table["held"])
        if size > old:
            self.panel.grow(2 * size)
            self._limits.table.grow(size)
            self._anomalies.table.grow(size)
            self._table.grow(size)
        if len(changed):
            self.panel.clear(np.concatenate([2 * changed, 2 * changed + 1]))
            self._limits.table.clear(changed)
            self._anomalies.table.clear(changed)
            self._table.clear(changed)
            self.aim_at(self._objectives)

    def aim_at(self, objectives: Mapping[int, float]) -> None:
        """Set the limits of p95 in ms by deployment; the others have their own, relative to the usual."""
        self._objectives = dict(objectives)
        column = self._table["objective"]
        column[:] = np.nan
        for number, objective in self._objectives.items():
            if number in self.history.rows:
                column[self.history.rows[number]] = objective

    def _step(self, measures: Floats, place: int) -> None:
        values = measures[:, [_P95, _LOAD]]
        p95 = values[:, 0]
        present = ~np.isnan(p95)
        self._limits.step(p95, present)
        self._table["held"][:] = np.where(present, 0, self._table["held"] + 1)
        limits = np.full(values.shape, np.nan)
        limits[:, 0] = self._limit()
        self.last_values = values.reshape(-1)
        self._forecasts = self.panel.step(self.last_values, limits.reshape(-1), place)
        errors = values - self._forecasts.matured.reshape(-1, 2)
        self.standardized_errors = errors[:, 0] / self._forecasts.step.scale[::2]
        self._anomalies.step(np.concatenate([measures, errors], axis=1), place)
        breached = self._forecasts.breached[::2]
        alarms = self._table["alarms"][:, place % HORIZON_MINUTES]
        wrong = (alarms > 0) & (breached == 0)
        self._table["false_alarm"][wrong] = place - HORIZON_MINUTES
        self._table["alarms"][:, place % HORIZON_MINUTES] = (
            self._forecasts.probability[::2] >= ALARM_PROBABILITY
        ) & self._speaks()

    def _limit(self) -> Floats:
        objective = self._table["objective"]
        return np.where(np.isnan(objective), self._limits.limit(), objective)

    def _speaks(self) -> Mask:
        """Return which deployments have a forecast with a probability."""
        matured, skill = self.panel.gate.matured[::2], self.panel.gate.skill[::2]
        return (matured >= MATURED_PAIRS) & (skill > 0) & (self._table["held"] < STALE_MINUTES)

    def _told(self, moment: datetime, forecasts: Forecasts) -> dict[int, Outlook]:
        """Return the outlooks; columns are taken out once, so that thousands of deployments are cheap."""
        columns = {
            "now": forecasts.step.now[::2],
            "ewma": forecasts.step.simple[::2, _EWMA],
            "expected": forecasts.expected[::2],
            "low": forecasts.bounds[::2, 0],
            "high": forecasts.bounds[::2, -1],
            "load": forecasts.expected[1::2],
            "baseline": self._limits.baseline(),
            "limit": self._limit(),
            "probability": forecasts.probability[::2],
            "skill": self.panel.gate.skill[::2],
            "matured": self.panel.gate.matured[::2],
            "points": self.panel.experts.table["points"][::2],
            "pairs": self.panel.conformal.table["pairs"][::2],
            "leader": forecasts.leader[::2],
            "held": self._table["held"],
            "false_alarm": self._table["false_alarm"],
            "off": np.where(self._anomalies.shown(self.history.last or 0), self._anomalies.measures(), -1),
        }
        listed = {name: column.tolist() for name, column in columns.items()}
        return {
            number: _outlook(number, moment, {name: column[row] for name, column in listed.items()})
            for number, row in self.history.rows.items()
        }


def _outlook(number: int, moment: datetime, of: Mapping[str, float]) -> Outlook:
    silence = _why_silent(of)
    is_cold = of["matured"] < MATURED_PAIRS
    has_latency = of["points"] >= COLD_POINTS and of["held"] < STALE_MINUTES and (is_cold or not silence)
    expected = of["ewma"] if is_cold else max(of["expected"], 0.0)
    has_interval = has_latency and of["pairs"] >= MIN_PAIRS
    limit = _known(of["limit"])
    is_measured = of["points"] > 0 and of["held"] < STALE_MINUTES
    expert = "ewma" if is_cold else EXPERTS[int(of["leader"])]
    return Outlook(
        deployment_id=number,
        moment=moment,
        expert=expert if has_latency else NO_EXPERT,
        skill=None if is_cold else of["skill"],
        matured=int(of["matured"]),
        latency_ms=expected if has_latency else None,
        low_ms=min(max(of["low"], 0.0), expected) if has_interval else None,
        high_ms=max(of["high"], expected) if has_interval else None,
        baseline_ms=_known(of["baseline"]),
        limit_ms=limit,
        load_rps=None if of["load"] != of["load"] else max(of["load"], 0.0),
        headroom=1 - of["now"] / limit if limit and is_measured else None,
        breach_probability=of["probability"] if limit and not silence else None,
        silence=silence,
        anomaly="" if of["off"] < 0 else f"{_OFF[int(of['off'])]} far from usual",
        last_false_alarm=moment_of(int(of["false_alarm"])) + MINUTE if of["false_alarm"] >= 0 else None,
    )


def _why_silent(of: Mapping[str, float]) -> str:
    """Return why no breach can be forecast; empty if it can."""
    points, matured = int(of["points"]), int(of["matured"])
    if points < COLD_POINTS:
        return f"only {points} of the {COLD_POINTS} minutes that a forecast needs have enough requests"
    if of["held"] >= STALE_MINUTES:
        return f"too few requests in the last {STALE_MINUTES} minutes"
    if matured < MATURED_PAIRS:
        return f"only {matured} of the {MATURED_PAIRS} forecasts that a probability needs have matured"
    if of["skill"] <= 0:
        worse = f"{-of['skill']:.0%} worse than" if of["skill"] < -0.005 else "no better than"  # noqa: PLR2004
        return f"no skill, no forecast: the last ones were {worse} assuming that nothing changes"
    if _known(of["limit"]) is None:
        return f"no limit is known before {MIN_POINTS} minutes with enough requests"
    return ""


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value


def _silent(number: int, moment: datetime, silence: str) -> Outlook:
    nothing = dict.fromkeys(
        ("latency_ms", "low_ms", "high_ms", "baseline_ms", "limit_ms", "load_rps", "headroom")
    )
    return Outlook(
        deployment_id=number,
        moment=moment,
        expert=NO_EXPERT,
        skill=None,
        matured=0,
        breach_probability=None,
        silence=silence,
        anomaly="",
        last_false_alarm=None,
        **nothing,
    )
