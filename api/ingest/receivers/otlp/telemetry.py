"""Spans and log lines with the attributes that are wanted, whichever encoding they came in."""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

Scalar = str | int | float | bool
Attributes = Mapping[str, Scalar]
_THRESHOLD = re.compile(r"\bth:0*[1-9a-f]")
"""Of sampling, in hexadecimal digits of a fraction; 0 is none."""
MIN_KEPT_SEVERITY = 13
"""Of a log line: a warning."""

PROVIDER = ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system")
MODEL = (
    "gen_ai.response.model", "gen_ai.request.model", "llm.response.model_name", "llm.model_name",
    "llm.request.model_name",
)  # fmt: skip
PROMPT_TOKENS = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt")
COMPLETION_TOKENS = (
    "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion",
)  # fmt: skip
COST = ("gen_ai.usage.cost", "llm.cost.total")
USER = ("enduser.id", "user.id")
OPERATION, KIND, REQUEST_TYPE = "gen_ai.operation.name", "openinference.span.kind", "llm.request.type"
RESPONSE_ID, ERROR_TYPE, HTTP_STATUS = "gen_ai.response.id", "error.type", "http.response.status_code"
ADDRESS, PORT = "server.address", "server.port"
EXCEPTION = "exception.type"
SCORER, SCORE, EVENT = "gen_ai.evaluation.name", "gen_ai.evaluation.score.value", "event.name"

OF_SPANS = frozenset(
    (
        *(*PROVIDER, *MODEL, *PROMPT_TOKENS, *COMPLETION_TOKENS, *COST, *USER),
        *(OPERATION, KIND, REQUEST_TYPE, RESPONSE_ID, ERROR_TYPE, HTTP_STATUS, ADDRESS, PORT),
    )
)
"""Attributes of spans that are read; prompts and replies are in others, which are stepped over."""
OF_LOGS = frozenset({SCORER, SCORE, EVENT})
OF_RESOURCES = frozenset({"service.name"})


class Span(Struct, gc=False):
    """One span."""

    trace_id: str
    """Both ids in hexadecimal digits."""
    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int
    is_error: bool
    message: str
    """Of the status."""
    exception: str
    """Class of the first exception that it records."""
    is_sampled: bool
    """True if its trace says that others like it were left out."""
    scope: str
    service: str
    attributes: Attributes


class LogLine(Struct, gc=False):
    """One log record."""

    trace_id: str
    span_id: str
    time_ns: int
    severity: int
    event: str
    body: str
    service: str
    attributes: Attributes


def first(attributes: Attributes, names: tuple[str, ...]) -> Scalar | None:
    """Return the first of some attributes that is present."""
    for each in names:
        value = attributes.get(each)
        if value is not None and value != "":
            return value
    return None


def is_sampled(trace_state: str) -> bool:
    """Return True if a trace state has a sampling threshold other than none."""
    return bool(trace_state) and _THRESHOLD.search(trace_state) is not None
