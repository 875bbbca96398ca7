"""Stores ended requests: in the request log, as ingestion does, and with what only the proxy knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from sqlalchemy import insert, select

from api.ingest.records import RecordInvalid, RequestRecord, parse_record
from api.ingest.store import store_records
from api.ingest.store.transaction import commit
from api.proxy.call import UNKNOWN_MODEL, CallRecord
from api.proxy.lifecycle import State
from api.proxy.reply_capture import usage_of
from context_builder.llm.pricing import PriceList
from context_builder.text.clock import utc_now
from context_builder.text.redaction import Redaction
from context_builder.text.sanitize import single_line, storable
from models import Deployment, ErrorLog, LogSeverity, ProxyCall, ProxyOutbox, RequestStatus
from models.database import Database, WriteSession
from models.request_log import dialect_of

_REDACT = Redaction().without_digest
_MAX_MESSAGE = 500
"""Characters of an upstream's error that are kept."""
_CLIENT_ERRORS = range(400, 500)
_TRANSIENT = (408, 409, 429)
_LOGGED = (State.UPSTREAM_ERROR, State.STREAM_ERROR, State.TRUNCATED, State.PROXY_ERROR)
SUBJECT = "arcpoint.proxy"
"""Subjects of events are this and how the request ended: `arcpoint.proxy.completed`."""


class CallStore:
    """Stores ended requests for messages; storing one again changes nothing."""

    def __init__(self, database: Database, prices: PriceList, *, publishes: bool = False) -> None:
        """Store into a database; if `publishes`, events wait in the outbox for a broker."""
        self._database = database
        self._prices = prices
        self._publishes = publishes

    async def store(self, calls: Sequence[CallRecord]) -> None:
        """Store a batch.

        Raises:
            DBAPIError: The database failed.
            LoadStopped: A user or a deployment is stored under another name.
        """
        models = {call.id: self._model_of(call) for call in calls}
        costs = {call.id: self._prices.cost_at_most(models[call.id], usage_of(call.usage)) for call in calls}
        requests = [
            record for call in calls if (record := _request_record(call, models[call.id], costs[call.id]))
        ]
        await store_records(self._database, RequestRecord, requests, tier_is_default=True)
        rows = [_row(call, models[call.id], costs[call.id]) for call in calls]
        await commit(self._database, lambda session: self._add(session, rows))

    async def _add(self, session: WriteSession, rows: Sequence[dict[str, Any]]) -> None:
        statement = dialect_of(session).insert(ProxyCall).on_conflict_do_nothing()
        added = set(await session.scalars(statement.returning(ProxyCall.request_id), rows))
        new = [row for row in rows if row["request_id"] in added]
        logs = [row for row in new if row["state"] in _LOGGED]
        if logs:
            names = {_deployment(row) for row in logs}
            found = await session.execute(
                select(Deployment.public_id, Deployment.id).where(Deployment.public_id.in_(names))
            )
            ids = {row.public_id: row.id for row in found}
            await session.execute(insert(ErrorLog), [_log(row, ids) for row in logs])
        if self._publishes and new:
            await session.execute(insert(ProxyOutbox), [_event(row) for row in new])

    def _model_of(self, call: CallRecord) -> str:
        """Return the model of a request; a name that only a refused client used makes no deployment."""
        is_refused = call.status in _CLIENT_ERRORS and call.status not in _TRANSIENT
        unconfirmed = not call.model_is_confirmed and (is_refused or call.upstream is None)
        return UNKNOWN_MODEL if unconfirmed and not self._prices.is_known(call.model) else call.model[:100]


def _request_record(call: CallRecord, model: str, cost: Decimal) -> RequestRecord | None:
    """Return the request's row of the request log; None if it was never forwarded."""
    if call.upstream is None or call.user is None:
        return None
    usage = usage_of(call.usage)
    values: dict[str, object] = {
        "id": call.id,
        "created_at": call.received_at,
        "user": call.user.id,
        "tier": call.user.tier,
        "model": model,
        "backend": call.upstream,
        "status": _status(call),
        "error_code": call.error and call.error[:100],
        "latency_ms": round(call.latency_ms),
        "cost_usd": cost,
        "prompt_tokens": usage.prompt_tokens if call.usage else None,
        "completion_tokens": usage.output_tokens if call.usage else None,
    }
    try:
        return parse_record(RequestRecord, values)
    except RecordInvalid:  # names that a database does not store
        return parse_record(RequestRecord, values | {"model": UNKNOWN_MODEL, "error_code": None})


def _status(call: CallRecord) -> RequestStatus:
    if call.state is State.COMPLETED:
        return RequestStatus.SUCCESS
    if call.state is State.CLIENT_GONE:
        return RequestStatus.PENDING  # it had not ended, and nobody failed
    by_status = {429: RequestStatus.RATE_LIMITED, 408: RequestStatus.TIMEOUT, 504: RequestStatus.TIMEOUT}
    return by_status.get(call.status or 0, RequestStatus.ERROR)


def _row(call: CallRecord, model: str, cost: Decimal) -> dict[str, Any]:
    return {
        "request_id": call.id,
        "received_at": call.received_at,
        "conversation": call.conversation,
        "turn": call.turn,
        "user": call.user.id if call.user else None,
        "model": storable(model),
        "upstream": call.upstream,
        "state": call.state,
        "transitions": [[step.state, step.after_ms, _safe(step.detail)] for step in call.transitions],
        "changes": [storable(change) for change in call.changes],
        "attempts": call.attempts,
        "status": call.status,
        "stop_reason": call.stop_reason and storable(call.stop_reason[:100]),
        "error": call.error and _safe(f"{call.error}: {call.error_message}"),
        "latency_ms": call.latency_ms,
        "first_byte_ms": call.first_byte_ms,
        "input_tokens": call.usage.get("input_tokens"),
        "output_tokens": call.usage.get("output_tokens"),
        "cache_read_tokens": call.usage.get("cache_read_input_tokens"),
        "cache_write_tokens": call.usage.get("cache_creation_input_tokens"),
        "cost_usd": cost.quantize(Decimal(1).scaleb(-9), ROUND_HALF_EVEN),
        "upstream_request_id": call.upstream_request_id and storable(call.upstream_request_id[:200]),
    }


def _safe(text: str) -> str:
    """Return text of an upstream as one line without secrets."""
    return single_line(_REDACT(text), limit=_MAX_MESSAGE)


def _deployment(row: Mapping[str, Any]) -> str:
    return f"{row['model']}/{row['upstream']}" if row["upstream"] else "proxy"


def _log(row: Mapping[str, Any], ids: Mapping[str, int]) -> dict[str, Any]:
    is_refused = row["status"] in _CLIENT_ERRORS
    target = _deployment(row)
    return {
        "logged_at": row["received_at"],
        "severity": LogSeverity.WARNING if is_refused else LogSeverity.ERROR,
        "target": target,
        "deployment_id": ids.get(target),
        "message": f"{row['error']} (status {row['status']})",
    }


def _event(row: Mapping[str, Any]) -> dict[str, Any]:
    payload = dict(row) | {"received_at": row["received_at"].isoformat(), "cost_usd": f"{row['cost_usd']:f}"}
    return {"subject": f"{SUBJECT}.{row['state']}", "payload": payload, "queued_at": utc_now()}
