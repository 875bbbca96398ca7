"""Incident memory: remembers resolved incidents and recalls those similar to a question.

Public names are imported on first use, so that a program pays only for what it uses.
"""

from importlib import import_module
from typing import TYPE_CHECKING

_MODULES = {
    "ChromaIndex": "memory.index.chroma",
    "ChromaServerIndex": "memory.index.chroma_server",
    "Embedder": "memory.embedding.embedder",
    "Forgotten": "memory.maintenance.forgetting",
    "HashingEmbedder": "memory.embedding.hashing",
    "IncidentMemory": "memory.incident_memory",
    "MemoryFailure": "memory.errors",
    "MemoryStatus": "memory.maintenance.status",
    "MemoryUnavailable": "memory.errors",
    "NoMatch": "memory.recall.results",
    "Recall": "memory.recall.results",
    "RecallQuery": "memory.recall.results",
    "RecalledIncident": "memory.recall.results",
    "Review": "memory.maintenance.reviews",
    "SentenceTransformerEmbedder": "memory.embedding.sentence_transformer",
    "SyncReport": "memory.maintenance.index_maintenance",
    "UnknownIncident": "memory.errors",
    "UnknownIndex": "memory.errors",
    "UnusableReviewer": "memory.errors",
    "VectorIndex": "memory.index.contract",
    "approve": "memory.maintenance.reviews",
    "checked_server_token": "memory.index.server_address",
    "checked_server_url": "memory.index.server_address",
    "lexical_scores": "memory.text.lexical",
    "outbox_poller": "memory.maintenance.outbox_poller",
    "query_text": "memory.text.recipe",
    "reject": "memory.maintenance.reviews",
    "words": "memory.text.lexical",
}

if TYPE_CHECKING:
    from memory.embedding.embedder import Embedder
    from memory.embedding.hashing import HashingEmbedder
    from memory.embedding.sentence_transformer import SentenceTransformerEmbedder
    from memory.errors import (
        MemoryFailure,
        MemoryUnavailable,
        UnknownIncident,
        UnknownIndex,
        UnusableReviewer,
    )
    from memory.incident_memory import IncidentMemory
    from memory.index.chroma import ChromaIndex
    from memory.index.chroma_server import ChromaServerIndex
    from memory.index.contract import VectorIndex
    from memory.index.server_address import checked_server_token, checked_server_url
    from memory.maintenance.forgetting import Forgotten
    from memory.maintenance.index_maintenance import SyncReport
    from memory.maintenance.outbox_poller import outbox_poller
    from memory.maintenance.reviews import Review, approve, reject
    from memory.maintenance.status import MemoryStatus
    from memory.recall.results import NoMatch, Recall, RecalledIncident, RecallQuery
    from memory.text.lexical import lexical_scores, words
    from memory.text.recipe import query_text

__all__ = [
    "ChromaIndex",
    "ChromaServerIndex",
    "Embedder",
    "Forgotten",
    "HashingEmbedder",
    "IncidentMemory",
    "MemoryFailure",
    "MemoryStatus",
    "MemoryUnavailable",
    "NoMatch",
    "Recall",
    "RecallQuery",
    "RecalledIncident",
    "Review",
    "SentenceTransformerEmbedder",
    "SyncReport",
    "UnknownIncident",
    "UnknownIndex",
    "UnusableReviewer",
    "VectorIndex",
    "approve",
    "checked_server_token",
    "checked_server_url",
    "lexical_scores",
    "outbox_poller",
    "query_text",
    "reject",
    "words",
]


def __getattr__(name: str) -> object:
    """Import a public name on first use (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
