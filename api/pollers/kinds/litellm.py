"""LiteLLM: whether its proxy is ready. `/health` is never asked: it calls every model, and is billed."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from api.ingest.live.message import Decoded
from api.ingest.live.redaction import redacted
from api.pollers.fetching import PollFailed
from api.pollers.kinds.observed_health import MIN_SILENT_POLLS, observe, silent_polls
from api.pollers.poll import Findings, Poll
from models import DeploymentStatus

_HEALTHY = {"healthy", "connected"}
"""What readiness may say of itself; releases differ."""
_WITHOUT_DATABASE = "Not connected"
"""Of a proxy that was set up without a database."""


class Readiness(Struct):
    """The answer of `/health/readiness`."""

    status: str
    db: str | None = None


_DECODER = msgspec.json.Decoder(Readiness)


def read(poll: Poll) -> Findings:
    """Return the health of the proxy."""
    decoded, silent = Decoded(), silent_polls(poll)
    deployment = poll.target.about
    known = poll.memory.get("known", {})
    if poll.silence:
        if silent >= MIN_SILENT_POLLS:
            known = observe(decoded, poll, deployment, known, (DeploymentStatus.DOWN, poll.silence))
        return Findings(decoded, {"silent": silent, "known": known})
    try:
        readiness = _DECODER.decode(poll.body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise PollFailed(f"not the readiness of LiteLLM: {error}") from None
    said = redacted(f"status {readiness.status}, database {readiness.db or 'unknown'}", 200)
    is_well = readiness.status.lower() in _HEALTHY and readiness.db in (None, "connected", _WITHOUT_DATABASE)
    state = (DeploymentStatus.HEALTHY, None) if is_well else (DeploymentStatus.DEGRADED, said)
    return Findings(decoded, {"silent": 0, "known": observe(decoded, poll, deployment, known, state)}, said)
