"""GitHub: `deployment_status` events become jobs that move forward."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from api.ingest.errors import BodyUnreadable
from api.ingest.live.message import Decoded, Message, Receiver
from api.ingest.live.redaction import redacted
from api.ingest.live.signatures import signed
from api.ingest.records import JobRecord
from api.ingest.records.operations.job_record import FINAL_STATUSES
from models import JobStatus, JobType

_STATUSES = {
    "success": JobStatus.SUCCEEDED,
    "failure": JobStatus.FAILED,
    "error": JobStatus.FAILED,
    "in_progress": JobStatus.RUNNING,
    "queued": JobStatus.QUEUED,
    "pending": JobStatus.QUEUED,
}
"""A deployment becomes `inactive` when the next one replaces it, which says nothing about the job."""


class Status(Struct):
    """The news."""

    state: str
    updated_at: str
    description: str | None = ""


class Deployment(Struct):
    """What is deployed."""

    id: int
    created_at: str
    environment: str = ""
    ref: str = ""
    sha: str = ""


class Named(Struct):
    """A repository, or a person."""

    full_name: str = ""
    login: str = ""


class Event(Struct):
    """One `deployment_status` event."""

    deployment_status: Status
    deployment: Deployment
    repository: Named
    sender: Named | None = None


_DECODER = msgspec.json.Decoder(Event)


def decode(message: Message) -> Decoded:
    """Return the state that a deployment reached."""
    decoded = Decoded()
    name = message.headers.get("x-github-event", "deployment_status")
    if name != "deployment_status":
        decoded.skipped["another event"] += 1
        return decoded
    try:
        event = _DECODER.decode(message.body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BodyUnreadable(f"the body is not a deployment_status event of GitHub: {error}") from None
    status = _STATUSES.get(event.deployment_status.state)
    if status is None:
        decoded.skipped["state without a job"] += 1
        return decoded
    decoded.add(0, JobRecord, _values(event, status))
    return decoded


def _values(event: Event, status: JobStatus) -> dict[str, object]:
    deployment, news = event.deployment, event.deployment_status
    is_final = status in FINAL_STATUSES
    return {
        "id": f"gh_{deployment.id}",
        "type": JobType.ROLLOUT,
        "status": status,
        "target": redacted(event.repository.full_name or deployment.environment, 200),
        "detail": redacted(f"{deployment.ref} {deployment.sha[:12]} -> {deployment.environment}", 500),
        "error": redacted(news.description or news.state, 500) if status is JobStatus.FAILED else None,
        "created_by": redacted(event.sender.login, 200) if event.sender else None,
        "created_at": deployment.created_at,
        "started_at": news.updated_at if status is JobStatus.RUNNING else None,
        "finished_at": news.updated_at if is_final else None,
    }


receiver = Receiver("github", decode, proof=signed("x-hub-signature-256", "sha256="))
