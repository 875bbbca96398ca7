"""Rows of the goal table, each measured on series that lie beside the repository."""

from __future__ import annotations

import csv
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from heapq import heappop, heappush
from pathlib import Path

import numpy as np
from scipy.stats import ttest_ind  # type: ignore[import-untyped]

from context_builder.risk.forecast.anomaly import Anomalies
from context_builder.risk.forecast.backtest import Report, Series, average_precision, backtest, read_series
from context_builder.risk.forecast.experts import FEATURES
from context_builder.risk.forecast.forecaster import Forecaster
from context_builder.risk.forecast.panel import Panel
from context_builder.risk.learning.model_file import TrainedModel
from context_builder.risk.learning.training import Pairs, train
from context_builder.risk.measures.series_table import Floats, Mask
from context_builder.risk.request_latency import EndedRequest, RequestLatency
from context_builder.rollups.span import moment_of
from tests.evaluation.risk.nab import LOW_FALSE_ALARMS, STANDARD, Labelled, best_threshold, normalized
from tests.support.risk_minutes import START, minute

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
FORECAST = ("ms_ingress*", "ms_mongo*", "nab_*.csv")
WARNED = ("ms_ingress*", "ms_mongo*")
ONSET_SHARE = 0.97
NAB_QUIET = 144
"""Steps of five minutes in which only a higher score counts again."""
DRAWS = 1_000


@dataclass(frozen=True, slots=True)
class GoalRow:
    """One row of the goal table."""

    number: str
    metric: str
    floor: str
    target: str
    published: str
    """What the published design of a predictive breaker reached."""
    measured: str


@cache
def series_in(*patterns: str) -> dict[str, Series]:
    """Return the series by name."""
    files = [path for pattern in patterns for path in sorted((DATA / "series").glob(pattern))]
    return {path.stem: read_series(path) for path in files if path.suffix == ".csv"}


@cache
def reports() -> dict[str, Report]:
    """Return the backtests of the series that are forecast."""
    return {name: backtest(series) for name, series in series_in(*FORECAST).items()}


def skill_rows() -> Iterator[GoalRow]:
    """Rows 1, 2 and 6: error against "as now" and against the best simple forecaster, and coverage."""
    found = reports()
    skills = [one.skill for one in found.values()]
    above = sum(one.skill >= one.naive[one.best_naive] + 0.02 for one in found.values())
    levels = (0.9, 0.95)
    worst = {level: max((one.coverage[level] - level for one in found.values()), key=abs) for level in levels}
    mean = {level: statistics.mean(one.coverage[level] - level for one in found.values()) for level in levels}
    yield GoalRow(
        "1", "skill against as now", ">=18/20 > 0, mean .15, min -.10", "20/20, .20, -.05", "6/20, -.289",
        f"{sum(one > 0 for one in skills)}/{len(skills)}, {statistics.mean(skills):.3f}, {min(skills):.3f}",
    )  # fmt: skip
    yield GoalRow(
        "2", "2 points above the best simple one", "10/20", "14/20", "2/20", f"{above}/{len(found)}"
    )
    covered = ", ".join(
        f"p{level * 100:.0f} {mean[level]:+.1%} (worst {worst[level]:+.1%})" for level in levels
    )
    yield GoalRow("6", "coverage, mean over series", "+-3 %", "+-1.5 %", "not told", covered)


