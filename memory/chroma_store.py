"""The operations of a vector index on an open Chroma folder: the only importer of Chroma."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import chromadb
from chromadb.api import ClientAPI
from chromadb.api.collection_configuration import CreateCollectionConfiguration, CreateHNSWConfiguration
from chromadb.api.types import Where
from chromadb.base_types import OperatorExpression
from chromadb.config import Settings
from chromadb.errors import ChromaError, InternalError, NotFoundError

from memory import frames
from memory.frames import Document

_COSINE = CreateCollectionConfiguration(hnsw=CreateHNSWConfiguration(space="cosine"))

_PASSING = (
    "database or disk is full",
    "No space left",
    "readonly database",
    "database is locked",
    "os error",
)
"""Internal errors that say something about the machine, not about what is stored."""


class _NotCosine(Exception):
    """A collection compares vectors in another way than ours."""


class ChromaStore:
    """Answers documents about the collections of one folder, which this process owns."""

    def __init__(self, path: Path) -> None:
        """The folder is opened by the operation `open`."""
        self._path = path
        self._opened: ClientAPI | None = None
        self._collections: dict[str, chromadb.Collection] = {}
        self._operations: dict[str, Callable[[Document], Document]] = {
            "open": self._open,
            "collections": self._list,
            "create": self._create,
            "rename": self._rename,
            "drop": self._drop,
            "upsert": self._upsert,
            "delete": self._delete,
            "query": self._query,
            "stamps": self._stamps,
            "count": self._count,
        }

    def answer(self, request: Document) -> Document:
        """The result of one request, or the kind and message of its fault: missing, corrupt or failed."""
        try:
            return {"id": request["id"], "result": self._operations[request["op"]](request)}
        except (ChromaError, _NotCosine) as error:
            return {"id": request["id"], "fault": _kind(error), "message": str(error)}

    @property
    def _client(self) -> ClientAPI:
        if self._opened is None:
            self._opened = chromadb.PersistentClient(
                self._path, settings=Settings(anonymized_telemetry=False)
            )
        return self._opened

    def _open(self, _request: Document) -> Document:
        return {"collections": len(self._names())}

    def _names(self) -> list[str]:
        return [collection.name for collection in self._client.list_collections()]

    def _collection(self, request: Document) -> chromadb.Collection:
        name = request["collection"]
        if name not in self._collections:
            # Without our None it would load a model of its own for texts that it never sees.
            collection = self._client.get_collection(name, embedding_function=None)
            space = (collection.configuration.get("hnsw") or {}).get("space")
            if space != "cosine":
                raise _NotCosine(f"collection {name} compares by {space} instead of cosine")
            self._collections[name] = collection
        return self._collections[name]

    def _list(self, _request: Document) -> Document:
        return {"names": self._names()}

    def _create(self, request: Document) -> Document:
        if request["collection"] not in self._names():
            self._client.create_collection(
                request["collection"], configuration=_COSINE, embedding_function=None
            )
        self._collection(request)
        return {}

    def _rename(self, request: Document) -> Document:
        old, new = request["collection"], request["name"]
        names = self._names()
        if new not in names:
            self._collection(request).modify(name=new)
        elif old in names:
            self._client.delete_collection(old)
        self._collections.pop(old, None)
        return {}

    def _drop(self, request: Document) -> Document:
        self._collections.pop(request["collection"], None)
        if request["collection"] in self._names():
            self._client.delete_collection(request["collection"])
        return {}

    def _upsert(self, request: Document) -> Document:
        self._collection(request).upsert(
            ids=request["ids"],
            embeddings=frames.unpack(request["vectors"]),
            metadatas=[
                {"stamp": stamp, "resolved_at": resolved_at}
                for stamp, resolved_at in zip(request["stamps"], request["resolved_at"], strict=True)
            ],
        )
        return {}

    def _delete(self, request: Document) -> Document:
        self._collection(request).delete(ids=request["ids"])
        return {}

    def _query(self, request: Document) -> Document:
        before: int | None = request["resolved_before"]
        earlier: Where | None = (
            None if before is None else {"resolved_at": cast("OperatorExpression", {"$lt": before})}
        )
        found = self._collection(request).query(
            query_embeddings=frames.unpack(request["vectors"]),
            n_results=request["limit"],
            where=earlier,
            include=["distances"],
        )
        return {"ids": found["ids"], "distances": found["distances"]}

    def _stamps(self, request: Document) -> Document:
        found = self._collection(request).get(
            limit=request["limit"], offset=request["offset"], include=["metadatas"]
        )
        return {"ids": found["ids"], "stamps": [row["stamp"] for row in found["metadatas"] or []]}

    def _count(self, request: Document) -> Document:
        return {"count": self._collection(request).count()}


def _kind(error: ChromaError | _NotCosine) -> str:
    if isinstance(error, NotFoundError):
        return "missing"
    passing = any(sign in str(error) for sign in _PASSING)
    return "corrupt" if isinstance(error, InternalError | _NotCosine) and not passing else "failed"
