"""Log records: warnings and worse are errors, evaluations are scores, content is left."""

from __future__ import annotations

from collections.abc import Sequence

from api.ingest.live.message import Decoded, Reject
from api.ingest.live.redaction import redacted_error
from api.ingest.live.request_fields import Unusable, moment_of, name
from api.ingest.receivers.otlp.call_spans import request_id
from api.ingest.receivers.otlp.telemetry import EVENT, MIN_KEPT_SEVERITY, SCORE, SCORER, LogLine
from api.ingest.records import ErrorRecord, QualityRecord
from models import LogSeverity

_ERROR, _FATAL = 17, 21
_EVALUATION = "gen_ai.evaluation."
_CONTENT = "gen_ai."
"""Start of the names of events that repeat a span with its prompt and reply."""


def decode_logs(lines: Sequence[LogLine], decoded: Decoded) -> None:
    """Add the errors and scores of log records."""
    for index, line in enumerate(lines):
        event = line.event or str(line.attributes.get(EVENT, ""))
        try:
            if event.startswith(_EVALUATION):
                decoded.records.append((index, _score(line)))
            elif event.startswith(_CONTENT):
                decoded.skipped["content of a call"] += 1
            elif line.severity < MIN_KEPT_SEVERITY or not line.body:
                decoded.skipped["no error"] += 1
            else:
                decoded.records.append((index, _error(line)))
        except Unusable as error:
            decoded.rejects.append(Reject(index, error.field, error.reason))


def _score(line: LogLine) -> QualityRecord:
    score = line.attributes.get(SCORE)
    if not isinstance(score, int | float) or not 0 <= score <= 1:
        raise Unusable(SCORE, f"{score!r} is not accepted; from 0 to 1 are")
    return QualityRecord.model_construct(
        request=request_id(line.trace_id, line.span_id),
        score=float(score),
        scorer=name(str(line.attributes.get(SCORER) or "evaluation")),
        scored_at=moment_of("timeUnixNano", line.time_ns / 1e9),
    )


def _error(line: LogLine) -> ErrorRecord:
    severity = LogSeverity.WARNING
    if line.severity >= _ERROR:
        severity = LogSeverity.CRITICAL if line.severity >= _FATAL else LogSeverity.ERROR
    return ErrorRecord.model_construct(
        logged_at=moment_of("timeUnixNano", line.time_ns / 1e9),
        severity=severity,
        target=name(line.service or "gateway"),
        message=redacted_error(line.body),
    )