def breach_rows() -> Iterator[GoalRow]:
    """Rows 3 and 4: onset warning at the 97th percentile of the first half."""
    ratios, briers = [], []
    for series in series_in(*WARNED).values():
        half = series.values[: len(series.values) // 2]
        one = backtest(series, float(np.quantile(half, ONSET_SHARE)))
        ratios.append(one.precision / one.margin_precision)
        briers.append(one.brier_skill)
    of = len(ratios)
    yield GoalRow(
        "3", "onset AP / margin rule", ">=1.15 on 5/6, none < .95", ">=1.3 on 5/6", ".45 to 5.6",
        f">=1.3 on {sum(one >= 1.3 for one in ratios)}/{of}: {', '.join(f'{one:.2f}' for one in ratios)}",
    )  # fmt: skip
    yield GoalRow(
        "4", "Brier skill", "> 0 on all", ">=.2 on 5/6", "-.27 to .5",
        f">=.2 on {sum(one >= 0.2 for one in briers)}/{of}: {', '.join(f'{one:.2f}' for one in briers)}",
    )  # fmt: skip


def anomaly_scores(series: Series) -> Floats:
    """Return the score of each value: the greater of its own, and of its distance from the forecast."""
    panel, anomalies = Panel(1, series.day), Anomalies(2)
    panel.grow(1)
    anomalies.table.grow(1)
    scores, expected = np.zeros(len(series.values)), np.nan
    for number, value in enumerate(series.values.tolist()):
        scores[number] = anomalies.step(np.array([[value, value - expected]]), number).max()
        expected = float(panel.step(np.array([value]), np.array([np.nan]), number).expected[0])
    return scores


def without_repeats(scores: Floats, quiet: int) -> Floats:
    """Return the scores with those that do not exceed the last `quiet` ones set to 0."""
    kept = scores.copy()
    for number in range(1, len(scores)):
        if scores[max(0, number - quiet) : number].max() >= scores[number]:
            kept[number] = 0.0
    return kept


def nab_row() -> Iterator[GoalRow]:
    """Row 8: the score of the Numenta Anomaly Benchmark on the files that are there."""
    windows: dict[str, list[list[str]]] = json.loads(
        (DATA / "series" / "nab_windows.json").read_text("utf-8")
    )
    files = []
    for name, spans in windows.items():
        series = read_series(DATA / "series" / name)
        stamps = [row[0] for row in csv.reader((DATA / "series" / name).open(encoding="utf-8"))][1:]
        moments = np.unique([_seconds(stamp) for stamp in stamps])
        begins = np.searchsorted(moments, [_seconds(begin) for begin, _ in spans]).tolist()
        ends = np.searchsorted(moments, [_seconds(end) for _, end in spans], side="right").tolist()
        places = tuple(zip(begins, (end - 1 for end in ends), strict=True))
        files.append(Labelled(without_repeats(anomaly_scores(series), NAB_QUIET), places))
    shown = [normalized(files, best_threshold(files, one), one) for one in (STANDARD, LOW_FALSE_ALARMS)]
    yield GoalRow(
        "8", f"NAB standard / low FP ({len(files)} of 58 files)", "50 / 40", "58 / 46", "0 (Page-Hinkley)",
        " / ".join(f"{one:.1f}" for one in shown),
    )  # fmt: skip


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def latency_anomaly_row() -> Iterator[GoalRow]:
    """Row 9: labelled hourly latency of outgoing calls."""
    scores: list[Floats] = []
    labels: list[Mask] = []
    for path in sorted((DATA / "series").glob("ms_outbound*.csv")):
        found = anomaly_scores(read_series(path))
        rows = list(csv.reader(path.open(encoding="utf-8")))[1:]
        marked = np.array([row[2] == "1" for row in rows])[: len(found)]
        start = int(0.15 * len(found))
        scores.append(found[start:])
        labels.append(marked[start:])
    precision = average_precision(np.concatenate(labels), np.concatenate(scores))
    days = sum(len(one) for one in scores) / 24
    recall = max(
        _recall(scores, labels, threshold, days / 30)
        for threshold in np.quantile(np.concatenate(scores), 1 - np.geomspace(1e-4, 0.1, 100))
    )
    yield GoalRow(
        "9", f"recall at 1 FA / 30 days; AP ({len(scores)} of 23 series)", ".40; .27", ".55; .35", "0; .03",
        f"{recall:.2f}; {precision:.3f}",
    )  # fmt: skip


def _recall(scores: list[Floats], labels: list[Mask], threshold: float, allowed: float) -> float:
    """Return the share of labelled events that are hit within one step; 0 with more false alarms."""
    hit = events = alarms = 0
    for score, label in zip(scores, labels, strict=True):
        on = score >= threshold
        padded = np.concatenate([[False], label, [False]])
        begins, ends = np.flatnonzero(~padded[:-1] & padded[1:]), np.flatnonzero(padded[:-1] & ~padded[1:])
        near = label.copy()
        near[1:] |= label[:-1]
        near[:-1] |= label[1:]
        wrong = np.flatnonzero(on & ~near)
        alarms += int((np.diff(wrong, prepend=-100) > 6).sum())
        events += len(begins)
        hit += sum(bool(on[max(0, a - 1) : b + 1].any()) for a, b in zip(begins, ends, strict=True))
    return hit / events if alarms <= allowed and events else 0.0


def model_row() -> Iterator[GoalRow]:
    """Row 10: one row through the exported model, on one thread."""
    rng = np.random.default_rng(0)
    features = rng.normal(0, 1, (5_000, len(FEATURES)))
    pairs = Pairs(
        features, features[:, 0] + rng.normal(0, 1, 5_000), features[:, 0], START + np.arange(5_000.0)
    )
    model = TrainedModel(*train(pairs, datetime(2026, 1, 1, tzinfo=UTC)))
    taken = _timed(lambda: model(features[:1]), 5_000)
    yield GoalRow("10", "model row, p50 / p99", "15 / 60 us", "p99 15 us", "3,393 / 5,092 us", _micros(taken))


def cost_rows() -> Iterator[GoalRow]:
    """Cost of one minute and one tick, and memory."""
    for deployments in (10, 1_000):
        forecaster = Forecaster()
        observed, ticked = [], []
        for number in range(140):
            given = minute(number, np.full(deployments, 1_000.0 + number % 7).tolist())
            observed += _timed(partial(forecaster.observe, given), 1)
            ticked += _timed(partial(forecaster.tick, moment_of(START + number + 1)), 1)
        cost = statistics.median(observed[-40:]) / 1e6, statistics.median(ticked[-40:]) / 1e6
        yield GoalRow(
            "-", f"{deployments:,} deployments", "", "", "",
            f"{cost[0]:.1f} ms a minute, {cost[1]:.1f} ms its first tick, {forecaster.bytes / 2**20:.1f} MiB",
        )  # fmt: skip


def trial_row() -> Iterator[GoalRow]:
    """Row 14: how often A differs from A, by requests and by means of blocks of an hour."""
    with (DATA / "gateway_trace" / "requests.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["exec_time_seconds"]]
    took = np.array([float(row["exec_time_seconds"]) for row in rows])
    hours = np.array([_seconds(row["gmt_create"]) // 3_600 for row in rows])
    _, block = np.unique(hours, return_inverse=True)
    counts = np.bincount(block)
    means = np.bincount(block, took) / counts
    rng, requests, blocks = np.random.default_rng(0), 0, 0
    for _ in range(DRAWS):
        side = rng.random(len(counts)) < 0.5
        requests += ttest_ind(took[side[block]], took[~side[block]], equal_var=False).pvalue < 0.05
        blocks += ttest_ind(means[side], means[~side], equal_var=False).pvalue < 0.05
    yield GoalRow(
        "14", "A/A false positives: blocks (requests)", ".03-.07", ".03-.07", ".77",
        f"{blocks / DRAWS:.3f} ({requests / DRAWS:.3f})",
    )  # fmt: skip


def request_row() -> Iterator[GoalRow]:
    """Row 7: latency of each request of the last 30 %, from those that had ended when it began.

    The work asked for, images times steps, stands for the limit of the output.
    """
    with (DATA / "gateway_trace" / "requests.csv").open(encoding="utf-8") as file:
        trace = [row for row in csv.DictReader(file) if row["predict_status"] == "SUCCEED"]
    trace.sort(key=lambda row: row["gmt_create"])
    latency, running = RequestLatency(), list[tuple[float, int, EndedRequest]]()
    took, expected = np.zeros(len(trace)), np.full(len(trace), np.nan)
    for number, row in enumerate(trace):
        begun = _seconds(row["gmt_create"])
        while running and running[0][0] <= begun:
            latency.learn(heappop(running)[2])
        work = _whole(row["num_images_per_prompt"]) * _whole(row["num_inference_steps"])
        model, task, prompt = (
            row[name] for name in ("checkpoint_model_version_id", "predict_type", "prompt_length")
        )
        found = latency.expected_ms(model, task, _whole(prompt), work)
        took[number] = float(row["exec_time_seconds"] or "nan")
        expected[number] = np.nan if found is None else found / 1_000
        ended = EndedRequest(model, task, _whole(prompt), work, 1_000 * took[number])
        heappush(running, (begun + took[number], number, ended))
    border = int(0.7 * len(trace))
    usual = float(np.nanmedian(took[:border]))
    outcome, known = took[border:], np.where(np.isnan(expected), usual, expected)[border:]
    timed = ~np.isnan(outcome)
    error, spread = (outcome - known)[timed], (outcome - np.nanmean(outcome))[timed]
    yield GoalRow(
        "7", "request-level latency: R2, MAE", ".55, 9.9 s", ".60, 9.0 s", ".07, 15.7 s",
        f"{1 - (error**2).sum() / (spread**2).sum():.3f}, {np.abs(error).mean():.2f} s",
    )  # fmt: skip


def _whole(text: str) -> int:
    return int(float(text or 0))


def _timed(call: Callable[[], object], times: int) -> list[int]:
    """Return nanoseconds of each call."""
    found = []
    for _ in range(times):
        begun = time.perf_counter_ns()
        call()
        found.append(time.perf_counter_ns() - begun)
    return found


def _micros(taken: list[int]) -> str:
    p50, p99 = np.quantile(taken, (0.5, 0.99)) / 1_000
    return f"{p50:.1f} / {p99:.1f} us"
