"""The seam through which a process reports what it does: value objects for metrics, spans for traces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, StatusCode

Observe = Callable[[object], None]
"""Is handed a value object for what just happened: it neither waits nor raises, and ignores unknown types."""

SCOPE = "arcpoint"
"""Scope of our spans, by which a receiver can tell them from those of a gateway."""

tracer = trace.get_tracer(SCOPE)
"""Makes spans that cost next to nothing unless a program has set up an SDK."""


def ignore(_event: object) -> None:
    """Observe nothing."""


@contextmanager
def span(name: str, *, of_nobody: bool = False, **attributes: str | float) -> Iterator[Span]:
    """Trace a block that does not yield to its caller; attributes get the prefix `arcpoint.`.

    With `of_nobody` it begins a trace of its own, whatever is under way where it was started.
    Of an error only the class is recorded: its message may quote what users or senders wrote.
    """
    with tracer.start_as_current_span(
        name,
        Context() if of_nobody else None,
        attributes={f"arcpoint.{key}": value for key, value in attributes.items()},
        record_exception=False,
        set_status_on_exception=False,
    ) as current:
        try:
            yield current
        except BaseException as error:
            mark_failed(current, error)
            raise


def mark_failed(failed: Span, error: BaseException) -> None:
    """Record the class of the error that ended a span."""
    failed.set_attribute("error.type", type(error).__name__)
    failed.set_status(StatusCode.ERROR)
