"""Keeps rollups in memory as columns, and brings them up to a snapshot by reading what has changed."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Self

import numpy as np
from sqlalchemy import select

from context_builder.rollups.chunk import Chunk, Column, TextCodes
from context_builder.rollups.rows import DeploymentNames, RollupNames, Rows
from context_builder.rollups.span import MINUTE, Span, minute_of, moment_of
from context_builder.rollups.table import TABLES, RollupTable, Row
from context_builder.rollups.version import DatabaseVersion, read_version
from models import Deployment, Resolution
from models.database import ReadSession
from models.snapshot import Snapshot

DEFAULT_BYTES = 256 * 2**20
BUCKETS_PER_CHUNK = 120
"""Two hours of minutes, five days of hours: what a late row makes copied, and a statement loads."""
MAX_CHANGES = 50_000
"""Changed rows of a table that are read; with more, its chunks are loaded again when they are needed."""


class ChunkKey(NamedTuple):
    """A table, a resolution and the place in time, in chunks since 1970."""

    table: RollupTable
    resolution: Resolution
    place: int

    @classmethod
    def at(cls, table: RollupTable, resolution: Resolution, start: int) -> ChunkKey:
        """Return the chunk of a bucket, by its start in minutes since 1970."""
        return cls(table, resolution, start // _minutes(resolution))

    @property
    def bounds(self) -> tuple[datetime, datetime]:
        """Return the span of its buckets."""
        width = _minutes(self.resolution)
        return moment_of(self.place * width), moment_of((self.place + 1) * width)


def _minutes(resolution: Resolution) -> int:
    """Return the length of a chunk."""
    return BUCKETS_PER_CHUNK * (resolution.width // MINUTE)


class RollupStore:
    """The columns of one process, which outlive snapshots."""

    def __init__(self, max_bytes: int = DEFAULT_BYTES) -> None:
        """Keep at most about `max_bytes` of columns, those used last."""
        self.max_bytes = max_bytes
        self._codes = TextCodes()
        self._newest: Rollups | None = None
        self._turn = asyncio.Lock()

    async def at(self, snapshot: Snapshot) -> Rollups:
        """Return the rollups of a snapshot; close them before it.

        What is in memory is brought up to it if the snapshot is known to be as new; otherwise everything is
        loaded when it is needed.
        """
        async with self._turn, snapshot.session() as session:
            version = await read_version(session)
            deployments = await _read_deployments(session)
            newest = self._newest
            chunks = OrderedDict[ChunkKey, Chunk]()
            if newest is not None and version.follows(newest.version):
                chunks = await self._updated(session, newest, version)
            names = RollupNames(deployments, self._codes.texts)
            view = Rollups(snapshot, version, names, _Chunks(chunks, self.max_bytes), self._codes)
            if newest is None or not newest.version.follows(version) or version.follows(newest.version):
                self._newest = view
            return view

    async def _updated(
        self, session: ReadSession, newest: Rollups, version: DatabaseVersion
    ) -> OrderedDict[ChunkKey, Chunk]:
        """Return the chunks of the newest view as of a later version."""
        chunks = newest.chunks.copy()
        if version == newest.version:
            return chunks
        condition = version.changed_since(newest.version)
        for table in TABLES:
            keys = [key for key in chunks if key.table is table]
            if not keys:
                continue
            rows = await table.read(session, condition, MAX_CHANGES + 1)
            if len(rows) > MAX_CHANGES:
                for key in keys:
                    del chunks[key]
            elif rows:
                chunks |= await asyncio.to_thread(self._merged, table, chunks, rows)
        return chunks

    def _merged(
        self, table: RollupTable, chunks: Mapping[ChunkKey, Chunk], rows: Sequence[Row]
    ) -> dict[ChunkKey, Chunk]:
        """Return the chunks that have changed rows, with them."""
        changed: defaultdict[ChunkKey, list[Row]] = defaultdict(list)
        for resolution in {key.resolution for key in chunks if key.table is table}:
            for row in table.of_resolution(rows, resolution):
                changed[ChunkKey.at(table, resolution, row[2])].append(row)
        return {
            key: chunks[key].updated(Chunk.of(table, some, self._codes))
            for key, some in changed.items()
            if key in chunks
        }


async def _read_deployments(session: ReadSession) -> dict[int, DeploymentNames]:
    names = (Deployment.id, Deployment.public_id, Deployment.model, Deployment.backend, Deployment.region)
    return {
        number: DeploymentNames(deployment, model, backend, region or "")
        for number, deployment, model, backend, region in await session.execute(select(*names))
    }


class _Chunks:
    """Chunks within a bound of bytes; those used last are kept."""

    def __init__(self, chunks: OrderedDict[ChunkKey, Chunk], max_bytes: int) -> None:
        self._chunks = chunks
        self._max_bytes = max_bytes
        self.bytes = sum(chunk.size for chunk in chunks.values())

    def copy(self) -> OrderedDict[ChunkKey, Chunk]:
        return self._chunks.copy()

    def get(self, key: ChunkKey) -> Chunk | None:
        if key in self._chunks:
            self._chunks.move_to_end(key)
        return self._chunks.get(key)

    def add(self, key: ChunkKey, chunk: Chunk) -> None:
        self._chunks[key] = chunk
        self.bytes += chunk.size
        while self.bytes > self._max_bytes:
            _, oldest = self._chunks.popitem(last=False)
            self.bytes -= oldest.size


class Rollups:
    """The rollups of one snapshot, as a context manager within it; what is missing is loaded from it."""

    def __init__(
        self,
        snapshot: Snapshot,
        version: DatabaseVersion,
        names: RollupNames,
        chunks: _Chunks,
        codes: TextCodes,
    ) -> None:
        self.snapshot = snapshot
        self.version = version
        self.names = names
        self.chunks = chunks
        self._codes = codes
        self._loads: dict[ChunkKey, asyncio.Task[Chunk]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        loads = list(self._loads.values())
        for load in loads:
            load.cancel()
        await asyncio.gather(*loads, return_exceptions=True)

    async def read(self, table: RollupTable, *spans: Span) -> Rows:
        """Return the rows of some spans, which do not overlap, in the order of the spans.

        Holding a session of the snapshot while waiting for it may wait forever.
        """
        wanted = [(key, span) for span in spans for key in _keys(table, span)]
        keys = dict.fromkeys(key for key, _ in wanted)
        missing = [key for key in keys if self.chunks.get(key) is None]
        found = {key: chunk for key in keys if (chunk := self.chunks.get(key)) is not None}
        found |= zip(missing, await asyncio.gather(*map(self._shared_load, missing)), strict=True)
        parts = [
            (found[key], found[key].between(minute_of(span.start), minute_of(span.end)))
            for key, span in wanted
        ]
        size = sum(place.stop - place.start for _, place in parts)
        return Rows(size, _loader(table, parts, self._codes), self.names)

    async def _shared_load(self, key: ChunkKey) -> Chunk:
        """Wait for a load that goes on if the waiting task is cancelled, and that others may wait for too."""
        load = self._loads.get(key)
        if load is None:
            load = self._loads[key] = asyncio.create_task(self._load(key))
            load.add_done_callback(lambda done: self._loaded(key, done))
        return await asyncio.shield(load)

    async def _load(self, key: ChunkKey) -> Chunk:
        async with self.snapshot.session() as session:
            rows = await key.table.read(session, key.table.within(key.resolution, *key.bounds))
        return await asyncio.to_thread(
            lambda: Chunk.of(key.table, [*key.table.of_resolution(rows, key.resolution)], self._codes)
        )

    def _loaded(self, key: ChunkKey, load: asyncio.Task[Chunk]) -> None:
        """Keep a chunk; a failed load is tried again by the next who needs it."""
        del self._loads[key]
        if not load.cancelled() and load.exception() is None:
            self.chunks.add(key, load.result())


def _keys(table: RollupTable, span: Span) -> Iterator[ChunkKey]:
    first = ChunkKey.at(table, span.resolution, minute_of(span.start))
    last = ChunkKey.at(table, span.resolution, minute_of(span.end) - 1)
    return (first._replace(place=place) for place in range(first.place, last.place + 1))


def _loader(
    table: RollupTable, parts: Sequence[tuple[Chunk, slice]], codes: TextCodes
) -> Callable[[str], Column]:
    """Return how the columns of some parts of chunks are put together."""
    pieces = [(chunk, place) for chunk, place in parts if place.stop > place.start]
    if not pieces:
        empty = Chunk.of(table, (), codes)
        return lambda column: empty.columns[column]
    return lambda column: np.concatenate([chunk.columns[column][place] for chunk, place in pieces])
