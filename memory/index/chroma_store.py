"""The collections of one Chroma folder: the only importer of Chroma."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
from chromadb.api import ClientAPI
from chromadb.api.collection_configuration import CreateCollectionConfiguration, CreateHNSWConfiguration
from chromadb.config import Settings
from chromadb.errors import ChromaError

from memory.errors import FaultKind, IndexFault
from memory.index import chroma_schema
from memory.index.chroma_folder import vector_folders
from memory.index.vector_table import VectorTable

_COSINE = CreateCollectionConfiguration(hnsw=CreateHNSWConfiguration(space=chroma_schema.SPACE))

_DATABASE = "chroma.sqlite3"
_BUSY_S = 10.0
_ROWS_PER_READ = 2_000

FAULTS = (ChromaError, sqlite3.Error, OSError, IndexFault)
"""What the operations of a store raise."""


class ChromaStore:
    """Operations on the collections of a folder that this process owns.

    Chroma stores the vectors; queries are answered from a table of them in memory. Its approximate search
    does not suit recurrences: of 120 variants of one incident, all equally alike, 14 to 28 could not be found
    by their own vector, with twice the neighbors and ten times the search width of its defaults. Comparing a
    query with all of 10,000 rows takes about a millisecond.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened: ClientAPI | None = None
        self._collections: dict[str, chromadb.Collection] = {}
        self._tables: dict[str, VectorTable] = {}

    def open(self) -> None:
        """Load the vectors of all collections, so that the first question need not wait for them."""
        for name in self.collections():
            with contextlib.suppress(ChromaError, IndexFault):  # raised again when the collection is used
                self._table(name)

    def collections(self) -> list[str]:
        """Return the names of all collections."""
        return [collection.name for collection in self._client.list_collections()]

    def create(self, collection: str) -> None:
        """Create a collection unless it exists."""
        if collection not in self.collections():
            self._client.create_collection(collection, configuration=_COSINE, embedding_function=None)
        self._collection(collection)

    def drop(self, collection: str) -> None:
        """Remove a collection if it exists, and the bytes of all that was removed before."""
        self._collections.pop(collection, None)
        self._tables.pop(collection, None)
        if collection in self.collections():
            self._client.delete_collection(collection)
        self._vacuum()

    def upsert(
        self,
        collection: str,
        keys: list[str],
        vectors: Sequence[Sequence[float]],
        stamps: Sequence[str],
        known_at: Sequence[int],
    ) -> None:
        """Store rows; `known_at` is in microseconds since 1970."""
        rows = np.asarray(vectors, dtype=np.float32)
        metadatas = chroma_schema.metadatas(stamps, known_at)
        self._collection(collection).upsert(ids=keys, embeddings=rows, metadatas=metadatas)
        if collection in self._tables:
            self._tables[collection].put(keys, rows, known_at)

    def delete(self, collection: str, keys: list[str]) -> None:
        """Remove rows."""
        self._collection(collection).delete(ids=keys)
        if collection in self._tables:
            self._tables[collection].remove(keys)

    def query(
        self, collection: str, vector: Sequence[float], limit: int, before: int | None
    ) -> list[tuple[str, float]]:
        """Return keys and cosines of the closest rows."""
        table, query = self._table(collection), np.asarray(vector, dtype=np.float32)
        chroma_schema.require_dimension(collection, table.dimension or len(query), len(query))
        return table.nearest(query, limit=limit, before=before)

    def stamps(self, collection: str, limit: int, offset: int) -> dict[str, str]:
        """Return stamps by key, of one page of rows."""
        found = self._collection(collection).get(limit=limit, offset=offset, include=["metadatas"])
        return {
            key: str(row["stamp"]) for key, row in zip(found["ids"], found["metadatas"] or [], strict=True)
        }

    def count(self, collection: str) -> int:
        """Return the number of stored rows."""
        return self._collection(collection).count()

    @property
    def _client(self) -> ClientAPI:
        if self._opened is None:
            self._opened = chromadb.PersistentClient(
                self._path, settings=Settings(anonymized_telemetry=False)
            )
        return self._opened

    def _collection(self, name: str) -> chromadb.Collection:
        if name not in self._collections:
            # Without our None it would load a model of its own for texts that it never sees.
            collection = self._client.get_collection(name, embedding_function=None)
            chroma_schema.require_cosine(name, collection.configuration)
            self._collections[name] = collection
        return self._collections[name]

    def _table(self, name: str) -> VectorTable:
        """Return the rows of a collection as Chroma has stored them."""
        collection = self._collection(name)
        if name not in self._tables:
            table = VectorTable()
            while rows := _page(collection, offset=len(table)):
                table.put(*rows)
            self._tables[name] = table
        return self._tables[name]

    def _vacuum(self) -> None:
        """Erase what Chroma leaves of removed rows: files of dropped collections, and free pages."""
        if self._path.joinpath(_DATABASE).exists():
            with contextlib.closing(sqlite3.connect(self._path / _DATABASE, timeout=_BUSY_S)) as connection:
                used = {row[0] for row in connection.execute("SELECT id FROM segments")}
                for folder in vector_folders(self._path):
                    if folder.name not in used:
                        shutil.rmtree(folder)
                connection.execute("VACUUM")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _page(collection: chromadb.Collection, *, offset: int) -> tuple[list[str], Any, list[int]] | None:
    """Return keys, vectors and moments of some rows; None past the last one."""
    rows = collection.get(limit=_ROWS_PER_READ, offset=offset, include=["embeddings", "metadatas"])
    if not rows["ids"]:
        return None
    moments = [chroma_schema.known_at(collection.name, row) for row in rows["metadatas"] or []]
    return rows["ids"], np.asarray(rows["embeddings"], dtype=np.float32), moments


def kind_of(error: Exception) -> FaultKind:
    """Return the kind of an error that an operation has raised."""
    if isinstance(error, IndexFault):
        return error.kind
    name = error.name() if isinstance(error, ChromaError) else type(error).__name__
    return chroma_schema.kind_of(name, str(error))
