"""How a worker process and its owner talk: JSON documents with their length before them."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import numpy as np

from memory.embedding.embedder import Vectors

HEADER = struct.Struct(">I")
"""Length of the document that follows, in bytes."""

Document = dict[str, Any]


def encode(document: Document) -> bytes:
    """A document as it goes over the pipe."""
    body = json.dumps(document, separators=(",", ":")).encode()
    return HEADER.pack(len(body)) + body


def decode(body: bytes) -> Document:
    """A document without its header."""
    document: Document = json.loads(body)
    return document


def pack(vectors: Vectors) -> Document:
    """Vectors inside a document: exact, and a quarter of their size as decimal numbers."""
    data = np.ascontiguousarray(vectors, dtype="<f4")
    return {"shape": list(data.shape), "float32": base64.b64encode(data.tobytes()).decode()}


def unpack(packed: Document) -> Vectors:
    """The vectors that `pack` was given."""
    data = np.frombuffer(base64.b64decode(packed["float32"]), dtype="<f4")
    return data.reshape(packed["shape"]).astype(np.float32)
