"""Recordings of real programs, and what the decoders make of a body."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from api.ingest.live.message import Decoded, IngestOptions, Message
from api.ingest.receivers import discover
from api.ingest.records import Record, RequestRecord

Decode = Callable[..., Decoded]


@pytest.fixture
def recording(repository: Path) -> Callable[[str], bytes]:
    """The body that a real program sent."""

    def read(name: str) -> bytes:
        path = repository.parent / "shared" / "data" / "wire" / f"{name}.json"
        if not path.exists():
            pytest.skip(f"the recorded bodies are not at {path.parent}; other tests have shapes alike")
        return path.read_bytes()

    return read


@pytest.fixture
def decode() -> Decode:
    """Decodes a body; every record must be one that its own model accepts."""
    receivers = discover()

    def run(
        name: str, body: bytes, *, ignored: str = "", topic: str = "", about: str = "", **headers: str
    ) -> Decoded:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        decoded = receivers[name].decode(
            Message(
                body=body,
                content_type=given.get("content-type", "application/json"),
                headers=given,
                topic=topic,
                about=about,
                received_at=datetime(2026, 11, 30, tzinfo=UTC),
                options=IngestOptions(ignored_scopes=frozenset(filter(None, [ignored]))),
            )
        )
        for _, record in decoded.records:
            assert type(record).model_validate(record.model_dump()) == record
        return decoded

    return run


def of_type(decoded: Decoded, kind: type[Record] = RequestRecord) -> list[Record]:
    return [record for _, record in decoded.records if isinstance(record, kind)]
