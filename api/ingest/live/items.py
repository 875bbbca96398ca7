"""Items of our own kinds: JSON of any of three shapes becomes records."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import partial
from hashlib import blake2b

import msgspec
from msgspec import Raw

from api.ingest.errors import BodyTooLarge, BodyUnreadable
from api.ingest.live.message import Decoded, Message, Receiver, Reject
from api.ingest.live.plain_requests import plain_request
from api.ingest.live.redaction import redacted
from api.ingest.records import NamedRecord, Record, RecordInvalid, RequestRecord, parse_record

_MAX_ORIGINAL = 200
"""Characters of one field of a rejected item that are kept."""
_MAX_NOTED = 20
_ARRAY = msgspec.json.Decoder(list[Raw])
_ITEM = msgspec.json.Decoder(Raw)
_OBJECT = msgspec.json.Decoder(dict[str, Raw])
# Money is not rounded to a binary fraction on its way.
_VALUE = msgspec.json.Decoder(float_hook=Decimal)
_DOCUMENTS = {"routing_reason"}
"""Fields that are JSON themselves."""
_NOT_JSON = re.compile(rb"(?<=[:\[,\s])(?:NaN|-?Infinity)(?=\s*[,}\]])")
_LONE_HALF = re.compile(
    rb"((?<!\\)(?:\\\\)*)(?:(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)


def kind_receiver(record_type: type[Record]) -> Receiver:
    """Return the receiver of one kind of record."""
    return Receiver(record_type.kind, partial(_decode, record_type))


def raw_items(message: Message) -> Sequence[Raw | bytes]:
    """Return the items of an array, of one object or of lines, still as JSON.

    Raises:
        BodyUnreadable: it is none of these.
        BodyTooLarge: it has too many items.
    """
    body = message.body.strip()
    if not body:
        raise BodyUnreadable("the body is empty; expected a JSON array, one object, or one on each line")
    items: Sequence[Raw | bytes]
    if message.content_type.endswith("ndjson") or message.content_type.endswith("jsonl"):
        items = [line for line in body.splitlines() if line.strip()]
    else:
        items = _items(body)
    if len(items) > message.options.max_items:
        limit = message.options.max_items
        raise BodyTooLarge(f"the body has {len(items):,} items; at most {limit:,} are accepted")
    return items


def _items(body: bytes) -> Sequence[Raw | bytes]:
    try:
        return _ARRAY.decode(body) if body.startswith(b"[") else [_ITEM.decode(body)]
    except (msgspec.DecodeError, RecursionError) as error:
        lines = body.splitlines()
        if len(lines) > 1 and _is_json(lines[0]):
            return [line for line in lines if line.strip()]
        repaired = repair(body)
        if repaired == body:
            raise BodyUnreadable(f"the body is not JSON: {error}") from None
    return _items(repaired)


def _is_json(line: bytes) -> bool:
    try:
        _ITEM.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def repair(body: bytes) -> bytes:
    """Return JSON that a lenient encoder wrote as strict JSON: NaN is null, half a character is a mark."""
    return _LONE_HALF.sub(lambda found: found[1] + (found[2] or rb"\ufffd"), _NOT_JSON.sub(b"null", body))


def _decode(record_type: type[Record], message: Message) -> Decoded:
    decoded, unknown = Decoded(), dict[str, None]()
    ids = _ItemIds(record_type, message.headers.get("idempotency-key", ""))
    # What holds NUL, which only an escape can write, is for the way that refuses it.
    may_be_plain = record_type is RequestRecord and b"\\u0000" not in message.body
    for index, raw in enumerate(raw_items(message)):
        if may_be_plain and (plain := plain_request(raw, message.options.tier)) is not None:
            decoded.records.append((index, plain))
            continue
        try:
            members = _OBJECT.decode(raw)
            values = {
                name: _value(name, each) for name, each in members.items() if name in record_type.model_fields
            }
        except (msgspec.DecodeError, RecursionError) as error:
            decoded.rejects.append(Reject(index, "record", f"not a JSON object: {error}"))
            continue
        unknown |= dict.fromkeys(members.keys() - values.keys())
        try:
            decoded.records.append((index, _record(record_type, values, ids.of(members), message)))
        except RecordInvalid as error:
            decoded.reject(index, error)
            decoded.originals[index] = _original(values)
    if unknown:
        listed = ", ".join(redacted(name, 60) for name in sorted(unknown)[:_MAX_NOTED])
        decoded.notes.append(f"fields that {record_type.kind} have not were left out: {listed}")
    return decoded


def _record(record_type: type[Record], values: dict[str, object], made_id: str, message: Message) -> Record:
    if issubclass(record_type, NamedRecord) and not values.get("id"):
        values["id"] = made_id
    has_default_tier = record_type is RequestRecord and not values.get("tier")
    if has_default_tier:
        values["tier"] = message.options.tier
    record = parse_record(record_type, values)
    if has_default_tier:
        # Known users keep the tier that they have.
        record.model_fields_set.discard("tier")
    return record


def _value(name: str, raw: Raw) -> object:
    if name in _DOCUMENTS and (text := bytes(raw)).startswith(b"{"):
        return text.decode()
    value: object = _VALUE.decode(raw)
    return value


class _ItemIds:
    """Makes ids of items without one, from their content and how often it came before in the body.

    So a body that is sent again gives the same ids. An idempotency key, if the sender gives one, is part of
    them: then equal bodies with different keys are different items.
    """

    def __init__(self, record_type: type[Record], key: str) -> None:
        self._prefix = record_type.id_prefix if issubclass(record_type, NamedRecord) else None
        self._key = key.encode()
        self._seen: Counter[bytes] = Counter()

    def of(self, members: dict[str, Raw]) -> str:
        """Return the id of the next item of the body."""
        if self._prefix is None:
            return ""
        digest = blake2b(self._key, digest_size=16)
        for name in sorted(members):
            digest.update(b"%s\0%s\0" % (name.encode(), bytes(members[name])))
        content = digest.digest()
        self._seen[content] += 1
        digest.update(b"%d" % self._seen[content])
        return self._prefix + digest.hexdigest()


def _original(values: dict[str, object]) -> str:
    kept: Iterator[tuple[str, str]] = (
        (name, redacted(str(value), _MAX_ORIGINAL)) for name, value in values.items()
    )
    return msgspec.json.encode(dict(kept)).decode()
