"""Measures of each deployment in each minute, from the rows of the rollups. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import numpy as np

from context_builder.risk.measures.history import MEASURES, Minute
from context_builder.risk.measures.series_table import Floats, Places
from context_builder.rollups.rows import Rows
from context_builder.rollups.span import minute_of
from models import FAILED_STATUSES, RequestStatus
from models.histogram import window_quantiles

ENOUGH_REQUESTS = 20
"""Requests with a latency that a p95 is of: those of as few minutes as hold them, ..."""
MAX_WINDOW = 30
"""... at most so many minutes, ..."""
MIN_REQUESTS = 5
"""... and at least so many requests, else there is none."""


def measured_minutes(rows: Rows, start: datetime, end: datetime) -> Iterator[Minute]:
    """Yield the minutes [start, end) of the deployments that had requests; `rows` may begin earlier.

    The latency of the first minutes is of fewer requests unless rows begin MAX_WINDOW earlier.
    """
    if not len(rows):
        return
    first, last = minute_of(start) - MAX_WINDOW, minute_of(end)
    inside = (rows["start"] >= first) & (rows["start"] < last)
    rows = rows.where(inside)
    deployments, place = np.unique(rows["deployment_id"], return_inverse=True)
    measures = _measures(rows, place, len(deployments), first, last)
    loads = np.cumsum(measures[..., MEASURES.index("load_rps")], axis=1)
    for number in range(minute_of(start), last):
        column = number - first
        # Who had no request for MAX_WINDOW is not there, whatever else is read at the same time.
        active = loads[:, column] > loads[:, column - MAX_WINDOW]
        if active.any():
            yield Minute(number, deployments[active].astype(np.int64), measures[active, column])


def _measures(rows: Rows, place: Places, deployments: int, first: int, last: int) -> Floats:
    """Return the measures, shape (deployments, minutes, MEASURES)."""
    length = last - first
    cell = place * length + (rows["start"] - first)

    def total(values: Floats | Places) -> Floats:
        found: Floats = np.bincount(cell, weights=values, minlength=deployments * length).astype(np.float64)
        return found.reshape(deployments, length)

    requests = total(rows["requests"])
    some = np.where(requests > 0, requests, np.nan)
    failed = rows.having("status", FAILED_STATUSES)
    limited = rows.having("status", [RequestStatus.RATE_LIMITED])
    # A failure may be fast, and says nothing of how long an answer takes; a timeout took that long.
    answered = rows.having("status", [RequestStatus.SUCCESS, RequestStatus.TIMEOUT])
    latency = _latency(rows.where(answered), cell[answered], deployments, length)
    columns = {
        "load_rps": requests / 60,
        "concurrency": total(rows["latency_sum_ms"]) / 60_000,
        "p50_ms": latency[..., 0],
        "p95_ms": latency[..., 1],
        "error_share": total(rows["requests"] * failed) / some,
        "limited_share": total(rows["requests"] * limited) / some,
        "prompt_tokens": total(rows["prompt_tokens"]) / some,
        "completion_tokens": total(rows["completion_tokens"]) / some,
    }
    return np.stack([columns[name] for name in MEASURES], axis=-1)


def _latency(rows: Rows, cell: Places, deployments: int, length: int) -> Floats:
    """Return p50 and p95 of windows that end with each minute, shape (deployments, minutes, 2)."""
    order = np.argsort(cell, kind="stable")
    starts = np.searchsorted(cell[order], np.arange(deployments * length + 1))
    timed = np.bincount(cell, weights=rows["timed"], minlength=deployments * length)
    upto = np.zeros((deployments, length + 1))
    np.cumsum(timed.reshape(deployments, length), axis=1, out=upto[:, 1:])
    minute = np.arange(length)
    begin = np.maximum(minute - MAX_WINDOW + 1, 0)[None, :].repeat(deployments, axis=0)
    for back in range(MAX_WINDOW - 1, -1, -1):
        enough = upto[:, 1:] - upto[:, np.maximum(minute - back, 0)] >= ENOUGH_REQUESTS
        begin = np.where(enough, np.maximum(minute - back, 0), begin)
    base = np.arange(deployments)[:, None] * length
    held = np.take_along_axis(upto, begin, axis=1)
    # A deployment without a request in this minute shows nothing new.
    shown = (upto[:, 1:] - held >= MIN_REQUESTS) & (timed.reshape(deployments, length) > 0)
    first = starts[(base + begin)[shown]]
    last = starts[(base + minute[None, :] + 1)[shown]]
    found = np.full((deployments, length, 2), np.nan)
    found[shown] = window_quantiles(rows["histogram"][order].tolist(), first, last, (0.5, 0.95))
    return found
