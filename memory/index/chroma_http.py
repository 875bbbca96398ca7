"""Chroma's own client of a server, over connections of ours: the only importer of Chroma for a server."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, cast
from urllib.parse import quote, urlsplit
from uuid import UUID

import httpx
import numpy as np
import orjson
from chromadb.api.async_fastapi import AsyncFastAPI
from chromadb.api.collection_configuration import CreateCollectionConfiguration, CreateHNSWConfiguration
from chromadb.config import Settings, System
from chromadb.types import Collection, Where
from typing_extensions import override

from memory.embedding.embedder import Vectors
from memory.errors import MemoryUnavailable
from memory.index import chroma_schema
from memory.index.chroma_schema import ChromaFault

_NEIGHBOURS = 128
_BUILD_WIDTH = 500
_SEARCH_WIDTH = 500
"""With fewer neighbours, or looking for them less widely, the graph falls apart where hundreds of rows are
nearly the same, and searching wider no longer helps: see docs/chroma-server.md for what was measured."""
_CONFIGURATION = CreateCollectionConfiguration(
    hnsw=CreateHNSWConfiguration(
        space=chroma_schema.SPACE,
        max_neighbors=_NEIGHBOURS,
        ef_search=_SEARCH_WIDTH,
        ef_construction=_BUILD_WIDTH,
    )
)

_CONNECT_S = 5.0
_CONNECTIONS = httpx.Limits(max_connections=32, max_keepalive_connections=32, keepalive_expiry=30)
_MAX_ANSWER = 64 * 2**20
"""Bytes; the largest of ours is a twentieth of it."""
_VECTORS_PER_READ = 128
"""Reading an answer of more would hold the interpreter's lock for longer than a few milliseconds."""
_QUICKLY_READ = 16 * 2**10
"""Bytes of an answer that are read on the event loop; more take longer than handing them to a thread."""
_SHOWN = 200
"""Characters of an answer that an error message quotes."""


@dataclass(frozen=True, slots=True)
class Found:
    """A collection that compares by cosine."""

    id: UUID
    dimension: int | None
    """Numbers in a vector; None before the first was stored."""


