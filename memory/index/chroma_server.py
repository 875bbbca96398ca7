"""A vector index on a Chroma server, which many processes may use at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from memory.embedding.embedder import Vectors
from memory.errors import CollectionMissing, MemoryCorrupt, MemoryUnavailable
from memory.index import chroma_schema
from memory.index.chroma_schema import ChromaFault, Unfit, microseconds
from memory.index.contract import Hit, IndexRows
from memory.index.server_address import checked_server_token, checked_server_url
from memory.index.vector_table import VectorTable

if TYPE_CHECKING:
    from memory.index.chroma_http import ChromaHttp

_CALL_DEADLINE_S = 30.0
"""Any healthy call takes less than a second, beside a rebuild perhaps two."""

_ROWS_PER_UPSERT = 100
_ROWS_PER_READ = 2_000
"""Of stamps; reading an answer of this length holds the interpreter's lock for a few milliseconds."""
_IDS_PER_DELETE = 1_000
_SPARE = 50
"""Rows looked at beyond those asked for, in place of those that were not known then, and of equal ones."""

_NOT_CHROMAS = (KeyError, IndexError, TypeError, ValueError, AttributeError)
"""What Chroma's client raises over an answer in any other shape than the one it expects."""


class ChromaServerIndex:
    """Implements VectorIndex on one server, which belongs to one database of ours.

    The search is approximate, over the graph (HNSW) that the server keeps of a collection. What it finds is
    compared again with the query, so that the same vectors give the same numbers as in a folder.
    """

    least_self_hits = 0.9
    """Nearly all do, but a graph may lose some where hundreds of rows are nearly the same."""
    is_exclusive = False

    def __init__(
        self, url: str, *, token: str | None = None, call_deadline_s: float = _CALL_DEADLINE_S
    ) -> None:
        """`token` goes to whatever guards the server, as a bearer; `call_deadline_s` bounds each request.

        Raises ValueError for an address or a token that cannot be one.
        """
        self.url = checked_server_url(url)
        self._token = None if token is None else checked_server_token(token)
        self._call_deadline_s = call_deadline_s
        self._chroma: ChromaHttp | None = None
        self._connecting = asyncio.Lock()
        self._closed = False

    def __repr__(self) -> str:
        return f"ChromaServerIndex({self.url})"

    async def open(self) -> None:
        """Loads Chroma's client and asks the server for its collections. Raises MemoryUnavailable."""
        self._closed = False
        await self.collections()

    async def close(self) -> None:
        """Closes the connections; the server goes on."""
        self._closed = True
        chroma, self._chroma = self._chroma, None
        if chroma is not None:
            await chroma.aclose()

    async def start_anew(self) -> None:
        """Drops our collections; nothing is moved aside, and nothing else on the server is touched."""
        self._closed = False
        for name in sorted(await self.collections()):
            await self.drop(name)

    async def collections(self) -> frozenset[str]:
        """The names of all collections that are ours."""
        async with self._calling() as chroma:
            return frozenset(name for name in await chroma.names() if name.startswith(chroma_schema.PREFIX))

    async def create(self, collection: str) -> None:
        """Makes an empty collection; one of that name stays as it is."""
        async with self._calling(collection) as chroma:
            await chroma.create(collection)

    async def rename(self, collection: str, name: str) -> None:
        """Gives a collection another name; if there is one of that name, drops it instead."""
        async with self._calling(collection) as chroma:
            if name not in await chroma.names():
                try:
                    await chroma.rename(await chroma.find(collection), name)
                except ChromaFault:  # another process may have taken the name meanwhile
                    if name not in await chroma.names():
                        raise
                else:
                    return
        await self.drop(collection)

    async def drop(self, collection: str) -> None:
        """Removes a collection; harmless when there is none of that name."""
        try:
            async with self._calling(collection) as chroma:
                await chroma.delete_collection(collection)
        except CollectionMissing:
            return

    async def upsert(self, collection: str, rows: IndexRows) -> None:
        """Stores rows in batches that queries can pass between."""
        for start in range(0, len(rows.keys), _ROWS_PER_UPSERT):
            batch = slice(start, start + _ROWS_PER_UPSERT)
            moments = [microseconds(moment) for moment in rows.known_at[batch]]
            metadatas = chroma_schema.metadatas(rows.stamps[batch], moments)
            async with self._calling(collection) as chroma:
                found = await chroma.find(collection)
                await chroma.upsert(found, rows.keys[batch], rows.vectors[batch], metadatas)

    async def delete(self, collection: str, keys: Sequence[str]) -> None:
        """Removes rows; keys that are not stored are ignored."""
        for start in range(0, len(keys), _IDS_PER_DELETE):
            async with self._calling(collection) as chroma:
                await chroma.delete(await chroma.find(collection), keys[start : start + _IDS_PER_DELETE])

    async def compact(self) -> None:
        """Does nothing: a server has no call for it.

        What was removed stays in the files of the server until its operator stops it and runs
        `chroma vacuum --path FOLDER`; what that leaves is told in docs/chroma-server.md.
        """

    async def query(
        self, collection: str, vectors: Vectors, *, limit: int, known_before: datetime | None = None
    ) -> list[list[Hit]]:
        """For each vector the closest rows that the search finds, of those known before the moment."""
        before = None if known_before is None else microseconds(known_before)
        hits = []
        for vector in vectors:
            async with self._calling(collection) as chroma:
                hits.append(await _nearest(chroma, collection, vector, limit=limit, before=before))
        return hits

    async def stamps(self, collection: str) -> Mapping[str, str]:
        """The stamp of every stored row by key.

        Where another process removes rows meanwhile, some others may be passed over.
        """
        stamps: dict[str, str] = {}
        offset = 0
        while True:
            async with self._calling(collection) as chroma:
                found = await chroma.find(collection)
                page = await chroma.stamps(found, limit=_ROWS_PER_READ, offset=offset)
            stamps |= page
            offset += len(page)
            if len(page) < _ROWS_PER_READ:
                return stamps

    async def count(self, collection: str) -> int:
        """How many rows are stored."""
        async with self._calling(collection) as chroma:
            return await chroma.count(await chroma.find(collection))

    @asynccontextmanager
    async def _calling(self, collection: str | None = None) -> AsyncIterator[ChromaHttp]:
        """The server, for one call under the deadline; whatever goes wrong in it is MemoryUnavailable."""
        try:
            async with asyncio.timeout(self._call_deadline_s):
                yield await self._connected()
        except ChromaFault as fault:
            self._fail(fault, collection)
        except Unfit as unfit:
            raise MemoryCorrupt(
                f"memory server {self.url} cannot be used: {unfit}; `arcpoint memory rebuild` makes another"
            ) from None
        except TimeoutError:
            raise MemoryUnavailable(
                f"memory server {self.url} did not answer within {self._call_deadline_s:g} s; see whether it "
                "hangs or has too much to do"
            ) from None
        except _NOT_CHROMAS as error:
            raise MemoryUnavailable(
                f"memory server {self.url} gave an answer that is not Chroma's ({type(error).__name__}); see "
                "whether ARCPOINT_MEMORY_URL is that of a Chroma server"
            ) from None

    async def _connected(self) -> ChromaHttp:
        async with self._connecting:
            if self._closed:
                raise MemoryUnavailable("incident memory is closed")
            if self._chroma is None:
                self._chroma = await asyncio.to_thread(_client, self.url, self._token)
            return self._chroma

    def _fail(self, fault: ChromaFault, collection: str | None) -> NoReturn:
        if fault.kind == "missing":
            raise CollectionMissing(
                f"memory server {self.url} has no collection {collection}; run `arcpoint memory rebuild`"
            ) from None
        advice = "; if that lasts, `arcpoint memory rebuild` makes another" if fault.kind == "corrupt" else ""
        raise MemoryUnavailable(f"memory server {self.url} failed: {fault}{advice}") from None


