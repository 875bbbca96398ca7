"""A vector index on a Chroma server, which many processes may use at the same time.

It speaks Chroma's HTTP API (version 2) directly. Chroma's own client would share its connections with all
others of an event loop, take proxies and certificates from the environment, not verify a server's certificate
unless told to, wait for ever, and need most of a second to import.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import orjson
from typing_extensions import override

from memory.embedding.embedder import Vectors
from memory.errors import IndexFault, MemoryUnavailable
from memory.index import chroma_schema
from memory.index.chroma_schema import unavailable
from memory.index.contract import VectorIndex
from memory.index.server_address import checked_server_token, checked_server_url
from memory.index.vector_table import VectorTable

_COLLECTIONS = "/api/v2/tenants/default_tenant/databases/default_database/collections"
_CONFIGURATION = {
    "hnsw": {"space": chroma_schema.SPACE, "max_neighbors": 128, "ef_search": 500, "ef_construction": 500}
}
"""With fewer neighbors, or a narrower search for them, the graph falls apart where hundreds of rows are
nearly the same, and searching wider no longer helps: see docs/chroma-server.md for what was measured."""

_CALL_DEADLINE_S = 30.0
"""Any healthy call takes less than a second, beside a rebuild perhaps two."""
_CONNECT_S = 5.0
_CONNECTIONS = httpx.Limits(max_connections=32, max_keepalive_connections=32, keepalive_expiry=30)

_SPARE = 50
"""Rows requested beyond the limit, to replace those not known at the moment, and equally close ones."""

_MAX_ANSWER = 64 * 2**20
"""Bytes; the largest of ours is a twentieth of it."""
_PARSED_INLINE = 16 * 2**10
"""Bytes of an answer that are parsed on the event loop; more take longer than handing them to a thread."""
_MAX_QUOTED = 200
"""Characters of an answer that an error message quotes."""

_MALFORMED = (KeyError, IndexError, TypeError, ValueError, AttributeError)
"""Raised over an answer of another shape than Chroma's."""