class ChromaHttp(AsyncFastAPI):
    """The calls of an index on one server.

    The connections are not those that Chroma's client would make: these are shared by all clients of an event
    loop, whatever their headers, take proxies and certificates from the environment, do not verify a server's
    certificate unless told to, and wait for ever.

    Every call raises MemoryUnavailable when the server cannot be reached or is none, ChromaFault when it
    refuses, and Unfit when a collection is not of our kind.
    """

    def __init__(self, url: str, token: str | None) -> None:
        """`url` has a scheme, a host and perhaps a port. Takes a while: not for the event loop."""
        parts = urlsplit(url)
        # Made without validation, which would read the environment and a file `.env`.
        settings = Settings.model_construct(
            chroma_api_impl="chromadb.api.async_fastapi.AsyncFastAPI",
            chroma_server_host=parts.hostname,
            chroma_server_http_port=parts.port or (443 if parts.scheme == "https" else 80),
            anonymized_telemetry=False,
        )
        super().__init__(System(settings))
        self._url = url
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        self._http = httpx.AsyncClient(
            headers=headers,
            trust_env=False,
            timeout=httpx.Timeout(None, connect=_CONNECT_S),  # the caller has a deadline for the whole
            limits=_CONNECTIONS,
        )

    async def aclose(self) -> None:
        """Closes the connections, also under calls that wait for an answer."""
        await self._http.aclose()

    async def names(self) -> list[str]:
        """Of all collections on the server."""
        return [str(model.name) for model in await self.list_collections()]

    async def find(self, name: str) -> Found:
        """A collection by its name, as it is now: another process may have renamed or dropped it."""
        return _found(await self.get_collection(name))

    async def create(self, name: str) -> None:
        """Makes an empty collection; one of that name stays as it is."""
        _found(await self.create_collection(name, configuration=_CONFIGURATION, get_or_create=True))

    async def rename(self, collection: Found, name: str) -> None:
        """Gives a collection a name that no other has."""
        await self._modify(collection.id, new_name=name)

    async def upsert(
        self,
        collection: Found,
        keys: Sequence[str],
        vectors: Vectors,
        metadatas: Sequence[Mapping[str, Any]],
    ) -> None:
        """Stores rows, replacing those of the same key."""
        await self._upsert(collection.id, list(keys), list(vectors), list(metadatas))

    async def delete(self, collection: Found, keys: Sequence[str]) -> None:
        """Removes rows."""
        await self._delete(collection.id, list(keys))

    async def nearby(
        self, name: str, collection: Found, vector: Vectors, *, count: int, before: int | None
    ) -> dict[str, int]:
        """Rows close to a vector, and from when on they were known, in microseconds since 1970.

        Nearly always these are the closest, but that is not certain.
        """
        found = await self._query(
            collection.id,
            [vector],
            n_results=count,
            where=None if before is None else cast("Where", {"known_at": {"$lt": before}}),
            include=["metadatas"],
        )
        [keys], [rows] = found["ids"], found["metadatas"] or [[]]
        known = (chroma_schema.known_at(name, row) for row in rows)
        return dict(zip(keys, known, strict=True))

    async def vectors(self, collection: Found, keys: Sequence[str]) -> dict[str, Vectors]:
        """The vectors of rows, by key; those that are gone are passed over."""
        vectors: dict[str, Vectors] = {}
        for start in range(0, len(keys), _VECTORS_PER_READ):
            wanted = list(keys[start : start + _VECTORS_PER_READ])
            found = await self._get(collection.id, ids=wanted, include=["embeddings"])
            rows = cast("Sequence[Vectors] | None", found["embeddings"])
            vectors |= zip(found["ids"], rows or [], strict=True)
        return vectors

    async def stamps(self, collection: Found, *, limit: int, offset: int) -> dict[str, str]:
        """Stamps by key, of some rows in the order in which they were stored."""
        found = await self._get(collection.id, limit=limit, offset=offset, include=["metadatas"])
        rows = zip(found["ids"], found["metadatas"] or [], strict=True)
        return {key: chroma_schema.stamp_of(row) for key, row in rows}

    async def count(self, collection: Found) -> int:
        """How many rows there are."""
        return int(await self._count(collection.id))

    @override
    async def _make_request(self, method: str, path: str, **kwargs: Any) -> Any:
        """What Chroma's client sends goes through here; every request of ours can be repeated."""
        url = f"{self._url}/api/v2{quote(path)}"
        content = (
            orjson.dumps(kwargs["json"], option=orjson.OPT_SERIALIZE_NUMPY) if "json" in kwargs else None
        )
        params = kwargs.get("params")
        try:
            try:
                status, body = await self._exchange(method, url, content, params)
            except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
                # A connection that was kept for us, to a server that was started again meanwhile.
                status, body = await self._exchange(method, url, content, params)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise MemoryUnavailable(
                f"memory server {self._url} cannot be reached ({_reason(error)}); start it (`chroma run`) or "
                "correct ARCPOINT_MEMORY_URL"
            ) from None
        except httpx.HTTPError as error:
            raise MemoryUnavailable(
                f"memory server {self._url} broke off ({_one_line(str(error)) or type(error).__name__}); "
                "see whether it is Chroma and runs"
            ) from None
        if not httpx.codes.is_success(status):
            self._refuse(status, body)
        return _read(body) if len(body) <= _QUICKLY_READ else await asyncio.to_thread(_read, body)

    async def _exchange(self, method: str, url: str, content: bytes | None, params: Any) -> tuple[int, bytes]:
        """Status and body of an answer; no more of the body than any of ours can have."""
        if self._http.is_closed:
            raise MemoryUnavailable("incident memory is closed")
        async with self._http.stream(method, url, content=content, params=params) as response:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _MAX_ANSWER:
                    break
            return response.status_code, bytes(body)

    def _refuse(self, status: int, body: bytes) -> NoReturn:
        """Raises what an answer other than a success means."""
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise MemoryUnavailable(
                f"memory server {self._url} refuses us ({status}); set ARCPOINT_MEMORY_TOKEN to its token"
            )
        said = _one_line(body[: 4 * _SHOWN].decode(errors="replace"))
        with contextlib.suppress(orjson.JSONDecodeError, TypeError, KeyError):
            error = orjson.loads(body)
            name, message = error["error"], error["message"]
            if isinstance(name, str) and isinstance(message, str):
                raise ChromaFault(chroma_schema.kind_of(name, message), _one_line(message))
        raise MemoryUnavailable(
            f"memory server {self._url} answered {status}" + (f" ({said})" if said else "") + "; see whether "
            "ARCPOINT_MEMORY_URL is that of a Chroma server, and what it logs"
        )


def _found(model: Collection) -> Found:
    chroma_schema.require_cosine(str(model.name), model.configuration_json)
    return Found(UUID(str(model.id)), model.dimension)


def _read(body: bytes) -> Any:
    """A document, with vectors in it as arrays. Raises ValueError where it is none."""
    document = orjson.loads(body)
    if isinstance(document, dict) and document.get("embeddings"):
        document["embeddings"] = [np.asarray(rows, dtype=np.float32) for rows in document["embeddings"]]
    return document


def _reason(error: BaseException) -> str:
    """What the machine says, below what the layers above make of it."""
    while (deeper := error.__cause__ or error.__context__) is not None:
        error = deeper
    if isinstance(error, BaseExceptionGroup):  # one for each address of a name
        error = error.exceptions[0]
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno)
    return _one_line(str(error)) or "no answer"


def _one_line(text: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())[:_SHOWN]
