"""The operations of a vector index on an open Chroma folder: the only importer of Chroma as a library."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import chromadb
import numpy as np
from chromadb.api import ClientAPI
from chromadb.api.collection_configuration import CreateCollectionConfiguration, CreateHNSWConfiguration
from chromadb.config import Settings
from chromadb.errors import ChromaError

from memory.index import chroma_schema
from memory.index import ipc as frames
from memory.index.chroma_folder import vector_folders
from memory.index.chroma_schema import Unfit
from memory.index.ipc import Document
from memory.index.vector_table import VectorTable

_COSINE = CreateCollectionConfiguration(hnsw=CreateHNSWConfiguration(space=chroma_schema.SPACE))

_DATABASE = "chroma.sqlite3"
_BUSY_S = 10.0
_ROWS_PER_READ = 2_000


class ChromaStore:
    """Answers documents about the collections of one folder, which this process owns.

    Chroma stores the vectors; queries are answered from a table of them in memory. Its approximate search
    does not suit recurrences: of 120 variants of one incident, all equally alike, 14 to 28 could not be found
    by their own vector, with twice the neighbours and ten times the search width of its defaults. Comparing a
    query with all of 10,000 rows takes about a millisecond.
    """

    def __init__(self, path: Path) -> None:
        """The folder is opened by the operation `open`."""
        self._path = path
        self._opened: ClientAPI | None = None
        self._collections: dict[str, chromadb.Collection] = {}
        self._tables: dict[str, VectorTable] = {}
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
            "compact": self._compact,
        }

    def answer(self, request: Document) -> Document:
        """The result of one request, or the kind and message of its fault: missing, corrupt or failed."""
        try:
            return {"id": request["id"], "result": self._operations[request["op"]](request)}
        except (ChromaError, sqlite3.Error, OSError, Unfit) as error:
            return {"id": request["id"], "fault": _kind(error), "message": str(error)}

    @property
    def _client(self) -> ClientAPI:
        if self._opened is None:
            self._opened = chromadb.PersistentClient(
                self._path, settings=Settings(anonymized_telemetry=False)
            )
        return self._opened

    def _open(self, _request: Document) -> Document:
        names = self._names()
        for name in names:
            # So that the first question need not wait for it; what fails here is told to whom it concerns.
            with contextlib.suppress(ChromaError, Unfit):
                self._table(name)
        return {"names": names}

    def _names(self) -> list[str]:
        return [collection.name for collection in self._client.list_collections()]

    def _collection(self, name: str) -> chromadb.Collection:
        if name not in self._collections:
            # Without our None it would load a model of its own for texts that it never sees.
            collection = self._client.get_collection(name, embedding_function=None)
            chroma_schema.require_cosine(name, collection.configuration)
            self._collections[name] = collection
        return self._collections[name]

    def _table(self, name: str) -> VectorTable | None:
        """The rows of a collection as Chroma has stored them; None while there are none."""
        table = self._tables.get(name)
        collection = self._collection(name)
        offset = 0
        while table is None or offset:
            rows = collection.get(limit=_ROWS_PER_READ, offset=offset, include=["embeddings", "metadatas"])
            if not rows["ids"]:
                break
            vectors = np.asarray(rows["embeddings"], dtype=np.float32)
            table = table or VectorTable(vectors.shape[1])
            moments = [chroma_schema.known_at(name, row) for row in rows["metadatas"] or []]
            table.put(rows["ids"], vectors, moments)
            offset += len(rows["ids"])
        if table is not None:
            self._tables[name] = table
        return table

    def _list(self, _request: Document) -> Document:
        return {"names": self._names()}

    def _create(self, request: Document) -> Document:
        name = request["collection"]
        if name not in self._names():
            self._client.create_collection(name, configuration=_COSINE, embedding_function=None)
        self._collection(name)
        return {}

    def _rename(self, request: Document) -> Document:
        old, new = request["collection"], request["name"]
        names = self._names()
        if new not in names:
            self._collection(old).modify(name=new)
            if old in self._tables:
                self._tables[new] = self._tables[old]
        elif old in names:
            self._client.delete_collection(old)
        self._forget(old)
        return {}

    def _drop(self, request: Document) -> Document:
        name = request["collection"]
        self._forget(name)
        if name in self._names():
            self._client.delete_collection(name)
        return {}

    def _forget(self, name: str) -> None:
        self._collections.pop(name, None)
        self._tables.pop(name, None)

    def _upsert(self, request: Document) -> Document:
        name, keys, moments = request["collection"], request["ids"], request["known_at"]
        vectors = frames.unpack(request["vectors"])
        self._collection(name).upsert(
            ids=keys,
            embeddings=vectors,
            metadatas=chroma_schema.metadatas(request["stamps"], moments),
        )
        if name in self._tables:
            self._tables[name].put(keys, vectors, moments)
        return {}

    def _delete(self, request: Document) -> Document:
        name = request["collection"]
        self._collection(name).delete(ids=request["ids"])
        if name in self._tables:
            self._tables[name].remove(request["ids"])
        return {}

    def _query(self, request: Document) -> Document:
        vectors = frames.unpack(request["vectors"])
        table = self._table(request["collection"])
        if table is None:
            return {"hits": [[] for _ in vectors]}
        chroma_schema.require_dimension(request["collection"], table.dimension, vectors.shape[1])
        limit, before = request["limit"], request["known_before"]
        return {"hits": [table.nearest(vector, limit=limit, before=before) for vector in vectors]}

    def _stamps(self, request: Document) -> Document:
        found = self._collection(request["collection"]).get(
            limit=request["limit"], offset=request["offset"], include=["metadatas"]
        )
        return {
            "ids": found["ids"],
            "stamps": [chroma_schema.stamp_of(row) for row in found["metadatas"] or []],
        }

    def _count(self, request: Document) -> Document:
        return {"count": self._collection(request["collection"]).count()}

    def _compact(self, _request: Document) -> Document:
        """Chroma leaves the vector files of a dropped collection, and SQLite what was deleted in its file."""
        if self._path.joinpath(_DATABASE).exists():
            with contextlib.closing(sqlite3.connect(self._path / _DATABASE, timeout=_BUSY_S)) as connection:
                used = {row[0] for row in connection.execute("SELECT id FROM segments")}
                for folder in vector_folders(self._path):
                    if folder.name not in used:
                        shutil.rmtree(folder)
                connection.execute("VACUUM")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return {}


def _kind(error: ChromaError | sqlite3.Error | OSError | Unfit) -> chroma_schema.Kind:
    if isinstance(error, Unfit):
        return "corrupt"
    name = error.name() if isinstance(error, ChromaError) else type(error).__name__
    return chroma_schema.kind_of(name, str(error))
