"""Metrics of vLLM, SGLang and TGI: queue, cache and counters, and the health that follows from them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from api.ingest.live.message import Decoded
from api.ingest.records import StateRecord
from api.pollers.fetching import PollFailed
from api.pollers.kinds.observed_health import MIN_SILENT_POLLS, observe, silent_polls
from api.pollers.poll import Findings, Poll
from api.pollers.targets import Target
from models import DeploymentStatus

MAX_CACHE_USE = 0.95
"""Share of the cache above which a server has to interrupt requests."""
MIN_WAITING_POLLS = 3
"""Polls running with a queue that make a deployment degraded; a burst is over before."""
MAX_DEPLOYMENTS = 100
"""Of one server."""


class Meaning(StrEnum):
    """What a metric says, whatever it is called."""

    RUNNING = "running"
    WAITING = "waiting"
    CACHE = "cache"
    FINISHED = "finished"
    FAILED = "failed"
    PREEMPTED = "preempted"
    TIMED = "timed"
    SECONDS = "seconds"


_NAMES = {
    Meaning.RUNNING: ("vllm:num_requests_running", "sglang:num_running_reqs", "tgi_batch_current_size"),
    Meaning.WAITING: ("vllm:num_requests_waiting", "sglang:num_queue_reqs", "tgi_queue_size"),
    Meaning.CACHE: ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc", "sglang:token_usage"),
    Meaning.FINISHED: (
        *("vllm:request_success_total", "vllm:request_success", "sglang:num_requests_total"),
        *("tgi_request_success", "tgi_request_success_total"),
    ),
    Meaning.FAILED: (
        *("sglang:num_aborted_requests_total", "tgi_request_failure", "tgi_request_failure_total"),
    ),
    Meaning.PREEMPTED: ("vllm:num_preemptions_total", "sglang:num_retracted_requests_total"),
    Meaning.TIMED: (
        *("vllm:e2e_request_latency_seconds_count", "sglang:e2e_request_latency_seconds_count"),
        "tgi_request_duration_count",
    ),
    Meaning.SECONDS: (
        *("vllm:e2e_request_latency_seconds_sum", "sglang:e2e_request_latency_seconds_sum"),
        "tgi_request_duration_sum",
    ),
}
"""Names of each meaning, the newest of a server first: where it reports several, the first counts."""
_RANKED = {name: (meaning, rank) for meaning, names in _NAMES.items() for rank, name in enumerate(names)}
_COUNTERS = (Meaning.FINISHED, Meaning.FAILED, Meaning.PREEMPTED, Meaning.TIMED, Meaning.SECONDS)


@dataclass(slots=True)
class Load:
    """What a server reports of one deployment, over all its engines."""

    values: dict[Meaning, float] = field(default_factory=dict)
    ranks: dict[Meaning, int] = field(default_factory=dict)

    def add(self, meaning: Meaning, rank: int, value: float) -> None:
        """Take in one sample."""
        known = self.ranks.get(meaning)
        if known is not None and known < rank:
            return
        if known != rank:
            self.values.pop(meaning, None)
        self.ranks[meaning] = rank
        before = self.values.get(meaning, 0.0)
        self.values[meaning] = max(before, value) if meaning is Meaning.CACHE else before + value


def read(poll: Poll) -> Findings:
    """Return the health of each deployment that a server runs, and which of them were started again."""
    decoded, silent = Decoded(), silent_polls(poll)
    known: Mapping[str, Mapping[str, Any]] = poll.memory.get("deployments", {})
    if poll.silence:
        named = known or ({poll.target.deployment: {}} if poll.target.deployment else {})
        if silent >= MIN_SILENT_POLLS:
            down = DeploymentStatus.DOWN, poll.silence
            known = {name: observe(decoded, poll, name, each, down) for name, each in named.items()}
        return Findings(decoded, {"silent": silent, "deployments": dict(known)})
    loads = loads_of(poll.body.decode("utf-8", "replace"), poll.target)
    now, said = {}, []
    for deployment, load in sorted(loads.items()):
        before = known.get(deployment, {})
        waiting = int(before.get("waiting", 0)) + 1 if load.values.get(Meaning.WAITING) else 0
        state = _state(load, waiting)
        after = observe(decoded, poll, deployment, before, state)
        counted: Mapping[str, float] = before.get("counters", {})
        counters = {meaning.value: load.values[meaning] for meaning in _COUNTERS if meaning in load.values}
        if any(value < counted.get(name, 0.0) for name, value in counters.items()):
            decoded.add(len(decoded.records), StateRecord, _restart(poll, deployment, state[0]))
            counted = {}
        now[deployment] = after | {"waiting": waiting, "counters": counters}
        said.append(f"{deployment}: {_said(load, counters, counted if before else counters)}")
    return Findings(decoded, {"silent": 0, "deployments": now}, "; ".join(said)[:500])


def loads_of(text: str, target: Target) -> dict[str, Load]:
    """Return what is reported, by deployment. Raises PollFailed if nothing of it is known."""
    loads: defaultdict[str, Load] = defaultdict(Load)
    for name, labels, value in _samples(text):
        meaning, rank = _RANKED[name]
        model = labels.get("model_name")
        deployment = target.deployment or (f"{model}/{target.backend}" if model else "")
        if deployment and (deployment in loads or len(loads) < MAX_DEPLOYMENTS):
            loads[deployment].add(meaning, rank, value)
        elif not deployment:
            raise PollFailed("its metrics name no model; set `deployment` in place of `backend`")
    if not loads:
        raise PollFailed("no metric of vLLM, SGLang or TGI is in the answer")
    return dict(loads)


def _samples(text: str) -> Iterator[tuple[str, Mapping[str, str], float]]:
    # The library reads only what is wanted: histograms alone would be thousands of lines.
    lines = (line for line in text.splitlines() if _name_of(line) in _RANKED)
    try:
        for family in text_string_to_metric_families("".join(f"{line}\n" for line in lines)):
            for sample in family.samples:
                if math.isfinite(sample.value) and sample.value >= 0:
                    yield sample.name, sample.labels, sample.value
    except ValueError as error:
        raise PollFailed(f"not metrics of Prometheus: {error}") from None


def _name_of(line: str) -> str:
    return line.partition("{")[0].partition(" ")[0].strip()


def _state(load: Load, waiting_polls: int) -> tuple[DeploymentStatus, str | None]:
    cache = load.values.get(Meaning.CACHE, 0.0)
    if cache > MAX_CACHE_USE:
        return DeploymentStatus.DEGRADED, f"its cache is {cache:.0%} full"
    if waiting_polls >= MIN_WAITING_POLLS:
        waiting = load.values[Meaning.WAITING]
        return DeploymentStatus.DEGRADED, f"{waiting:,.0f} requests wait, in {waiting_polls} polls running"
    return DeploymentStatus.HEALTHY, None


def _restart(poll: Poll, deployment: str, status: DeploymentStatus) -> dict[str, object]:
    return {
        "deployment": deployment,
        "changed_at": poll.at,
        "from_status": status,
        "to_status": status,
        "reason": "it was started again: its counters are smaller than before",
    }


def _said(load: Load, counters: Mapping[str, float], before: Mapping[str, float]) -> str:
    """Return the load in words; what was counted is since the poll before, or since a restart."""
    since = {name: value - before.get(name, 0.0) for name, value in counters.items()}
    parts = [
        f"{load.values[meaning]:,.0f} {meaning}"
        for meaning in (Meaning.RUNNING, Meaning.WAITING)
        if meaning in load.values
    ]
    if Meaning.CACHE in load.values:
        parts.append(f"cache {load.values[Meaning.CACHE]:.0%} full")
    parts += [f"{since[name]:,.0f} {name}" for name in (Meaning.FINISHED, Meaning.FAILED) if since.get(name)]
    if since.get(Meaning.TIMED):
        parts.append(f"{since[Meaning.SECONDS] / since[Meaning.TIMED]:,.2f} s on average")
    return ", ".join(parts)
