"""Ids of rows that come without one: the same rows get the same ids in every run."""

from __future__ import annotations

import json
import sqlite3
from hashlib import blake2b

_DIGEST_BYTES = 16


class RowIds:
    """Makes an id from the content of a row and from how often that content came before in the file.

    So equal rows are distinct records, and a file read twice gives the same ids. The content is all
    columns that are not empty, in any order; a corrected mapping does not change it. The digests seen
    so far are in a temporary SQLite database, which moves from memory to disk as it grows.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._seen = sqlite3.connect("", isolation_level=None)
        self._seen.execute(
            "CREATE TABLE seen (digest BLOB PRIMARY KEY, times INTEGER NOT NULL) WITHOUT ROWID"
        )
        # Never committed: the database goes with the load.
        self._seen.execute("BEGIN")

    def next_id(self, values: dict[str, str]) -> str:
        """Return the id of the next row of the file."""
        content = json.dumps(sorted((name, text) for name, text in values.items() if text))
        digest = blake2b(content.encode("ascii"), digest_size=_DIGEST_BYTES).digest()
        (times,) = self._seen.execute(
            "INSERT INTO seen VALUES (?, 1) ON CONFLICT DO UPDATE SET times = times + 1 RETURNING times",
            (digest,),
        ).fetchone()
        if times > 1:
            digest = blake2b(digest + b"%d" % times, digest_size=_DIGEST_BYTES).digest()
        return self._prefix + digest.hex()

    def close(self) -> None:
        """Drop the digests."""
        self._seen.close()
