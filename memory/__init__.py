"""Incident memory: remembers resolved incidents and recalls those similar to a question."""

from memory.embedding.embedder import Embedder
from memory.embedding.hashing import HashingEmbedder
from memory.embedding.sentence_transformer import SentenceTransformerEmbedder
from memory.errors import MemoryFailure, MemoryUnavailable, UnknownIncident, UnknownIndex, UnusableReviewer
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
