"""CloudEvents 1.0 in both HTTP modes: CDEvents about services become jobs, other events changes."""

from __future__ import annotations

from urllib.parse import unquote

import msgspec
from msgspec import Raw, Struct

from api.ingest.errors import BodyUnreadable
from api.ingest.live.items import raw_items
from api.ingest.live.message import Decoded, Message, Receiver, Reject
from api.ingest.live.redaction import redacted
from api.ingest.live.request_fields import made_id
from api.ingest.records import ChangeRecord, JobRecord
from models import JobStatus, JobType

_ROLLOUTS = tuple(f"dev.cdevents.service.{what}" for what in ("deployed", "upgraded", "rolledback"))


class Data(Struct):
    """What is read of the data of a CDEvent."""

    artifact: str = msgspec.field(name="artifactId", default="")


class Event(Struct):
    """One event; `data` is decoded only where its type is known."""

    id: str
    source: str
    type: str
    time: str
    subject: str = ""
    data: Raw = Raw(b"{}")


_DECODER = msgspec.json.Decoder(Event)
_DATA = msgspec.json.Decoder(Data)


def decode(message: Message) -> Decoded:
    """Return what each event changed."""
    decoded = Decoded()
    if "ce-id" in message.headers:
        attributes = ("id", "source", "type", "time", "subject")
        values = {name: unquote(message.headers.get(f"ce-{name}", "")) for name in attributes}
        _add(decoded, 0, Event(**values, data=Raw(message.body or b"{}")))
        return decoded
    for index, raw in enumerate(raw_items(message)):
        try:
            event = _DECODER.decode(raw)
        except (msgspec.DecodeError, RecursionError) as error:
            if index == 0 and message.content_type.endswith("cloudevents+json"):
                raise BodyUnreadable(f"the body is not a CloudEvent: {error}") from None
            decoded.rejects.append(Reject(index, "event", redacted(str(error))))
            continue
        _add(decoded, index, event)
    return decoded


def _add(decoded: Decoded, index: int, event: Event) -> None:
    # Source and id together name an event; the specification says so.
    target, by = redacted(event.subject or event.source, 200), redacted(event.source, 200)
    if not event.type.startswith(_ROLLOUTS):
        values: dict[str, object] = {
            "id": made_id("ce_", event.source, event.id),
            "changed_at": event.time,
            "target": target,
            "parameter": redacted(event.type, 200),
            "changed_by": by,
        }
        decoded.add(index, ChangeRecord, values)
        return
    try:
        artifact = _DATA.decode(event.data).artifact
    except (msgspec.DecodeError, RecursionError):
        artifact = ""
    values = {
        "id": made_id("ce_", event.source, event.id),
        "type": JobType.ROLLOUT,
        "status": JobStatus.SUCCEEDED,
        "target": target,
        "detail": redacted(artifact or event.type, 500),
        "created_by": by,
        **dict.fromkeys(("created_at", "started_at", "finished_at"), event.time),
    }
    decoded.add(index, JobRecord, values)


receiver = Receiver("cloudevents", decode)
