"""LaunchDarkly: entries of its audit log become changes; they may come in any order."""

from __future__ import annotations

import msgspec
from msgspec import Struct, field

from api.ingest.errors import BodyUnreadable
from api.ingest.live.message import Decoded, Message, Receiver, Reject
from api.ingest.live.redaction import redacted
from api.ingest.live.request_fields import Unusable, moment_of
from api.ingest.live.signatures import signed
from api.ingest.records import ChangeRecord


class Access(Struct):
    """What was done to what: `proj/default:env/production:flag/new-model`."""

    resource: str = ""


class Member(Struct):
    """Who did it."""

    email: str = ""


class Entry(Struct):
    """One entry of the audit log."""

    id: str = field(name="_id")
    date: float
    """In milliseconds."""
    name: str = ""
    kind: str = ""
    verb: str = field(name="titleVerb", default="")
    accesses: list[Access] = field(default_factory=list)
    member: Member | None = None


_DECODER = msgspec.json.Decoder(Entry)


def decode(message: Message) -> Decoded:
    """Return what an entry says was changed."""
    try:
        entry = _DECODER.decode(message.body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BodyUnreadable(f"the body is not a webhook of LaunchDarkly: {error}") from None
    decoded = Decoded()
    resource = entry.accesses[0].resource if entry.accesses else ""
    places = [part.partition("/")[2] for part in resource.split(":")[:-1]]
    try:
        changed_at = moment_of("date", entry.date / 1_000)
    except Unusable as error:
        decoded.rejects.append(Reject(0, error.field, error.reason))
        return decoded
    values = {
        "id": f"ld_{entry.id}",
        "changed_at": changed_at.isoformat(),
        "target": redacted(message.about or "/".join(filter(None, places)) or "launchdarkly", 200),
        "parameter": redacted(resource.rpartition(":")[2] or f"{entry.kind}/{entry.name}", 200),
        "new_value": redacted(entry.verb, 500),
        "changed_by": redacted(entry.member.email, 200) if entry.member and entry.member.email else "unknown",
    }
    decoded.add(0, ChangeRecord, values)
    return decoded


receiver = Receiver("launchdarkly", decode, proof=signed("x-ld-signature"))
