"""Spans of this process, kept for a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.util._once import Once

from context_builder import observation


@contextmanager
def no_provider_after() -> Iterator[None]:
    """Forgets the provider that is set in the block, which the API allows only once for a process."""
    try:
        yield
    finally:
        trace._TRACER_PROVIDER, trace._TRACER_PROVIDER_SET_ONCE = None, Once()
        observation.tracer._real_tracer = None  # type: ignore[attr-defined]


@contextmanager
def kept_spans() -> Iterator[InMemorySpanExporter]:
    """What ends in the block, in the order of its end."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with no_provider_after():
        trace.set_tracer_provider(provider)
        yield exporter


def parent_of(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent else None


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)
