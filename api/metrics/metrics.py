"""Turns what the product reports into metrics, and all metrics into a scrape."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, values
from prometheus_client.exposition import generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from api.ingest.live.group_commit import CommitReport
from api.ingest.live.message import PostReport
from api.metrics.families import Families
from context_builder.answering import QuestionReport
from context_builder.llm.paid_model import CallReport
from context_builder.prompt.manifest import Manifest
from context_builder.source import SourceResult
from memory.recall.results import RecallReport


@dataclass(frozen=True, slots=True)
class ProxiedReport:
    """One proxied request, as metrics count it."""

    state: str
    """How it ended."""
    seconds: float


@dataclass(frozen=True, slots=True)
class DroppedReport:
    """Proxied requests that are not stored."""

    count: int


class Metrics:
    """The metrics of this process, or of all workers that share a folder."""

    def __init__(self, folder: Path | None = None) -> None:
        """`folder` is that of `settings.metrics_folder`, where each worker keeps its own."""
        self._folder = folder
        if folder is not None:
            # The library decides when it is imported, which may have been before there was a folder.
            values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry(auto_describe=False)
        self.families = Families(self._registry)
        self._newest: dict[str, float] = {}
        """Time of the newest event by way: a late one moves nothing back."""

    def observe(self, event: object) -> None:
        """Count what was reported; what is no metric is ignored."""
        match event:
            case SourceResult():
                self.families.sources.labels(event.source.name, event.status.value).inc()
                self.families.source_seconds.labels(event.source.name).observe(event.milliseconds / 1000)
            case Manifest():
                self._count_context(event)
            case RecallReport():
                self.families.recalls.labels(event.outcome.value).inc()
                self.families.recall_seconds.observe(event.seconds)
            case CallReport():
                self._count_call(event)
            case QuestionReport():
                self.families.questions.labels(event.outcome.value).inc()
                self.families.question_seconds.observe(event.seconds)
            case PostReport():
                self._count_post(event)
            case CommitReport():
                self.families.commits.labels("committed" if event.succeeded else "failed").inc()
                self.families.commit_seconds.observe(event.seconds)
                self.families.commit_records.inc(event.records)
            case ProxiedReport():
                self.families.proxied.labels(event.state).inc()
                self.families.proxied_seconds.observe(event.seconds)
            case DroppedReport():
                self.families.proxy_dropped.inc(event.count)

    def scrape(self, *others: Collector) -> bytes:
        """Return all metrics in the text format of Prometheus; reads files if workers share a folder."""
        registry = CollectorRegistry(auto_describe=False)
        if self._folder is not None:
            MultiProcessCollector(registry, str(self._folder))  # type: ignore[no-untyped-call]
        for each in others:
            registry.register(each)
        own = generate_latest(self._registry) if self._folder is None else b""
        return own + generate_latest(registry)

    def _count_context(self, manifest: Manifest) -> None:
        self.families.contexts.inc()
        self.families.context_seconds.observe(manifest.build_ms / 1000)
        for detail, count in Counter(fact.detail for fact in manifest.facts).items():
            self.families.facts.labels(detail.value).inc(count)

    def _count_call(self, call: CallReport) -> None:
        self.families.calls.labels(call.outcome.value).inc()
        self.families.call_seconds.observe(call.seconds)
        self.families.cost.inc(float(call.cost_usd))
        if call.first_token_ms is not None:
            self.families.first_token_seconds.observe(call.first_token_ms / 1000)
        if call.usage is not None:
            for kind in ("input", "output", "cache_read", "cache_write"):
                self.families.tokens.labels(kind).inc(getattr(call.usage, f"{kind}_tokens"))
            self.families.bound.inc(call.input_bound)
            self.families.bound_used.observe(call.usage.prompt_tokens / call.input_bound)

    def _count_post(self, post: PostReport) -> None:
        receipt = post.receipt
        self.families.posts.labels(post.way, post.error or "stored").inc()
        if receipt is None:
            return
        counts = {name: getattr(receipt, name) for name in ("accepted", "duplicate", "updated", "rejected")}
        for outcome, count in (counts | {"skipped": sum(receipt.skipped.values())}).items():
            self.families.items.labels(post.way, outcome).inc(count)
        for reason, count in receipt.skipped.items():
            self.families.skipped.labels(post.way, reason).inc(count)
        if post.newest is not None:
            newest = self._newest[post.way] = max(self._newest.get(post.way, 0.0), post.newest.timestamp())
            self.families.newest.labels(post.way).set(newest)
