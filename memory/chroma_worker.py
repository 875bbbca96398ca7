"""The process that owns a Chroma folder: `python -m memory.chroma_worker FOLDER [--start-anew]`.

Embedded Chroma holds the interpreter's lock for seconds while it writes, so it lives in a process of its
own. It answers the documents that come in on its standard input, one after another, and ends with it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast

import chromadb
from chromadb.api import ClientAPI
from chromadb.api.collection_configuration import CreateCollectionConfiguration, CreateHNSWConfiguration
from chromadb.api.types import Where
from chromadb.base_types import OperatorExpression
from chromadb.config import Settings
from chromadb.errors import ChromaError, InternalError, NotFoundError

from memory import frames
from memory.chroma_folder import ChromaFolder, FolderRefused
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


class Fault(Exception):
    """A request that cannot be answered, of a kind that the owner knows."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class ChromaStore:
    """The operations of a vector index on an open Chroma folder; documents in, documents out."""

    def __init__(self, client: ClientAPI) -> None:
        self._client = client
        self._open: dict[str, chromadb.Collection] = {}
        self.operations: dict[str, Callable[[Document], Document]] = {
            "collections": self._collections,
            "create": self._create,
            "rename": self._rename,
            "drop": self._drop,
            "upsert": self._upsert,
            "delete": self._delete,
            "query": self._query,
            "stamps": self._stamps,
            "count": self._count,
        }

    def _names(self) -> list[str]:
        return [collection.name for collection in self._client.list_collections()]

    def _collection(self, request: Document) -> chromadb.Collection:
        name = request["collection"]
        if name not in self._open:
            # Without our None it would load a model of its own for texts that it never sees.
            collection = self._client.get_collection(name, embedding_function=None)
            space = (collection.configuration.get("hnsw") or {}).get("space")
            if space != "cosine":
                raise Fault("corrupt", f"collection {name} compares by {space} instead of cosine")
            self._open[name] = collection
        return self._open[name]

    def _collections(self, _request: Document) -> Document:
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
        self._open.pop(old, None)
        return {}

    def _drop(self, request: Document) -> Document:
        self._open.pop(request["collection"], None)
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


def answer(store: ChromaStore, request: Document) -> Document:
    """The answer to one request; errors of Chroma become a kind and a message."""
    try:
        return {"id": request["id"], "result": store.operations[request["op"]](request)}
    except Fault as fault:
        return {"id": request["id"], "fault": fault.kind, "message": str(fault)}
    except ChromaError as error:
        return {"id": request["id"], "fault": _kind(error), "message": str(error)}


def _kind(error: ChromaError) -> str:
    if isinstance(error, NotFoundError):
        return "missing"
    passing = any(sign in str(error) for sign in _PASSING)
    return "corrupt" if isinstance(error, InternalError) and not passing else "failed"


def open_store(path: Path, *, start_anew: bool) -> tuple[ChromaFolder, ChromaStore]:
    """The store of a folder that is ours from now on. Raises Fault."""
    try:
        folder = ChromaFolder(path, owner=os.getppid())
        if start_anew:
            folder.set_aside()
    except FolderRefused as refused:
        raise Fault("refused", str(refused)) from None
    try:
        client = chromadb.PersistentClient(path, settings=Settings(anonymized_telemetry=False))
        store = ChromaStore(client)
        store.operations["collections"]({})
    except ChromaError as error:
        raise Fault(_kind(error), str(error)) from None
    return folder, store


def serve(path: Path, requests: BinaryIO, answers: BinaryIO, *, start_anew: bool) -> None:
    """Answers requests until they end. The first answer says whether the folder could be opened."""

    def send(document: Document) -> None:
        answers.write(frames.encode(document))
        answers.flush()

    try:
        _folder, store = open_store(path, start_anew=start_anew)
    except Fault as fault:
        send({"id": 0, "fault": fault.kind, "message": str(fault)})
        return
    send({"id": 0, "result": {}})
    while header := requests.read(frames.HEADER.size):
        (length,) = frames.HEADER.unpack(header)
        send(answer(store, frames.decode(requests.read(length))))


def main(arguments: list[str]) -> None:
    """Serves the folder named first over standard input and output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # meant for the owner, which then ends us
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library that prints must not print into the answers
    try:
        serve(Path(arguments[0]), requests, answers, start_anew="--start-anew" in arguments)
    except BrokenPipeError:
        sys.exit(1)  # the owner is gone


if __name__ == "__main__":
    main(sys.argv[1:])
