"""Every metric of the product; the values of labels are bounded by the code, never made by clients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

_Family = TypeVar("_Family", bound=MetricWrapperBase)
_LATENCIES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)
"""Of reads, commits and model calls alike, in seconds."""
_SHARES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


class Families:
    """The metrics of one process.

    Of several workers each writes files of its own, which the one that is scraped adds up. A gauge says in
    `mode` how, and those of a worker that has ended are left out if it begins with `live`.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        counter = partial(self._family, Counter, registry)
        histogram = partial(self._family, partial(Histogram, buckets=_LATENCIES), registry)

        def gauge(name: str, text: str, mode: Literal["max", "livemax", "livesum"], *labels: str) -> Gauge:
            return self._family(partial(Gauge, multiprocess_mode=mode), registry, name, text, *labels)

        self.questions = counter("questions", "Questions, by how they ended.", "outcome")
        self.question_seconds = histogram("question_seconds", "From question to answer.")
        self.contexts = counter("contexts", "Contexts built, with or without a model call after.")
        self.context_seconds = histogram("context_seconds", "Building a context.")
        self.facts = counter("facts", "Facts of contexts, by how much of each was shown.", "detail")
        self.sources = counter("source_reads", "Reads of a source, by status.", "source", "status")
        self.source_seconds = histogram("source_read_seconds", "Reading a source.", "source")
        self.recalls = counter("recalls", "Queries to incident memory, by outcome.", "outcome")
        self.recall_seconds = histogram("recall_seconds", "Asking incident memory.")

        self.calls = counter("model_calls", "Model calls, by outcome.", "outcome")
        self.call_seconds = histogram("model_call_seconds", "From sending a prompt to the end of its reply.")
        self.first_token_seconds = histogram("model_first_token_seconds", "To the first text of a reply.")
        self.cost = counter("model_cost_usd", "What calls count as, in US dollars.")
        self.tokens = counter("model_tokens", "Billed tokens.", "kind")
        self.bound = counter(
            "prompt_bound_tokens", "Upper bounds of the prompts whose tokens were then reported."
        )
        self.bound_used = self._family(
            partial(Histogram, buckets=_SHARES),
            registry,
            "prompt_bound_used",
            "Reported tokens of a prompt over its bound; never above 1.",
        )

        self.posts = counter("ingest_posts", "Posts, by kind or receiver and result.", "way", "outcome")
        self.items = counter("ingest_items", "Items of posts, by outcome.", "way", "outcome")
        self.skipped = counter("ingest_skipped_items", "Items that are not wanted, by why.", "way", "reason")
        self.newest = gauge(
            "ingest_last_event_timestamp_seconds", "Time of the newest event that came.", "max", "way"
        )
        self.commits = counter("ingest_commits", "Joint transactions of posts, by outcome.", "outcome")
        self.commit_seconds = histogram("ingest_commit_seconds", "One joint transaction.")
        self.commit_records = counter("ingest_commit_records", "Records of them.")
        self.queue_bytes = gauge("ingest_queue_bytes", "What posts hold until they are committed.", "livesum")
        self.queue_age = gauge("ingest_queue_age_seconds", "Longest wait for a commit now.", "livemax")

        self.workers = gauge("workers", "Worker processes that run.", "livesum")
        self.builds = gauge("builds_at_work", "Contexts that are being built.", "livesum")
        self.waiting = gauge("builds_waiting", "Questions that wait for that.", "livesum")
        self.waiting_seconds = gauge("builds_waiting_seconds", "Longest of their waits now.", "livemax")
        self.refused = counter("refused_questions", "Questions refused with 503, by what was full.", "limit")
        self.answers = gauge("answers_at_work", "Answers in flight, their model calls included.", "livesum")
        self.loop_lag = gauge(
            "loop_lag_p99_seconds", "99th percentile of the last minute of the worst worker.", "livemax"
        )

        self.proxied = counter("proxy_requests", "Proxied requests, by how they ended.", "state")
        self.proxied_seconds = histogram("proxy_request_seconds", "From a request to the end of its answer.")
        self.proxy_dropped = counter("proxy_dropped_records", "Proxied requests that could not be stored.")

    @staticmethod
    def _family(
        kind: Callable[..., _Family], registry: CollectorRegistry, name: str, text: str, *labels: str
    ) -> _Family:
        names: Sequence[str] = labels
        return kind(f"arcpoint_{name}", text, names, registry=registry)