def _client(url: str, token: str | None) -> ChromaHttp:
    """Takes most of a second: not for the event loop."""
    try:
        from memory.index.chroma_http import ChromaHttp  # noqa: PLC0415  imports Chroma

        return ChromaHttp(url, token)
    except (ImportError, ValueError, OSError) as error:  # it reads the environment and a file `.env`
        reason = " ".join(str(error).split(" [type=")[0].split())  # what follows would be a variable's value
        raise MemoryUnavailable(f"Chroma's client cannot be loaded: {reason}") from None


async def _nearest(
    chroma: ChromaHttp, name: str, vector: Vectors, *, limit: int, before: int | None
) -> list[Hit]:
    found = await chroma.find(name)
    if found.dimension is None:
        return []
    chroma_schema.require_dimension(name, found.dimension, len(vector))
    # Without a condition first: with one, the server looks at every row's moment before it searches.
    for condition in (None,) if before is None else (None, before):
        nearby = await chroma.nearby(name, found, vector, count=limit + _SPARE, before=condition)
        known = [key for key, moment in nearby.items() if before is None or moment < before]
        if len(known) >= limit:
            break
    vectors = await chroma.vectors(found, known)
    if not vectors:
        return []
    table = VectorTable(len(vector))
    table.put(list(vectors), np.stack(list(vectors.values())), [nearby[key] for key in vectors])
    return [Hit(key, similarity) for key, similarity in table.nearest(vector, limit=limit, before=before)]
