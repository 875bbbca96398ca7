"""Items of a foreign format, decoded to the fields that are wanted: the rest never becomes an object."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

import msgspec

from api.ingest.errors import BodyTooLarge
from api.ingest.live.items import raw_items
from api.ingest.live.message import Decoded, Message, Reject
from api.ingest.live.redaction import redacted

Item = TypeVar("Item")


class StructDecoder(Generic[Item]):
    """Decodes the items of a post as one type; null stands for an item that its sender could not make."""

    def __init__(self, item_type: type[Item]) -> None:
        self._one: msgspec.json.Decoder[Item | None] = msgspec.json.Decoder(item_type | None)
        self._all: msgspec.json.Decoder[list[Item | None]] = msgspec.json.Decoder(
            list[item_type | None]  # type: ignore[valid-type]
        )

    def items(self, message: Message, decoded: Decoded) -> Iterator[tuple[int, Item]]:
        """Yield the items with their indices; those that are none go to the rejects.

        Raises:
            BodyUnreadable: the body is not JSON.
            BodyTooLarge: it has too many items.
        """
        for index, item in enumerate(self._whole(message) or self._singly(message, decoded)):
            if item is not None:
                yield index, item
            elif not decoded.rejects or decoded.rejects[-1].index != index:
                decoded.rejects.append(Reject(index, "item", "null; the sender had nothing to send for it"))

    def _whole(self, message: Message) -> list[Item | None] | None:
        """Decode an array in one go; None if that is not possible."""
        if message.body.lstrip()[:1] != b"[":
            return None
        try:
            items = self._all.decode(message.body)
        except (msgspec.DecodeError, RecursionError):
            return None
        if len(items) > message.options.max_items:
            limit = message.options.max_items
            raise BodyTooLarge(f"the body has {len(items):,} items; at most {limit:,} are accepted")
        return items

    def _singly(self, message: Message, decoded: Decoded) -> Iterator[Item | None]:
        for index, raw in enumerate(raw_items(message)):
            try:
                yield self._one.decode(raw)
            except (msgspec.DecodeError, RecursionError) as error:
                decoded.rejects.append(Reject(index, "item", redacted(str(error))))
                yield None