class ChromaServerIndex(VectorIndex):
    """An index on one server, which belongs to one database of ours.

    The search is approximate, over the server's graph (HNSW) of a collection. What it finds is compared with
    the query again, so that the same vectors give the same similarities as in a folder.
    """

    min_self_hit_rate = 0.9
    """Nearly all rows are found, but a graph may lose some where hundreds are nearly the same."""
    is_exclusive = False

    def __init__(
        self, url: str, *, token: str | None = None, call_deadline_s: float = _CALL_DEADLINE_S
    ) -> None:
        """`token` is sent as a bearer token; `call_deadline_s` bounds each call.

        Raises ValueError for an invalid address or token.
        """
        self.url = checked_server_url(url)
        self._headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {checked_server_token(token)}"
        self._call_deadline_s = call_deadline_s
        self._http: httpx.AsyncClient | None = None
        self._connecting = asyncio.Lock()
        self._closed = False

    def __repr__(self) -> str:
        return f"ChromaServerIndex({self.url})"

    @override
    async def open(self) -> None:
        """Ask the server for its collections. Raises MemoryUnavailable."""
        self._closed = False
        await self.collections()

    @override
    async def close(self) -> None:
        """Close the connections, also those of calls in flight; the server goes on."""
        self._closed = True
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    @override
    async def reset(self) -> None:
        """Drop our collections; nothing else on the server is touched."""
        self._closed = False
        for name in sorted(await self.collections()):
            await self.drop(name)

    @override
    async def _call(self, operation: str, collection: str | None = None, **arguments: Any) -> Any:
        """Bound the time of one operation, and raise MemoryUnavailable for whatever goes wrong in it."""
        server = f"memory server {self.url}"
        try:
            async with asyncio.timeout(self._call_deadline_s):
                if collection is None:
                    return await self._collections()
                return await getattr(self, f"_{operation}")(collection, **arguments)
        except IndexFault as fault:
            raise unavailable(server, collection, fault) from None
        except TimeoutError:
            raise MemoryUnavailable(
                f"{server} did not answer within {self._call_deadline_s:g} s; see whether it hangs or is "
                "overloaded"
            ) from None
        except _MALFORMED as error:
            raise MemoryUnavailable(
                f"{server} gave an answer that is not Chroma's ({type(error).__name__}); see whether "
                "ARCPOINT_MEMORY_URL is that of a Chroma server"
            ) from None

    async def _collections(self) -> list[str]:
        names = [str(model["name"]) for model in await self._request("GET", "")]
        return [name for name in names if name.startswith(chroma_schema.PREFIX)]

    async def _create(self, collection: str) -> None:
        wanted = {"name": collection, "configuration": _CONFIGURATION, "get_or_create": True}
        model = await self._request("POST", "", wanted)
        chroma_schema.require_cosine(collection, model["configuration_json"])

    async def _drop(self, collection: str) -> None:
        try:
            await self._request("DELETE", f"/{quote(collection)}")
        except IndexFault as fault:
            if fault.kind != "missing":
                raise

    async def _upsert(
        self,
        collection: str,
        keys: Sequence[str],
        vectors: Vectors,
        stamps: Sequence[str],
        known_at: Sequence[int],
    ) -> None:
        rows = {
            "ids": keys,
            "embeddings": np.ascontiguousarray(vectors),
            "metadatas": chroma_schema.metadatas(stamps, known_at),
        }
        await self._request("POST", await self._path(collection, "upsert"), rows)

    async def _delete(self, collection: str, keys: Sequence[str]) -> None:
        await self._request("POST", await self._path(collection, "delete"), {"ids": keys})

    async def _query(
        self, collection: str, vector: Vectors, limit: int, before: int | None
    ) -> list[tuple[str, float]]:
        path, dimension = await self._find(collection)
        if dimension is None:  # of an empty collection
            return []
        chroma_schema.require_dimension(collection, dimension, len(vector))
        table = VectorTable()
        wanted: dict[str, Any] = {
            "query_embeddings": vector[np.newaxis],
            "n_results": limit + _SPARE,
            "include": ["metadatas", "embeddings"],
        }
        # Without a condition first: with one, the server looks at every row's moment before it searches.
        for condition in ({},) if before is None else ({}, {"where": {"known_at": {"$lt": before}}}):
            rows = await self._request("POST", f"{path}/query", wanted | condition)
            [keys], [vectors], [metadatas] = rows["ids"], rows["embeddings"], rows["metadatas"]
            table.put(keys, vectors, [chroma_schema.known_at(collection, row) for row in metadatas])
            nearest = table.nearest(vector, limit=limit, before=before)
            if len(nearest) == limit:
                break
        return nearest

    async def _stamps(self, collection: str, limit: int, offset: int) -> dict[str, str]:
        wanted = {"include": ["metadatas"], "limit": limit, "offset": offset}
        rows = await self._request("POST", await self._path(collection, "get"), wanted)
        return {key: str(row["stamp"]) for key, row in zip(rows["ids"], rows["metadatas"], strict=True)}

    async def _count(self, collection: str) -> int:
        return int(await self._request("GET", await self._path(collection, "count")))

    async def _find(self, collection: str) -> tuple[str, int | None]:
        """Return path and dimension of a collection as it is now: another process may have dropped it."""
        model = await self._request("GET", f"/{quote(collection)}")
        chroma_schema.require_cosine(collection, model["configuration_json"])
        return f"/{model['id']}", model["dimension"]

    async def _path(self, collection: str, operation: str) -> str:
        return f"{(await self._find(collection))[0]}/{operation}"

    async def _request(self, method: str, path: str, document: Any = None) -> Any:
        """Return the parsed answer to a request. Raises MemoryUnavailable, IndexFault and _MALFORMED."""
        http, url = await self._connected(), f"{self.url}{_COLLECTIONS}{path}"
        content = None if document is None else orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
        try:
            try:
                status, body = await _exchange(http, method, url, content)
            except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
                # A kept connection to a server that was restarted meanwhile. Every request can be repeated.
                status, body = await _exchange(http, method, url, content)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise MemoryUnavailable(
                f"memory server {self.url} cannot be reached ({_reason(error)}); start it (`chroma run`) or "
                "correct ARCPOINT_MEMORY_URL"
            ) from None
        except httpx.HTTPError as error:
            raise MemoryUnavailable(
                f"memory server {self.url} broke off ({_single_line(str(error)) or type(error).__name__}); "
                "see whether it is Chroma and runs"
            ) from None
        except RuntimeError:  # closed while this call was waiting
            raise MemoryUnavailable("incident memory is closed") from None
        if not httpx.codes.is_success(status):
            raise self._refusal(status, body)
        return _parsed(body) if len(body) <= _PARSED_INLINE else await asyncio.to_thread(_parsed, body)

    async def _connected(self) -> httpx.AsyncClient:
        async with self._connecting:
            if self._closed:
                raise MemoryUnavailable("incident memory is closed")
            if self._http is None:  # reads the certificates from disk
                self._http = await asyncio.to_thread(
                    httpx.AsyncClient,
                    headers=self._headers,
                    trust_env=False,
                    timeout=httpx.Timeout(None, connect=_CONNECT_S),  # a call as a whole has a deadline
                    limits=_CONNECTIONS,
                )
            return self._http

    def _refusal(self, status: int, body: bytes) -> MemoryUnavailable | IndexFault:
        """Return what an answer other than a success means."""
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            return MemoryUnavailable(
                f"memory server {self.url} refuses us ({status}); set ARCPOINT_MEMORY_TOKEN to its token"
            )
        with contextlib.suppress(orjson.JSONDecodeError, TypeError, KeyError):
            error = orjson.loads(body)
            name, message = error["error"], error["message"]
            if isinstance(name, str) and isinstance(message, str):
                kind, message = chroma_schema.kind_of(name, message), _single_line(message)
                # Not MemoryCorrupt: a rebuild would drop the collections that other processes use.
                advice = "; if that persists, run `arcpoint memory rebuild`" if kind == "corrupt" else ""
                return (
                    IndexFault("missing", message)
                    if kind == "missing"
                    else MemoryUnavailable(f"memory server {self.url} failed: {message}{advice}")
                )
        quoted = _single_line(body[: 4 * _MAX_QUOTED].decode(errors="replace"))
        return MemoryUnavailable(
            f"memory server {self.url} answered {status}"
            + (f" ({quoted})" if quoted else "")
            + "; see whether "
            "ARCPOINT_MEMORY_URL is that of a Chroma server, and what it logs"
        )


async def _exchange(
    http: httpx.AsyncClient, method: str, url: str, content: bytes | None
) -> tuple[int, bytes]:
    """Return status and body of an answer; no more of the body than any of ours can have."""
    async with http.stream(method, url, content=content) as response:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > _MAX_ANSWER:
                break
        return response.status_code, bytes(body)


def _parsed(body: bytes) -> Any:
    """Return a JSON document, with a query's vectors as arrays. Raises ValueError for anything else."""
    document = orjson.loads(body)
    if isinstance(document, dict) and document.get("embeddings"):
        document["embeddings"] = [np.asarray(rows, dtype=np.float32) for rows in document["embeddings"]]
    return document


def _reason(error: BaseException) -> str:
    """Return the operating system's reason, below what the layers above make of it."""
    while (deeper := error.__cause__ or error.__context__) is not None:
        error = deeper
    if isinstance(error, BaseExceptionGroup):  # one for each address of a name
        error = error.exceptions[0]
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno)
    return _single_line(str(error)) or "no answer"


def _single_line(text: str) -> str:
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(printable.split())[:_MAX_QUOTED]
